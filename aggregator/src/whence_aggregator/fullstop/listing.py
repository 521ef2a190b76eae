"""Lists and counts of violations: the filters, orders and pages of fullstop."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from whence_aggregator.compliance.fullstop_types import type_of_rule
from whence_aggregator.fullstop.rows import rules_seen, served_violation
from whence_aggregator.fullstop.types import ViolationType, ViolationTypes
from whence_aggregator.fullstop.violation import ServedViolation
from whence_aggregator.ports import Conflict, Database, NotFound
from whence_aggregator.queries.fullstop import FULLSTOP_VIOLATIONS, FULLSTOP_VIOLATIONS_NAMED
from whence_aggregator.queries.query import array
from whence_aggregator.queries.violations import RULES_OF_VIOLATIONS
from whence_aggregator.violations.brief import BriefViolation, Matched, matching
from whence_aggregator.violations.kept import KeptViolations
from whence_aggregator.violations.life import ShownState
from whence_aggregator.violations.members import GroupMembers
from whence_common.clock import Now, to_instant
from whence_common.errors import InputError

SIZE_DEFAULT, SIZE_MAX = 10, 2000
SORTS_MAX = 5
NUMBER_MAX = 2**63 - 1
VIOLATIONS_READ_MAX = 20_000
"""Of one request, before the filters that only this interface has."""
INSTANCES_SHOWN_MAX = 100
_RULES_MAX = 5_000
_TURN_ROWS = 500
_Sort = tuple[str, bool]
BY_NUMBER: Sequence[_Sort] = (("id", True),)


@dataclass(frozen=True, slots=True, kw_only=True)
class WantedPage:
    """A page of a list, from 0, and the order of the list: each property, and whether it ascends."""

    number: int = 0
    size: int = SIZE_DEFAULT
    sort: Sequence[_Sort] = BY_NUMBER


@dataclass(frozen=True, slots=True, kw_only=True)
class FullstopFilters:
    """The filters of violations; None means any. `whitelisted` outweighs `checked`."""

    accounts: Sequence[str] | None = None
    types: Sequence[str] | None = None
    applications: Sequence[str] | None = None
    versions: Sequence[str] | None = None
    severity: int | None = None
    priority: int | None = None
    audit_relevant: bool | None = None
    since: str = ""
    until: str = ""
    """Exclusive, unless `until_inclusive`; empty for any time."""
    until_inclusive: bool = False
    last: int = 0
    checked: bool = False
    whitelisted: bool = False

    teams: Collection[str] | None = None
    """The teams whose violations the caller may read; None for all."""

    def matches(self, one: ServedViolation, types: ViolationTypes) -> bool:
        """Return whether a violation passes every filter."""
        kind = types.of_rule(one.stored.rule, one.stored.severity)
        state = "exempted" if self.whitelisted else "checked" if self.checked else "open"
        checks = (
            state == _SHOWN_AS[one.state],
            self.accounts is None or not one.account_ids.isdisjoint(self.accounts),
            self.versions is None or one.stored.version in self.versions,
            self._is_of(kind),
            self._is_in_time(one.created),
        )
        return all(checks)

    @property
    def in_brief(self) -> bool:
        """Return whether what lists keep of violations answers for every filter: without versions and members."""
        return self.accounts is None and self.versions is None

    def select(self, every: Sequence[BriefViolation], types: ViolationTypes, now: str) -> list[BriefViolation]:
        """Return the violations that pass every filter, without those that are not `in_brief`."""
        shown = "exempted" if self.whitelisted else "checked" if self.checked else "open"
        states = [state for state, name in _SHOWN_AS.items() if name == shown]
        found = matching(every, Matched(states=states, teams=self.teams), now=now)
        kinds = {place: types.of_rule(place[0], int(place[1])) for place in {(one.rule, one.severity) for one in found}}
        allowed = {
            place for place, kind in kinds.items()
            if (self.types is None or kind.id in self.types) and self._is_of(kind)
        }  # fmt: skip
        applications = None if self.applications is None else frozenset(self.applications)
        return [
            one for one in found
            if one.number >= self.last and (one.rule, one.severity) in allowed and self._is_in_time(one.since)
            and (applications is None or one.application_id in applications)
        ]  # fmt: skip

    def _is_of(self, kind: ViolationType) -> bool:
        return (
            self.severity in (None, kind.violation_severity)
            and self.priority in (None, kind.priority)
            and self.audit_relevant in (None, kind.audit_relevant)
        )

    def _is_in_time(self, created: str) -> bool:
        before = not self.until or created < self.until or (self.until_inclusive and created == self.until)
        return before and created >= self.since


_SHOWN_AS: Mapping[ShownState, str] = {
    "open": "open", "reopened": "open", "acknowledged": "checked", "fixed": "checked", "exempted": "exempted",
}  # fmt: skip
_PROPERTIES: dict[str, Callable[[ServedViolation], Any]] = {
    "id": lambda one: one.number,
    "created": lambda one: one.created,
    "last_modified": lambda one: one.settled[1],
    "account_id": lambda one: one.account_id,
    "region": lambda one: one.region,
    "event_id": lambda one: one.event_id,
    "instance_id": lambda one: one.instance_id,
    "application_id": lambda one: one.stored.application_id,
    "application_version_id": lambda one: one.stored.version,
    "violation_type": lambda one: one.type_id,
    "username": lambda one: one.username,
}
_OF_MEMBERS = frozenset({"account_id", "region", "instance_id"})
"""Properties that are known only with the members of each violation."""
_OF_BRIEF: Mapping[str, Callable[[BriefViolation], Any]] = {
    "id": lambda one: one.number,
    "created": lambda one: one.since,
    "application_id": lambda one: one.application_id,
    "violation_type": lambda one: type_of_rule(one.rule),
}
"""Properties that lists keep of violations."""
_SPELLINGS = {name.replace("_", ""): name for name in _PROPERTIES} | {
    "violationtype.id": "violation_type",
}  # fmt: skip


def sort_property(text: str) -> str:
    """Return the property to sort by, in whatever case it is written. Raises InputError."""
    name = _SPELLINGS.get(text.lower().replace("_", ""), _SPELLINGS.get(text.lower()))
    if name is None:
        raise InputError(
            "parameter-malformed", "sort: violations have no such property", fix=f"sort by {', '.join(_PROPERTIES)}"
        )
    return name


class ViolationLists:
    """Reads violations as they are served. Raises StorageUnavailable."""

    def __init__(
        self, *, database: Database, members: GroupMembers, kept: KeptViolations, types: ViolationTypes, now: Now
    ) -> None:
        self._database = database
        self._kept = kept
        self._members = members
        self._types = types
        self._now = now

    async def page(self, wanted: FullstopFilters, page: WantedPage) -> tuple[list[ServedViolation], int]:
        """Return a page, and how many violations there are. Raises Conflict if there are too many.

        By filters and properties that lists keep of violations, no other violation than those of the page is read.
        """
        if wanted.in_brief and all(name in _OF_BRIEF for name, _ in page.sort):
            return await self._page_in_brief(wanted, page)
        found = await self._matching(wanted, every=any(name in _OF_MEMBERS for name, _ in page.sort))
        for name, ascending in reversed((*page.sort, *BY_NUMBER)):
            found.sort(key=_PROPERTIES[name], reverse=not ascending)
        start = page.number * page.size
        return await self._with_members(found[start : start + page.size], every=True), len(found)

    async def _page_in_brief(self, wanted: FullstopFilters, page: WantedPage) -> tuple[list[ServedViolation], int]:
        now = to_instant(self._now())
        found = wanted.select(await self._kept.current(), self._types, now)
        for name, ascending in reversed((*page.sort, *BY_NUMBER)):
            found.sort(key=_OF_BRIEF[name], reverse=not ascending)
        start = page.number * page.size
        ids = [one.id for one in found[start : start + page.size]]
        asked = FULLSTOP_VIOLATIONS_NAMED.bind(
            {"ids": array(ids), "any_team": int(wanted.teams is None), "teams": array(sorted(wanted.teams or ()))}
        )
        served = {
            one.stored.id: one for one in [served_violation(row, now) for row in await self._database.fetch(asked)]
        }
        return await self._with_members([served[name] for name in ids if name in served], every=True), len(found)

    async def one(self, number: int) -> ServedViolation:
        """Return a violation in any state. Raises NotFound."""
        found = await self._read(FullstopFilters(last=number), number) if 0 < number <= NUMBER_MAX else []
        if not found:
            raise NotFound("violation-unknown", f"there is no violation {number}")
        return (await self._with_members(found, every=True))[0]

    async def instances(self, one: ServedViolation) -> list[str]:
        """Return the instances of a violation that concerns several."""
        if one.member_count < 2:
            return []
        found = await self._members.of(one.stored)
        return [str(each["instance_id"]) for each in found][: min(one.member_count, INSTANCES_SHOWN_MAX)]

    async def types(self, teams: Collection[str] | None) -> list[ViolationType]:
        """Return all types: known ones, and those of violations; with `teams`, of the violations of these teams."""
        return self._types.served(await self._seen(teams))

    async def _seen(self, teams: Collection[str] | None) -> Mapping[str, tuple[int, str]]:
        asked = RULES_OF_VIOLATIONS.bind(
            {"any_team": int(teams is None), "teams": array(sorted(teams or ())), "limit": _RULES_MAX}
        )
        return rules_seen(await self._database.fetch(asked))

    async def by_account(self, wanted: FullstopFilters) -> list[dict[str, object]]:
        """Return how many violations there are of each account and type."""
        found = await self._matching(wanted, every=False)
        counted = Counter((one.account_id, one.type_id) for one in found)
        return [{"account": a, "type": t, "quantity": n} for (a, t), n in sorted(counted.items())]

    async def by_application(self, wanted: FullstopFilters) -> list[dict[str, object]]:
        """Return how many there are of each application, version and type; the newest version first, none last."""
        newest: dict[tuple[str, str], str] = {}
        counted = Counter[tuple[str, str, str]]()
        for one in await self._matching(wanted, every=False):
            place = one.stored.application_id, one.stored.version
            newest[place] = max(newest.get(place, ""), one.created)
            counted[*place, one.type_id] += 1
        rows = sorted(counted.items(), key=lambda row: row[0][2])
        rows.sort(key=lambda row: newest[row[0][:2]], reverse=True)
        rows.sort(key=lambda row: (not row[0][0], row[0][0], not row[0][1]))
        return [
            {"application": a or None, "version": v or None, "type": t, "quantity": n} for (a, v, t), n in rows
        ]  # fmt: skip

    async def _matching(self, wanted: FullstopFilters, *, every: bool) -> list[ServedViolation]:
        """Return violations that pass the filters, by number; with the members of `every` one if that is needed."""
        found = await self._with_members(await self._read(wanted), every=every)
        return [one for one in found if wanted.matches(one, self._types)]

    async def _read(self, wanted: FullstopFilters, number: int | None = None) -> list[ServedViolation]:
        rows = await self._database.fetch(
            FULLSTOP_VIOLATIONS.bind(
                {
                    "first": wanted.last, "last": NUMBER_MAX if number is None else number,
                    "open": int(number is None and (wanted.whitelisted or not wanted.checked)),
                    "any_rule": int(wanted.types is None), "rules": array(await self._rules(wanted.types)),
                    "any_account": int(wanted.accounts is None), "accounts": array(list(wanted.accounts or ())),
                    "any_application": int(wanted.applications is None),
                    "applications": array(list(wanted.applications or ())),
                    "any_team": int(wanted.teams is None), "teams": array(sorted(wanted.teams or ())),
                    "limit": VIOLATIONS_READ_MAX + 1,
                }
            )
        )  # fmt: skip
        if len(rows) > VIOLATIONS_READ_MAX:
            raise Conflict(
                "violations-too-many", f"more than {VIOLATIONS_READ_MAX} violations match",
                fix="narrow the request by accounts, types, application-ids or last-violation",
            )  # fmt: skip
        found, now = list[ServedViolation](), to_instant(self._now())
        for row in rows:
            found.append(served_violation(row, now))
            if len(found) % _TURN_ROWS == 0:
                await asyncio.sleep(0)  # twenty thousand rows take a while: let other requests run
        return found

    async def _rules(self, types: Sequence[str] | None) -> list[str]:
        """Return the rules that have violations of these types."""
        if types is None:
            return []
        return [rule for rule in await self._seen(None) if type_of_rule(rule) in types]

    async def _with_members(self, found: list[ServedViolation], *, every: bool) -> list[ServedViolation]:
        """Return violations with their members; without `every`, only where they tell the account."""
        members = await self._members.each([one.stored for one in found if every or not one.stored.account_id])
        return [replace(one, members=members.get(one.stored.id, one.members)) for one in found]
