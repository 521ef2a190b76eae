"""Records violations that other programs report, each once: in any state, as fullstop. did."""

from __future__ import annotations

from typing import Any

from whence_aggregator.callers.caller import Caller
from whence_aggregator.fullstop.documents import ViolationReport
from whence_aggregator.fullstop.rows import counted, reported_types
from whence_aggregator.ledger.ledger import Ledger
from whence_aggregator.ledger.writing import NewEntry
from whence_aggregator.ports import Conflict, Database, Forbidden
from whence_aggregator.projections.fullstop import FULLSTOP_REPORT, VIOLATION, project_report, report_key
from whence_aggregator.queries.fullstop import (
    COUNT_FULLSTOP_REPORTS,
    FULLSTOP_NUMBERS,
    FULLSTOP_REPORTED_TYPES,
)
from whence_aggregator.queries.query import array
from whence_common.clock import Now, to_instant
from whence_common.ledger_entry import event

REPORTS_OF_ACCOUNT_MAX = 10_000
TYPES_SHOWN_MAX = 1_000


class ViolationReporting:
    """Takes reports."""

    def __init__(self, *, database: Database, ledger: Ledger, now: Now) -> None:
        self._database = database
        self._ledger = ledger
        self._now = now

    async def record(self, report: ViolationReport, caller: Caller) -> bool:
        """Record a report durably; return whether it is new. Raises Forbidden, Conflict, StorageUnavailable."""
        check_may_report(caller, report.account_id)
        body: dict[str, Any] = {
            "account_id": report.account_id, "region": report.region, "event_id": report.event_id,
            "instance_id": report.instance_id, "violation_type": report.violation_type, "meta_info": report.meta_info,
            "username": report.username, "application_id": report.application_id,
            "application_version": report.application_version, "recorded_at": to_instant(self._now()),
            "recorded_by": caller.name,
        }  # fmt: skip
        key = report_key(body)
        asked = FULLSTOP_NUMBERS.bind({"kind": VIOLATION, "keys": array([key])})
        if await self._database.fetch(asked):
            return False
        async with self._ledger.writing() as writing:
            if await writing.transaction.fetch(asked):
                return False
            count = COUNT_FULLSTOP_REPORTS.bind({"account_id": report.account_id})
            if counted(await writing.transaction.fetch(count)) >= REPORTS_OF_ACCOUNT_MAX:
                raise Conflict(
                    "reports-of-account", f"the account has {REPORTS_OF_ACCOUNT_MAX} reported violations already",
                    fix="send findings of scanners to POST /v1/findings, which closes what is fixed",
                )  # fmt: skip
            ((index, _),) = await writing.append([NewEntry(kind=FULLSTOP_REPORT, content=event(FULLSTOP_REPORT, body))])
            await project_report(writing.transaction, index, body)
        return True

    async def types(self) -> dict[str, str]:
        """Return the types that were reported, with the time of the first report of each."""
        return reported_types(await self._database.fetch(FULLSTOP_REPORTED_TYPES.bind({"limit": TYPES_SHOWN_MAX})))


def check_may_report(caller: Caller, account_id: str) -> None:
    """Raise Forbidden unless a caller may report violations of an account; of any account, if that is empty."""
    may = caller.may_report_violations_of(account_id) if account_id else caller.reports_violations
    if not may:
        of = f" of account {account_id}" if account_id else ""
        raise Forbidden(
            "report-forbidden", f"{caller.name} may not report violations{of}",
            fix="use a token with the scope fullstop.violation.write, or with the right findings for the account",
        )  # fmt: skip
