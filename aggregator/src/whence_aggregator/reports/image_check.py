"""Judges an image before it runs: by what is recorded of it, and what its sources answer when they are asked now."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from whence_aggregator.compliance.evidence import ReadOfSource, SubjectEvidence, SubjectOfRule
from whence_aggregator.compliance.gathering import InstanceEvidence, evidence_of
from whence_aggregator.compliance.moving import JudgedVerdict, judge_all
from whence_aggregator.compliance.open_questions import open_questions
from whence_aggregator.compliance.rule import unknown
from whence_aggregator.compliance.rules.live import CurrentRules
from whence_aggregator.compliance.views import image_digests, views_of, with_scans
from whence_aggregator.findings.application_scans import ApplicationScans
from whence_aggregator.findings.images import ImageScans
from whence_aggregator.ports import CollectedFact, Database, NotFound, SourceUnavailable
from whence_aggregator.queries.findings import VERSIONS_OF_IMAGES
from whence_aggregator.queries.query import EVERY_ENTRY, array
from whence_aggregator.queries.reports import TEAM_OF_APPLICATION
from whence_aggregator.queries.trace import TAG_DIGESTS
from whence_aggregator.queries.work import ADD_TASK_UNLESS_KNOWN, AddTaskParameters
from whence_aggregator.reports.coverage import Covered, ReadState, SourceCoverage, SourceKind
from whence_aggregator.reports.rows import applications_of_image, digests_by_registry, team_of_application
from whence_aggregator.trace.derive import derive
from whence_aggregator.trace.facts import NOT_ASKED, Facts
from whence_aggregator.trace.listening import Listening
from whence_aggregator.trace.moment import NOW
from whence_aggregator.trace.tracer import Tracer
from whence_aggregator.work.questions import SHARED_LANE, question
from whence_common.clock import Now, parse_instant, to_instant
from whence_common.errors import InputError
from whence_common.image_reference import ImageReference, image_subject, tag_reference
from whence_common.statement import ApplicationFacts, ImageFacts

LOOK_SECONDS = 0.5
TAG_SECONDS_MAX = 20.0
"""For the registry to answer which digest a tag points to."""
_REGISTRY = "the registry"
_SOURCES: dict[str, SourceKind] = {
    _REGISTRY: "registries", "the Git server": "Git", "the default branch": "Git", "the commit's signature": "Git",
}  # fmt: skip
"""By the names of readings; the others are of reviews and tickets."""
WAIT_SECONDS_MAX = 60.0
APPLICATIONS_OF_IMAGE_MAX = 20
_MUTABLE = "image-mutable"
_BY_TAG = unknown("the image is named by a tag: name it by its digest, or the agent judges whether the tag may move")
_OF_INSTANCES = frozenset(
    {"image-mutable", "source-missing", "source-dirty", "commit-not-found", "commit-unmerged", "ticket-missing",
     "application-unregistered", "application-inactive"}
)  # fmt: skip
"""Rules about instances that judge what runs, and not how it runs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WantedCheck:
    """What is to run. `asks`: whether sources are asked now; else what is recorded counts alone."""

    image: ImageReference
    application_id: str
    version: str
    registered: bool = True
    """Whether the application is: of one that is not, nobody's token has sources asked."""
    asks: bool = False
    wait_seconds: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedVerdict:
    rule: str
    severity: int
    kind: SubjectOfRule
    judged: JudgedVerdict

    def to_wire(self) -> dict[str, object]:
        verdict = self.judged.verdict
        return {
            "rule": self.rule, "kind": self.kind, "severity": self.severity, "verdict": verdict.outcome,
            "reason": verdict.reason, "folded_under": self.judged.folded_under or None,
        }  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageChecked:
    """The verdicts about an image that does not run yet."""

    at: str
    image: ImageFacts
    """Without a digest where nobody knows what its tag points to; then nothing was judged."""
    application_id: str
    version: str
    verdicts: Sequence[CheckedVerdict]
    reads: Sequence[ReadOfSource]

    def to_wire(self) -> dict[str, object]:
        unread = [one for one in self.reads if one.outcome != "read"]
        named = f"{self.image.repository}@{self.image.digest}" if self.image.digest else self.image.source
        covered = Covered(sources=[_covered(one) for one in self.reads], now=parse_instant(self.at))
        return {
            "at": self.at, "image": named, "application": self.application_id, "coverage": covered.shown(),
            "version": self.version, "verdicts": [one.to_wire() for one in self.verdicts],
            "complete": not unread,
            "unread": [{"source": one.source, "state": one.outcome, "reason": one.reason} for one in unread],
        }  # fmt: skip


class ReadsTags(Protocol):
    """Reads tags from registries, as instances' tags are read: with the same sign-ins, limits and refusals."""

    async def collect(self, subject: str) -> CollectedFact:
        """Return the digest that a tag points to now. Raises SourceUnavailable."""


class ImageChecks:
    """Checks images. Nothing is recorded but what the sources answer."""

    def __init__(
        self,
        *,
        database: Database,
        tracer: Tracer,
        rules: CurrentRules,
        scans: ApplicationScans | None,
        listening: Listening,
        now: Now,
        tags: ReadsTags,
        wake: Callable[[], None],
        pause: Callable[[float], Awaitable[object]],
    ) -> None:
        self._database = database
        self._tracer = tracer
        self._rules = rules
        self._scans = scans
        self._listening = listening
        self._now = now
        self._tags = tags
        self._wake = wake
        self._pause = pause

    async def team_of(self, application_id: str) -> str | None:
        """Return the team of an application; None if nobody registered it."""
        rows = await self._database.fetch(
            TEAM_OF_APPLICATION.bind({"application_id": application_id, "past": EVERY_ENTRY - 1})
        )
        return team_of_application(rows)

    async def _teams_of_image(self, digest: str) -> list[str | None]:
        """Return the teams of the applications that the image is known to be of; none if it was never seen."""
        rows = await self._database.fetch(VERSIONS_OF_IMAGES.bind({"digests": array([digest]), "past": EVERY_ENTRY}))
        named = applications_of_image(rows)
        return [await self.team_of(one) for one in named[:APPLICATIONS_OF_IMAGE_MAX]]

    async def check(self, wanted: WantedCheck, check_teams: Callable[[Sequence[str | None]], None]) -> ImageChecked:
        """Return the verdicts. `check_teams` raises for an image that the caller may not read, by its teams.

        Raises NotFound for a tag that nobody knows, and InputError without rules.
        """
        image, read = await self._named(wanted)
        if image.digest:
            check_teams(await self._teams_of_image(image.digest))
        if not image.digest:
            return ImageChecked(
                at=to_instant(self._now()), image=image, application_id=wanted.application_id, version=wanted.version,
                verdicts=(), reads=(read,) if read is not None else (),
            )  # fmt: skip
        application = ApplicationFacts(id=wanted.application_id, version=wanted.version)
        facts = await self._tracer.imagined(image, application, now=to_instant(self._now()))
        left = wanted.wait_seconds
        while wanted.asks and await self._ask(facts, image) and left > 0:
            await self._pause(LOOK_SECONDS)
            left -= LOOK_SECONDS
            facts = await self._tracer.imagined(image, application, now=to_instant(self._now()))
        return await self._judged(facts, image, wanted, [] if read is None else [read])

    async def _named(self, wanted: WantedCheck) -> tuple[ImageFacts, ReadOfSource | None]:
        """Return the image, and how asking its registry for the tag ended, if it failed.

        The registry is asked about each tag, since it may have moved since it was recorded. Raises NotFound.
        """
        reference, asks = wanted.image.canonical(), wanted.asks
        digest, failed = reference.digest, None
        if digest is None:
            tag = tag_reference(str(reference)) or ""
            if asks:
                digest, failed = await self._asked(tag)
            if digest is None and (failed is not None or not asks):
                digest = await self._recorded(tag)
            if digest is None and failed is None:
                raise _no_digest(wanted, reference, tag)
        return ImageFacts(source=str(reference), repository=reference.repository, digest=digest or ""), failed

    async def _asked(self, tag: str) -> tuple[str | None, ReadOfSource | None]:
        """Ask the registry now which digest a tag points to; None where it has none, or where it cannot be read."""
        try:
            async with asyncio.timeout(TAG_SECONDS_MAX):
                found = await self._tags.collect(tag)
        except TimeoutError:
            reason = f"the registry did not answer within {TAG_SECONDS_MAX:g} seconds"
        except SourceUnavailable as exc:
            reason = exc.message
        else:
            digest = found.value.get("digest")
            return (str(digest) if digest else None), None
        return None, ReadOfSource(source=_REGISTRY, outcome="failed", reason=reason)

    async def _recorded(self, tag: str) -> str | None:
        """Return the digest of a tag by the front, else by its registry: instances state whatever they like.

        Raises NotFound for a tag that has moved.
        """
        rows = await self._database.fetch(TAG_DIGESTS.bind({"references": array([tag]), "past": EVERY_ENTRY}))
        found = digests_by_registry(rows)
        if len(found) > 1:
            raise NotFound(
                "image-digest-unknown", f"{tag} pointed to {len(found)} different images",
                fix="name the image by its digest: REGISTRY/TEAM/ARTIFACT@sha256:…",
            )  # fmt: skip
        return found[0] if found else None

    async def _ask(self, facts: Facts, image: ImageFacts) -> bool:
        """Ask what is not known yet; return whether an answer is awaited."""
        now = to_instant(self._now())
        waiting: list[AddTaskParameters] = [{**one, "lane": SHARED_LANE} for one in open_questions([facts], now)]
        if facts.image_source is NOT_ASKED or facts.image_source.ledger_index is None:
            subject = image_subject(image.repository, image.digest, None)
            waiting.append(question("image-source", subject, due_at=now, lane=SHARED_LANE))
        if waiting:
            await self._database.write(ADD_TASK_UNLESS_KNOWN.bind(waiting))
            self._wake()
        return bool(waiting) or any(one.outcome == "waiting" for one in self._evidence(facts).reads or ())

    def _evidence(self, facts: Facts) -> SubjectEvidence:
        return evidence_of(
            InstanceEvidence(
                facts=facts,
                lineage=derive(facts, moment=NOW),
                now=self._now(),
                silent_after_seconds=self._listening.silent_after.total_seconds(),
                listening_since=self._listening.since,
                settings=self._rules.current.settings,
            )
        )

    async def _judged(
        self, facts: Facts, image: ImageFacts, wanted: WantedCheck, reads: Sequence[ReadOfSource]
    ) -> ImageChecked:
        evidence, rules = self._evidence(facts), self._rules.current
        views: Mapping[tuple[SubjectOfRule, str], SubjectEvidence] = views_of(evidence, "")
        scans = await self._scans_of(facts, wanted.application_id)
        found: list[CheckedVerdict] = []
        for one in (evidence, *views.values()):
            judged = with_scans(one, scans) if one.kind == "version" else one
            verdicts = dict(judge_all(judged, rules, await rules.own_answers(judged)))
            mutable = verdicts.get(_MUTABLE)
            if mutable is not None and mutable.verdict.outcome == "pass" and wanted.image.digest is None:
                verdicts[_MUTABLE] = replace(mutable, verdict=_BY_TAG)  # no agent has read the tag
            found += [
                CheckedVerdict(rule=rule.id, severity=rule.severity, kind=judged.kind, judged=verdicts[rule.id])
                for rule in rules.of_kind(judged.kind)
                if judged.kind != "instance" or rule.id in _OF_INSTANCES
            ]
        if not found:
            raise InputError("check-empty", "no rule in force judges an image", fix="see whence rules")
        found.sort(key=lambda one: (one.severity, one.rule))
        return ImageChecked(
            at=to_instant(self._now()), image=image, application_id=wanted.application_id, version=wanted.version,
            verdicts=found, reads=(*reads, *(evidence.reads or ())),
        )  # fmt: skip

    async def _scans_of(self, facts: Facts, application_id: str) -> ImageScans | None:
        if self._scans is None:
            return None
        digests, team = image_digests(facts.statement.predicate), await self.team_of(application_id)
        return await self._scans.of(application_id, team, digests, now=self._now())


def _no_digest(wanted: WantedCheck, reference: ImageReference, tag: str) -> NotFound:
    """Return why it is not known which image a tag is, and what to do."""
    by_digest = "name the image by its digest: REGISTRY/TEAM/ARTIFACT@sha256:…"
    if wanted.asks:
        return NotFound("image-digest-unknown", f"the registry has no tag {tag}", fix=by_digest)
    message = f"the digest of {reference} is not recorded"
    if wanted.registered:
        return NotFound("image-digest-unknown", message, fix=f"{by_digest}, or use a token of the application's team")
    return NotFound(
        "image-digest-unknown",
        f"{message}, and the registry is not asked: the application {wanted.application_id} is not registered",
        fix=f"register the application, or {by_digest}",
    )


def _covered(one: ReadOfSource) -> SourceCoverage:
    """Return a reading as a source of the answer; one that was not asked yet was never read."""
    source = _SOURCES.get(one.source, "trackers")
    state: ReadState = "read" if one.outcome == "read" else "failed" if one.outcome == "failed" else "never"
    return SourceCoverage(source=source, name=one.source, state=state, reason=one.reason, count=int(state != "read"))
