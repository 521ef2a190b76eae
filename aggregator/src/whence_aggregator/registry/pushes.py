"""Pushes: a tag is written once, in the transaction that makes the push an entry of the ledger.

The backend stores the bytes first, under a name that protects them from garbage collection; then the tag is written.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from whence_aggregator.ledger.ledger import Ledger
from whence_aggregator.ledger.writing import NewEntry
from whence_aggregator.ports import Database
from whence_aggregator.ports_registry import BlobBackend
from whence_aggregator.projections.pushes import project_untag, push_writes
from whence_aggregator.queries.query import together
from whence_aggregator.queries.registry import (
    MANIFEST_OF,
    TAG_OF,
    TAGS_OF_DIGEST,
)
from whence_aggregator.registry.access import Principal
from whence_aggregator.registry.kinds import is_manifest, is_signature_tag, kind_of
from whence_aggregator.registry.names import LATEST, SNAPSHOT, Repository
from whence_aggregator.registry.refusals import RegistryRefusal
from whence_aggregator.registry.rows import PushAsked, StoredManifest, StoredTag, TagAsked, stored_tag, tags
from whence_aggregator.registry.rows import manifest as stored_manifest
from whence_aggregator.work.questions import ask_version
from whence_common.clock import Now, to_instant
from whence_common.digest import is_sha256_digest
from whence_common.ledger_entry import event
from whence_common.oci_manifest import Descriptor, Manifest

_LOOKUPS_AT_ONCE = 16
_UNTAGGED_MAX = 1_000
_DESCRIPTOR_ANNOTATIONS_BYTES_MAX = 16 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What the operator allows. `name` is the registry's host, as in image names."""

    name: str
    snapshots: bool
    scratch_teams: frozenset[str]
    """Teams whose tags may move and be deleted; their images are not traceable by tag."""
    signature_tags_move: bool
    """cosign's `sha256-….sig` and `.att` may be pushed again with other bytes, but never with an image."""


class Pushes:
    """Accepts manifests."""

    def __init__(
        self,
        *,
        database: Database,
        ledger: Ledger,
        backend: BlobBackend,
        rules: Rules,
        now: Now,
        on_work: Callable[[], None],
    ) -> None:
        self._database = database
        self._ledger = ledger
        self._backend = backend
        self._rules = rules
        self._now = now
        self._on_work = on_work

    async def push(
        self, repository: Repository, reference: str, manifest: Manifest, by: Principal, *, created_at: str = ""
    ) -> bool:
        """Store a manifest under a tag or its digest; return False if it existed already. Raises RegistryRefusal.

        `created_at` is when the tag was created, if that was before now.
        """
        tag = None if is_sha256_digest(reference) else reference
        if tag is None and reference != manifest.digest:
            raise RegistryRefusal("DIGEST_INVALID", "the manifest's bytes do not have the digest in the path")
        if tag == LATEST and repository.team not in self._rules.scratch_teams:
            raise RegistryRefusal(
                "TAG_INVALID", "tag latest is not allowed: latest always names the newest image", detail={"Tag": tag}
            )
        if await self._stands(repository, tag, manifest):
            return False
        meant = await self._check_parts(repository, manifest)
        await self._backend.keep_manifest(str(repository), manifest.content, manifest.media_type)
        stated = self._stated(repository, tag, manifest, by, meant)
        if created_at:
            stated["created_at"] = created_at
        async with self._ledger.writing(self._asked(repository, tag, manifest)) as writing:
            named, manifests = writing.found
            if self._decide(repository, tag, manifest, stored_tag(named), stored_manifest(manifests)):
                return False
            ((index, _),) = await writing.append([NewEntry(kind="push", content=event("push", stated))])
            writing.writes += push_writes(index, stated)
            if tag is not None and not created_at:
                writing.writes.append(ask_version(repository.artifact, tag, self._now()))
        self._on_work()
        return True

    async def untag(self, repository: Repository, reference: str, by: Principal) -> None:
        """Delete a tag of a scratch team, or all that name a digest. Raises RegistryRefusal; bytes always stay."""
        if repository.team not in self._rules.scratch_teams:
            raise RegistryRefusal("UNSUPPORTED", "this registry deletes no tags and no images")
        asked: TagAsked = TAG_OF.bind({"repository": str(repository), "tag": reference})
        if is_sha256_digest(reference):
            asked = TAGS_OF_DIGEST.bind({"repository": str(repository), "digest": reference, "limit": _UNTAGGED_MAX})
        async with self._ledger.writing(together(asked)) as writing:
            if not writing.found[0]:
                raise RegistryRefusal("MANIFEST_UNKNOWN", f"no tag of {repository} names {reference}")
            for tag in tags(writing.found[0]):
                stated = {
                    "registry": self._rules.name, "repository": str(repository), "tag": tag, "by": by.name,
                    "at": to_instant(self._now()),
                }  # fmt: skip
                await writing.append([NewEntry(kind="untag", content=event("untag", stated))])
                await project_untag(writing.transaction, stated)

    def _asked(self, repository: Repository, tag: str | None, manifest: Manifest) -> PushAsked:
        return together(
            TAG_OF.bind({"repository": str(repository), "tag": tag or ""}),
            MANIFEST_OF.bind({"repository": str(repository), "digest": manifest.digest}),
        )

    async def _stands(self, repository: Repository, tag: str | None, manifest: Manifest) -> bool:
        named, manifests = await self._database.fetch_all(self._asked(repository, tag, manifest), brief=True)
        return self._decide(repository, tag, manifest, stored_tag(named), stored_manifest(manifests))

    def _decide(
        self,
        repository: Repository,
        tag: str | None,
        manifest: Manifest,
        named: StoredTag | None,
        known: StoredManifest | None,
    ) -> bool:
        """Return whether the same push was accepted before. Raises RegistryRefusal if the tag names another digest."""
        if tag is None:
            return known is not None
        if named is None:
            return False
        if named.digest == manifest.digest:
            return True
        if not self._moves(repository, tag, manifest):
            raise RegistryRefusal("TAG_INVALID", "tag already exists", detail={"Tag": tag})
        return False

    def _moves(self, repository: Repository, tag: str, manifest: Manifest) -> bool:
        if repository.team in self._rules.scratch_teams:
            return True
        if self._rules.signature_tags_move and is_signature_tag(tag):
            return kind_of(manifest) == "artifact"
        return self._rules.snapshots and tag.endswith(SNAPSHOT)

    async def _check_parts(self, repository: Repository, manifest: Manifest) -> str:
        """Check that all parts of a manifest exist, with the stated sizes; its subject may be pushed later.

        Returns the digest of the image that an index stands for; empty when there is none.
        """
        turns = asyncio.Semaphore(_LOOKUPS_AT_ONCE)

        async def look(part: Descriptor) -> str | None:
            async with turns:
                size = await self._backend.size(str(repository), part.digest)
            return _wrong_in(repository, part, size)

        blobs, meant = list(manifest.blobs), ""
        wrong: list[str | None] = []
        for child in manifest.children:
            found = stored_manifest(
                await self._database.fetch(MANIFEST_OF.bind({"repository": str(repository), "digest": child.digest}))
            )
            if found is None and not is_manifest(child):
                blobs.append(child)
                continue
            wrong.append(_wrong_in(repository, child, found.size if found is not None else None))
            if found is not None and child == manifest.image and found.is_image:
                meant = child.digest
        wrong += await asyncio.gather(*(look(one) for one in blobs))
        problems = [one for one in wrong if one is not None]
        if problems:
            raise RegistryRefusal(
                "MANIFEST_BLOB_UNKNOWN",
                f"the manifest names a part that is missing or wrong: {problems[0]}",
                detail=problems[:20],
            )
        return meant

    def _stated(
        self, repository: Repository, tag: str | None, manifest: Manifest, by: Principal, meant: str
    ) -> dict[str, object]:
        """Describe a push. `image` is empty for what is not an image, `child` for an index of no images.

        `job` is there for a CI system's job alone: which repository, ref, commit and run its token named.
        """
        image = manifest.config.digest if manifest.config is not None and kind_of(manifest) == "image" else ""
        parts = (*manifest.blobs, *(one for one in manifest.children if not is_manifest(one)))
        return {
            "registry": self._rules.name,
            "repository": str(repository),
            "tag": tag or "",
            "digest": manifest.digest,
            "media_type": manifest.media_type,
            "size": len(manifest.content),
            "image": image,
            "artifact_type": manifest.artifact_type,
            "subject": manifest.subject.digest if manifest.subject is not None else "",
            "child": meant,
            "annotations": _short(manifest.annotations) if manifest.subject is not None else {},
            "blobs": [[one.digest, one.size] for one in parts],
            "pushed_by": by.name,
            "pushed_at": to_instant(self._now()),
            **({"job": by.job.to_wire()} if by.job is not None else {}),
        }


def _wrong_in(repository: Repository, part: Descriptor, size: int | None) -> str | None:
    if size is None:
        return f"{part.digest} is not in {repository}"
    return f"{part.digest} has {size} bytes, not {part.size}" if size != part.size else None


def _short(annotations: Mapping[str, str]) -> dict[str, str]:
    """Return the annotations that a list of referrers shows: those that fit, the shortest first."""
    found, left = {}, _DESCRIPTOR_ANNOTATIONS_BYTES_MAX
    for name, text in sorted(annotations.items(), key=lambda one: len(one[0]) + len(one[1])):
        left -= len(name.encode()) + len(text.encode())
        if left < 0:
            break
        found[name] = text
    return found
