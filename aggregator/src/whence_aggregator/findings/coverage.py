"""Which scanners have reported about which accounts, and which are late: a scanner that is silent finds nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from whence_aggregator.findings.rows import ReportTimes, counts_by_product, report_times
from whence_aggregator.findings.scanners import Scanners
from whence_aggregator.organisation.allowed import AllowedAccounts
from whence_aggregator.ports import Database
from whence_aggregator.queries.findings import COUNT_FINDING_REPORTS, COUNT_FINDINGS_OPEN, SCANNER_REPORTS
from whence_aggregator.queries.query import EVERY_ENTRY, together
from whence_common.clock import parse_instant, to_millis
from whence_common.open_metrics import Family, Sample


@dataclass(frozen=True, slots=True, kw_only=True)
class ScannerState:
    """A scanner's reports about an account: `reporting`, `late`, or `never` where it was expected to report."""

    product: str
    account_id: str
    interval_seconds: float
    reported_at: str
    complete_at: str
    """Of its last complete report."""
    state: str

    def to_wire(self) -> dict[str, object]:
        return {
            "product": self.product, "account_id": self.account_id or None, "interval_seconds": self.interval_seconds,
            "reported_at": self.reported_at or None, "complete_at": self.complete_at or None, "state": self.state,
        }  # fmt: skip


class ScannerCoverage:
    """Reads how scanners report."""

    def __init__(self, *, database: Database, scanners: Scanners, accounts: AllowedAccounts) -> None:
        self._database = database
        self._scanners = scanners
        self._accounts = accounts

    async def states(self, *, now: datetime, past: int) -> list[ScannerState]:
        """Return the state of each scanner and account: those that reported, and those that the settings expect to."""
        await self._accounts.refresh()
        reports = report_times(await self._database.fetch(SCANNER_REPORTS.bind({"past": past})))
        expected = {
            (account_id, one.product)
            for one in self._scanners.named
            for account_id in (one.accounts or self._accounts.names)
        }
        return [self._state(*key, reports, now) for key in sorted(expected | reports.keys())]

    async def families(self, *, now: datetime) -> Sequence[Family]:
        """Return metrics of scanners, their reports and open findings. Raises StorageUnavailable."""
        states = await self.states(now=now, past=EVERY_ENTRY)
        reports, found = await self._database.fetch_all(
            together(COUNT_FINDING_REPORTS.bind({}), COUNT_FINDINGS_OPEN.bind({}))
        )
        newest = [
            Sample(
                to_millis(parse_instant(one.reported_at)) / 1000, {"account": one.account_id, "product": one.product}
            )
            for one in states
            if one.reported_at
        ]
        counted = Counter((one.product, one.state) for one in states)
        by_state = [Sample(n, {"product": product, "state": state}) for (product, state), n in sorted(counted.items())]
        return (
            _gauge("scanners", "Accounts by how a scanner reports about them.", by_state),
            _gauge("scanner_newest_report_timestamp_seconds", "Time of the newest report of a scanner.", newest,
                   frozenset({"account"})),
            _gauge("scanner_reports", "Stored reports of scanners.",
                   [Sample(n, {"product": product}) for product, n in counts_by_product(reports).items()]),
            _gauge("findings_open", "Findings of scanners that fail.",
                   [Sample(n, {"product": product}) for product, n in counts_by_product(found).items()]),
        )  # fmt: skip

    def _state(
        self, account_id: str, product: str, reports: Mapping[tuple[str, str], ReportTimes], now: datetime
    ) -> ScannerState:
        seconds = self._scanners.of(product, account_id).interval_seconds
        times = reports.get((account_id, product))
        late = times is not None and (now - parse_instant(times.reported_at)).total_seconds() > seconds
        return ScannerState(
            product=product,
            account_id=account_id,
            interval_seconds=seconds,
            reported_at=times.reported_at if times is not None else "",
            complete_at=times.complete_at if times is not None else "",
            state="never" if times is None else "late" if late else "reporting",
        )


def _gauge(name: str, help_: str, samples: Sequence[Sample], hidden: frozenset[str] = frozenset()) -> Family:
    return Family(name=f"whence_{name}", kind="gauge", help=help_, samples=samples, hidden=hidden)
