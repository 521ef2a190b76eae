"""The list of violations with their life: filtered, sorted, counted by facet, and one of them with its members."""

from __future__ import annotations

from base64 import urlsafe_b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from whence_aggregator.organisation.directory import OrganisationDirectory
from whence_aggregator.ports import Database, NotFound
from whence_aggregator.projections.violation_rows import StoredViolation, stored_by_id
from whence_aggregator.queries.query import array
from whence_aggregator.queries.violations import (
    STEPS_OF_VIOLATION,
    VIOLATIONS_NAMED,
    VIOLATIONS_NAMED_THEN,
)
from whence_aggregator.trace.moment import Moment
from whence_aggregator.violations.brief import (
    UNFIXED,
    BriefViolation,
    Matched,
    SortKey,
    page_after,
    place_of,
)
from whence_aggregator.violations.group import AMI, VERSION
from whence_aggregator.violations.kept import KeptViolations
from whence_aggregator.violations.life import SHOWN_STATES, ShownState
from whence_aggregator.violations.members import GroupMembers
from whence_aggregator.violations.rows import (
    shown_step,
)
from whence_aggregator.violations.selected import Selection, Selections
from whence_aggregator.violations.shown import shown_violation
from whence_common import strict_base64
from whence_common.errors import InputError

STEPS_SHOWN_MAX = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class WantedGroups:
    """The filters of violations; None means any."""

    states: Sequence[ShownState] = UNFIXED
    rules: Sequence[str] | None = None
    severity: int | None = None
    team: str | None = None
    team_as_written: bool = False
    """Only this very name of the team counts, for callers that may read resources of no other team."""
    application: str | None = None
    version: str | None = None
    account: str | None = None
    region: str | None = None
    ami: str | None = None
    instance: str | None = None
    kind: str | None = None
    confirmed: bool | None = None
    exemption: str | None = None
    since: str | None = None
    until: str | None = None
    sort: SortKey = "severity"
    descending: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupedPage:
    """A page of violations as they are shown, the cursor of the next one, and the counts if they were asked for."""

    violations: list[dict[str, Any]]
    following: str | None
    facets: dict[str, dict[str, int]] | None


class GroupedViolations:
    """Reads violations with their life, as they are now or as the log had them at a moment."""

    def __init__(
        self,
        *,
        database: Database,
        directory: OrganisationDirectory,
        members: GroupMembers,
        kept: KeptViolations | None = None,
    ) -> None:
        """`kept`: what other lists keep too; None for its own."""
        self._members = members
        self._database = database
        self._directory = directory
        self._kept = kept or KeptViolations(database)
        self._selections = Selections()

    async def page(
        self, wanted: WantedGroups, *, moment: Moment, after: str, limit: int, facets: bool = False
    ) -> GroupedPage:
        """Return violations after a cursor. Raises InputError."""
        place = _place(after, wanted) if after else None
        every = await self._kept.of(moment)
        matched = await self._matched(wanted, moment)
        if moment.is_now and matched.ids is None:
            selection = self._selections.of(every, matched, now=moment.at)
        else:
            selection = Selection(every, matched, now=moment.at)
        some = page_after(selection.found, wanted.sort, place, descending=wanted.descending, limit=limit + 1)
        shown = await self._named([one.id for one in some[:limit]], moment)
        return GroupedPage(
            violations=await self.with_members(shown, moment),
            following=_cursor(wanted, some[limit - 1]) if len(some) > limit else None,
            facets=selection.facets(moment.at) if facets else None,
        )

    async def then(self, name: str, moment: Moment) -> StoredViolation:
        """Return a violation as it was at a moment. Raises NotFound."""
        found = await self._named([name], moment)
        if not found:
            raise NotFound(
                "violation-unknown", f"no violation has this id at {moment.at}", fix="ask without `at`, or for later"
            )
        return found[0]

    async def _named(self, names: Sequence[str], moment: Moment) -> list[StoredViolation]:
        """Return the violations that are there, in the order of names."""
        if moment.is_now:
            rows = stored_by_id(await self._database.fetch(VIOLATIONS_NAMED.bind({"ids": array(names)})))
        else:
            asked = VIOLATIONS_NAMED_THEN.bind({"ids": array(names), "past": moment.past})
            rows = stored_by_id(await self._database.fetch(asked))
        return [rows[name] for name in names if name in rows]

    async def with_members(self, found: Sequence[StoredViolation], moment: Moment) -> list[dict[str, Any]]:
        """Return violations as they are shown. The instances of an earlier moment are not known: see `shown`."""
        members = await self._members.each(found) if moment.is_now else {}
        return [shown_violation(one, now=moment.at, members=members.get(one.id)) for one in found]

    async def shown(self, one: StoredViolation, moment: Moment) -> dict[str, Any]:
        """Return a violation with its members, its steps, and what follows from it.

        `instances` and `folded` are None at an earlier moment: which instances broke a rule then is in their verdicts
        in the log, and no table has it.
        """
        (shown,) = await self.with_members([one], moment)
        asked = STEPS_OF_VIOLATION.bind({"violation": one.id, "past": moment.known_past, "limit": STEPS_SHOWN_MAX})
        steps = await self._database.fetch(asked)
        return {
            **shown,
            "instances": await self._members.of(one) if moment.is_now else None,
            "folded": await self._members.folded(one) if moment.is_now else None,
            "steps": [shown_step(row, past=moment.past) for row in steps],
        }

    async def _matched(self, wanted: WantedGroups, moment: Moment) -> Matched:
        teams: frozenset[str] | None = None
        if wanted.team is not None:
            one = wanted.team
            teams = frozenset({one}) if wanted.team_as_written else await self._directory.names_of(one)
        subject, kind = wanted.ami, wanted.kind
        if wanted.ami is not None:
            kind = AMI if kind in (None, AMI) else "none"
        if wanted.version is not None:
            subject, kind = f"{wanted.application or ''}@{wanted.version}", VERSION
        return Matched(
            states=tuple(wanted.states), rules=None if wanted.rules is None else tuple(wanted.rules),
            severity=str(wanted.severity) if wanted.severity is not None else None, teams=teams,
            ids=await self._of_members(wanted, moment), kind=kind, subject=subject, application=wanted.application,
            account=wanted.account, exemption=wanted.exemption, confirmed=wanted.confirmed, since=wanted.since,
            until=wanted.until,
        )  # fmt: skip

    async def _of_members(self, wanted: WantedGroups, moment: Moment) -> set[str] | None:
        """Return the ids of violations with a member that is this instance, or in this region; None for any."""
        if wanted.instance is None and wanted.region is None:
            return None
        if not moment.is_now:
            raise InputError(
                "parameter-malformed", "instance and region filter by the instances of now",
                fix="omit them with at and known_at",
            )  # fmt: skip
        return await self._members.ids(instance=wanted.instance, region=wanted.region)


def _cursor(wanted: WantedGroups, last: BriefViolation) -> str:
    place = [_order(wanted), *place_of(last, wanted.sort)]
    return urlsafe_b64encode(msgspec.json.encode(place)).decode("ascii")


def _place(cursor: str, wanted: WantedGroups) -> tuple[str, str]:
    """Return the place of a cursor in the list's order. Raises InputError."""
    try:
        order, key, name = msgspec.json.decode(strict_base64.decode_url_safe(cursor), type=tuple[str, str, str])
    except (ValueError, msgspec.MsgspecError) as exc:
        raise InputError("parameter-malformed", "invalid cursor", fix="pass `next` from the previous page") from exc
    if order != _order(wanted):
        raise InputError("parameter-malformed", "the cursor is of another order", fix="sort as on the previous page")
    return key, name


def _order(wanted: WantedGroups) -> str:
    return ("-" if wanted.descending else "") + wanted.sort


def parse_states(text: str) -> tuple[ShownState, ...]:
    """Return the states that a list asks for: states separated by commas, `unfixed`, or `any`. Raises InputError."""
    if text in ("unfixed", "any"):
        return UNFIXED if text == "unfixed" else SHOWN_STATES
    asked = text.split(",")
    unknown = [one for one in asked if one not in SHOWN_STATES]
    if unknown:
        raise InputError(
            "parameter-malformed", "status is not a state of violations",
            fix=f"write any, unfixed, or some of: {','.join(SHOWN_STATES)}",
        )  # fmt: skip
    return tuple(one for one in SHOWN_STATES if one in asked)
