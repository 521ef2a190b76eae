"""Applied plans of accounts: the report of whence-accounts becomes one entry of the log for each account."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from whence_aggregator.accounts.canonical import digest_of
from whence_aggregator.accounts.report import ApplyReport
from whence_aggregator.changes.plan_rows import AppliedPlan, applied_plan, entries_of_report
from whence_aggregator.ledger.ledger import Ledger
from whence_aggregator.ledger.writing import NewEntry
from whence_aggregator.ports import Database
from whence_aggregator.projections.account_plans import ACCOUNT_PLAN, account_plan_write
from whence_aggregator.queries.accounts import ACCOUNT_PLANS, ACCOUNT_PLANS_OF, ACCOUNT_PLANS_OF_REPORT
from whence_aggregator.queries.events import LOOK_SOON, LookSoonParameters
from whence_aggregator.trace.facts import ACCOUNT_DRIFT_KIND
from whence_common.clock import Now, parse_instant, to_instant
from whence_common.errors import InputError, one_line
from whence_common.ledger_entry import event

REPORT_BYTES_MAX = 16 * 1024 * 1024
ACCOUNTS_MAX = 2_000
CHANGES_MAX = 50_000
"""Of all accounts of one report."""
_REASON_CHARACTERS_MAX = 300
"""A value that is wrong is quoted whole by the decoder."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedPlans:
    """The entries of a report: one for each account, and whether they are new."""

    entries: Sequence[tuple[str, int]]
    is_new: bool

    def to_wire(self) -> dict[str, object]:
        last = max(index for _, index in self.entries)
        accounts = [{"account_id": account, "index": index} for account, index in self.entries]
        return {"index": last, "accounts": accounts, "new": self.is_new}


class AppliedPlans:
    """Records reports, and lists them. `on_work` is called when accounts are due to be planned."""

    def __init__(self, *, database: Database, ledger: Ledger, now: Now, on_work: Callable[[], None]) -> None:
        self._database = database
        self._ledger = ledger
        self._now = now
        self._on_work = on_work

    async def record(self, content: bytes, *, recorded_by: str) -> RecordedPlans:
        """Record a report durably; a second copy of it adds nothing. The accounts are planned again at once.

        Raises InputError, StorageUnavailable.
        """
        report = parse_report(content)
        wire = msgspec.to_builtins(report)
        digest, at = digest_of(wire), to_instant(self._now())
        stated = [
            {
                "account_id": one["account_id"], "account": one["account"], "plan": report.plan, "report": digest,
                "configuration": report.configuration, "begun_at": report.begun_at, "ended_at": report.ended_at,
                "changes": one["changes"], "error": one["error"], "recorded_by": recorded_by, "recorded_at": at,
            }
            for one in wire["accounts"]
        ]  # fmt: skip
        async with self._ledger.writing() as writing:
            known = entries_of_report(await writing.transaction.fetch(ACCOUNT_PLANS_OF_REPORT.bind({"report": digest})))
            if known:
                return RecordedPlans(entries=known, is_new=False)
            places = await writing.append(
                [NewEntry(kind=ACCOUNT_PLAN, content=event(ACCOUNT_PLAN, one)) for one in stated]
            )
            indexed = [(index, one) for (index, _), one in zip(places, stated, strict=True)]
            due: list[LookSoonParameters] = [
                {"kind": ACCOUNT_DRIFT_KIND, "subject": str(one["account_id"]), "soon": at} for one in stated
            ]
            await writing.transaction.execute(account_plan_write(indexed), LOOK_SOON.bind(due))
        self._on_work()
        return RecordedPlans(entries=[(str(one["account_id"]), index) for index, one in indexed], is_new=True)

    async def page(self, account_id: str | None, *, before: int, limit: int) -> Sequence[AppliedPlan]:
        """Return plans that were recorded before an entry, the newest first. Raises StorageUnavailable."""
        if account_id is None:
            return list(
                map(applied_plan, await self._database.fetch(ACCOUNT_PLANS.bind({"before": before, "limit": limit})))
            )
        asked = ACCOUNT_PLANS_OF.bind({"account_id": account_id, "before": before, "limit": limit})
        return list(map(applied_plan, await self._database.fetch(asked)))


def parse_report(content: bytes) -> ApplyReport:
    """Return the report in a body. Raises InputError with what to send."""
    fix = "send the report that whence-accounts apply keeps beside the plan, with whence-accounts submit"
    try:
        report = msgspec.json.decode(content, type=ApplyReport)
        begun, ended = parse_instant(report.begun_at), parse_instant(report.ended_at)
    except (msgspec.MsgspecError, ValueError, RecursionError) as exc:
        message = f"the body is not the report of an apply: {one_line(str(exc), _REASON_CHARACTERS_MAX)}"
        raise InputError("account-plan-invalid", message, fix=fix) from exc
    ids = [one.account_id for one in report.accounts]
    if not ids or len(ids) > ACCOUNTS_MAX or sum(len(one.changes) for one in report.accounts) > CHANGES_MAX:
        message = f"a report has 1 to {ACCOUNTS_MAX} accounts, and at most {CHANGES_MAX} changes"
        raise InputError("account-plan-size", message, fix="apply plans of fewer accounts")
    if len(set(ids)) < len(ids) or ended < begun:
        message = "the report names an account twice, or ended before it began"
        raise InputError("account-plan-invalid", message, fix=fix)
    return report


def wire_of(plans: Sequence[AppliedPlan]) -> list[dict[str, Any]]:
    """Return plans as the API shows them."""
    return [msgspec.structs.asdict(one) for one in plans]
