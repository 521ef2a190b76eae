"""Search for images by team, name, tag, digest or commit, with the known facts about their source."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from whence_aggregator.ports import Database
from whence_aggregator.projections.events import claims_in
from whence_aggregator.queries.collect import FACTS_NOW
from whence_aggregator.queries.query import EVERY_ENTRY, array, together
from whence_aggregator.queries.registry import IMAGES_LISTED, ImagesListedParameters
from whence_aggregator.queries.trace import IMAGES_OF_COMMIT, TAG_DIGESTS
from whence_aggregator.registry.rows import (
    ListedImage,
    SourceFact,
    digests_seen,
    image_digests,
    listed_image,
    source_facts,
)
from whence_aggregator.registry.sources import subject_of
from whence_aggregator.trace.tags import FRONT
from whence_common.image_provenance import choose

_COMMIT_IMAGES_MAX = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class WantedImages:
    """Filters of images; None: no filter."""

    team: str | None = None
    repository: str | None = None
    tag: str | None = None
    digest: str | None = None
    commit: str | None = None
    """A commit id or a prefix of one."""
    text: str | None = None
    """Text that the repository's name or the tag contains."""


class ImageListing:
    """Lists images. `name` is the registry's host."""

    def __init__(self, *, database: Database, name: str) -> None:
        self._database = database
        self._name = name

    async def images(self, wanted: WantedImages, *, after: str, limit: int) -> tuple[list[dict[str, Any]], str | None]:
        """Return a page of images by repository and tag, and the cursor of the next page."""
        repository, _, tag = after.partition("~")
        digests = [wanted.digest]
        if wanted.commit is not None:
            found = await self._database.fetch(
                IMAGES_OF_COMMIT.bind(
                    {
                        "first": wanted.commit,
                        "last": wanted.commit + "g",
                        "known_past": EVERY_ENTRY,
                        "limit": _COMMIT_IMAGES_MAX,
                    }
                )
            )
            digests = [one for one in image_digests(found) if wanted.digest in (None, one)]
        listed: dict[tuple[str, str], ListedImage] = {}
        for digest in digests:
            asked: ImagesListedParameters = {
                "team": wanted.team, "repository": wanted.repository, "tag": wanted.tag, "digest": digest,
                "text": _pattern(wanted.text), "after_repository": repository, "after_tag": tag, "limit": limit + 1,
            }  # fmt: skip
            for one in map(listed_image, await self._database.fetch(IMAGES_LISTED.bind(asked))):
                listed[one.repository, one.tag] = one
        page = [listed[key] for key in sorted(listed)][: limit + 1]
        following = f"{page[limit - 1].repository}~{page[limit - 1].tag}" if len(page) > limit else None
        return await self._shown(page[:limit]), following

    async def _shown(self, images: Sequence[ListedImage]) -> list[dict[str, Any]]:
        subjects = [subject_of(self._name, one.repository, one.digest, one.child) for one in images]
        references = [f"{self._name}/{one.repository}:{one.tag}" for one in images]
        facts, seen = await self._database.fetch_all(
            together(
                FACTS_NOW.bind({"kind": "image-source", "subjects": array(subjects)}),
                TAG_DIGESTS.bind({"references": array(references), "past": EVERY_ENTRY}),
            )
        )
        known, digests = source_facts(facts), digests_seen(seen, FRONT)
        return [
            {
                "image": reference,
                **one.shown,
                "source": _source(known.get(subject)),
                "digests_seen": digests.get(reference, 1),
            }
            for one, subject, reference in zip(images, subjects, references, strict=True)
        ]


def _source(fact: SourceFact | None) -> dict[str, Any] | None:
    """Return the accepted source of an image; None while it is not known."""
    if fact is None:
        return None
    value = fact.value
    chosen, against = choose(claims_in(value))
    if chosen is None:
        state = "unknown" if value.get("unknown") else "missing"
        return {"state": state, "reason": fact.reason, "url": "", "revision": ""}
    state = "contradicted" if against else "confirmed" if chosen.kind == "provenance" else "asserted"
    return {
        "state": state, "said_by": chosen.kind, "url": chosen.source.url, "revision": chosen.source.revision,
        "dirty": chosen.source.dirty,
    }  # fmt: skip


def _pattern(text: str | None) -> str | None:
    if text is None:
        return None
    escaped = text.replace("!", "!!").replace("%", "!%").replace("_", "!_")
    return f"%{escaped}%"
