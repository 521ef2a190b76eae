"""Tracing: gathers facts from storage and gives lineages, forward from an instance and back to all that match."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import msgspec

from whence_aggregator.ports import Database, NotFound, Row
from whence_aggregator.trace.derive import derive
from whence_aggregator.trace.facts import NOT_ASKED, Answer, Binding, Facts, Registered, StoredStatement
from whence_aggregator.trace.lineage import Lineage
from whence_common.clock import Now, to_instant
from whence_common.scm_source import ScmSource, repository_of

PAGE_MAX = 200
_IMAGES_MAX = 500
SubjectKind = Literal["image", "commit", "ticket", "application", "user_data"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """What is traced back: a kind, its value, and for applications perhaps a version."""

    kind: SubjectKind
    value: str
    version: str | None = None

    def to_wire(self) -> dict[str, str]:
        wire: dict[str, str] = {self.kind: self.value}
        return wire if self.version is None else {**wire, "version": self.version}


class Tracer:
    """Answers from storage alone."""

    def __init__(self, *, database: Database, now: Now) -> None:
        self._database = database
        self._now = now

    async def instance(self, instance_id: str, *, at: str | None = None) -> Lineage:
        """Trace one instance. Raises NotFound when it has said nothing by then."""
        facts = await self.facts(instance_id, at=at)
        return derive(facts, at=at or to_instant(self._now()))

    async def facts(self, instance_id: str, *, at: str | None = None) -> Facts:
        """Gather what is known of an instance. Raises NotFound."""
        statement = await self._statement(instance_id, at)
        binding = await self._binding(instance_id, statement)
        predicate = statement.predicate
        image_source = NOT_ASKED
        if predicate.image is not None:
            subject = f"{predicate.image.repository}@{predicate.image.digest}"
            image_source = await self._answer("image-source", subject)
        facts = Facts(
            statement=statement,
            binding=binding,
            application=await self._application(statement, at),
            image_source=image_source,
            commit=NOT_ASKED,
            last_seen=await self._last_seen(instance_id),
        )
        commit = await self._commit(facts.source)
        return Facts(
            statement=facts.statement,
            binding=facts.binding,
            application=facts.application,
            image_source=facts.image_source,
            commit=commit,
            last_seen=facts.last_seen,
        )

    async def matching(
        self, subject: Subject, *, at: str | None, after: str, limit: int
    ) -> tuple[list[Lineage], str | None]:
        """Trace back: the lineages of instances that match, in order of instance id, and where the next page starts."""
        limit = min(limit, PAGE_MAX)
        candidates = await self._candidates(subject, ever=at is not None, after=after, limit=limit + 1)
        lineages = []
        for instance_id in candidates[:limit]:
            try:
                lineage = await self.instance(instance_id, at=at)
            except NotFound:
                continue
            if _matches(lineage, subject):
                lineages.append(lineage)
        return lineages, candidates[limit - 1] if len(candidates) > limit else None

    async def _candidates(self, subject: Subject, *, ever: bool, after: str, limit: int) -> list[str]:
        prefix = "instances_ever_by_" if ever else "instances_by_"
        page = {"after": after, "limit": limit}
        if subject.kind in ("commit", "ticket"):
            found: set[str] = set()
            for image in await self._images(subject):
                rows = await self._database.fetch(prefix + "image", {"image": image, **page})
                found.update(row["instance_id"] for row in rows)
            return sorted(found)[:limit]
        parameters = {subject.kind: subject.value, **page}
        if subject.kind == "application":
            parameters["version"] = subject.version
        return [row["instance_id"] for row in await self._database.fetch(prefix + subject.kind, parameters)]

    async def _images(self, subject: Subject) -> list[str]:
        if subject.kind == "ticket":
            rows = await self._database.fetch("images_of_ticket", {"word": subject.value, "limit": _IMAGES_MAX})
        else:
            past = subject.value + "g"  # sorts after every hex digit, in any collation
            parameters = {"first": subject.value, "past": past, "limit": _IMAGES_MAX}
            rows = await self._database.fetch("images_of_commit", parameters)
        return [row["image_digest"] for row in rows]

    async def _statement(self, instance_id: str, at: str | None) -> StoredStatement:
        if at is None:
            rows = await self._database.fetch("statement_now", {"instance_id": instance_id})
        else:
            rows = await self._database.fetch("statement_at", {"instance_id": instance_id, "at": at})
        if not rows:
            when = f" by {at}" if at is not None else ""
            raise NotFound("instance-unknown", f"instance {instance_id} has said nothing{when}")
        return StoredStatement.from_row(rows[0])

    async def _binding(self, instance_id: str, statement: StoredStatement) -> Binding:
        rows = await self._database.fetch("enrolments_of", {"instance_id": instance_id})
        row = rows[-1]
        assert statement.ledger_index > row["ledger_index"], "a statement is accepted only after its enrolment"
        return Binding(
            level=row["level"],
            enrolled_at=row["enrolled_at"],
            ledger_index=row["ledger_index"],
            identity=msgspec.json.decode(row["identity"]),
        )

    async def _application(self, statement: StoredStatement, at: str | None) -> Registered | None:
        named = statement.predicate.application_id
        if named is None:
            return None
        parameters = {"application_id": named, "at": at or to_instant(self._now())}
        rows = await self._database.fetch("application_at", parameters)
        if not rows:
            return None
        body = msgspec.json.decode(rows[0]["body"])
        return Registered(
            recorded_at=rows[0]["recorded_at"],
            ledger_index=rows[0]["ledger_index"],
            kio=body["kio"],
            tickets=body.get("tickets") or {},
        )

    async def _commit(self, source: ScmSource | None) -> Answer:
        if source is None or source.commit_id is None:
            return NOT_ASKED
        repository = repository_of(source.url)
        if repository is None:
            return Answer(outcome="unknown", reason=f"the source's URL names no repository: {source.url[:120]!r}")
        return await self._answer("commit", f"{repository}@{source.commit_id}")

    async def _answer(self, kind: str, subject: str) -> Answer:
        rows = await self._database.fetch("fact_now", {"kind": kind, "subject": subject})
        if rows:
            return Answer.from_row(rows[0])
        waiting = await self._database.fetch("task_of", {"kind": kind, "subject": subject})
        return _waiting(waiting)

    async def _last_seen(self, instance_id: str) -> str | None:
        rows = await self._database.fetch("seen", {"instance_id": instance_id})
        return str(rows[0]["seen_at"]) if rows else None


def _waiting(rows: Sequence[Row]) -> Answer:
    if not rows:
        return NOT_ASKED
    row = rows[0]
    if not row["reason"]:
        return Answer(outcome="unknown", reason=f"not asked yet; due at {row['due_at']}")
    return Answer(outcome="unknown", reason=f"{row['reason']}; asked again at {row['due_at']}")


def _matches(lineage: Lineage, subject: Subject) -> bool:
    """Say whether a lineage, as it was at the time asked about, has the subject in it."""
    checks: dict[SubjectKind, Callable[[], bool]] = {
        "image": lambda: (lineage.link("image").value or {}).get("digest") == subject.value,
        "commit": lambda: str((lineage.link("commit").value or {}).get("commit", "")).startswith(subject.value),
        "ticket": lambda: any(
            ticket["id"] == subject.value for ticket in (lineage.link("ticket").value or {}).get("tickets", [])
        ),
        "user_data": lambda: (lineage.link("user_data").value or {}).get("digest") == subject.value,
        "application": lambda: True,
    }
    return checks[subject.kind]()
