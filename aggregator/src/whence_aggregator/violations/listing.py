"""The list of violations with their life: filtered, sorted, counted by facet, and one of them with its members."""

from __future__ import annotations

from base64 import urlsafe_b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypedDict

import msgspec

from whence_aggregator.compliance.rules.catalogue import RULES
from whence_aggregator.organisation.directory import OrganisationDirectory
from whence_aggregator.ports import Database, NotFound
from whence_aggregator.projections.violation_rows import StoredViolation, stored_by_id
from whence_aggregator.queries.query import array, together
from whence_aggregator.queries.violations import (
    FOLDED_OF_GROUP,
    GROUPS_OF_INSTANCES,
    LIVING_COUNTED,
    LIVING_OF_GROUP,
    MEMBERS_COUNTED,
    MEMBERS_OF_GROUP,
    STEPS_OF_VIOLATION,
    VIOLATIONS_NAMED,
    VIOLATIONS_NAMED_THEN,
    VIOLATIONS_OF_RUNNING,
    MembersCountedParameters,
)
from whence_aggregator.trace.moment import Moment
from whence_aggregator.violations.brief import (
    UNFIXED,
    BriefViolation,
    Matched,
    SortKey,
    counted,
    matching,
    page_after,
    place_of,
)
from whence_aggregator.violations.group import ACCOUNT, AMI, APPLICATION, VERSION
from whence_aggregator.violations.kept import KeptViolations
from whence_aggregator.violations.life import SHOWN_STATES, ShownState
from whence_aggregator.violations.never_spoken import RULE, NeverSpoken, group_of
from whence_aggregator.violations.rows import (
    folded_rules,
    groups_named,
    ids_of_others,
    living_by_subject,
    members_by_id,
    shown_step,
)
from whence_aggregator.violations.shown import shown_violation
from whence_common import strict_base64
from whence_common.errors import InputError

GROUPS_MAX = 5_000
MEMBERS_SHOWN_MAX = 500
STEPS_SHOWN_MAX = 200
FOLDED_SHOWN_MAX = 100
_OF_INSTANCES = frozenset(rule.id for rule in RULES if rule.kind == "instance")
_LINKS = {rule.id: rule.link for rule in RULES}


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
        self, *, database: Database, directory: OrganisationDirectory, never_spoken: NeverSpoken | None = None
    ) -> None:
        self._never_spoken = never_spoken
        self._database = database
        self._directory = directory
        self._kept = KeptViolations(database)

    async def page(
        self, wanted: WantedGroups, *, moment: Moment, after: str, limit: int, facets: bool = False
    ) -> GroupedPage:
        """Return violations after a cursor. Raises InputError."""
        place = _place(after, wanted) if after else None
        every = await self._kept.of(moment)
        found = matching(every, await self._matched(wanted, moment), now=moment.at)
        some = page_after(found, wanted.sort, place, descending=wanted.descending, limit=limit + 1)
        shown = await self._named([one.id for one in some[:limit]], moment)
        return GroupedPage(
            violations=await self.with_members(shown, moment),
            following=_cursor(wanted, some[limit - 1]) if len(some) > limit else None,
            facets=counted(found, now=moment.at) if facets else None,
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
        members = await self.members_counted(found) if moment.is_now else {}
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
            "instances": await self._members(one) if moment.is_now else None,
            "folded": await self._folded(one) if moment.is_now else None,
            "steps": [shown_step(row, past=moment.past) for row in steps],
        }

    async def members_counted(self, found: Sequence[StoredViolation]) -> dict[str, int]:
        """Return how many instances each violation concerns now: those that break its rule, or that run what does."""
        counts = dict.fromkeys((one.id for one in found), 0)
        of_instances = [one for one in found if one.rule in _OF_INSTANCES]
        others = [one for one in found if one.is_open and one.kind in (VERSION, APPLICATION)]
        others = [one for one in others if one.rule not in _OF_INSTANCES]
        if of_instances:
            rows = await self._database.fetch(MEMBERS_COUNTED.bind(_groups_asked(of_instances)))
            by_verdicts = members_by_id(rows)
            counts |= {one.id: by_verdicts.get(one.id, 0) for one in of_instances}
        if self._never_spoken is not None and any(one.rule == RULE for one in of_instances):
            for name, n in (await self._never_spoken.counted()).items():
                counts[name] = counts.get(name, 0) + n
        if others:
            applications = array(sorted({one.application_id for one in others}))
            living = living_by_subject(await self._database.fetch(LIVING_COUNTED.bind({"applications": applications})))
            counts |= {one.id: living.get(one.subject, 0) for one in others}
        return counts

    async def _members(self, one: StoredViolation) -> list[Mapping[str, object]]:
        if one.kind == AMI or not one.is_open:
            return []
        if one.rule not in _OF_INSTANCES:
            if one.kind == ACCOUNT:
                return []
            whole, version = int(one.kind == APPLICATION), one.subject.partition("@")[2]
            living = await self._database.fetch(
                LIVING_OF_GROUP.bind(
                    {"application_id": one.application_id, "any_version": whole, "version": version,
                     "limit": MEMBERS_SHOWN_MAX}
                )
            )  # fmt: skip
            return [dict(row) for row in living]
        rows = await self._database.fetch(
            MEMBERS_OF_GROUP.bind({**_group_filters(one), "rule": one.rule, "after": "", "limit": MEMBERS_SHOWN_MAX})
        )
        found: list[Mapping[str, object]] = [dict(row) for row in rows]
        if self._never_spoken is not None and one.id == group_of(one.subject).id:
            found += await self._never_spoken.members(one.subject, limit=MEMBERS_SHOWN_MAX - len(found))
        return found

    async def _folded(self, one: StoredViolation) -> list[Mapping[str, object]]:
        """Return the rules whose verdicts fold under the link that this violation's rule is about."""
        link = _LINKS.get(one.rule)
        if link is None or one.kind == AMI:
            return []
        rows = await self._database.fetch(
            FOLDED_OF_GROUP.bind({**_group_filters(one), "link": link, "limit": FOLDED_SHOWN_MAX})
        )
        return folded_rules(rows)

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
            states=wanted.states, rules=wanted.rules,
            severity=str(wanted.severity) if wanted.severity is not None else None, teams=teams,
            ids=await self._of_instances(wanted, moment), kind=kind, subject=subject, application=wanted.application,
            account=wanted.account, exemption=wanted.exemption, confirmed=wanted.confirmed, since=wanted.since,
            until=wanted.until,
        )  # fmt: skip

    async def _of_instances(self, wanted: WantedGroups, moment: Moment) -> set[str] | None:
        """Return the ids of violations with a member that is this instance, or in this region; None for any."""
        if wanted.instance is None and wanted.region is None:
            return None
        if not moment.is_now:
            raise InputError(
                "parameter-malformed", "instance and region filter by the instances of now",
                fix="omit them with at and known_at",
            )  # fmt: skip
        bound = GROUPS_MAX + 1
        groups, running = await self._database.fetch_all(
            together(
                GROUPS_OF_INSTANCES.bind({"instance": wanted.instance, "region": wanted.region, "limit": bound}),
                VIOLATIONS_OF_RUNNING.bind({"instance": wanted.instance, "region": wanted.region, "limit": bound}),
            )
        )
        if max(len(groups), len(running)) > GROUPS_MAX:
            raise InputError("too-many-groups", f"more than {GROUPS_MAX} groups", fix="add another filter")
        ids = {one.id for one in groups_named(groups)} | ids_of_others(running, _OF_INSTANCES)
        if self._never_spoken is not None:
            ids |= await self._never_spoken.ids(instance=wanted.instance, region=wanted.region, limit=GROUPS_MAX)
        return ids


def _groups_asked(found: Sequence[StoredViolation]) -> MembersCountedParameters:
    places = {f"{one.application_id}@" if one.kind == APPLICATION else one.subject for one in found}
    return {
        "rules": array(sorted({one.rule for one in found})), "places": array(sorted(places)),
        "applications": array(sorted({one.application_id if one.kind != ACCOUNT else "" for one in found})),
    }  # fmt: skip


class _GroupFilters(TypedDict):
    application_id: str
    any_version: int
    version: str
    account: str | None


def _group_filters(one: StoredViolation) -> _GroupFilters:
    version = one.subject.partition("@")[2] if one.kind == VERSION else ""
    account = one.subject if one.kind == ACCOUNT else None
    return {"application_id": one.application_id, "any_version": 0, "version": version, "account": account}


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
