"""The instances that violations concern: those that break their rule, or that run what does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TypedDict

from whence_aggregator.compliance.rules.live import CATALOGUE, CurrentRules
from whence_aggregator.ports import Database
from whence_aggregator.projections.violation_rows import StoredViolation
from whence_aggregator.queries.query import array, together
from whence_aggregator.queries.violations import (
    FOLDED_OF_GROUP,
    GROUPS_OF_INSTANCE,
    GROUPS_OF_REGION,
    LIVING_COUNTED,
    LIVING_OF_GROUP,
    MEMBERS_COUNTED,
    MEMBERS_OF_GROUP,
    VIOLATIONS_OF_ONE_RUNNING,
    VIOLATIONS_OF_RUNNING,
    MembersCountedParameters,
)
from whence_aggregator.violations.group import ACCOUNT, AMI, APPLICATION, REPORT, VERSION
from whence_aggregator.violations.never_spoken import RULE, NeverSpoken, group_of
from whence_aggregator.violations.rows import (
    NO_MEMBERS,
    ViolationMembers,
    folded_rules,
    groups_named,
    ids_of_others,
    living_by_subject,
    members_by_id,
    not_confirmed,
    reported_member,
)
from whence_common.errors import InputError

GROUPS_MAX = 20_000
MEMBERS_SHOWN_MAX = 500
FOLDED_SHOWN_MAX = 100


class GroupMembers:
    """Reads the instances of now."""

    def __init__(
        self, *, database: Database, rules: CurrentRules = CATALOGUE, never_spoken: NeverSpoken | None = None
    ) -> None:
        self._database = database
        self._rules = rules
        self._never_spoken = never_spoken

    async def each(self, found: Sequence[StoredViolation]) -> dict[str, ViolationMembers]:
        """Return the instances that each violation concerns now: those that break its rule, or that run what does.

        Those of which it is not known whether they do are counted apart.
        """
        members = {one.id: reported_member(one) if one.kind == REPORT else NO_MEMBERS for one in found}
        by_rule = self._rules_of_instances()
        judged = [one for one in found if one.kind != REPORT]
        of_instances = [one for one in judged if one.rule in by_rule]
        others = [one for one in judged if one.is_open and one.kind in (VERSION, APPLICATION)]
        others = [one for one in others if one.rule not in by_rule]
        counted, living = await self._counted(of_instances, others)
        members |= {one.id: counted.get(one.id, NO_MEMBERS) for one in of_instances}
        for one in others:
            running = living.get(one.subject, NO_MEMBERS)
            members[one.id] = not_confirmed(running) if one.unconfirmed_since else running
        if self._never_spoken is not None and any(one.rule == RULE for one in of_instances):
            for name, unheard in (await self._never_spoken.counted()).items():
                known = members.get(name, NO_MEMBERS)
                members[name] = replace(
                    known, count=known.count + unheard.listed,
                    not_confirmed=known.not_confirmed + unheard.not_confirmed,
                )  # fmt: skip
        return members

    async def _counted(
        self, of_instances: Sequence[StoredViolation], others: Sequence[StoredViolation]
    ) -> tuple[Mapping[str, ViolationMembers], Mapping[str, ViolationMembers]]:
        """Return the instances that break a rule by violation, and those that run what breaks one by subject."""
        verdicts = MEMBERS_COUNTED.bind(_groups_asked(of_instances))
        living = LIVING_COUNTED.bind({"applications": array(sorted({one.application_id for one in others}))})
        if not others:
            return members_by_id(await self._database.fetch(verdicts) if of_instances else ()), {}
        if not of_instances:
            return {}, living_by_subject(await self._database.fetch(living))
        by_verdicts, running = await self._database.fetch_all(together(verdicts, living))
        return members_by_id(by_verdicts), living_by_subject(running)

    async def of(self, one: StoredViolation) -> list[Mapping[str, object]]:
        """Return the instances of an open violation."""
        if one.kind == AMI or not one.is_open:
            return []
        if one.kind == REPORT:
            named = reported_member(one)
            about = {"instance_id": named.instance_id, "account_id": one.account_id, "region": named.region}
            return [about] if named.count else []
        if one.rule not in self._rules_of_instances():
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
            MEMBERS_OF_GROUP.bind({**_group_filters(one), "rule": one.rule, "limit": MEMBERS_SHOWN_MAX})
        )
        found: list[Mapping[str, object]] = [dict(row) for row in rows]
        if self._never_spoken is not None and one.id == group_of(one.subject).id:
            found += await self._never_spoken.members(one.subject, limit=MEMBERS_SHOWN_MAX - len(found))
        return found

    async def folded(self, one: StoredViolation) -> list[Mapping[str, object]]:
        """Return the rules whose verdicts fold under the link that this violation's rule is about."""
        link = next((rule.link for rule in self._rules.current.every if rule.id == one.rule), None)
        if link is None or one.kind in (AMI, REPORT):
            return []
        rows = await self._database.fetch(
            FOLDED_OF_GROUP.bind({**_group_filters(one), "link": link, "limit": FOLDED_SHOWN_MAX})
        )
        return folded_rules(rows)

    async def ids(self, *, instance: str | None, region: str | None) -> set[str]:
        """Return the ids of violations with a member that is this instance, or in this region. Raises InputError."""
        bound, by_rule = GROUPS_MAX + 1, self._rules_of_instances()
        ids = set[str]()
        if instance is not None:
            of: _OneInstance = {"instance": instance, "region": region, "limit": bound}
            groups, running = await self._database.fetch_all(
                together(GROUPS_OF_INSTANCE.bind({**of}), VIOLATIONS_OF_ONE_RUNNING.bind({**of}))
            )
            ids = {one.id for one in groups_named(groups)} | ids_of_others(running, by_rule)
        elif region is not None:
            there, living = await self._database.fetch_all(
                together(
                    GROUPS_OF_REGION.bind({"region": region, "limit": bound}),
                    VIOLATIONS_OF_RUNNING.bind({"region": region, "limit": bound}),
                )
            )
            if max(len(there), len(living)) > GROUPS_MAX:
                raise InputError(
                    "too-many-groups", f"the region has more than {GROUPS_MAX} violations",
                    fix="filter by account, team or application instead of region",
                )  # fmt: skip
            ids = {one.id for one in groups_named(there)} | ids_of_others(living, by_rule)
        if self._never_spoken is not None:
            ids |= await self._never_spoken.ids(instance=instance, region=region, limit=GROUPS_MAX)
        return ids

    def _rules_of_instances(self) -> frozenset[str]:
        """Return the rules about instances, those of users too: their verdicts name the members."""
        return frozenset(rule.id for rule in self._rules.current.every if rule.kind == "instance")


def _groups_asked(found: Sequence[StoredViolation]) -> MembersCountedParameters:
    places = {f"{one.application_id}@" if one.kind == APPLICATION else one.subject for one in found}
    return {
        "rules": array(sorted({one.rule for one in found})), "places": array(sorted(places)),
        "applications": array(sorted({one.application_id if one.kind != ACCOUNT else "" for one in found})),
    }  # fmt: skip


class _OneInstance(TypedDict):
    instance: str
    region: str | None
    limit: int


class _GroupFilters(TypedDict):
    application_id: str
    any_version: int
    version: str
    account: str | None


def _group_filters(one: StoredViolation) -> _GroupFilters:
    version = one.subject.partition("@")[2] if one.kind == VERSION else ""
    account = one.subject if one.kind == ACCOUNT else None
    return {"application_id": one.application_id, "any_version": 0, "version": version, "account": account}
