"""Rows of applications as values, and as Kio and Whence show them. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypedDict

import msgspec

from whence_aggregator.applications.draft import Draft
from whence_aggregator.applications.fields import FIELDS, required_approvers
from whence_aggregator.queries.applications import (
    ApplicationFirstRow,
    ApplicationHandoversRow,
    ApplicationsBegunRow,
    ApplicationsRankedRow,
    ApplicationWordsOfRow,
)


class RevisionRow(TypedDict):
    """A row of a revision."""

    application_id: str
    revision: int
    recorded_at: str
    recorded_by: str
    body: str
    ledger_index: int


class ListedRow(RevisionRow):
    """A row of a revision with the application's creation."""

    created_at: str
    created_by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Newest:
    """The newest revision of an application; `revision` is 0 and `draft` None before the first."""

    revision: int = 0
    draft: Draft | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """An application as it is shown, and its revision."""

    shown: dict[str, Any]
    revision: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """An open offer. `number` is the ledger index of its entry."""

    number: int
    from_team: str
    to_team: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Hit:
    """What a search found, with its rank."""

    application_id: str
    rank: int

    @property
    def cursor(self) -> str:
        return f"{self.rank}~{self.application_id}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Indexable:
    """An application as lists filter it; its words with their scores are given beside it."""

    application_id: str
    team: str
    incident_contact: str
    active: bool
    recorded_at: str


def begun_spans(rows: Sequence[ApplicationsBegunRow]) -> list[tuple[int, Indexable]]:
    """Return the applications whose newest revisions are these, with the ledger indexes of those."""
    return [
        (
            row["ledger_index"],
            Indexable(
                application_id=row["application_id"],
                team=row["team_id"],
                incident_contact=row["incident_contact"],
                active=bool(row["active"]),
                recorded_at=row["recorded_at"],
            ),
        )
        for row in rows
    ]


def words_by_application(rows: Sequence[ApplicationWordsOfRow]) -> dict[str, dict[str, int]]:
    """Return the words of applications with their scores."""
    found: dict[str, dict[str, int]] = {}
    for row in rows:
        found.setdefault(row["application_id"], {})[row["word"]] = row["score"]
    return found


def newest_of(rows: Sequence[RevisionRow]) -> Newest:
    """Return the newest revision, of the row that there is at most."""
    return Newest(revision=rows[0]["revision"], draft=Draft.of(_body(rows[0]))) if rows else Newest()


def read_kio(row: RevisionRow, first: ApplicationFirstRow) -> Read:
    """Return a single application as Kio shows it."""
    kio = _body(row)["kio"]
    shown = {**_shown(row, kio, _created(first)), "required_approvers": required_approvers(kio)}
    return Read(shown=shown, revision=row["revision"])


def read_whole(row: RevisionRow, first: ApplicationFirstRow) -> Read:
    """Return a single application with what Kio has not."""
    return Read(shown=_whole(row, _created(first)), revision=row["revision"])


def listed_application(row: ListedRow) -> dict[str, Any]:
    """Return an application of Kio's list."""
    return _shown(row, _body(row)["kio"], (row["created_at"], row["created_by"]))


def listed_whole(row: ListedRow) -> dict[str, Any]:
    """Return an application of Whence's list."""
    return _whole(row, (row["created_at"], row["created_by"]))


def last_id(rows: Sequence[ListedRow]) -> str:
    """Return the last id of a page, after which the next page begins."""
    return rows[-1]["application_id"]


def hits(rows: Sequence[ApplicationsRankedRow]) -> list[Hit]:
    """Return what a search found, in order."""
    return [Hit(application_id=row["application_id"], rank=row["rank"]) for row in rows]


def shown_revisions(rows: Sequence[RevisionRow], limit: int) -> tuple[list[dict[str, Any]], str | None]:
    """Return up to `limit` revisions with their changes, and the cursor of the next page.

    The row after each, newest first, is the revision before it. Where others between them were removed, their changes
    cannot be told from its own: `removed_before` is how many.
    """
    shown = [_revision(row, rows[at + 1] if at + 1 < len(rows) else None) for at, row in enumerate(rows[:limit])]
    return shown, str(rows[limit - 1]["revision"]) if len(rows) > limit else None


def open_offer(rows: Sequence[ApplicationHandoversRow]) -> Offer | None:
    """Return the offer that the newest row leaves open."""
    if not rows or rows[0]["action"] != "offered":
        return None
    return Offer(number=rows[0]["number"], from_team=rows[0]["from_team"], to_team=rows[0]["to_team"])


def shown_handover(row: ApplicationHandoversRow) -> dict[str, Any]:
    """Return what became of an offer, as it was recorded."""
    return {
        "offer": row["number"],
        "action": row["action"],
        "from_team": row["from_team"],
        "to_team": row["to_team"],
        "note": row["note"],
        "recorded_at": row["recorded_at"],
        "recorded_by": row["recorded_by"],
        "subject": msgspec.json.decode(row["subject"]),
        "ledger_index": row["ledger_index"],
    }


def _body(row: RevisionRow) -> dict[str, Any]:
    body: dict[str, Any] = msgspec.json.decode(row["body"])
    return body


def _created(row: ApplicationFirstRow) -> tuple[str, str]:
    return row["recorded_at"], row["recorded_by"]


def _shown(row: RevisionRow, kio: Mapping[str, Any], created: tuple[str, str]) -> dict[str, Any]:
    return {
        "id": row["application_id"],
        **kio,
        "created": created[0],
        "created_by": created[1],
        "last_modified": row["recorded_at"],
        "last_modified_by": row["recorded_by"],
    }


def _whole(row: RevisionRow, created: tuple[str, str]) -> dict[str, Any]:
    draft = Draft.of(_body(row))
    return {
        **_shown(row, draft.kio, created),
        "required_approvers": required_approvers(draft.kio),
        "repositories": list(draft.repositories),
        "trackers": [one.to_wire() for one in draft.trackers],
        "revision": row["revision"],
        "ledger_index": row["ledger_index"],
    }


def _revision(row: RevisionRow, before: RevisionRow | None) -> dict[str, Any]:
    body = _body(row)
    return {
        "revision": row["revision"],
        "removed_before": row["revision"] - 1 - (before["revision"] if before is not None else 0),
        "ledger_index": row["ledger_index"],
        "recorded_at": row["recorded_at"],
        "recorded_by": row["recorded_by"],
        "subject": body.get("subject"),
        "changes": _changes(_body(before) if before is not None else None, body),
    }


def _changes(before: Mapping[str, Any] | None, after: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the changed fields between two bodies. In a first revision these are the fields with a value."""
    old = _fields(before) if before is not None else {}
    return [
        {"field": name, "from": old.get(name), "to": value}
        for name, value in _fields(after).items()
        if (value != old.get(name) if before is not None else value not in (None, [], ""))
    ]


def _fields(body: Mapping[str, Any]) -> dict[str, Any]:
    draft = Draft.of(body)
    return {
        **{name: draft.kio.get(name) for name in FIELDS},
        "repositories": list(draft.repositories),
        "trackers": [one.to_wire() for one in draft.trackers],
    }
