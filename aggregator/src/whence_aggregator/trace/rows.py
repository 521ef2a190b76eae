"""Rows of the database as the values that facts are made of, and the questions that give them. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec

from whence_aggregator.ports import Row
from whence_aggregator.queries.query import BoundQuery, array
from whence_aggregator.queries.trace import FACTS_AT, FactsAtRow
from whence_aggregator.queries.work import TASKS_OF, TasksOfParameters, TasksOfRow
from whence_aggregator.trace.facts import (
    BRANCH_KIND,
    NOT_ASKED,
    Answer,
    Heard,
    InventoryFacts,
    Registered,
    StoredStatement,
)
from whence_aggregator.trace.moment import Moment
from whence_aggregator.trace.tags import TagSeen
from whence_common.clock import from_millis, parse_instant
from whence_common.image_reference import image_subject
from whence_common.scm_source import ScmSource, repository_of
from whence_common.statement import ImageFacts


def subject_of_image(image: ImageFacts) -> str:
    return image_subject(image.repository, image.digest, image.index_digest)


def by_tag(rows: Sequence[Row]) -> dict[str, list[TagSeen]]:
    found: dict[str, list[TagSeen]] = {}
    for row in rows:
        found.setdefault(row["reference"], []).append(TagSeen.of(row))
    return found


def commit_in_statement(statement: StoredStatement) -> str | None:
    """Name the commit that the agent read out of the image."""
    seen = statement.predicate.scm_source
    if seen is None or seen.document is None:
        return None
    subject = subject_of_commit(ScmSource.from_wire(seen.document))
    return subject if isinstance(subject, str) else None


def questions(
    kind: str, subjects: Sequence[str], moment: Moment
) -> tuple[BoundQuery[FactsAtRow], BoundQuery[TasksOfRow]]:
    """Ask for facts. Contents of images and commits do not change, so they count when known by `known_at`; what a
    branch reaches changes, and counts when recorded by the time asked about."""
    named: TasksOfParameters = {"kind": kind, "subjects": array(list(subjects))}
    past = moment.past if kind == BRANCH_KIND else moment.known_past
    return FACTS_AT.bind({**named, "past": past}), TASKS_OF.bind(named)


def merged(subjects: Sequence[str], found: Sequence[Row], waiting: Sequence[Row], moment: Moment) -> dict[str, Answer]:
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


def registered(row: Row) -> Registered:
    body = msgspec.json.decode(row["body"])
    return Registered(
        recorded_at=row["recorded_at"],
        ledger_index=row["ledger_index"],
        kio=body["kio"],
        tickets=body.get("tickets") or {},
    )


def subject_of_commit(source: ScmSource | None) -> str | Answer:
    if source is None or source.commit_id is None:
        return NOT_ASKED
    repository = repository_of(source.url)
    if repository is None:
        return Answer(outcome="unknown", reason=f"the source's URL names no repository: {source.url[:120]!r}")
    return f"{repository}@{source.commit_id}"


def listed_of(row: Row | None, life: Row | None) -> InventoryFacts:
    listed_at = from_millis(life["listed_at"]) if life is not None and life["listed_at"] is not None else ""
    if row is None:
        return InventoryFacts(listed_at=listed_at)
    return InventoryFacts(
        listed_at=listed_at,
        state=row["state"],
        asked_at=from_millis(row["asked_at"]),
        launched_at=row["launched_at"],
        user_data_digest=row["user_data_digest"],
        user_data_unread=row["user_data_unread"],
        ledger_index=row["ledger_index"],
    )


def life_facts(row: Row | None) -> dict[str, Any]:
    if row is None:
        return {}
    return {"life": row["life"], "life_since": from_millis(row["since"]) if row["since"] is not None else ""}


def heard_of(last_seen: str | None, silent_before: datetime) -> Heard:
    if last_seen is None:
        return "never"
    return "silent" if parse_instant(last_seen) < silent_before else "speaking"
