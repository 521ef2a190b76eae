"""Violations by the verdicts of rules and by reports, with their resolutions and exemptions as entries of the log."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from whence_aggregator.compliance.rule import Rule
from whence_aggregator.fullstop.rows import (
    MembersByApplication,
    applications_in,
    exemption,
    members_by_application,
    of_instance,
    of_report,
    of_subject,
)
from whence_aggregator.fullstop.types import ViolationTypes
from whence_aggregator.fullstop.violation import (
    EXEMPTIONS_MAX,
    VIOLATIONS_READ_MAX,
    NarrowedTo,
    ServedExemption,
    ServedViolation,
    TooManyViolations,
    WantedExemption,
)
from whence_aggregator.ledger.ledger import Ledger
from whence_aggregator.ledger.writing import NewEntry, Writing
from whence_aggregator.ports import Conflict, Database
from whence_aggregator.projections.fullstop import (
    FULLSTOP_EXEMPTION,
    FULLSTOP_RESOLUTION,
    project_exemption,
    project_resolution,
)
from whence_aggregator.queries.fullstop import (
    FULLSTOP_EXEMPTIONS,
    FULLSTOP_MEMBERS,
    FULLSTOP_REPORTS,
    FULLSTOP_VERDICTS,
    FULLSTOP_VERDICTS_OF_KINDS,
    FullstopReportsParameters,
    FullstopVerdictsOfKindsParameters,
    FullstopVerdictsParameters,
)
from whence_aggregator.queries.query import array, together
from whence_common.clock import Now, to_instant
from whence_common.ledger_entry import event

_MEMBERS_READ_MAX = 20_000
_TURN_ROWS = 500


class RecordedViolations:
    """The verdicts that failed once, and what was reported. `by` of a step is who takes it, and is recorded."""

    def __init__(
        self, *, database: Database, ledger: Ledger, types: ViolationTypes, rules: Sequence[Rule], now: Now,
    ) -> None:  # fmt: skip
        self._database = database
        self._ledger = ledger
        self._types = types
        self._severities: Mapping[str, int] = {one.id: one.severity for one in rules}
        self._now = now

    async def matching(self, narrowed: NarrowedTo) -> Sequence[ServedViolation]:
        limit = VIOLATIONS_READ_MAX + 1 if narrowed.number is None else 1
        instances, subjects, reports = await self._database.fetch_all(
            together(
                FULLSTOP_VERDICTS.bind(self._of_instances(narrowed, limit)),
                FULLSTOP_VERDICTS_OF_KINDS.bind(self._of_kinds(narrowed, limit)),
                FULLSTOP_REPORTS.bind(_of_reports(narrowed, limit)),
            )
        )
        if narrowed.number is None and len(instances) + len(subjects) + len(reports) > VIOLATIONS_READ_MAX:
            raise TooManyViolations
        members = await self._members(applications_in(subjects))
        found: list[ServedViolation] = []
        for row in instances:
            found.append(of_instance(row, self._severities))
            await _give_way(found)
        for kind in subjects:
            found.append(of_subject(kind, members, self._severities))
            await _give_way(found)
        for report in reports:
            found.append(of_report(report))
            await _give_way(found)
        return await self._exempted(sorted(found, key=lambda one: one.number))

    async def acknowledge(self, violation: ServedViolation, comment: str, by: str) -> None:
        body = {
            "account_id": violation.account_id, "violation": violation.key, "comment": comment,
            "recorded_at": to_instant(self._now()), "recorded_by": by,
        }  # fmt: skip
        async with self._ledger.writing() as writing:
            index = await _append(writing, FULLSTOP_RESOLUTION, body)
            await project_resolution(writing.transaction, index, body)

    async def exempt(self, wanted: WantedExemption, by: str) -> ServedExemption:
        at = to_instant(self._now())
        body = {
            "violation_type": wanted.type_id, "account_id": wanted.account_id,
            "application_id": wanted.application_id, "application_version": wanted.application_version,
            "reason": wanted.reason, "ends_at": wanted.ends_at, "ends": None, "recorded_at": at, "recorded_by": by,
        }  # fmt: skip
        async with self._ledger.writing() as writing:
            asked = FULLSTOP_EXEMPTIONS.bind({"now": at, "only": None, "limit": EXEMPTIONS_MAX})
            if len(await writing.transaction.fetch(asked)) >= EXEMPTIONS_MAX:
                raise Conflict(
                    "exemptions-too-many", f"there are {EXEMPTIONS_MAX} whitelisting rules",
                    fix="end some, or write fewer that cover more",
                )  # fmt: skip
            index = await _append(writing, FULLSTOP_EXEMPTION, body)
            number = await project_exemption(writing.transaction, index, body)
        return ServedExemption(number=number, wanted=wanted, created=at, created_by=by, changed=at, changed_by=by)

    async def end_exemption(self, exemption: ServedExemption, ends_at: str, by: str) -> None:
        body = {
            "account_id": exemption.wanted.account_id, "ends": exemption.number, "ends_at": ends_at,
            "recorded_at": to_instant(self._now()), "recorded_by": by,
        }  # fmt: skip
        async with self._ledger.writing() as writing:
            index = await _append(writing, FULLSTOP_EXEMPTION, body)
            await project_exemption(writing.transaction, index, body)

    async def exemptions(self, number: int | None = None) -> Sequence[ServedExemption]:
        now = to_instant(self._now()) if number is None else None
        asked = FULLSTOP_EXEMPTIONS.bind({"now": now, "only": number, "limit": EXEMPTIONS_MAX})
        return [exemption(row) for row in await self._database.fetch(asked)]

    def _of_instances(self, narrowed: NarrowedTo, limit: int) -> FullstopVerdictsParameters:
        return {
            "last": _first(narrowed), "rules": array(self._types.rules(narrowed.types)), "open": int(narrowed.unfixed),
            "any_account": int(narrowed.accounts is None), "accounts": array(list(narrowed.accounts or ())),
            "any_application": int(narrowed.applications is None),
            "applications": array(list(narrowed.applications or ())), "limit": limit,
        }  # fmt: skip

    def _of_kinds(self, narrowed: NarrowedTo, limit: int) -> FullstopVerdictsOfKindsParameters:
        return {
            "last": _first(narrowed), "rules": array(self._types.rules(narrowed.types)), "open": int(narrowed.unfixed),
            "any_application": int(narrowed.applications is None),
            "applications": array(list(narrowed.applications or ())), "limit": limit,
        }  # fmt: skip

    async def _members(self, applications: set[str]) -> MembersByApplication:
        if not applications:
            return {}
        asked = FULLSTOP_MEMBERS.bind({"applications": array(sorted(applications)), "limit": _MEMBERS_READ_MAX})
        return members_by_application(await self._database.fetch(asked))

    async def _exempted(self, found: Sequence[ServedViolation]) -> list[ServedViolation]:
        return with_exemptions(found, await self.exemptions(), to_instant(self._now()))


async def _give_way(found: Sequence[ServedViolation]) -> None:
    """Let other requests run now and then: twenty thousand rows take half a second."""
    if len(found) % _TURN_ROWS == 0:
        await asyncio.sleep(0)


def _first(narrowed: NarrowedTo) -> int:
    return narrowed.number if narrowed.number is not None else narrowed.number_min


def _of_reports(narrowed: NarrowedTo, limit: int) -> FullstopReportsParameters:
    return {
        "last": _first(narrowed), "any_account": int(narrowed.accounts is None),
        "accounts": array(list(narrowed.accounts or ())), "any_application": int(narrowed.applications is None),
        "applications": array(list(narrowed.applications or ())), "any_type": int(narrowed.types is None),
        "types": array(list(narrowed.types or ())), "limit": limit,
    }  # fmt: skip


def with_exemptions(
    found: Sequence[ServedViolation], exemptions: Sequence[ServedExemption], now: str
) -> list[ServedViolation]:
    """Return violations with the first exemption that covers each now."""
    standing = [one for one in exemptions if one.stands(now)]
    return [_exempted(one, standing) for one in found]


def _exempted(violation: ServedViolation, standing: Sequence[ServedExemption]) -> ServedViolation:
    by = next((one for one in standing if one.wanted.covers(violation)), None)
    if by is None or violation.state == "fixed":
        return violation
    comment = f"exempted until {by.wanted.ends_at}: {by.wanted.reason}"
    return replace(
        violation, state="exempted", exemption=by.number, comment=comment, changed=max(violation.changed, by.created),
        changed_by=by.created_by,
    )  # fmt: skip


async def _append(writing: Writing[Any], kind: str, body: dict[str, Any]) -> int:
    ((index, _),) = await writing.append([NewEntry(kind=kind, content=event(kind, body))])
    return index
