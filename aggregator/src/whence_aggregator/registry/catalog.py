"""The content of the registry, as the OCI API, Pier One's and Whence's show it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from whence_aggregator.ports import Database
from whence_aggregator.queries.collect import FACTS_NOW
from whence_aggregator.queries.query import array, together
from whence_aggregator.queries.registry import (
    ADD_PLACE,
    COUNT_TEAM,
    COUNT_TEAMS,
    MANIFEST_OF,
    NEWEST_TAG,
    REFERRERS_OF,
    REPOSITORIES_AFTER,
    REPOSITORIES_OF_TEAM,
    REPOSITORY_KNOWN,
    SUM_BLOBS,
    TAG_OF,
    TAGS_AFTER,
    TAGS_BY_AGE,
    TAGS_WITH_IMAGE,
    TEAMS_WITH_TAGS,
    ReferrersOfParameters,
)
from whence_aggregator.registry.names import LATEST, Repository
from whence_aggregator.registry.refusals import RegistryRefusal
from whence_aggregator.registry.rows import (
    StoredManifest,
    artifacts,
    counts_by_team,
    descriptor,
    manifest,
    repositories,
    source_facts,
    storage,
    stored_tag,
    tag_of_pierone,
    tags,
    tags_with_image,
    team_counts,
    teams,
)
from whence_aggregator.registry.sources import subject_of
from whence_common.digest import is_sha256_digest
from whence_common.scm_source import ScmSource

PAGE_MAX = 1_000
TAGS_MAX = 10_000
_PREFIX_MATCHES_MAX = 100
_NOTED_MAX = 10_000
_HEX = frozenset("0123456789abcdef")


class Catalog:
    """Reads the catalogue. `name` is the registry's host."""

    def __init__(self, *, database: Database, name: str) -> None:
        self._database = database
        self._name = name
        self._noted: set[str] = set()

    async def manifest(self, repository: Repository, reference: str) -> StoredManifest:
        """Return a manifest by tag, `latest` or digest. Raises RegistryRefusal."""
        digest = reference if is_sha256_digest(reference) else await self._digest_of(repository, reference)
        if digest is not None:
            asked = MANIFEST_OF.bind({"repository": str(repository), "digest": digest})
            (found,) = await self._database.fetch_all(together(asked), brief=True)
            known = manifest(found)
            if known is not None:
                return known
        await self._check_known(repository)
        raise RegistryRefusal(
            "MANIFEST_UNKNOWN", "manifest unknown", detail={"name": str(repository), "reference": reference}
        )

    async def tags(self, repository: Repository, *, after: str, limit: int) -> list[str]:
        """Return tags in lexical order. Raises RegistryRefusal for an unknown repository."""
        rows = await self._database.fetch(
            TAGS_AFTER.bind({"repository": str(repository), "after": after, "limit": limit})
        )
        if not rows and not after:
            await self._check_known(repository)
        return tags(rows)

    async def note(self, repository: Repository) -> None:
        """Add a repository to the list of repositories."""
        if str(repository) not in self._noted:
            await self._database.write(ADD_PLACE.bind([{"repository": str(repository)}]))
            if len(self._noted) >= _NOTED_MAX:
                self._noted.clear()
            self._noted.add(str(repository))

    async def repositories(self, *, after: str, limit: int) -> list[str]:
        rows = await self._database.fetch(REPOSITORIES_AFTER.bind({"after": after, "limit": limit}))
        return repositories(rows)

    async def referrers(
        self, repository: Repository, subject: str, *, artifact_type: str | None, after: str, limit: int
    ) -> list[dict[str, Any]]:
        """Return the descriptors of a digest's referrers."""
        asked: ReferrersOfParameters = {
            "repository": str(repository), "subject": subject, "artifact_type": artifact_type, "after": after,
            "limit": limit,
        }  # fmt: skip
        rows = await self._database.fetch(REFERRERS_OF.bind(asked))
        return list(map(descriptor, rows))

    async def teams(self) -> list[str]:
        return teams(await self._database.fetch(TEAMS_WITH_TAGS.bind({})))

    async def artifacts(self, team: str) -> list[str]:
        rows = await self._database.fetch(REPOSITORIES_OF_TEAM.bind({"team": team}))
        return artifacts(rows)

    async def tags_of(self, repository: str) -> list[dict[str, Any]]:
        """Return the tags of an artifact's images as Pier One does, oldest first: the newest `TAGS_MAX` of them."""
        rows = await self._database.fetch(TAGS_BY_AGE.bind({"repository": repository, "limit": TAGS_MAX}))
        return [tag_of_pierone(row) for row in reversed(rows)]

    async def tag_map(self, repository: str) -> dict[str, str]:
        """Return image ids by tag, as version 1 of the registry API does, including `latest`."""
        tags = await self.tags_of(repository)
        found = {one["name"]: one["image"].removeprefix("sha256:") for one in tags}
        return {**found, LATEST: tags[-1]["image"].removeprefix("sha256:")} if tags else {}

    async def scm_source(self, repository: str, tag: str) -> tuple[bool, dict[str, str] | None]:
        """Return whether the tag exists, and the source that its image names; strings only."""
        known = stored_tag(await self._database.fetch(TAG_OF.bind({"repository": repository, "tag": tag})))
        if known is None:
            return False, None
        found = await self.sources([(repository, known.digest)])
        source = found.get((repository, known.digest))
        if source is None:
            return True, None
        wire = source.to_wire()
        named = {name: str(wire[name]) for name in ("url", "revision", "author", "status")}
        return True, {**named, "created": known.created_at}

    async def sources(self, images: Sequence[tuple[str, str]]) -> dict[tuple[str, str], ScmSource]:
        """Return the known sources of images; for an index, that of the image it stands for."""
        subjects: dict[str, tuple[str, str]] = {}
        for repository, digest in images:
            known = manifest(await self._database.fetch(MANIFEST_OF.bind({"repository": repository, "digest": digest})))
            child = known.child if known is not None else ""
            subjects[subject_of(self._name, repository, digest, child)] = (repository, digest)
        facts = await self._database.fetch(FACTS_NOW.bind({"kind": "image-source", "subjects": array(list(subjects))}))
        found = {}
        for subject, fact in source_facts(facts).items():
            document = fact.value.get("scm_source")
            if document is not None:
                found[subjects[subject]] = ScmSource.from_wire(document)
        return found

    async def by_image(self, prefix: str) -> list[dict[str, str]] | None:
        """Return tags by a prefix of an image id; None when several images have it."""
        hex_ = prefix.removeprefix("sha256:")
        if not hex_ or len(hex_) > 64 or not set(hex_) <= _HEX:
            return []
        first = f"sha256:{hex_}"
        rows = await self._database.fetch(
            TAGS_WITH_IMAGE.bind({"first": first, "past": first + "g", "limit": _PREFIX_MATCHES_MAX})
        )
        images, found = tags_with_image(rows)
        return found if len(images) <= 1 else None

    async def statistics(self) -> dict[str, Any]:
        with_tags, blobs = await self._database.fetch_all(together(TEAMS_WITH_TAGS.bind({}), SUM_BLOBS.bind({})))
        return {"teams": len(with_tags), "storage": storage(blobs)}

    async def team_statistics(self, team: str | None) -> Any:
        """Count artifacts and tags, of one team or of all."""
        if team is not None:
            (row,) = await self._database.fetch(COUNT_TEAM.bind({"team": team}))
            return team_counts(row)
        return counts_by_team(await self._database.fetch(COUNT_TEAMS.bind({})))

    async def _digest_of(self, repository: Repository, tag: str) -> str | None:
        asked = TAG_OF.bind({"repository": str(repository), "tag": tag})
        (rows,) = await self._database.fetch_all(together(asked), brief=True)
        known = stored_tag(rows)
        if known is None and tag == LATEST:
            known = stored_tag(await self._database.fetch(NEWEST_TAG.bind({"repository": str(repository)})))
        return known.digest if known is not None else None

    async def _check_known(self, repository: Repository) -> None:
        if not await self._database.fetch(REPOSITORY_KNOWN.bind({"repository": str(repository)})):
            raise RegistryRefusal(
                "NAME_UNKNOWN", "repository name not known to registry", detail={"name": str(repository)}
            )
