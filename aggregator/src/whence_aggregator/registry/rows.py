"""Rows of manifests, tags and keys as values, and as the OCI API and Pier One's show them. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypedDict

import msgspec

from whence_aggregator.queries.collect import FactsNowRow
from whence_aggregator.queries.query import BoundQueries, BoundQuery
from whence_aggregator.queries.registry import (
    CountTeamRow,
    CountTeamsRow,
    ImagesListedRow,
    ManifestOfRow,
    ReferrersOfRow,
    RepositoriesAfterRow,
    RepositoriesOfTeamRow,
    StandingOfKeyRow,
    SumBlobsRow,
    TagOfRow,
    TagsByAgeRow,
    TagsOfDigestRow,
    TagsWithImageRow,
    TeamsWithTagsRow,
)
from whence_aggregator.queries.trace import ImagesOfCommitRow, TagDigestsRow
from whence_aggregator.registry.standing import Standing
from whence_aggregator.trace.life import as_life

TagAsked = BoundQuery[TagsOfDigestRow]
PushAsked = BoundQueries[tuple[Sequence[TagOfRow], Sequence[ManifestOfRow]]]
StandingAsked = BoundQueries[tuple[Sequence[StandingOfKeyRow]]]


class _Tag(TypedDict):
    tag: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredManifest:
    """A manifest that was pushed. `child` is the image that an index stands for."""

    digest: str
    media_type: str
    size: int
    image: str
    child: str

    @property
    def is_image(self) -> bool:
        return bool(self.image or self.child)


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredTag:
    """A tag, and the digest that it names."""

    tag: str
    digest: str
    created_at: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedImage:
    """An image of the list, by its tag. `shown` has the fields that need no further query."""

    repository: str
    tag: str
    digest: str
    child: str
    shown: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceFact:
    """A collected fact about the source of an image."""

    subject: str
    reason: str
    value: dict[str, Any]


def key_standing(row: StandingOfKeyRow) -> Standing:
    return Standing(
        instance_id=row["instance_id"],
        account_id=row["account_id"],
        region=row["region"],
        enrolment=row["enrolment"],
        newest=row["newest"],
        life=as_life(row["life"]),
        listed_at=row["listed_at"] if row["listed"] else None,
        bound_at=row["bound_at"] or 0,
    )


def manifest(rows: Sequence[ManifestOfRow]) -> StoredManifest | None:
    if not rows:
        return None
    row = rows[0]
    return StoredManifest(
        digest=row["digest"],
        media_type=row["media_type"],
        size=row["size"],
        image=row["image"],
        child=row["child"],
    )


def stored_tag(rows: Sequence[TagOfRow]) -> StoredTag | None:
    if not rows:
        return None
    row = rows[0]
    return StoredTag(tag=row["tag"], digest=row["digest"], created_at=row["created_at"])


def tags(rows: Sequence[_Tag]) -> list[str]:
    return [row["tag"] for row in rows]


def repositories(rows: Sequence[RepositoriesAfterRow]) -> list[str]:
    return [row["repository"] for row in rows]


def artifacts(rows: Sequence[RepositoriesOfTeamRow]) -> list[str]:
    """Return the names of a team's repositories without the team."""
    return [row["repository"].partition("/")[2] for row in rows]


def teams(rows: Sequence[TeamsWithTagsRow]) -> list[str]:
    return [row["team"] for row in rows]


def tag_of_pierone(row: TagsByAgeRow) -> dict[str, Any]:
    """Return a tag as Pier One shows it."""
    return {
        "name": row["tag"], "created": row["created_at"], "created_by": row["created_by"], "image": row["image"],
        "clair_id": None, "severity_fix_available": None, "severity_no_fix_available": None, "clair_details": None,
    }  # fmt: skip


def tags_with_image(rows: Sequence[TagsWithImageRow]) -> tuple[set[str], list[dict[str, str]]]:
    """Return the images that were found, and their tags as Pier One shows them."""
    shown = [
        {"name": row["name"], "team": row["team"], "artifact": row["repository"].partition("/")[2]} for row in rows
    ]
    return {row["image"] for row in rows}, shown


def storage(rows: Sequence[SumBlobsRow]) -> int | None:
    """Return how many bytes all blobs have; None when there is no blob."""
    return rows[0]["storage"]


def team_counts(row: CountTeamRow | CountTeamsRow) -> dict[str, int]:
    return {"artifacts": row["artifacts"], "tags": row["tags"]}


def counts_by_team(rows: Sequence[CountTeamsRow]) -> list[dict[str, Any]]:
    return [{"team": row["team"], "stats": team_counts(row)} for row in rows]


def descriptor(row: ReferrersOfRow) -> dict[str, Any]:
    """Return the descriptor of a referrer."""
    found: dict[str, Any] = {"mediaType": row["media_type"], "digest": row["digest"], "size": row["size"]}
    if row["artifact_type"]:
        found["artifactType"] = row["artifact_type"]
    annotations = msgspec.json.decode(row["annotations"])
    if annotations:
        found["annotations"] = annotations
    return found


def image_digests(rows: Sequence[ImagesOfCommitRow]) -> list[str]:
    return [row["image_digest"] for row in rows]


def listed_image(row: ImagesListedRow) -> ListedImage:
    return ListedImage(
        repository=row["repository"],
        tag=row["tag"],
        digest=row["digest"],
        child=row["child"],
        shown={
            "repository": row["repository"],
            "tag": row["tag"],
            "digest": row["digest"],
            "team": row["team"],
            "media_type": row["media_type"],
            "created_at": row["created_at"],
            "created_by": row["created_by"],
            "ledger_index": row["ledger_index"],
        },
    )


def source_facts(rows: Sequence[FactsNowRow]) -> dict[str, SourceFact]:
    """Return facts about the sources of images, by their subjects."""
    return {
        row["subject"]: SourceFact(
            subject=row["subject"], reason=row["reason"], value=msgspec.json.decode(row["value"])
        )
        for row in rows
    }


def digests_seen(rows: Sequence[TagDigestsRow], said_by: str) -> dict[str, int]:
    """Return how many digests each reference was seen to name, as `said_by` stated."""
    found: dict[str, int] = {}
    for row in rows:
        if row["said_by"] == said_by:
            found[row["reference"]] = found.get(row["reference"], 0) + 1
    return found
