"""Rows of versions and approvals as values. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from whence_aggregator.approvals.values import PUSH, Approval, SeenDigest, Version, VersionKey, VersionRevision
from whence_aggregator.queries.approvals import (
    ApprovalsAtRow,
    ApprovalTypesOfRow,
    VersionDigestsAtRow,
    VersionRevisionsAtRow,
    VersionsAfterRow,
)
from whence_aggregator.queries.trace import ApplicationsAtRow, TagDigestsRow
from whence_common.clock import from_millis

_REGISTRIES = {"front": "the registry front", "registry": "the registry"}
"""Values of `said_by` of a tag's digests that count; statements of instances do not."""


def revisions_of(rows: Iterable[VersionRevisionsAtRow]) -> dict[VersionKey, list[VersionRevision]]:
    """Return what was stated about versions, oldest first."""
    found: dict[VersionKey, list[VersionRevision]] = {}
    for row in rows:
        one = VersionRevision(
            artifact=row["artifact"],
            reference=row["reference"],
            digest=row["digest"],
            notes=row["notes"],
            recorded_at=row["recorded_at"],
            recorded_by=row["recorded_by"],
            ledger_index=row["ledger_index"],
        )
        found.setdefault((row["application_id"], row["version"]), []).append(one)
    return found


def approvals_of(rows: Iterable[ApprovalsAtRow]) -> dict[VersionKey, list[Approval]]:
    """Return approvals, oldest first."""
    found: dict[VersionKey, list[Approval]] = {}
    for row in rows:
        one = Approval(
            digest=row["digest"],
            type=row["approval_type"],
            person=row["person"],
            user_id=row["user_id"],
            emails=tuple(msgspec.json.decode(row["emails"], type=list[str])),
            notes=row["notes"],
            approved_at=row["approved_at"],
            ledger_index=row["ledger_index"],
        )
        found.setdefault((row["application_id"], row["version"]), []).append(one)
    return found


def seen_digests(rows: Iterable[VersionDigestsAtRow], teams: Mapping[str, str]) -> dict[VersionKey, list[SeenDigest]]:
    """Return digests of pushes and statements.

    A push to a repository of a team that owns the application neither now nor at the push does not count: any team may
    name an image after it. What a former owner pushed stays, with its approvals.
    """
    found: dict[VersionKey, list[SeenDigest]] = {}
    for row in rows:
        pushed = row["said_by"] == PUSH
        if pushed and not row["owned"] and teams.get(row["application_id"]) != row["team"]:
            continue
        one = SeenDigest(
            digest=row["digest"],
            source="push" if pushed else "statement",
            said_by=row["team"] if pushed else row["said_by"],
            reference=row["artifact"],
            ledger_index=row["ledger_index"],
            recorded_at=from_millis(row["recorded_at"] or 0),
        )
        found.setdefault((row["application_id"], row["version"]), []).append(one)
    return found


def tag_digests_of(rows: Iterable[TagDigestsRow]) -> dict[str, list[TagDigestsRow]]:
    """Return what the front and registries stated about references, oldest first."""
    found: dict[str, list[TagDigestsRow]] = {}
    for row in rows:
        if row["said_by"] in _REGISTRIES:
            found.setdefault(row["reference"], []).append(row)
    return found


def newest_digest(rows: Sequence[TagDigestsRow]) -> str:
    """Return the digest that a reference was last seen to point to; empty if it was never seen."""
    counted = [row for row in rows if row["said_by"] in _REGISTRIES]
    return max(counted, key=lambda row: row["ledger_index"])["digest"] if counted else ""


def version_of(
    key: VersionKey,
    revisions: Sequence[VersionRevision],
    seen: Sequence[SeenDigest],
    tags: Sequence[TagDigestsRow],
    approvals: Sequence[Approval],
) -> Version:
    """Return a version. `tags` are the digests of the reference that its newest revision names."""
    digests = list(seen)
    for one in revisions:
        if one.digest:
            digests.append(SeenDigest(
                digest=one.digest, source="stated", said_by=one.recorded_by, reference=one.reference,
                ledger_index=one.ledger_index, recorded_at=one.recorded_at,
            ))  # fmt: skip
    since = revisions[-1] if revisions else None
    for row in tags:
        if since is not None and row["ledger_index"] > since.ledger_index:
            digests.append(SeenDigest(
                digest=row["digest"], source="tag", said_by=_REGISTRIES[row["said_by"]], reference=row["reference"],
                ledger_index=row["ledger_index"], recorded_at="",
            ))  # fmt: skip
    digests.sort(key=lambda one: (one.ledger_index, one.digest))
    return Version(
        application_id=key[0], version=key[1], revisions=tuple(revisions), digests=tuple(digests),
        approvals=tuple(approvals),
    )  # fmt: skip


def names_of(rows: Sequence[VersionsAfterRow]) -> list[str]:
    """Return the names of versions."""
    return [row["version"] for row in rows]


def types_of(rows: Sequence[ApprovalTypesOfRow]) -> list[str]:
    """Return types of approvals."""
    return [row["approval_type"] for row in rows]


def application_body(row: ApplicationsAtRow) -> dict[str, Any]:
    """Return what is stored of an application: Kio's fields, and the form of its tickets."""
    found: dict[str, Any] = msgspec.json.decode(row["body"])
    return found
