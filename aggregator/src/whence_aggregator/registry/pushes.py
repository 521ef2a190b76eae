"""Pushes: a tag is written once, in the transaction that makes the push an entry of the ledger.

The backend holds the bytes first, under a name that no garbage collection takes; then the tag appears, or it does not.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from whence_aggregator.ledger.ledger import Ledger, NewEntry
from whence_aggregator.ports import Asked, Database
from whence_aggregator.ports_registry import BlobBackend
from whence_aggregator.projections.registry import project_untag, push_writes
from whence_aggregator.registry.access import Principal
from whence_aggregator.registry.names import LATEST, SNAPSHOT, Repository
from whence_aggregator.registry.refusals import RegistryRefusal
from whence_common.clock import Now, to_instant
from whence_common.digest import is_sha256_digest
from whence_common.ledger_entry import event
from whence_common.oci_manifest import Descriptor, Manifest

_LOOKUPS_AT_ONCE = 16
_UNTAGGED_MAX = 1_000
_DESCRIPTOR_ANNOTATIONS_MAX = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What the operator allows. `name` is the registry's host, as images are named by."""

    name: str
    snapshots: bool
    scratch_teams: frozenset[str]
    """Teams whose tags may move and be removed; the images they name are not traceable by tag."""


class Pushes:
    """Takes manifests."""

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

    async def push(self, repository: Repository, reference: str, manifest: Manifest, by: Principal) -> bool:
        """Keep a manifest under a tag or its digest; false when it was there already. Raises RegistryRefusal."""
        tag = None if is_sha256_digest(reference) else reference
        if tag is None and reference != manifest.digest:
            raise RegistryRefusal("DIGEST_INVALID", "the manifest's bytes are not those of the digest in the path")
        if tag == LATEST and repository.team not in self._rules.scratch_teams:
            raise RegistryRefusal(
                "TAG_INVALID", "tag latest is not allowed: it names the newest image by itself", detail={"Tag": tag}
            )
        if await self._stands(repository, tag, manifest):
            return False
        await self._check_parts(repository, manifest)
        await self._backend.keep_manifest(str(repository), manifest.content, manifest.media_type)
        stated = self._stated(repository, tag, manifest, by)
        async with self._ledger.writing(*self._asked(repository, tag, manifest)) as writing:
            if self._decide(repository, tag, manifest, writing.found[0], writing.found[1]):
                return False
            ((index, _),) = await writing.append([NewEntry(kind="push", content=event("push", stated))])
            writing.writes += push_writes(index, stated)
        self._on_work()
        return True

    async def untag(self, repository: Repository, reference: str, by: Principal) -> None:
        """Forget a tag of a scratch team, or all that name a digest. Raises RegistryRefusal; bytes always stay."""
        if repository.team not in self._rules.scratch_teams:
            raise RegistryRefusal("UNSUPPORTED", "nothing is deleted here: tags and images stay")
        asked: Asked = ("tag_of", {"repository": str(repository), "tag": reference})
        if is_sha256_digest(reference):
            asked = ("tags_of_digest", {"repository": str(repository), "digest": reference, "limit": _UNTAGGED_MAX})
        async with self._ledger.writing(asked) as writing:
            if not writing.found[0]:
                raise RegistryRefusal("MANIFEST_UNKNOWN", f"no tag of {repository} names {reference}")
            for row in writing.found[0]:
                stated = {
                    "registry": self._rules.name, "repository": str(repository), "tag": row["tag"], "by": by.name,
                    "at": to_instant(self._now()),
                }  # fmt: skip
                await writing.append([NewEntry(kind="untag", content=event("untag", stated))])
                await project_untag(writing.transaction, stated)

    def _asked(self, repository: Repository, tag: str | None, manifest: Manifest) -> list[tuple[str, dict[str, str]]]:
        return [
            ("tag_of", {"repository": str(repository), "tag": tag or ""}),
            ("manifest_of", {"repository": str(repository), "digest": manifest.digest}),
        ]

    async def _stands(self, repository: Repository, tag: str | None, manifest: Manifest) -> bool:
        tags, manifests = await self._database.fetch_all(self._asked(repository, tag, manifest), brief=True)
        return self._decide(repository, tag, manifest, tags, manifests)

    def _decide(
        self,
        repository: Repository,
        tag: str | None,
        manifest: Manifest,
        tags: Sequence[object],
        known: Sequence[object],
    ) -> bool:
        """Say whether this very push was taken before. Raises RegistryRefusal when the tag names something else."""
        if tag is None:
            return bool(known)
        if not tags:
            return False
        if tags[0]["digest"] == manifest.digest:  # type: ignore[index]  # a row
            return True
        moves = repository.team in self._rules.scratch_teams or (self._rules.snapshots and tag.endswith(SNAPSHOT))
        if not moves:
            raise RegistryRefusal("TAG_INVALID", "tag already exists", detail={"Tag": tag})
        return False

    async def _check_parts(self, repository: Repository, manifest: Manifest) -> None:
        """Everything that a manifest names must be here, as large as it says; but for its subject, which may follow."""
        turns = asyncio.Semaphore(_LOOKUPS_AT_ONCE)

        async def look(part: Descriptor) -> str | None:
            async with turns:
                size = await self._backend.size(str(repository), part.digest)
            if size is None:
                return f"{part.digest} is not in {repository}"
            return f"{part.digest} has {size} bytes, not {part.size}" if size != part.size else None

        wrong = [said for said in await asyncio.gather(*(look(one) for one in manifest.blobs)) if said is not None]
        for child in manifest.children:
            found = await self._database.fetch("manifest_of", {"repository": str(repository), "digest": child.digest})
            if not found:
                wrong.append(f"{child.digest} is not in {repository}")
            elif found[0]["size"] != child.size:
                wrong.append(f"{child.digest} has {found[0]['size']} bytes, not {child.size}")
        if wrong:
            raise RegistryRefusal(
                "MANIFEST_BLOB_UNKNOWN", f"the manifest names what is not here: {wrong[0]}", detail=wrong[:20]
            )

    def _stated(self, repository: Repository, tag: str | None, manifest: Manifest, by: Principal) -> dict[str, object]:
        annotations = dict(list(manifest.annotations.items())[:_DESCRIPTOR_ANNOTATIONS_MAX])
        return {
            "registry": self._rules.name,
            "repository": str(repository),
            "tag": tag or "",
            "digest": manifest.digest,
            "media_type": manifest.media_type,
            "size": len(manifest.content),
            "image": manifest.config.digest if manifest.config is not None else "",
            "artifact_type": manifest.artifact_type,
            "subject": manifest.subject.digest if manifest.subject is not None else "",
            "child": manifest.image.digest if manifest.image is not None else "",
            "annotations": annotations if manifest.subject is not None else {},
            "blobs": [[one.digest, one.size] for one in manifest.blobs],
            "pushed_by": by.name,
            "pushed_at": to_instant(self._now()),
        }
