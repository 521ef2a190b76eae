"""Answers what differs between two subjects, from storage alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from whence_aggregator.changes.compare import Difference, RuleVerdict, Side, compare, patterns_of
from whence_aggregator.changes.encoded import EncodedRange, EncodedRanges, WantedRange
from whence_aggregator.changes.ranges import CommitRange, CommitRanges, SourceCommit, answered_alone
from whence_aggregator.changes.subject import Compared
from whence_aggregator.changes.tracked import TrackedCommits
from whence_aggregator.compliance.standing import standing_verdicts
from whence_aggregator.ports import Database, Forbidden, NotFound
from whence_aggregator.trace.facts import Facts
from whence_aggregator.trace.lineage import Lineage
from whence_aggregator.trace.moment import Moment
from whence_aggregator.trace.rows import subject_of_commit
from whence_aggregator.trace.search import Wanted
from whence_aggregator.trace.state import States
from whence_aggregator.trace.tracer import Tracer

INSTANCES_MAX = 500
"""The most instances of a version or an image that are looked at."""
_TRACED_MAX = 20
_REPLACED = "this verdict began later; which one was current before is not stored"
ReadBy = Callable[[Lineage], Lineage]
"""Returns a lineage as its caller may read it. Raises Forbidden."""


class Differ:
    """Compares instances, versions and images, each at a time of its own."""

    def __init__(self, *, database: Database, tracer: Tracer, ranges: CommitRanges, tracked: TrackedCommits) -> None:
        self._database = database
        self._tracer = tracer
        self._ranges = EncodedRanges(database=database, ranges=ranges, tracked=tracked)

    async def difference(self, a: Compared, b: Compared, *, known_at: str | None, read_by: ReadBy) -> Difference:
        """Return what differs. Raises NotFound for a subject that no instance reported, InputError, and Forbidden."""
        one = await self._side(a, known_at, read_by)
        other = await self._side(b, known_at, read_by)
        return compare(one, other, await self._between(one, other))

    async def _between(self, one: Side, other: Side) -> CommitRange | EncodedRange:
        known = answered_alone(one.commit, other.commit)
        if known is not None:
            return known
        assert one.commit is not None, "a commit that is not known was answered above"
        assert other.commit is not None, "a commit that is not known was answered above"
        return await self._ranges.between(
            WantedRange(
                a=one.commit, b=other.commit, application=other.application or one.application,
                patterns=patterns_of(one, other),
            )
        )  # fmt: skip

    async def _side(self, subject: Compared, known_at: str | None, read_by: ReadBy) -> Side:
        moment = await self._tracer.moments.of(subject.at, known_at)
        if subject.kind == "instance":
            found = await self._tracer.traced([subject.value], moment=moment)
            if not found:
                when = "" if moment.is_now else f" about {moment.at} that was recorded by {moment.known_at}"
                raise NotFound("instance-unknown", f"instance {subject.value} has no statement{when}")
            (facts, lineage) = found[0]
            shown = read_by(lineage)
            return _side(subject, facts, shown, await self._verdicts(subject.value, moment))
        representative, last_ran = await self._representative(subject, moment, read_by), None
        if representative is None and subject.at is None:
            last_ran = await self._tracer.search.last_ran(_wanted(subject, moment))
            if last_ran is not None:
                then = await self._tracer.moments.of(last_ran, known_at)
                representative = await self._representative(subject, then, read_by)
        if representative is None:
            when = "" if moment.is_now else f" recorded by {moment.at}"
            message = f"no instance has reported that it runs {subject.value}{when}"
            raise NotFound(f"{subject.kind}-unknown", message, fix="compare what runs, or ran, on an instance")
        facts, shown, images = representative
        return replace(_side(subject, facts, shown, None, images=images), last_ran=last_ran)

    async def _representative(
        self, subject: Compared, moment: Moment, read_by: ReadBy
    ) -> tuple[Facts, Lineage, tuple[str, ...]] | None:
        """Return an instance of a version or an image, one that runs if there is one, and all their images.

        None if there was no such instance then.
        """
        rows = await self._rows(subject, moment)
        images = tuple(sorted({str(row["image_digest"]) for row in rows if row["image_digest"]}))
        rows.sort(key=lambda row: (row["life"] != "running", not row["image_digest"]))
        names = [str(row["instance_id"]) for row in rows[:_TRACED_MAX]]
        refused: Forbidden | None = None
        for facts, lineage in await self._tracer.traced(names, moment=moment):
            if not _is_about(lineage, subject):
                continue
            try:
                return facts, read_by(lineage), images if len(images) > 1 and subject.kind == "version" else ()
            except Forbidden as exc:
                refused = exc
        if refused is not None:
            raise refused
        return None

    async def _rows(self, subject: Compared, moment: Moment) -> list[dict[str, Any]]:
        asked = _wanted(subject, moment)
        rows, _ = await self._tracer.search.instances(asked, after="0", limit=INSTANCES_MAX)
        return rows

    async def _verdicts(self, instance_id: str, moment: Moment) -> Mapping[str, RuleVerdict]:
        """Return the verdicts at a moment: of one that began later, what was current before is not known."""
        standing = await standing_verdicts(self._database, instance_id)
        return {str(one["rule"]): _verdict_at(one, moment) for one in standing}


def _wanted(subject: Compared, moment: Moment) -> Wanted:
    if subject.kind != "version":
        return Wanted(image=subject.value, moment=moment, states=States.parse("any"))
    application, version = subject.version
    return Wanted(application=application, version=version, moment=moment, states=States.parse("any"))


def _verdict_at(found: Mapping[str, Any], moment: Moment) -> RuleVerdict:
    since = found["since"]
    if moment.is_now or since is None or str(since) <= moment.at:
        return RuleVerdict(verdict=str(found["verdict"]), reason=str(found["reason"]))
    return RuleVerdict(verdict="unknown", reason=_REPLACED)


def _is_about(lineage: Lineage, subject: Compared) -> bool:
    """Return whether the application of a lineage is the subject: an image may run as a sidecar too."""
    if subject.kind == "version":
        return True
    value = lineage.link("image").value or {}
    return subject.value in (value.get("digest"), value.get("index_digest"))


def _side(
    subject: Compared, facts: Facts, lineage: Lineage, verdicts: Mapping[str, RuleVerdict] | None,
    images: tuple[str, ...] = (),
) -> Side:  # fmt: skip
    trackers = facts.application.trackers if facts.application is not None else ()
    named = subject_of_commit(facts.source)
    commit = None
    if isinstance(named, str):
        repository, _, commit_id = named.rpartition("@")
        commit = SourceCommit(repository=repository, commit_id=commit_id)
    chain = facts.image_source.value.get("chain")
    return Side(
        subject=subject,
        instance_id=lineage.instance_id,
        at=lineage.at,
        known_at=lineage.known_at,
        links={link.link: link.to_wire() for link in lineage.links},
        not_checked={one.link: one.reason for one in lineage.not_checked},
        layers=str(chain) if chain else "",
        layer_digests=tuple(map(str, facts.image_source.value.get("layers", ()))),
        commit=commit,
        patterns=tuple(one.effective for one in trackers),
        application=facts.application,
        verdicts=verdicts,
        images=images,
    )
