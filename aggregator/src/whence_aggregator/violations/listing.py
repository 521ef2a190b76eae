"""The list of violations with their life: filtered, sorted, counted by facet, and one of them with its members."""

from __future__ import annotations

from base64 import urlsafe_b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypedDict

import msgspec

from whence_aggregator.compliance.rules.catalogue import RULES
from whence_aggregator.organisation.directory import OrganisationDirectory
from whence_aggregator.ports import Database
from whence_aggregator.projections.violation_rows import StoredViolation
from whence_aggregator.queries.query import array, together
from whence_aggregator.queries.violations import (
    FOLDED_OF_GROUP,
    GROUPS_OF_INSTANCES,
    LIVING_COUNTED,
    LIVING_OF_GROUP,
    MEMBERS_COUNTED,
    MEMBERS_OF_GROUP,
    STEPS_OF_VIOLATION,
    VIOLATION_APPLICATIONS,
    VIOLATION_FACETS,
    VIOLATIONS_LISTED,
    VIOLATIONS_LISTED_BACKWARDS,
    VIOLATIONS_OF_RUNNING,
)
from whence_aggregator.violations.group import ACCOUNT, AMI, APPLICATION, REPORT, VERSION
from whence_aggregator.violations.life import SHOWN_STATES, ShownState
from whence_aggregator.violations.rows import (
    NO_MEMBERS,
    ViolationMembers,
    counted_facets,
    folded_rules,
    groups_named,
    ids_of_others,
    listed_violations,
    living_by_subject,
    members_by_id,
    reported_member,
    shown_step,
)
from whence_aggregator.violations.shown import shown_violation
from whence_common import strict_base64
from whence_common.clock import Now, to_instant
from whence_common.errors import InputError

SortKey = Literal["severity", "since", "first_seen", "last_seen", "rule", "team", "application"]
SORT_KEYS: tuple[SortKey, ...] = ("severity", "since", "first_seen", "last_seen", "rule", "team", "application")
UNFIXED: tuple[ShownState, ...] = ("open", "acknowledged", "exempted", "reopened")
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


class _Filters(TypedDict):
    now: str
    any_rule: int
    rules: str
    severity: int | None
    any_team: int
    teams: str
    any_id: int
    ids: str
    kind: str | None
    subject: str | None
    application: str | None
    account: str | None
    exemption: str | None
    unconfirmed: int | None
    since: str | None
    until: str | None
    states: str


class GroupedViolations:
    """Reads violations with their life."""

    def __init__(self, *, database: Database, directory: OrganisationDirectory, now: Now) -> None:
        self._database = database
        self._directory = directory
        self._now = now

    async def page(
        self, wanted: WantedGroups, *, after: str, limit: int
    ) -> tuple[list[dict[str, Any]], str | None]:  # fmt: skip
        """Return violations after a cursor, and the cursor of the next page if there is one. Raises InputError."""
        key, name = _place(after, wanted)
        filters = await self._filters(wanted)
        query = VIOLATIONS_LISTED_BACKWARDS if wanted.descending else VIOLATIONS_LISTED
        rows = await self._database.fetch(
            query.bind(
                {**filters, "sort": wanted.sort, "first": int(not after), "after_key": key, "after_id": name,
                 "limit": limit + 1}
            )
        )  # fmt: skip
        found, last = listed_violations(rows[:limit])
        members = await self.members(found)
        following = _cursor(wanted, last, found[-1].id) if len(rows) > limit else None
        return [shown_violation(one, now=filters["now"], members=members[one.id].count) for one in found], following

    async def facets(self, wanted: WantedGroups) -> dict[str, dict[str, int]]:
        """Return how many violations there are of each rule, severity, team, account, application, kind and state."""
        filters = await self._filters(wanted)
        rows, applications = await self._database.fetch_all(
            together(VIOLATION_FACETS.bind({**filters}), VIOLATION_APPLICATIONS.bind({**filters}))
        )
        return counted_facets(rows, applications)

    async def shown(self, one: StoredViolation) -> dict[str, Any]:
        """Return a violation with its members, its steps, and what follows from it."""
        now = to_instant(self._now())
        members = await self.members([one])
        steps = await self._database.fetch(STEPS_OF_VIOLATION.bind({"violation": one.id, "limit": STEPS_SHOWN_MAX}))
        return {
            **shown_violation(one, now=now, members=members[one.id].count),
            "instances": await self.instances(one),
            "folded": await self._folded(one),
            "steps": list(map(shown_step, steps)),
        }

    async def members(self, found: Sequence[StoredViolation]) -> dict[str, ViolationMembers]:
        """Return the instances that each violation concerns now: those that break its rule, or that run what does."""
        members = dict.fromkeys((one.id for one in found), NO_MEMBERS)
        if not found:
            return members
        rules, applications = {one.rule for one in found}, {one.application_id for one in found}
        rows = await self._database.fetch(
            MEMBERS_COUNTED.bind({"rules": array(sorted(rules)), "applications": array(sorted(applications))})
        )
        by_verdicts = members_by_id(rows)
        asked = LIVING_COUNTED.bind({"applications": array(sorted(applications))})
        living = living_by_subject(await self._database.fetch(asked))
        for one in found:
            if one.kind == REPORT:
                members[one.id] = reported_member(one)
            elif one.rule in _OF_INSTANCES:
                members[one.id] = by_verdicts.get(one.id, NO_MEMBERS)
            elif one.is_open and one.kind in (VERSION, APPLICATION):
                members[one.id] = living.get(one.subject, NO_MEMBERS)
        return members

    async def instances(self, one: StoredViolation) -> list[Mapping[str, object]]:
        """Return the instances that an open violation concerns now."""
        if one.kind == AMI or not one.is_open:
            return []
        if one.kind == REPORT:
            named = reported_member(one)
            return [
                {"instance_id": named.instance_id, "account_id": one.account_id, "region": named.region}
                for _ in range(named.count)
            ]  # fmt: skip
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
        return [dict(row) for row in rows]

    async def _folded(self, one: StoredViolation) -> list[Mapping[str, object]]:
        """Return the rules whose verdicts fold under the link that this violation's rule is about."""
        link = _LINKS.get(one.rule)
        if link is None or one.kind in (AMI, REPORT):
            return []
        rows = await self._database.fetch(
            FOLDED_OF_GROUP.bind({**_group_filters(one), "link": link, "limit": FOLDED_SHOWN_MAX})
        )
        return folded_rules(rows)

    async def _filters(self, wanted: WantedGroups) -> _Filters:
        teams: frozenset[str] | None = None
        if wanted.team is not None:
            one = wanted.team
            teams = frozenset({one}) if wanted.team_as_written else await self._directory.names_of(one)
        ids = await self._of_instances(wanted)
        subject, kind = wanted.ami, wanted.kind
        if wanted.ami is not None:
            kind = AMI if kind in (None, AMI) else "none"
        if wanted.version is not None:
            subject, kind = f"{wanted.application or ''}@{wanted.version}", VERSION
        return {
            "now": to_instant(self._now()), "any_rule": int(wanted.rules is None), "rules": array(wanted.rules or ()),
            "severity": wanted.severity, "any_team": int(teams is None), "teams": array(sorted(teams or ())),
            "any_id": int(ids is None), "ids": array(sorted(ids or ())), "kind": kind, "subject": subject,
            "application": wanted.application, "account": wanted.account, "exemption": wanted.exemption,
            "unconfirmed": None if wanted.confirmed is None else int(not wanted.confirmed), "since": wanted.since,
            "until": wanted.until, "states": array(list(wanted.states)),
        }  # fmt: skip

    async def _of_instances(self, wanted: WantedGroups) -> set[str] | None:
        """Return the ids of violations with a member that is this instance, or in this region; None for any."""
        if wanted.instance is None and wanted.region is None:
            return None
        bound = GROUPS_MAX + 1
        groups, running = await self._database.fetch_all(
            together(
                GROUPS_OF_INSTANCES.bind({"instance": wanted.instance, "region": wanted.region, "limit": bound}),
                VIOLATIONS_OF_RUNNING.bind({"instance": wanted.instance, "region": wanted.region, "limit": bound}),
            )
        )
        if max(len(groups), len(running)) > GROUPS_MAX:
            raise InputError("too-many-groups", f"more than {GROUPS_MAX} groups", fix="add another filter")
        return {one.id for one in groups_named(groups)} | ids_of_others(running, _OF_INSTANCES)


class _GroupFilters(TypedDict):
    application_id: str
    any_version: int
    version: str
    account: str | None


def _group_filters(one: StoredViolation) -> _GroupFilters:
    version = one.subject.partition("@")[2] if one.kind == VERSION else ""
    account = one.subject if one.kind == ACCOUNT else None
    return {"application_id": one.application_id, "any_version": 0, "version": version, "account": account}


def _cursor(wanted: WantedGroups, key: str, name: str) -> str:
    return urlsafe_b64encode(msgspec.json.encode([_order(wanted), key, name])).decode("ascii")


def _place(cursor: str, wanted: WantedGroups) -> tuple[str, str]:
    """Return the place of a cursor in the list's order. Raises InputError."""
    if not cursor:
        return "", ""
    try:
        order, key, name = msgspec.json.decode(strict_base64.decode_url_safe(cursor), type=tuple[str, str, str])
    except (ValueError, msgspec.MsgspecError) as exc:
        raise InputError("parameter-malformed", "invalid cursor", fix="pass `next` from the previous page") from exc
    if order != _order(wanted) or "\0" in key + name:
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
