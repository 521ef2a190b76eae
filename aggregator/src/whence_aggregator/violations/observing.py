"""Reads what verdicts and findings say of each group now, with its severity and its owner."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol, TypeVar

from whence_aggregator.findings.scanners import BASE_IMAGE_OUTDATED, IMAGE_CVE
from whence_aggregator.findings.violations import FindingViolation
from whence_aggregator.ledger.rows import last_index
from whence_aggregator.organisation.directory import OrganisationDirectory
from whence_aggregator.organisation.listing import owned
from whence_aggregator.ports import Database
from whence_aggregator.projections.violation_rows import StoredViolation
from whence_aggregator.queries.compliance import SUBJECTS_NAMED
from whence_aggregator.queries.ledger import LAST_INDEX
from whence_aggregator.queries.query import EVERY_ENTRY, BoundQuery, array
from whence_aggregator.queries.trace import APPLICATIONS_AT
from whence_aggregator.queries.violations import (
    FINDING_PLACES_SINCE,
    FINDINGS_SINCE,
    LIVING_COUNTED,
    OBSERVED_OF_INSTANCES,
    OBSERVED_OF_SUBJECTS,
    TOKENS_OF_VERSIONS,
)
from whence_aggregator.trace.rows import applications
from whence_aggregator.violations import never_spoken
from whence_aggregator.violations.finding_places import FINDING, VERDICT, FindingPlace, ObservedFindings
from whence_aggregator.violations.group import ACCOUNT, AMI, APPLICATION, REPORT, VERSION, Group
from whence_aggregator.violations.life import About, ObservedFault
from whence_aggregator.violations.never_spoken import NeverSpoken
from whence_aggregator.violations.rows import (
    accounts_by_subject,
    finding_places,
    observed_of_instances,
    observed_of_subject,
    rules_by_id,
    tokens_by_id,
)

R = TypeVar("R")
NAMED_AT_ONCE_MAX = 500
RULES_OF_BOTH = frozenset({IMAGE_CVE, BASE_IMAGE_OUTDATED})
"""Rules about versions: verdicts judge those that run, and findings state those that never ran."""


class VerdictReader(Protocol):
    """A database, or a write transaction."""

    async def fetch(self, asked: BoundQuery[R]) -> Sequence[R]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleShown:
    """What a violation shows of its rule."""

    severity: int
    title: str
    remedy: str
    switched_off: bool = False
    """Whether the settings switch it off; a rule may also lack the source that it needs."""


RuleOf = Callable[[str], RuleShown]
"""Returns what is known of a rule by its id, also of one that is in force no longer."""
FindingViolations = Callable[[], Awaitable[Sequence[FindingViolation]]]
Observations = Mapping[str, ObservedFault]
"""By the id of the violation."""


class Observing:
    """Reads what is the case now."""

    def __init__(
        self,
        *,
        database: Database,
        directory: OrganisationDirectory,
        rule_of: RuleOf,
        findings: FindingViolations,
        never_spoken: NeverSpoken | None,
    ) -> None:
        """`never_spoken` is None where no list of EC2 is read."""
        self._database = database
        self._directory = directory
        self._rule_of = rule_of
        self._findings = findings
        self._never_spoken = never_spoken

    @property
    def beside_verdicts(self) -> frozenset[str]:
        """The rules that are broken by what no verdict judges."""
        return frozenset() if self._never_spoken is None else frozenset({never_spoken.RULE})

    async def verdicts(self, reader: VerdictReader, rules: Sequence[str]) -> Observations:
        """Return what verdicts by these rules say, and the list of EC2 about instances that never spoke."""
        named = {"rules": array(rules)}
        instances = await reader.fetch(OBSERVED_OF_INSTANCES.bind({"rules": named["rules"]}))
        subjects = await reader.fetch(OBSERVED_OF_SUBJECTS.bind({"rules": named["rules"]}))
        found = [*map(observed_of_instances, instances), *map(observed_of_subject, subjects)]
        if self._never_spoken is not None and never_spoken.RULE in rules:
            found += await self._never_spoken.observed(reader)
        return await self._described([self._by_rule(one) for one in merged(found).values()])

    async def findings(self) -> ObservedFindings:
        """Return what findings of scanners say. Of versions that are judged by the same rule, verdicts decide."""
        mark = last_index(await self._database.fetch(LAST_INDEX.bind({})))
        found = merged([observed_of_finding(one) for one in await self._findings()])
        described = await self._described(await self._undecided(list(found.values())))
        return ObservedFindings(mark=mark, faults=described)

    async def moved_since(self, reader: VerdictReader, found: ObservedFindings) -> frozenset[FindingPlace]:
        """Return the places from which findings were recorded after these were read."""
        if found.mark < 0 or not await reader.fetch(FINDINGS_SINCE.bind({"after": found.mark})):
            return frozenset()
        return finding_places(await reader.fetch(FINDING_PLACES_SINCE.bind({"after": found.mark})))

    async def undecided(self, found: ObservedFindings, named: Iterable[str]) -> Observations:
        """Return those of some violations that no verdict decides now: versions may have been judged meanwhile."""
        some = {one: found.faults[one] for one in named if one in found.faults}
        left = {one.group for one in await self._undecided(list(some.values()))}
        return {name: one for name, one in some.items() if one.group in left}

    async def _undecided(self, found: Sequence[ObservedFault]) -> list[ObservedFault]:
        """Return the faults that findings alone are about.

        Without a scanner in the settings the rule is not in force, and findings are all that is known.
        """
        groups = [one.group for one in found]
        doubtful = sorted({one.subject for one in groups if one.kind == VERSION and one.rule in RULES_OF_BOTH})
        judged = dict[str, frozenset[str]]()
        for some in _parts(doubtful):
            rows = await self._database.fetch(SUBJECTS_NAMED.bind({"ids": array(some)}))
            judged |= rules_by_id(rows, VERSION)
        return [
            one
            for one in found
            if (group := one.group).rule not in RULES_OF_BOTH
            or not (self._rule_of(group.rule).switched_off or group.rule in judged.get(group.subject, ()))
        ]

    async def reported(self, found: Iterable[StoredViolation]) -> Observations:
        """Return open violations that were reported as faults that are there: nobody states that they are fixed."""
        owned = await self.owned_now([one for one in found if one.kind == REPORT and one.is_open])
        return {
            one.id: ObservedFault(
                group=Group(rule=one.rule, kind=one.kind, subject=one.subject), failing=True, since=one.since,
                reason=one.reason,
                about=About(
                    application_id=one.application_id, account_id=one.account_id, team=one.team, severity=one.severity,
                    detail=one.details,
                ),
            )
            for one in owned
        }  # fmt: skip

    async def owner_of(self, application_id: str, account_id: str) -> str:
        """Return the team of an application, else of an account; empty where neither has one."""
        return (await self._owners([(application_id, account_id)]))[application_id, account_id]

    def _by_rule(self, one: ObservedFault) -> ObservedFault:
        rule = self._rule_of(one.group.rule)
        detail = {"source": VERDICT, "title": rule.title, "remedy": rule.remedy}
        return replace(one, about=replace(one.about, severity=rule.severity, detail=detail))

    async def _described(self, found: Sequence[ObservedFault]) -> Observations:
        """Return observations with their owners, and with the callers whose tokens caused them."""
        named = sorted({one.about.application_id for one in found if one.about.application_id})
        tokens, places = dict[str, list[str]](), dict[str, set[str]]()
        for some in _parts(named):
            tokens |= tokens_by_id(await self._database.fetch(TOKENS_OF_VERSIONS.bind({"applications": array(some)})))
            places |= accounts_by_subject(
                await self._database.fetch(LIVING_COUNTED.bind({"applications": array(some)}))
            )
        found = [_placed(one, places) for one in found]
        owners = await self._owners([(one.about.application_id, one.about.account_id) for one in found])
        return {one.group.id: _with(one, owners, tokens) for one in found}

    async def runs_in(self, application_id: str, account_id: str) -> bool:
        """Return whether living instances of an application are in an account."""
        rows = await self._database.fetch(LIVING_COUNTED.bind({"applications": array([application_id])}))
        return account_id in accounts_by_subject(rows).get(application_id, set())

    async def owned_now(self, found: Sequence[StoredViolation]) -> list[StoredViolation]:
        """Return violations with the teams that own them now."""
        owners = await self._owners([(one.application_id, one.account_id) for one in found])
        return [replace(one, team=owners[one.application_id, one.account_id]) for one in found]

    async def _owners(self, places: Sequence[tuple[str, str]]) -> dict[tuple[str, str], str]:
        """Return the team of each application, else of its account; empty where neither has one."""
        teams, accounts = dict[str, str](), dict[str, str]()
        for some in _parts(sorted({application for application, _ in places if application})):
            rows = await self._database.fetch(
                APPLICATIONS_AT.bind({"application_ids": array(some), "past": EVERY_ENTRY})
            )
            teams |= {name: str(one.kio.get("team_id") or "") for name, one in applications(rows).items()}
        for some in _parts(sorted({account for _, account in places if account})):
            accounts |= {one.account.account_id: one.owner or "" for one in await owned(self._directory, some)}
        return {place: teams.get(place[0]) or accounts.get(place[1], "") for place in places}


def observed_of_finding(one: FindingViolation) -> ObservedFault:
    """Return what a violation by findings says. One about an instance belongs to its application, else its account."""
    subject, kind, name = one.subject, one.subject.kind, one.subject.id
    if kind not in (VERSION, APPLICATION, ACCOUNT, AMI):
        kind, name = (APPLICATION, subject.application_id) if subject.application_id else (ACCOUNT, subject.account_id)
    return ObservedFault(
        group=Group(rule=one.rule, kind=kind, subject=name), failing=one.verdict == "fail", since=one.since,
        reason=one.reason,
        about=About(
            application_id=subject.application_id, account_id=subject.account_id, severity=one.severity,
            detail={"source": FINDING, "title": one.title, "remedy": one.remedy},
        ),
    )  # fmt: skip


def merged(found: Iterable[ObservedFault]) -> dict[Group, ObservedFault]:
    """Return one observation for each group: a fault outweighs what is not known, and the oldest begins it."""
    by_group: dict[Group, ObservedFault] = {}
    for one in found:
        known = by_group.get(one.group)
        by_group[one.group] = one if known is None else _joined(known, one)
    return by_group


def together_by_source(verdicts: Observations, findings: Observations) -> dict[str, ObservedFault]:
    """Return all observations; of a version that both are about, the verdict counts alone."""
    return {**findings, **verdicts}


def _joined(one: ObservedFault, other: ObservedFault) -> ObservedFault:
    first, second = sorted((one, other), key=lambda each: (not each.failing, each.about.severity, each.reason))
    same = first.failing == second.failing
    since = (min if first.failing else max)(first.since, second.since) if same else first.since
    account = first.about.account_id if first.about.account_id == second.about.account_id else ""
    return replace(first, since=since, about=replace(first.about, account_id=account))


def _placed(one: ObservedFault, places: Mapping[str, set[str]]) -> ObservedFault:
    """Return an observation of a version or application with the account in which it runs, if that is one."""
    accounts = places.get(one.group.subject, set())
    if one.about.account_id or len(accounts) != 1:
        return one
    return replace(one, about=replace(one.about, account_id=min(accounts)))


def _with(
    one: ObservedFault, owners: Mapping[tuple[str, str], str], tokens: Mapping[str, Sequence[str]]
) -> ObservedFault:
    about = one.about
    made_by = tokens.get(one.group.subject) or tokens.get(about.application_id) or ()
    return replace(
        one,
        about=replace(
            about, team=owners[about.application_id, about.account_id],
            detail={**about.detail, "tokens": sorted(set(made_by))},
        ),
    )  # fmt: skip


def _parts(names: Sequence[str]) -> Iterable[Sequence[str]]:
    return (names[start : start + NAMED_AT_ONCE_MAX] for start in range(0, len(names), NAMED_AT_ONCE_MAX))
