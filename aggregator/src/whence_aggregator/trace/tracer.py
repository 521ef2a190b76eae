"""Tracing: gathers facts from storage and gives lineages, forward from instances and back to all that match."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Literal, Protocol

import msgspec

from whence_aggregator.ports import Asked, Database, NotFound, Row
from whence_aggregator.trace.derive import derive
from whence_aggregator.trace.facts import (
    BRANCH_KIND,
    NOT_ASKED,
    Answer,
    Binding,
    Facts,
    Heard,
    Later,
    Listed,
    Registered,
    ReportedLater,
    StoredStatement,
)
from whence_aggregator.trace.lineage import REQUIRED_LINKS, Lineage
from whence_aggregator.trace.moment import NOW, Moment, Moments
from whence_aggregator.trace.recorded import by_instance, counts, questions_about
from whence_aggregator.trace.search import PAGE_MAX, Search, Wanted
from whence_aggregator.trace.state import NOW_ONLY, States
from whence_common.clock import Now, from_millis, parse_instant
from whence_common.image_reference import image_subject, tag_reference
from whence_common.ledger_entry import kind_of
from whence_common.scm_source import ScmSource, repository_of
from whence_common.statement import ImageFacts

SubjectKind = Literal["image", "commit", "ticket", "application", "user_data"]
_PAGES_MAX = 20
_BRIEF_INSTANCES = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """What is traced back: a kind, its value, and for applications perhaps a version."""

    kind: SubjectKind
    value: str
    version: str | None = None

    def to_wire(self) -> dict[str, str]:
        wire: dict[str, str] = {self.kind: self.value}
        return wire if self.version is None else {**wire, "version": self.version}


class Log(Protocol):
    """What tracing needs of the log: bodies of rows, and the newest checkpoint."""

    def content(self, row: Row) -> bytes: ...

    async def content_of(self, row: Row) -> bytes | None: ...

    @property
    def note(self) -> str: ...


class Tracer:
    """Answers from storage alone; whatever the number of instances, in a few round trips."""

    def __init__(
        self,
        *,
        database: Database,
        search: Search,
        log: Log,
        now: Now,
        silent_after_seconds: float,
        required: frozenset[str] = REQUIRED_LINKS,
    ) -> None:
        self._database = database
        self._required = required
        self._now = now
        self._silent_after_seconds = silent_after_seconds
        self.search = search
        self._log = log
        self.moments = Moments(database=database, now=now)

    async def instance(self, instance_id: str, *, moment: Moment | None = None) -> Lineage:
        """Trace one instance. Raises NotFound when it has stated nothing about that time."""
        moment = moment or await self.moments.of()
        found = await self.instances([instance_id], moment=moment)
        if not found:
            when = "" if moment.is_now else f" about {moment.at} that was recorded by {moment.known_at}"
            raise NotFound("instance-unknown", f"instance {instance_id} has stated nothing{when}")
        return found[0]

    async def instances(self, instance_ids: Sequence[str], *, moment: Moment) -> list[Lineage]:
        """Trace those that have stated something about that time, in the order given."""
        note = self._log.note
        facts = await self.facts(instance_ids, moment=moment)
        return [
            derive(facts[one], moment=moment, checkpoint=note, required=self._required)
            for one in instance_ids
            if one in facts
        ]

    async def matching(
        self, subject: Subject, *, moment: Moment, states: States = NOW_ONLY, after: str, limit: int
    ) -> tuple[list[Lineage], str | None]:
        """Trace back: the lineages of instances that match, and where the next page starts."""
        limit, following = min(limit, PAGE_MAX), after or "0"
        wanted = replace(_wanted(subject, moment), states=states)
        lineages: list[Lineage] = []
        for _ in range(_PAGES_MAX):
            rows, next_page = await self.search.instances(wanted, after=following, limit=limit - len(lineages))
            found = await self.instances([row["instance_id"] for row in rows], moment=moment)
            lineages += [one for one in found if _matches(one, subject) and states.includes(one.life, one.heard)]
            if next_page is None or len(lineages) >= limit:
                return lineages, next_page
            following = next_page
        return lineages, following

    async def naming(self, ticket: str, rows: Sequence[dict[str, Any]], *, moment: Moment) -> list[dict[str, Any]]:
        """Return those rows of a list whose traces show the ticket: the index leads to words, not to tickets."""
        found = await self.instances([row["instance_id"] for row in rows], moment=moment)
        subject = Subject(kind="ticket", value=ticket)
        names = {lineage.instance_id for lineage in found if _matches(lineage, subject)}
        return [row for row in rows if row["instance_id"] in names]

    async def facts(self, instance_ids: Sequence[str], *, moment: Moment = NOW) -> dict[str, Facts]:
        """Gather what is known of instances; those that have stated nothing about that time are not in it."""
        names = {"instance_ids": msgspec.json.encode(list(instance_ids)).decode()}
        silent_before = self._now() - timedelta(seconds=self._silent_after_seconds)
        rows, bindings, seen, listed, alive, later_rows = await self._database.fetch_all(
            questions_about(names, moment), brief=len(instance_ids) <= _BRIEF_INSTANCES
        )
        later = by_instance(later_rows)
        recorded = {row["instance_id"] for row in rows}
        late = {name: found[0] for name, found in later.items() if name not in recorded}
        said = {}
        for row in (*rows, *late.values()):
            said[row["instance_id"]] = StoredStatement.of(row, await self._content(row))
            await asyncio.sleep(0)  # a question about one instance does not wait for a page of them
        bound: dict[str, list[Binding]] = {}
        for row in bindings:
            if row["ledger_index"] >= moment.known_past:
                continue
            stated = kind_of(self._log.content(row))[1]
            bound.setdefault(row["instance_id"], []).append(Binding.of(stated, row["ledger_index"]))
        last_seen = {row["instance_id"]: from_millis(row["seen_at"]) for row in seen}
        in_ec2 = {row["instance_id"]: row for row in listed}
        lives = {row["instance_id"]: row for row in alive}
        outside = await self._outside(list(said.values()), moment)
        gathered = {}
        for name, statement in said.items():
            image = statement.predicate.image
            tag = tag_reference(image.source) if image is not None else None
            gathered[name] = Facts(
                statement=statement,
                binding=next(one for one in bound[name] if one.number == statement.enrolment),
                bindings=[one for one in bound[name] if counts(one, statement, moment)],
                application=outside.applications.get(statement.predicate.application_id or ""),
                image_source=outside.images[_image_subject(image)] if image else NOT_ASKED,
                tag_digests=outside.tags.get(tag or "", ()),
                commit=NOT_ASKED,
                last_seen=last_seen.get(name),
                listed=_listed(in_ec2.get(name), lives.get(name)),
                **_life(lives.get(name)),
                heard=_heard(last_seen.get(name), silent_before) if moment.is_now else None,
                reported_later=await self._reported_later(later.get(name, ())),
                late=name in late,
            )
        return await self._with_commits(gathered, outside, moment)

    async def _reported_later(self, rows: Sequence[Row]) -> ReportedLater:
        """Show statements that were recorded after the time asked about; those pruned have no digest."""
        statements = []
        for row in rows:
            content = self._log.content(row) if row["body"] is not None else await self._log.content_of(row)
            statements.append(Later.of(row, content))
            await asyncio.sleep(0)
        return ReportedLater(total=rows[0]["total"] if rows else 0, statements=statements)

    async def _content(self, row: Row) -> bytes:
        """Give a statement's bytes, also when they were moved to the archive. Raises NotFound when they are nowhere."""
        if row["body"] is not None:
            return self._log.content(row)
        content = await self._log.content_of(row)
        if content is None:
            raise NotFound("entry-pruned", f"the body of entry {row['ledger_index']} was pruned; its hash remains")
        return content

    async def _outside(self, said: Sequence[StoredStatement], moment: Moment) -> _Outside:
        """Read what applications, registries, Git servers and the EC2 API have said about these, in one round trip."""
        named = sorted({one.predicate.application_id or "" for one in said})
        found_images = [one.predicate.image for one in said if one.predicate.image is not None]
        images = sorted({_image_subject(image) for image in found_images})
        tags = sorted({tag for tag in (tag_reference(image.source) for image in found_images) if tag is not None})
        commits = sorted({one for one in map(_commit_in_statement, said) if one is not None})
        (
            rows,
            tag_rows,
            image_facts,
            image_tasks,
            commit_facts,
            commit_tasks,
            branch_facts,
            branch_tasks,
        ) = await self._database.fetch_all(
            [
                ("applications_at", {"application_ids": msgspec.json.encode(named).decode(), "past": moment.past}),
                ("tag_digests", {"references": msgspec.json.encode(tags).decode(), "past": moment.past}),
                *_answers("image-source", images, moment),
                *_answers("commit", commits, moment),
                *_answers(BRANCH_KIND, commits, moment),
            ],
            brief=len(said) <= _BRIEF_INSTANCES,
        )
        return _Outside(
            applications={row["application_id"]: _registered(row) for row in rows},
            tags=_by_tag(tag_rows),
            images=_merged(images, image_facts, image_tasks, moment),
            commits=_merged(commits, commit_facts, commit_tasks, moment),
            branches=_merged(commits, branch_facts, branch_tasks, moment),
        )

    async def _with_commits(self, gathered: dict[str, Facts], outside: _Outside, moment: Moment) -> dict[str, Facts]:
        """Add what Git servers said of the commits; those that only a registry named are read now."""
        subjects = {name: _commit_subject(facts.source) for name, facts in gathered.items()}
        commits, branches = outside.commits, outside.branches
        wanted = sorted({one for one in subjects.values() if isinstance(one, str) and one not in commits})
        if wanted:
            found, waiting, branch_facts, branch_tasks = await self._database.fetch_all(
                [*_answers("commit", wanted, moment), *_answers(BRANCH_KIND, wanted, moment)]
            )
            commits = {**commits, **_merged(wanted, found, waiting, moment)}
            branches = {**branches, **_merged(wanted, branch_facts, branch_tasks, moment)}
        for name, subject in subjects.items():
            if isinstance(subject, str):
                gathered[name] = replace(gathered[name], commit=commits[subject], branch=branches[subject])
            else:
                gathered[name] = replace(gathered[name], commit=subject, branch=subject)
        return gathered


@dataclass(frozen=True, slots=True, kw_only=True)
class _Outside:
    applications: dict[str, Registered]
    tags: dict[str, list[tuple[str, int]]]
    images: dict[str, Answer]
    commits: dict[str, Answer]
    branches: dict[str, Answer]


def _image_subject(image: ImageFacts) -> str:
    return image_subject(image.repository, image.digest, image.index_digest)


def _by_tag(rows: Sequence[Row]) -> dict[str, list[tuple[str, int]]]:
    found: dict[str, list[tuple[str, int]]] = {}
    for row in rows:
        found.setdefault(row["reference"], []).append((row["digest"], row["ledger_index"]))
    return found


def _commit_in_statement(statement: StoredStatement) -> str | None:
    """Name the commit that the agent read out of the image."""
    seen = statement.predicate.scm_source
    if seen is None or seen.document is None:
        return None
    subject = _commit_subject(ScmSource.from_wire(seen.document))
    return subject if isinstance(subject, str) else None


def _answers(kind: str, subjects: Sequence[str], moment: Moment) -> list[Asked]:
    """Ask for facts. Contents of images and commits do not change, so they count when known by `known_at`; what a
    branch reaches changes, and counts when recorded by the time asked about."""
    parameters = {"kind": kind, "subjects": msgspec.json.encode(list(subjects)).decode()}
    past = moment.past if kind == BRANCH_KIND else moment.known_past
    return [("facts_at", {**parameters, "past": past}), ("tasks_of", parameters)]


def _merged(subjects: Sequence[str], found: Sequence[Row], waiting: Sequence[Row], moment: Moment) -> dict[str, Answer]:
    """Return what is known of each subject. What waits is known of the present only."""
    known = {row["subject"]: Answer.from_row(row) for row in found}
    if moment.is_now:
        known = {**{row["subject"]: _waiting(row) for row in waiting}, **known}
        return {subject: known.get(subject, NOT_ASKED) for subject in subjects}
    nothing = Answer(outcome="unknown", reason=f"nothing about it was recorded by {moment.known_at}")
    return {subject: known.get(subject, nothing) for subject in subjects}


def _waiting(row: Row) -> Answer:
    if not row["reason"]:
        return Answer(outcome="unknown", reason=f"not asked yet; due at {row['due_at']}")
    return Answer(outcome="unknown", reason=f"{row['reason']}; asked again at {row['due_at']}")


def _registered(row: Row) -> Registered:
    body = msgspec.json.decode(row["body"])
    return Registered(
        recorded_at=row["recorded_at"],
        ledger_index=row["ledger_index"],
        kio=body["kio"],
        tickets=body.get("tickets") or {},
    )


def _commit_subject(source: ScmSource | None) -> str | Answer:
    if source is None or source.commit_id is None:
        return NOT_ASKED
    repository = repository_of(source.url)
    if repository is None:
        return Answer(outcome="unknown", reason=f"the source's URL names no repository: {source.url[:120]!r}")
    return f"{repository}@{source.commit_id}"


def _listed(row: Row | None, life: Row | None) -> Listed:
    listed_at = from_millis(life["listed_at"]) if life is not None and life["listed_at"] is not None else ""
    if row is None:
        return Listed(listed_at=listed_at)
    return Listed(
        listed_at=listed_at,
        state=row["state"],
        asked_at=from_millis(row["asked_at"]),
        launched_at=row["launched_at"],
        user_data_digest=row["user_data_digest"],
        user_data_unread=row["user_data_unread"],
        ledger_index=row["ledger_index"],
    )


def _life(row: Row | None) -> dict[str, Any]:
    if row is None:
        return {}
    return {"life": row["life"], "life_since": from_millis(row["since"]) if row["since"] is not None else ""}


def _heard(last_seen: str | None, silent_before: datetime) -> Heard:
    if last_seen is None:
        return "never"
    return "silent" if parse_instant(last_seen) < silent_before else "speaking"


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


def _wanted(subject: Subject, moment: Moment) -> Wanted:
    named: dict[str, Any] = {subject.kind: subject.value}
    return Wanted(**named, version=subject.version, moment=moment)
