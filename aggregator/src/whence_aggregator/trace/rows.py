"""Rows of the database as the values that facts are made of, and the queries that return them. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, TypedDict, cast

import msgspec

from whence_aggregator.ledger.rows import PackedEntry, packed
from whence_aggregator.queries.agents import EnrolmentsOfRow
from whence_aggregator.queries.applications import ApplicationsOwnedRow
from whence_aggregator.queries.approvals import CommitsOfImagesRow
from whence_aggregator.queries.query import BoundQuery, array
from whence_aggregator.queries.trace import (
    FACTS_AT,
    ApplicationsAtRow,
    ApplicationsOfCommitsRow,
    FactsAtRow,
    ImageJobsRow,
    InventoryOfRow,
    LivesOfRow,
    SeenRow,
    StatementsLaterRow,
    StatementsOfRow,
    TagDigestsRow,
)
from whence_aggregator.queries.work import TASKS_OF, TasksOfParameters, TasksOfRow
from whence_aggregator.trace.facts import (
    DATED_KINDS,
    NOT_ASKED,
    Answer,
    AnswerOutcome,
    Heard,
    HeardClock,
    InventoryFacts,
    Registered,
)
from whence_aggregator.trace.life import Life, as_life
from whence_aggregator.trace.moment import Moment
from whence_aggregator.trace.pushing_job import PushingJob
from whence_aggregator.trace.registered import repositories_of, trackers_of
from whence_aggregator.trace.stored_statement import StatementRecord, StoredStatement
from whence_aggregator.trace.tags import TagSeen
from whence_common.clock import from_millis, parse_instant
from whence_common.image_reference import image_subject
from whence_common.repositories import repository_named
from whence_common.scm_source import ScmSource, without_credentials
from whence_common.statement import ImageFacts


def subject_of_image(image: ImageFacts) -> str:
    return image_subject(image.repository, image.digest, image.index_digest)


def subject_of_ami(identity: Mapping[str, Any]) -> str:
    """Return the subject of facts about the AMI of an identity document, as its account sees it; empty without one."""
    image_id = identity.get("image_id")
    return f"{identity.get('account_id')}/{identity.get('region')}/{image_id}" if image_id else ""


class _Statement(TypedDict):
    instance_id: str
    enrolment: int
    observed_at: int
    recorded_at: int
    ledger_index: int
    body: bytes | None
    base_body: bytes | None


@dataclass(frozen=True, slots=True, kw_only=True)
class LifeFacts:
    """An instance's life, since when, and when the newest listing of its account and region began; empty: unknown."""

    life: Life = "unknown"
    since: str = ""
    listed_at: str = ""
    unread: str = ""
    """Why the newest listings failed; empty while too few did."""


_NO_LIFE = LifeFacts()


@dataclass(frozen=True, slots=True, kw_only=True)
class HeardFacts:
    """When an instance was heard last, and its clock by the newest heartbeat; None if no heartbeat was accepted."""

    last_seen: str
    clock: HeardClock | None


@dataclass(frozen=True, slots=True, kw_only=True)
class LateStatements:
    """The newest statements of an instance that were reported later, and their total number."""

    total: int
    records: Sequence[StatementRecord]


def statement_record(row: _Statement) -> StatementRecord:
    return StatementRecord(
        instance_id=row["instance_id"],
        enrolment=row["enrolment"],
        observed_at=from_millis(row["observed_at"]),
        recorded_at=from_millis(row["recorded_at"]),
        packed=packed(row),
    )


def shown_statement(row: StatementsOfRow) -> tuple[dict[str, object], PackedEntry]:
    """Return the shown columns of a statement, without its digest, and its packed bytes."""
    shown: dict[str, object] = {
        "ledger_index": row["ledger_index"],
        "enrolment": row["enrolment"],
        "sequence": row["sequence"],
        "cause": row["cause"],
        "observed_at": from_millis(row["observed_at"]),
        "recorded_at": from_millis(row["recorded_at"]),
        "image_digest": row["image_digest"] or None,
    }
    return shown, packed(row)


def late_statements(rows: Sequence[StatementsLaterRow]) -> dict[str, LateStatements]:
    """Return the statements that were reported later, by instance id."""
    found: dict[str, list[StatementsLaterRow]] = {}
    for row in rows:
        found.setdefault(row["instance_id"], []).append(row)
    return {
        name: LateStatements(total=some[0]["total"], records=[statement_record(row) for row in some])
        for name, some in found.items()
    }


def enrolment(row: EnrolmentsOfRow) -> tuple[str, PackedEntry]:
    """Return the id of the instance that enrolled, and the entry."""
    return row["instance_id"], packed(row)


def heard_facts(rows: Sequence[SeenRow]) -> dict[str, HeardFacts]:
    return {row["instance_id"]: HeardFacts(last_seen=from_millis(row["seen_at"]), clock=_clock(row)) for row in rows}


def _clock(row: SeenRow) -> HeardClock | None:
    if not row["counter"]:
        return None
    return HeardClock(skew=timedelta(milliseconds=row["skew_millis"]), confirmed=bool(row["skew_confirmed"]))


def lives(rows: Sequence[LivesOfRow]) -> dict[str, LifeFacts]:
    return {
        row["instance_id"]: LifeFacts(
            life=as_life(row["life"]),
            since=_instant(row["since"]),
            listed_at=_instant(row["listed_at"]),
            unread=row["unread"],
        )
        for row in rows
    }


def inventory(rows: Sequence[InventoryOfRow], known: Mapping[str, LifeFacts]) -> dict[str, InventoryFacts]:
    """Return instances as the EC2 API lists them, by id, with the time of the newest listing from their lives."""
    return {
        row["instance_id"]: InventoryFacts(
            listed_at=known.get(row["instance_id"], _NO_LIFE).listed_at,
            unread=known.get(row["instance_id"], _NO_LIFE).unread,
            state=row["state"],
            asked_at=from_millis(row["asked_at"]),
            launched_at=row["launched_at"],
            user_data_digest=row["user_data_digest"],
            user_data_unread=row["user_data_unread"],
            **_details(row["details"]),
            ledger_index=row["ledger_index"],
        )
        for row in rows
    }


class _Details(TypedDict):
    key_name: str | None
    imds_tokens: str | None
    secrets: tuple[str, ...] | None
    doubtful: tuple[str, ...] | None


def _details(text: str | None) -> _Details:
    """Return the further members of an entry of the inventory; old ones state none of them."""
    found = msgspec.json.decode(text) if text else {}
    secrets, doubtful = (found.get(name) for name in ("user_data_secrets", "user_data_doubtful"))
    return {
        "key_name": found.get("key_name"), "imds_tokens": found.get("imds_tokens"),
        "secrets": tuple(secrets.splitlines()) if secrets is not None else None,
        "doubtful": tuple(doubtful.splitlines()) if doubtful is not None else None,
    }  # fmt: skip


def _instant(millis: int | None) -> str:
    return from_millis(millis) if millis is not None else ""


def names_of(images: Iterable[ImageFacts]) -> list[str]:
    """Return the names of images: by manifest, then by the index that contains it."""
    return list(
        dict.fromkeys(
            f"{one.repository}@{digest}" for one in images for digest in (one.digest, one.index_digest) if digest
        )
    )


def pushing_jobs(rows: Sequence[ImageJobsRow]) -> dict[str, PushingJob]:
    """Return the jobs that pushed images, by image."""
    return {row["image"]: _pushing_job(row) for row in rows}


def _pushing_job(row: ImageJobsRow) -> PushingJob:
    source = ScmSource.from_wire({"url": without_credentials(row["source_url"]), "revision": row["commit_id"]})
    return PushingJob(name=row["job"], source=source, pushed_at=row["pushed_at"], ledger_index=row["ledger_index"])


def by_tag(rows: Sequence[TagDigestsRow]) -> dict[str, list[TagSeen]]:
    found: dict[str, list[TagSeen]] = {}
    for row in rows:
        seen = TagSeen(digest=row["digest"], said_by=row["said_by"], ledger_index=row["ledger_index"])
        found.setdefault(row["reference"], []).append(seen)
    return found


def applications(rows: Sequence[ApplicationsAtRow]) -> dict[str, Registered]:
    """Return registered applications, by id."""
    return {row["application_id"]: _registered(row) for row in rows}


def application_ids(rows: Sequence[ApplicationsOwnedRow] | Sequence[ApplicationsOfCommitsRow]) -> list[str]:
    """Return the ids of applications."""
    return [row["application_id"] for row in rows]


def commit_in_statement(statement: StoredStatement) -> str | None:
    """Return the subject of the commit that the agent read from the image; None without one."""
    seen = statement.predicate.scm_source
    if seen is None or seen.document is None:
        return None
    subject = subject_of_commit(ScmSource.from_wire(seen.document))
    return subject if isinstance(subject, str) else None


def questions(
    kind: str, subjects: Sequence[str], moment: Moment
) -> tuple[BoundQuery[FactsAtRow], BoundQuery[TasksOfRow]]:
    """Return the queries for facts of a kind.

    Contents of images and commits do not change, so they count when recorded by `known_at`. What a branch reaches,
    which keys are trusted, reviews and tickets change, so they count when recorded by `at`.
    """
    named: TasksOfParameters = {"kind": kind, "subjects": array(list(subjects))}
    past = moment.past if kind in DATED_KINDS else moment.known_past
    return FACTS_AT.bind({**named, "past": past}), TASKS_OF.bind(named)


def merged(
    subjects: Sequence[str], found: Sequence[FactsAtRow], waiting: Sequence[TasksOfRow], moment: Moment
) -> dict[str, Answer]:
    """Return the answer for each subject. Waiting tasks are known only of the present."""
    known = {row["subject"]: _answer(row) for row in found}
    if moment.is_now:
        waits = {row["subject"]: row for row in waiting}
        read = {
            one: replace(answer, read=_read(waits[one]), due_at=waits[one]["due_at"], failed=_failed(waits[one]))
            for one, answer in known.items()
            if one in waits
        }
        known = {**{subject: _waiting(row) for subject, row in waits.items()}, **known, **read}
        return {subject: known.get(subject, NOT_ASKED) for subject in subjects}
    nothing = Answer(outcome="unknown", reason=f"not recorded by {moment.known_at}")
    return {subject: known.get(subject, nothing) for subject in subjects}


def _answer(row: FactsAtRow) -> Answer:
    return Answer(
        outcome=cast(AnswerOutcome, row["outcome"]),
        reason=row["reason"],
        value=msgspec.json.decode(row["value"]),
        observed_at=row["observed_at"],
        ledger_index=row["ledger_index"],
    )


def _waiting(row: TasksOfRow) -> Answer:
    if not row["reason"]:
        return Answer(outcome="unknown", reason=f"{NOT_ASKED.reason}; due at {row['due_at']}", waits=NOT_ASKED.reason)
    return Answer(outcome="unknown", reason=f"{row['reason']}; next attempt at {row['due_at']}", waits=row["reason"])


def _failed(row: TasksOfRow) -> str:
    """Return why the newest attempts to read it again failed, without the time of the next one."""
    return f"it could not be read again since {row['failed_at']}: {row['reason']}" if row["failed_at"] else ""


def commits_of(rows: Sequence[CommitsOfImagesRow]) -> list[tuple[str, str]]:
    """Return the commits of images with their repositories, each once."""
    return list(dict.fromkeys((row["commit_id"], row["repository"]) for row in rows))


def found_commits(rows: Sequence[FactsAtRow]) -> dict[str, Mapping[str, object]]:
    """Return what was read of commits, by subject."""
    return {row["subject"]: msgspec.json.decode(row["value"]) for row in rows if row["outcome"] == "found"}


def _read(row: TasksOfRow) -> str:
    return f"{row['reason'] or 'not read again yet'}; next attempt at {row['due_at']}"


def _registered(row: ApplicationsAtRow) -> Registered:
    body = msgspec.json.decode(row["body"])
    return Registered(
        recorded_at=row["recorded_at"],
        ledger_index=row["ledger_index"],
        kio=body["kio"],
        trackers=trackers_of(body),
        repositories=repositories_of(body),
    )


def subject_of_commit(source: ScmSource | None) -> str | Answer:
    if source is None or source.commit_id is None:
        return NOT_ASKED
    repository = repository_named(source.url)
    if repository is None:
        return Answer(outcome="unknown", reason=f"the source's URL is not that of a repository: {source.url[:120]!r}")
    return f"{repository}@{source.commit_id}"


def heard_of(last_seen: str | None, silent_before: datetime) -> Heard:
    if last_seen is None:
        return "never"
    return "silent" if parse_instant(last_seen) < silent_before else "speaking"
