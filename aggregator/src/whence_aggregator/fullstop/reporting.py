"""Records violations that other programs report, each once: in any state, as fullstop. did."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from whence_aggregator.callers.caller import Caller
from whence_aggregator.compliance.fullstop_types import REPORTED
from whence_aggregator.fullstop.documents import ViolationReport
from whence_aggregator.fullstop.rows import counted
from whence_aggregator.fullstop.types import ViolationTypes
from whence_aggregator.ledger.writing import NewEntry, Writing
from whence_aggregator.ports import Conflict, Forbidden
from whence_aggregator.projections.fullstop import FULLSTOP_REPORT, report_write
from whence_aggregator.queries.fullstop import COUNT_FULLSTOP_REPORTS
from whence_aggregator.violations.group import REPORT, Group
from whence_aggregator.violations.life import About, ObservedFault
from whence_aggregator.violations.observing import Observing
from whence_aggregator.violations.recording import ViolationRecorder
from whence_common.clock import Now, to_instant
from whence_common.ledger_entry import event

REPORTS_OF_ACCOUNT_MAX = 10_000


class ViolationReporting:
    """Takes reports, and opens the violation of each."""

    def __init__(
        self, *, recorder: ViolationRecorder, observing: Observing, types: ViolationTypes, now: Now
    ) -> None:  # fmt: skip
        self._recorder = recorder
        self._observing = observing
        self._types = types
        self._now = now

    async def record(self, report: ViolationReport, caller: Caller) -> bool:
        """Record a report durably; return whether it is new. Raises Forbidden, Conflict, StorageUnavailable."""
        check_may_report(caller, report.account_id)
        at = to_instant(self._now())
        group, application = group_of(report), report.application_id
        bounded = not caller.may_report_violations_of("")
        if bounded and application and not await self._observing.runs_in(application, report.account_id):
            application = ""  # the team of an application elsewhere is not reached through an account of somebody else
        team = await self._observing.owner_of(application, report.account_id)
        severity = self._types.severity(report.violation_type)
        title = self._types.of_rule(group.rule, severity).title
        fault = ObservedFault(
            group=group, failing=True, since=at, reason=f"{caller.name} reported {report.event_id}",
            about=About(
                application_id=application, account_id=report.account_id, team=team,
                severity=severity,
                detail={
                    "source": REPORT, "title": title, "version": report.application_version, "tokens": [caller.name],
                    "instance_id": report.instance_id, "region": report.region,
                },
            ),
        )  # fmt: skip
        body: dict[str, Any] = {
            "violation": group.id, "account_id": report.account_id, "region": report.region,
            "event_id": report.event_id, "instance_id": report.instance_id, "violation_type": report.violation_type,
            "meta_info": report.meta_info, "username": report.username, "application_id": report.application_id,
            "application_version": report.application_version, "recorded_at": at, "recorded_by": caller.name,
        }  # fmt: skip

        async def append(writing: Writing[Any]) -> None:
            count = COUNT_FULLSTOP_REPORTS.bind({"account_id": report.account_id})
            if counted(await writing.transaction.fetch(count)) >= REPORTS_OF_ACCOUNT_MAX:
                raise Conflict(
                    "reports-of-account", f"the account has {REPORTS_OF_ACCOUNT_MAX} reported violations already",
                    fix="send findings of scanners to POST /v1/findings, which closes what is fixed",
                )  # fmt: skip
            ((index, _),) = await writing.append([NewEntry(kind=FULLSTOP_REPORT, content=event(FULLSTOP_REPORT, body))])
            await writing.transaction.execute(report_write(index, body))

        return await self._recorder.open_reported(fault, append)


def group_of(report: ViolationReport) -> Group:
    """Return the group of a report, by what tells reports apart: fullstop. refused a second one, in any state."""
    names = report.account_id, report.region, report.event_id, report.instance_id
    subject = "/".join(quote(one, safe=":@ ") for one in names)
    return Group(rule=f"{REPORTED}{report.violation_type}", kind=REPORT, subject=subject)


def check_may_report(caller: Caller, account_id: str) -> None:
    """Raise Forbidden unless a caller may report violations of an account; of any account, if that is empty."""
    may = caller.may_report_violations_of(account_id) if account_id else caller.reports_violations
    if not may:
        of = f" of account {account_id}" if account_id else ""
        raise Forbidden(
            "report-forbidden", f"{caller.name} may not report violations{of}",
            fix="use a token with the scope fullstop.violation.write, or with the right findings for the account",
        )  # fmt: skip
