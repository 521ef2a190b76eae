"""Rows about the commits of images and their authors as values. Pure."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from whence_aggregator.approvals.people import Authors
from whence_aggregator.queries.approvals import CommitAuthorsRow, CommitsStatedOfImagesRow
from whence_aggregator.trace.tags import REGISTRY

NOT_VERIFIED = "its signature is not verified: only that of the image's own commit is"
_Stated = tuple[str, str, str, int]
"""Author, message where it may name co-authors, trailers as JSON, and their number."""


def stated_commits(rows: Sequence[CommitsStatedOfImagesRow], repository: str) -> dict[str, list[str]]:
    """Return the commits that were stated for images, by image: those of the repository first, and by a registry first.

    Labels of a base image name another repository; what only an agent states does not outweigh the image itself.
    """
    ranked: dict[str, dict[tuple[bool, bool], dict[str, None]]] = {}
    for row in rows:
        rank = row["repository"] != repository, row["said_by"] != REGISTRY
        ranked.setdefault(row["image_digest"], {}).setdefault(rank, {})[row["commit_id"]] = None
    return {image: list(found[min(found)]) for image, found in ranked.items()}


def heads_of(rows: Sequence[CommitsStatedOfImagesRow]) -> dict[str, list[str]]:
    """Return the commits that were stated for images as `host/path@commit`, by image; by a registry first."""
    ranked: dict[str, dict[bool, dict[str, None]]] = {}
    for row in rows:
        subject = f"{row['repository']}@{row['commit_id']}"
        ranked.setdefault(row["image_digest"], {}).setdefault(row["said_by"] != REGISTRY, {})[subject] = None
    return {image: list(found[min(found)]) for image, found in ranked.items()}


def authors_by_subject(rows: Sequence[CommitAuthorsRow]) -> dict[str, Authors]:
    """Return the authors of commits that were read, by the subjects of their facts."""
    known: dict[_Stated, Authors] = {}  # of a thousand commits, few people are the authors
    found = {}
    for row in rows:
        if row["outcome"] == "found":
            stated = (row["author"] or "", row["message"] or "", row["trailers"] or "[]", row["trailers_total"] or 0)
            if stated not in known:
                known[stated] = _authors(*stated)
            found[row["subject"]] = known[stated]
    return found


def _authors(author: str, message: str, trailers: str, total: int) -> Authors:
    kept = msgspec.json.decode(trailers, type=list[tuple[str, str]])
    found = Authors.of_commit(author, message, kept, unproved=NOT_VERIFIED)
    if total > len(kept):
        return found.with_those_of(Authors(unknown=f"only {len(kept)} of its trailers were kept"))
    return found
