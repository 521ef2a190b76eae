"""Lists and counts of violations: the filters, orders and pages of fullstop. Pure but for the reading of violations."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from whence_aggregator.fullstop.types import ViolationTypes
from whence_aggregator.fullstop.violation import NarrowedTo, ServedViolation, ViolationSource
from whence_aggregator.ports import NotFound
from whence_common.errors import InputError

SIZE_DEFAULT, SIZE_MAX = 10, 2000
SORTS_MAX = 5
NUMBER_MAX = 2**63 - 1
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

    def narrowed(self) -> NarrowedTo:
        return NarrowedTo(
            accounts=self.accounts, applications=self.applications, types=self.types, number_min=self.last,
            unfixed=self.whitelisted or not self.checked,
        )  # fmt: skip

    def matches(self, one: ServedViolation, types: ViolationTypes) -> bool:
        """Return whether a violation passes every filter."""
        kind = types.get(one.type_id)
        state = "exempted" if self.whitelisted else "checked" if self.checked else "open"
        checks = (
            state == ("checked" if one.state in ("acknowledged", "fixed") else one.state),
            self.accounts is None or not one.account_ids.isdisjoint(self.accounts),
            self.types is None or one.type_id in self.types,
            self.applications is None or one.application_id in self.applications,
            self.versions is None or one.application_version in self.versions,
            self.severity in (None, kind.violation_severity),
            self.priority in (None, kind.priority),
            self.audit_relevant in (None, kind.audit_relevant),
            one.number >= self.last,
            one.created >= self.since,
            not self.until or one.created < self.until or (self.until_inclusive and one.created == self.until),
        )
        return all(checks)


_PROPERTIES: dict[str, Callable[[ServedViolation], Any]] = {
    "id": lambda one: one.number,
    "created": lambda one: one.created,
    "last_modified": lambda one: one.changed,
    "account_id": lambda one: one.account_id,
    "region": lambda one: one.region,
    "event_id": lambda one: one.event_id,
    "instance_id": lambda one: one.members[0].instance_id if len(one.members) == 1 else "",
    "application_id": lambda one: one.application_id,
    "application_version_id": lambda one: one.application_version,
    "violation_type": lambda one: one.type_id,
    "username": lambda one: one.username,
}
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
    """Reads violations as they are served."""

    def __init__(self, *, violations: ViolationSource, types: ViolationTypes) -> None:
        self._violations = violations
        self._types = types

    async def page(self, wanted: FullstopFilters, page: WantedPage) -> tuple[list[ServedViolation], int]:
        """Return a page, and how many violations there are. Raises TooManyViolations."""
        found = await self._matching(wanted)
        for name, ascending in reversed((*page.sort, *BY_NUMBER)):
            found.sort(key=_PROPERTIES[name], reverse=not ascending)
        start = page.number * page.size
        return found[start : start + page.size], len(found)

    async def one(self, number: int) -> ServedViolation:
        """Return a violation in any state. Raises NotFound."""
        if 0 < number <= NUMBER_MAX:
            found = await self._violations.matching(NarrowedTo(number=number))
            for one in found:
                if one.number == number:
                    return one
        raise NotFound("violation-unknown", f"there is no violation {number}")

    async def by_account(self, wanted: FullstopFilters) -> list[dict[str, object]]:
        """Return how many violations there are of each account and type."""
        counted = Counter((one.account_id, one.type_id) for one in await self._matching(wanted))
        return [{"account": a, "type": t, "quantity": n} for (a, t), n in sorted(counted.items())]

    async def by_application(self, wanted: FullstopFilters) -> list[dict[str, object]]:
        """Return how many there are of each application, version and type; the newest version first, none last."""
        found = await self._matching(wanted)
        newest: dict[tuple[str, str], str] = {}
        for one in found:
            place = one.application_id, one.application_version
            newest[place] = max(newest.get(place, ""), one.created)
        counted = Counter((one.application_id, one.application_version, one.type_id) for one in found)
        rows = sorted(counted.items(), key=lambda row: row[0][2])
        rows.sort(key=lambda row: newest[row[0][:2]], reverse=True)
        rows.sort(key=lambda row: (not row[0][0], row[0][0], not row[0][1]))
        return [
            {"application": a or None, "version": v or None, "type": t, "quantity": n} for (a, v, t), n in rows
        ]  # fmt: skip

    async def _matching(self, wanted: FullstopFilters) -> list[ServedViolation]:
        found = await self._violations.matching(wanted.narrowed())
        return [one for one in found if wanted.matches(one, self._types)]
