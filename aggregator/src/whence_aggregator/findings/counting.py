"""How many findings pass, fail or are unknown, of how many, by scanner and account."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol, get_args

from whence_aggregator.findings.coverage import ScannerState
from whence_aggregator.findings.listing import ShownFinding
from whence_aggregator.findings.rows import CountedFinding, counted_findings
from whence_aggregator.findings.scanners import FindingVerdict, Scanners
from whence_aggregator.ports import Database
from whence_aggregator.queries.findings import FINDINGS_BY_SCANNER
from whence_aggregator.queries.query import EVERY_ENTRY
from whence_common.clock import Now, to_instant

SCANNERS_SHOWN_MAX = 50
"""Scanners and accounts that an answer lists, those that are late first; `account` names one account."""
KEPT_SECONDS = 30.0
"""How long counts are kept, since each counting reads every finding; an answer states when it was."""
_VERDICTS: tuple[FindingVerdict, ...] = get_args(FindingVerdict)
ScannerKey = tuple[str, str]
"""Account, empty where the scanner names none, and product."""


class ScannerStates(Protocol):
    """How scanners report."""

    async def states(self, *, now: datetime, past: int) -> Sequence[ScannerState]:
        """Return the state of each scanner and account."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScannerFindings:
    """The findings of a scanner about an account. `suppressed`: how many of them are muted in the scanner."""

    state: ScannerState
    verdicts: Mapping[FindingVerdict, int]
    suppressed: int = 0

    @property
    def total(self) -> int:
        return sum(self.verdicts.values())

    def to_wire(self) -> dict[str, object]:
        counts: dict[str, int] = {name: self.verdicts.get(name, 0) for name in _VERDICTS}
        return {**self.state.to_wire(), "findings": {**counts, "suppressed": self.suppressed, "total": self.total}}


@dataclass(frozen=True, slots=True, kw_only=True)
class CountedFindings:
    """The findings of all scanners, as of a time."""

    counted_at: str
    scanners: Sequence[ScannerFindings]

    def of(self, account_id: str | None) -> CountedFindings:
        """Return those about one account; None means every account."""
        found = [one for one in self.scanners if account_id in (None, one.state.account_id)]
        return CountedFindings(counted_at=self.counted_at, scanners=found)

    def to_wire(self) -> dict[str, object]:
        total: dict[str, int] = {name: sum(one.verdicts.get(name, 0) for one in self.scanners) for name in _VERDICTS}
        suppressed = sum(one.suppressed for one in self.scanners)
        return {
            "counted_at": self.counted_at,
            "scanners": [one.to_wire() for one in self.scanners[:SCANNERS_SHOWN_MAX]],
            "scanners_total": len(self.scanners),
            "total": {**total, "suppressed": suppressed, "total": sum(total.values())},
        }


class FindingCounts:
    """Counts findings, and keeps the counts for a while. Requests that come meanwhile wait for one counting."""

    def __init__(self, *, database: Database, scanners: Scanners, states: ScannerStates, now: Now) -> None:
        self._database = database
        self._scanners = scanners
        self._states = states
        self._now = now
        self._kept: tuple[datetime, CountedFindings] | None = None
        self._counting = asyncio.Lock()

    async def counted(self) -> CountedFindings:
        """Return the counts of now, or of at most KEPT_SECONDS ago. Raises StorageUnavailable."""
        async with self._counting:
            now = self._now()
            if self._kept is None or now - self._kept[0] >= timedelta(seconds=KEPT_SECONDS):
                self._kept = now, await self._count(now)
            return self._kept[1]

    async def _count(self, now: datetime) -> CountedFindings:
        states = await self._states.states(now=now, past=EVERY_ENTRY)
        by_key = {(one.account_id, one.product): one for one in states}
        tallies = {key: _Tally() for key in by_key}
        for seconds in sorted({one.interval_seconds for one in states}):
            confirmed_since = to_instant(now - timedelta(seconds=seconds))
            rows = counted_findings(
                await self._database.fetch(FINDINGS_BY_SCANNER.bind({"confirmed_since": confirmed_since}))
            )
            for row in rows:
                state = by_key.get((row.account_id, row.product))
                if state is not None and state.interval_seconds == seconds:
                    tallies[row.account_id, row.product].add(self._verdict(row, state), row.count, row.suppressed)
        return CountedFindings(
            counted_at=to_instant(now),
            scanners=[
                tallies[key].of(by_key[key])
                for key in sorted(by_key, key=lambda key: (by_key[key].state == "reporting", key))
            ],
        )  # fmt: skip

    def _verdict(self, row: CountedFinding, state: ScannerState) -> FindingVerdict:
        """Return what findings mean, as `Scanners.verdict` does of one."""
        if row.closed:
            return "fixed"
        by_report = self._scanners.of(row.product, row.account_id).reports == "changes"
        if state.state == "late" if by_report else not row.confirmed:
            return "unknown"
        return next((one for one in _VERDICTS if one == row.result and one != "fixed"), "unknown")


async def count_shown(
    findings: AsyncIterator[ShownFinding], states: Sequence[ScannerState], *, most: int
) -> tuple[list[ScannerFindings], bool]:
    """Return the counts of listed findings by scanner and account, and whether there were more than `most`."""
    tallies: dict[ScannerKey, _Tally] = {}
    number = 0
    async for one in findings:
        if number == most:
            break
        number += 1
        key = one.finding.account_id, one.finding.product
        tallies.setdefault(key, _Tally()).add(one.verdict, 1, suppressed=one.finding.suppressed)
    else:
        number = 0
    by_key = {(one.account_id, one.product): one for one in states}
    return [tallies[key].of(by_key[key]) for key in sorted(tallies) if key in by_key], number > 0


@dataclass(slots=True)
class _Tally:
    verdicts: Counter[FindingVerdict] = field(default_factory=Counter)
    suppressed: int = 0

    def add(self, verdict: FindingVerdict, count: int, suppressed: bool) -> None:
        self.verdicts[verdict] += count
        self.suppressed += count if suppressed else 0

    def of(self, state: ScannerState) -> ScannerFindings:
        return ScannerFindings(state=state, verdicts=dict(self.verdicts), suppressed=self.suppressed)
