"""Wiring of violations: what follows verdicts and findings, and the calls that show and move violations."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from aiohttp import web

from whence_aggregator.callers.limits import Limit
from whence_aggregator.callers.membership import Membership
from whence_aggregator.compliance.rules.catalogue import RulesInForce
from whence_aggregator.compliance.rules.live import CATALOGUE, CurrentRules
from whence_aggregator.compliance.violations import Violations
from whence_aggregator.events.causing import TrailCauses
from whence_aggregator.findings.listing import Findings, WantedFindings
from whence_aggregator.findings.violations import FindingViolation, finding_violations
from whence_aggregator.http.grouped_lists import GroupedLists
from whence_aggregator.http.grouped_violations import GroupedViolationCalls
from whence_aggregator.http.violations import ViolationCalls
from whence_aggregator.ledger.ledger import Ledger
from whence_aggregator.organisation.directory import OrganisationDirectory
from whence_aggregator.ports import Database
from whence_aggregator.reports.coverage_reading import CoverageReader
from whence_aggregator.trace.listening import Listening
from whence_aggregator.trace.moment import Moments
from whence_aggregator.trace.tracer import Tracer
from whence_aggregator.violations.kept import KeptViolations
from whence_aggregator.violations.listing import GroupedViolations
from whence_aggregator.violations.members import GroupMembers
from whence_aggregator.violations.never_spoken import RULE, NeverSpoken
from whence_aggregator.violations.observing import Observing, RuleShown
from whence_aggregator.violations.recording import ViolationRecorder
from whence_common.clock import Now

_NOT_KNOWN = RuleShown(severity=2, title="", remedy="")


def rules_shown(rules: CurrentRules = CATALOGUE) -> Callable[[str], RuleShown]:
    """Return what tells how a violation shows a rule; one that this program does not know counts as severity 2."""
    made: tuple[RulesInForce, dict[str, RuleShown]] | None = None

    def shown(name: str) -> RuleShown:
        nonlocal made
        current = rules.current
        if made is None or made[0] is not current:
            known = {
                one.id: RuleShown(
                    severity=one.severity, title=one.title, remedy=one.remedy, switched_off=one.id in current.off
                )
                for one in current.every
            }
            made = current, known
        return made[1].get(name, _NOT_KNOWN)

    return shown


@dataclass(frozen=True, slots=True, kw_only=True)
class LivingViolations:
    """Observes and records violations."""

    database: Database
    directory: OrganisationDirectory
    observing: Observing
    recorder: ViolationRecorder
    rules: CurrentRules
    reads_events: bool
    """Whether events of CloudTrail are read."""
    members: GroupMembers
    kept: KeptViolations
    now: Now

    @property
    def grouped(self) -> GroupedViolations:
        return GroupedViolations(database=self.database, directory=self.directory, members=self.members, kept=self.kept)

    def routes(
        self,
        membership: Membership,
        tracer: Tracer,
        listening: Listening,
        coverage: CoverageReader,
        caller_bytes: Limit,
    ) -> list[web.RouteDef]:
        """Return all routes of violations."""
        moments = Moments(database=self.database, now=self.now)
        listed = ViolationCalls(
            Violations(database=self.database, listening=listening, rules=self.rules, directory=self.directory),
            coverage=coverage, now=self.now, rules=self.rules,
            grouped=GroupedLists(grouped=self.grouped, coverage=coverage, moments=moments),
        )  # fmt: skip
        each = GroupedViolationCalls(
            grouped=self.grouped, recorder=self.recorder, observing=self.observing, membership=membership,
            moments=moments, causes=TrailCauses(database=self.database, configured=self.reads_events),
            caller_bytes=caller_bytes, tracer=tracer, now=self.now, random_bytes=os.urandom,
        )  # fmt: skip
        return [*listed.routes(), *each.routes()]


def load_violations(
    database: Database,
    ledger: Ledger,
    directory: OrganisationDirectory,
    findings: Findings | None,
    *,
    now: Now,
    rules: CurrentRules = CATALOGUE,
    reads_events: bool = False,
    listening: Listening | None = None,
) -> LivingViolations:
    """Return what keeps violations; `findings` is None without scanners, `listening` where nothing lists instances."""

    async def by_findings() -> Sequence[FindingViolation]:
        return [] if findings is None else await finding_violations(findings, WantedFindings(), now=now())

    never_spoken = None
    if listening is not None:
        never_spoken = NeverSpoken(
            database=database, listening=listening, in_force=lambda: RULE not in rules.current.not_in_force
        )
    observing = Observing(
        database=database, directory=directory, rule_of=rules_shown(rules), findings=by_findings,
        never_spoken=never_spoken,
    )  # fmt: skip
    recorder = ViolationRecorder(database=database, ledger=ledger, observing=observing, now=now)
    return LivingViolations(
        database=database, directory=directory, observing=observing, recorder=recorder, rules=rules,
        reads_events=reads_events, members=GroupMembers(database=database, rules=rules, never_spoken=never_spoken),
        kept=KeptViolations(database), now=now,
    )  # fmt: skip
