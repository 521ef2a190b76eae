"""Tracing: returns lineages from what is stored, forward from instances and back to all that match."""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from whence_aggregator.approvals.rule import ApprovalPolicy
from whence_aggregator.ports import Database, NotFound
from whence_aggregator.trace.contained import NOTHING_CONTAINED, OF_COMMITS, Contained, ContainedCommits
from whence_aggregator.trace.derive import derive
from whence_aggregator.trace.fact_reader import FactReader, Log
from whence_aggregator.trace.facts import Facts
from whence_aggregator.trace.lineage import REQUIRED_LINKS, Lineage
from whence_aggregator.trace.listening import Listening
from whence_aggregator.trace.moment import NOW, Moment, Moments
from whence_aggregator.trace.named_by import NO_DEEDS, Deeds, has_layer, is_by
from whence_aggregator.trace.review_names import has_review
from whence_aggregator.trace.search import PAGE_MAX, Search, Wanted
from whence_aggregator.trace.state import NOW_ONLY, States
from whence_aggregator.trackers.places import NO_TRACKERS, KnownTrackers
from whence_common.clock import Now
from whence_common.statement import ApplicationFacts, ImageFacts

SubjectKind = Literal[
    "image", "layer", "commit", "review", "ticket", "application", "user_data", "ami", "account", "team", "person"
]  # fmt: skip
_PAGES_MAX = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class TraceSubject:
    """The subject of a trace back: a kind, its value, and for applications optionally a version."""

    kind: SubjectKind
    value: str
    version: str | None = None

    def to_wire(self) -> dict[str, str]:
        wire: dict[str, str] = {self.kind: self.value}
        return wire if self.version is None else {**wire, "version": self.version}


class Tracer:
    """Answers queries from storage only, in a constant number of round trips."""

    def __init__(
        self,
        *,
        database: Database,
        search: Search,
        log: Log,
        now: Now,
        listening: Listening,
        required: frozenset[str] = REQUIRED_LINKS,
        organisation: Mapping[str, float] | None = None,
        approvals: ApprovalPolicy | None = None,
        trackers: KnownTrackers = NO_TRACKERS,
        git_hosts: Container[str] | None = None,
        ami_builders: frozenset[tuple[str, str]] = frozenset(),
    ) -> None:
        """`organisation`: the sources in the settings and how often each is read; None, as for `approvals`: none.

        `git_hosts` are the Git servers that are read; None: any. `ami_builders` are those whose statements about AMIs
        count, each with the id of its key.
        """
        self._reader = FactReader(
            database=database, log=log, now=now, listening=listening, organisation=organisation or {},
            approvals=approvals, trackers=trackers, git_hosts=git_hosts, ami_builders=ami_builders,
        )  # fmt: skip
        self.commits = self._reader.commits
        self.policy = approvals
        self.trackers = trackers
        self._contained = ContainedCommits(database=database, trackers=trackers)
        self._required = required
        self.search = search
        self._log = log
        self.moments = Moments(database=database, now=now)

    async def instance(self, instance_id: str, *, moment: Moment | None = None) -> Lineage:
        """Return the lineage of one instance. Raises NotFound when it has no statement about that time."""
        moment = moment or await self.moments.of()
        found = await self.instances([instance_id], moment=moment)
        if not found:
            when = "" if moment.is_now else f" about {moment.at} that was recorded by {moment.known_at}"
            raise NotFound("instance-unknown", f"instance {instance_id} has no statement{when}")
        return found[0]

    async def instances(self, instance_ids: Sequence[str], *, moment: Moment) -> list[Lineage]:
        """Return the lineages of instances that have statements about that time, in the order given."""
        return [lineage for _, lineage in await self.traced(instance_ids, moment=moment)]

    async def traced(self, instance_ids: Sequence[str], *, moment: Moment) -> list[tuple[Facts, Lineage]]:
        """Return the lineages of instances with the facts that they are derived from, as `instances` does."""
        note = self._log.note
        facts = await self.facts(instance_ids, moment=moment)
        return [
            (facts[one], derive(facts[one], moment=moment, checkpoint=note, required=self._required))
            for one in instance_ids
            if one in facts
        ]

    async def matching(
        self, subject: TraceSubject, *, moment: Moment, states: States = NOW_ONLY, after: str, limit: int,
        only_teams: frozenset[str] | None = None,
    ) -> tuple[list[Lineage], str | None]:  # fmt: skip
        """Return the lineages of instances that match, and the cursor of the next page.

        `only_teams`: no others are looked at, so that not even a cursor tells how many there are.
        """
        limit, following = min(limit, PAGE_MAX), after or "0"
        contained = await self._contained.find(subject.kind, subject.value, moment)
        wanted = replace(
            _wanted(subject, moment), states=states, images_containing=contained.images, only_teams=only_teams
        )
        lineages: list[Lineage] = []
        for _ in range(_PAGES_MAX):
            rows, next_page = await self.search.instances(wanted, after=following, limit=limit - len(lineages))
            found = await self._containing(subject, rows, moment=moment, contained=contained)
            lineages += [one for one in found if states.includes(one.life, one.heard)]
            if next_page is None or len(lineages) >= limit:
                return lineages, next_page
            following = next_page
        return lineages, following

    async def ranges_waiting(self, subject: TraceSubject) -> int | None:
        """Return how many ranges are not collected yet; None for a subject that commits have nothing to do with."""
        return await self._contained.waiting() if subject.kind in OF_COMMITS else None

    async def naming(self, ticket: str, rows: Sequence[dict[str, Any]], *, moment: Moment) -> list[dict[str, Any]]:
        """Return the rows of a list whose traces contain the ticket: the index has words, which need not be tickets."""
        found = await self._containing(TraceSubject(kind="ticket", value=ticket), rows, moment=moment)
        names = {lineage.instance_id for lineage in found}
        return [row for row in rows if row["instance_id"] in names]

    async def _containing(
        self, subject: TraceSubject, rows: Sequence[dict[str, Any]], *, moment: Moment,
        contained: Contained = NOTHING_CONTAINED,
    ) -> list[Lineage]:  # fmt: skip
        """Return the lineages of found instances that contain the subject, as of the time asked about."""
        found = await self.traced([row["instance_id"] for row in rows], moment=moment)
        did = NO_DEEDS
        if subject.kind == "person" and found:
            images = {digest for _, one in found if (digest := (one.link("image").value or {}).get("digest"))}
            applications = {facts.statement.predicate.application_id or "" for facts, _ in found}
            did = await self.search.deeds_of(subject.value, images=images, applications=applications, moment=moment)
        kept = []
        for facts, lineage in found:
            if _matches(facts, lineage, subject, did):
                kept.append(lineage)
            elif commits := contained.commits_of(facts, subject.kind, subject.value):
                kept.append(replace(lineage, contains=commits))
        return kept

    async def facts(self, instance_ids: Sequence[str], *, moment: Moment = NOW) -> dict[str, Facts]:
        """Return the facts of instances, by id; those without a statement about that time are left out."""
        return await self._reader.of(instance_ids, moment=moment)

    async def imagined(self, image: ImageFacts, application: ApplicationFacts, *, now: str) -> Facts:
        """Return the facts about an image that no instance runs, as if one did that is in no account."""
        return await self._reader.imagined(image, application, now=now)


def _matches(facts: Facts, lineage: Lineage, subject: TraceSubject, did: Deeds) -> bool:
    """Return whether a lineage, as of the time asked about, contains the subject."""
    checks: dict[SubjectKind, Callable[[], bool]] = {
        "image": lambda: (lineage.link("image").value or {}).get("digest") == subject.value,
        "commit": lambda: str((lineage.link("commit").value or {}).get("commit", "")).startswith(subject.value),
        "ticket": lambda: _names_ticket(lineage, subject.value),
        "review": lambda: has_review(lineage, subject.value),
        "person": lambda: is_by(facts, lineage, subject.value, did),
        "layer": lambda: has_layer(facts, subject.value),
        "user_data": lambda: (lineage.link("user_data").value or {}).get("digest") == subject.value,
    }
    return checks[subject.kind]() if subject.kind in checks else True


def _names_ticket(lineage: Lineage, name: str) -> bool:
    """Return whether the commit or its review names a ticket."""
    return any(one["id"] == name for one in (lineage.link("ticket").value or {}).get("tickets", ()))


def _wanted(subject: TraceSubject, moment: Moment) -> Wanted:
    named: dict[str, Any] = {subject.kind: subject.value}
    return Wanted(**named, version=subject.version, moment=moment)
