"""Judges an image before it runs: by what is recorded of it, and what its sources answer when they are asked now."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

from whence_aggregator.compliance.evidence import ReadOfSource, SubjectEvidence, SubjectOfRule
from whence_aggregator.compliance.gathering import InstanceEvidence, evidence_of
from whence_aggregator.compliance.moving import JudgedVerdict, judge_all
from whence_aggregator.compliance.open_questions import open_questions
from whence_aggregator.compliance.rules.live import CurrentRules
from whence_aggregator.compliance.views import image_digests, views_of, with_scans
from whence_aggregator.findings.images import ImageScans, ScannedImages
from whence_aggregator.ports import Database, NotFound
from whence_aggregator.queries.query import EVERY_ENTRY, array
from whence_aggregator.queries.reports import TEAM_OF_APPLICATION
from whence_aggregator.queries.trace import TAG_DIGESTS
from whence_aggregator.queries.work import ADD_TASK_UNLESS_KNOWN, AddTaskParameters
from whence_aggregator.trace.derive import derive
from whence_aggregator.trace.facts import NOT_ASKED, Facts
from whence_aggregator.trace.listening import Listening
from whence_aggregator.trace.moment import NOW
from whence_aggregator.trace.tracer import Tracer
from whence_aggregator.work.questions import SHARED_LANE, question
from whence_common.clock import Now, to_instant
from whence_common.errors import InputError
from whence_common.image_reference import ImageReference, image_subject, tag_reference
from whence_common.statement import ApplicationFacts, ImageFacts

LOOK_SECONDS = 0.5
WAIT_SECONDS_MAX = 60.0
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
    application_id: str
    version: str
    verdicts: Sequence[CheckedVerdict]
    reads: Sequence[ReadOfSource]

    def to_wire(self) -> dict[str, object]:
        unread = [one for one in self.reads if one.outcome != "read"]
        return {
            "at": self.at, "image": f"{self.image.repository}@{self.image.digest}", "application": self.application_id,
            "version": self.version, "verdicts": [one.to_wire() for one in self.verdicts],
            "complete": not unread,
            "unread": [{"source": one.source, "state": one.outcome, "reason": one.reason} for one in unread],
        }  # fmt: skip


class ImageChecks:
    """Checks images. Nothing is recorded but what the sources answer."""

    def __init__(
        self,
        *,
        database: Database,
        tracer: Tracer,
        rules: CurrentRules,
        images: ScannedImages | None,
        listening: Listening,
        now: Now,
        wake: Callable[[], None],
        pause: Callable[[float], Awaitable[object]],
    ) -> None:
        self._database = database
        self._tracer = tracer
        self._rules = rules
        self._images = images
        self._listening = listening
        self._now = now
        self._wake = wake
        self._pause = pause

    async def team_of(self, application_id: str) -> str | None:
        """Return the team of an application; None if nobody registered it."""
        rows = await self._database.fetch(
            TEAM_OF_APPLICATION.bind({"application_id": application_id, "past": EVERY_ENTRY - 1})
        )
        return rows[0]["team_id"] if rows else None

    async def check(self, wanted: WantedCheck) -> ImageChecked:
        """Return the verdicts. Raises NotFound for a tag whose digest is not known, and InputError without rules."""
        image = await self._named(wanted.image)
        application = ApplicationFacts(id=wanted.application_id, version=wanted.version)
        facts = await self._tracer.imagined(image, application, now=to_instant(self._now()))
        left = wanted.wait_seconds
        while wanted.asks and await self._ask(facts, image) and left > 0:
            await self._pause(LOOK_SECONDS)
            left -= LOOK_SECONDS
            facts = await self._tracer.imagined(image, application, now=to_instant(self._now()))
        return await self._judged(facts, image, wanted)

    async def _named(self, reference: ImageReference) -> ImageFacts:
        reference = reference.canonical()
        digest = reference.digest
        if digest is None:
            tag = tag_reference(str(reference)) or ""
            rows = await self._database.fetch(TAG_DIGESTS.bind({"references": array([tag]), "past": EVERY_ENTRY}))
            if not rows:
                raise NotFound(
                    "image-digest-unknown", f"the digest of {reference} is not recorded",
                    fix="name the image by its digest: REGISTRY/TEAM/ARTIFACT@sha256:…",
                )  # fmt: skip
            digest = rows[-1]["digest"]
        return ImageFacts(source=str(reference), repository=reference.repository, digest=digest)

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

    async def _judged(self, facts: Facts, image: ImageFacts, wanted: WantedCheck) -> ImageChecked:
        evidence, rules = self._evidence(facts), self._rules.current
        views: Mapping[tuple[SubjectOfRule, str], SubjectEvidence] = views_of(evidence, "")
        found: list[CheckedVerdict] = []
        for one in (evidence, *views.values()):
            judged = with_scans(one, await self._scans(facts)) if one.kind == "version" else one
            verdicts = judge_all(judged, rules, await rules.own_answers(judged))
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
            verdicts=found, reads=tuple(evidence.reads or ()),
        )  # fmt: skip

    async def _scans(self, facts: Facts) -> ImageScans | None:
        if self._images is None:
            return None
        digests = image_digests(facts.statement.predicate)
        return await self._images.of_digests(digests, now=self._now())
