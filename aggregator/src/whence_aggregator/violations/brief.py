"""What lists of violations are filtered, sorted and counted by. Pure, and fast for many: see `make bench`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any, Literal

import msgspec

from whence_aggregator.violations.life import SHOWN_STATES, ShownState

SortKey = Literal["severity", "since", "first_seen", "last_seen", "rule", "team", "application"]
SORT_KEYS: tuple[SortKey, ...] = ("severity", "since", "first_seen", "last_seen", "rule", "team", "application")
UNFIXED: tuple[ShownState, ...] = ("open", "acknowledged", "exempted", "reopened")
_FACETS: Mapping[str, str] = {
    "rule": "rule", "severity": "severity", "team": "team", "account": "account_id", "kind": "kind",
    "application": "application_id",
}  # fmt: skip
"""The members that are counted, by facet."""


class BriefViolation(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A violation as its newest step left it, without its texts."""

    id: str
    number: int
    rule: str
    kind: str
    subject: str
    application_id: str
    account_id: str
    team: str
    severity: str
    """A text, as the others that are sorted by."""
    first_seen: str
    since: str
    last_seen: str
    unconfirmed: bool
    state: ShownState
    """The state while no exemption holds."""
    exemption: str
    exempt_until: str
    """Empty without an exemption, and for a fixed violation."""
    ledger_index: int

    @property
    def application(self) -> str:
        return self.application_id


@dataclass(frozen=True, slots=True, kw_only=True)
class Matched:
    """Filters that are resolved; None means any."""

    states: Collection[ShownState] = UNFIXED
    rules: Collection[str] | None = None
    severity: str | None = None
    teams: Collection[str] | None = None
    ids: Collection[str] | None = None
    kind: str | None = None
    subject: str | None = None
    application: str | None = None
    account: str | None = None
    exemption: str | None = None
    confirmed: bool | None = None
    since: str | None = None
    until: str | None = None


def matching(every: Iterable[BriefViolation], wanted: Matched, *, now: str) -> list[BriefViolation]:
    """Return the violations that match, in the order given."""
    found = list(every)
    if set(wanted.states) != set(SHOWN_STATES):
        states = frozenset(wanted.states)
        found = [one for one in found if ("exempted" if one.exempt_until > now else one.state) in states]
    members: tuple[tuple[str, Collection[str] | None], ...] = (
        ("rule", wanted.rules), ("team", wanted.teams), ("id", wanted.ids), ("severity", _alone(wanted.severity)),
        ("kind", _alone(wanted.kind)), ("subject", _alone(wanted.subject)),
        ("application_id", _alone(wanted.application)), ("account_id", _alone(wanted.account)),
        ("exemption", _alone(wanted.exemption)),
    )  # fmt: skip
    for name, allowed in members:
        if allowed is not None:
            member, some = attrgetter(name), frozenset(allowed)
            found = [one for one in found if member(one) in some]
    if wanted.confirmed is not None:
        found = [one for one in found if one.unconfirmed != wanted.confirmed and one.state != "fixed"]
    if wanted.since is not None:
        found = [one for one in found if one.since >= wanted.since]
    if wanted.until is not None:
        found = [one for one in found if one.since < wanted.until]
    return found


def page_after(
    found: Sequence[BriefViolation], sort: SortKey, place: tuple[str, str] | None, *, descending: bool, limit: int
) -> list[BriefViolation]:
    """Return the first violations after a place, by the key and then by the id. `found` is in the order of ids."""
    key: Callable[[BriefViolation], Any] = attrgetter(sort)
    if place is not None:
        if descending:
            found = [one for one in found if (key(one), one.id) < place]
        else:
            found = [one for one in found if (key(one), one.id) > place]
    if descending:
        backwards = found[::-1]  # sorting leaves equal ones in the order they come in, also in reverse
        return sorted(backwards, key=key, reverse=True)[:limit]
    return sorted(found, key=key)[:limit]


def place_of(one: BriefViolation, sort: SortKey) -> tuple[str, str]:
    key: str = getattr(one, sort)
    return key, one.id


def counted(found: Sequence[BriefViolation], *, now: str) -> dict[str, dict[str, int]]:
    """Return counts by facet and value, the most frequent first."""
    counts = {facet: Counter(map(attrgetter(member), found)) for facet, member in _FACETS.items()}
    counts["status"] = Counter("exempted" if one.exempt_until > now else one.state for one in found)
    return {name: dict(sorted(one.items(), key=lambda each: (-each[1], each[0]))) for name, one in counts.items()}


def _alone(value: str | None) -> tuple[str] | None:
    return None if value is None else (value,)
