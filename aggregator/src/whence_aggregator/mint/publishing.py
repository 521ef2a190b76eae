"""Steps of a generation in the buckets: it is written, confirmed, and withdrawn."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta

from whence_aggregator.mint.calls import bounded
from whence_aggregator.mint.disturbing import Disturbance, written_over
from whence_aggregator.mint.failing import cleared
from whence_aggregator.mint.key import content_of
from whence_aggregator.mint.making import Making
from whence_aggregator.mint.ports import BucketGone, BucketUnavailable, BucketUnsafe, CredentialBuckets
from whence_aggregator.mint.rules import MintRules
from whence_aggregator.mint.state import BucketLook, MintState, StoredGeneration
from whence_aggregator.mint.store import MintStore
from whence_aggregator.mint.values import (
    FILES_METADATA,
    GENERATION_METADATA,
    OBJECTS,
    CredentialKind,
    MintApplication,
    ObjectVersion,
)
from whence_common.clock import Now, parse_instant, to_instant
from whence_common.errors import one_line
from whence_common.runtime.logs import fields

log = logging.getLogger(__name__)

_NO_VERSION = ("", "null")
"""What S3 returns for an object in a bucket without versioning."""
_VERSION_CHARACTERS_MAX = 1_024
_REASON_CHARACTERS_MAX = 1_000


class Publishing:
    """Does the steps that write to buckets. Raises BucketUnavailable, BucketUnsafe, SealUnreadable, Overtaken."""

    def __init__(
        self,
        *,
        store: MintStore,
        making: Making,
        buckets: CredentialBuckets,
        rules: MintRules,
        restored_at: str,
        now: Now,
    ) -> None:
        """`restored_at`: when mint first ran on a database that was restored; empty: it was not."""
        self._store = store
        self._making = making
        self._buckets = buckets
        self._rules = rules
        self._restored_at = restored_at
        self._now = now

    async def publish(self, state: MintState, generation: StoredGeneration, bucket: str) -> None:
        """Write a verified generation to one bucket, which is checked before its first object."""
        now = self._now()
        is_recent = parse_instant(generation.asked_at) + timedelta(seconds=self._rules.call_seconds_max) >= now
        if bucket not in generation.written or not is_recent:
            # what is on its way to a bucket arrives soon after `asked_at`; nothing is withdrawn or replaced before
            noted = replace(generation, asked_at=to_instant(now), written={bucket: "", **generation.written})
            generation = await self._store.advance(noted, at=now, entry=None)
        version = await bounded(self._put(state, generation, bucket), bucket, self._rules)
        if version in _NO_VERSION or len(version) > _VERSION_CHARACTERS_MAX:
            fix = "switch versioning on; whence-accounts does"
            raise BucketUnsafe("bucket-unversioned", f"bucket {bucket} keeps no versions", fix=fix)
        written = replace(generation, written={**generation.written, bucket: version})
        await self._store.advance(written, at=self._now(), entry=None)

    async def confirm(self, state: MintState, generation: StoredGeneration) -> None:
        """Find that each bucket's newest object is the one that was written; another one is written over.

        What somebody else had written over the generation before is noted: its successor mends it.
        """
        buckets = state.application.buckets
        listed = {bucket: await self._versions(state, generation.kind, bucket) for bucket in buckets}
        wrong = [bucket for bucket in buckets if _newest(listed[bucket]) != generation.written[bucket]]
        if wrong:
            again = replace(generation, written={**generation.written, **dict.fromkeys(wrong, "")})
            await self._store.advance(again, at=self._now(), entry=None)
            raise BucketUnavailable(
                "bucket-overwritten",
                f"the newest object in bucket {', '.join(wrong)} is not the one that mint wrote",
                fix="find in CloudTrail who else writes to it; mint writes it again",
            )
        before = state.current(generation.kind)
        found = self._written_over(before, generation, listed) if before is not None else {}
        now = self._now()
        if before is not None and found and not before.disturbances:
            before = await self._disturbed(before, found)
            generation = replace(generation, disturbed=before.disturbed)
        stored = replace(state.stored, bucket_errors=0) if state.stored.bucket_errors else None
        published = replace(generation, phase="published", published_at=to_instant(now))
        await self._store.advance(published, at=now, entry="", stored=stored)

    def _written_over(
        self, before: StoredGeneration, generation: StoredGeneration, listed: Mapping[str, Sequence[ObjectVersion]]
    ) -> dict[str, Disturbance]:
        """Return, by bucket, what somebody else had written over the generation before."""
        found = {
            bucket: written_over(
                versions, before, generation, bucket, rules=self._rules, restored_at=self._restored_at
            )
            for bucket, versions in listed.items()
        }  # fmt: skip
        return {bucket: one for bucket, one in found.items() if one is not None}

    async def _disturbed(self, before: StoredGeneration, found: Mapping[str, Disturbance]) -> StoredGeneration:
        """Note that a generation was written over by somebody else."""
        at, problem = to_instant(self._now()), "; ".join(one.problem for one in found.values())
        looks = {
            bucket: BucketLook(at=at, finding="tampered", version_id=one.version_id) for bucket, one in found.items()
        }
        log.warning(
            "a bucket did not hold what mint wrote before the rotation",
            extra=fields(application_id=before.id.application_id, kind=before.kind, reason=problem),
        )
        looked = replace(before, looks={**before.looks, **looks}, disturbed=before.disturbed + 1)
        return await self._store.advance(looked, at=self._now(), entry=one_line(problem, _REASON_CHARACTERS_MAX))

    async def withdraw(self, state: MintState, kind: CredentialKind, bucket: str, step: str) -> None:
        """Hide the object in a bucket that is not wanted any more. A bucket that does not exist needs nothing."""
        with suppress(BucketGone):
            await bounded(self._buckets.remove(bucket, key_of(state.application, kind)), bucket, self._rules)
        for one in state.live(kind):
            if bucket in one.written:
                left = {name: version for name, version in one.written.items() if name != bucket}
                reason = f"withdrawn from {bucket}"
                await self._store.advance(replace(one, written=left), at=self._now(), entry=reason)
        stored = cleared(state.stored, step)
        if stored != state.stored:
            await self._store.save(stored)

    async def pass_on(self, state: MintState, generation: StoredGeneration) -> None:
        """Note of its successor which buckets, that are not wanted any more, hold a generation that is to end.

        A bucket that could not be reached until then would otherwise keep the object for ever.
        """
        left = sorted(set(generation.written) - set(state.application.buckets))
        others = [one for one in state.live(generation.kind) if one.id != generation.id and one.phase != "ending"]
        if left and others:
            written = {**dict.fromkeys(left, ""), **others[-1].written}
            await self._store.advance(replace(others[-1], written=written), at=self._now(), entry=None)

    async def retract(self, state: MintState, generation: StoredGeneration, bucket: str, step: str) -> None:
        """Hide the object in a bucket, unless its newest object is another generation's."""
        kept = {one.versions.get(bucket) for one in state.live(generation.kind) if one.id != generation.id} - {None}
        latest = None
        with suppress(BucketGone):
            latest = _newest(await self._versions(state, generation.kind, bucket))
        if latest is None or latest not in kept:
            await self.withdraw(state, generation.kind, bucket, step)
            return
        left = {name: version for name, version in generation.written.items() if name != bucket}
        stored = cleared(state.stored, step)
        changed = stored if stored != state.stored else None
        retracted = replace(generation, written=left)
        await self._store.advance(retracted, at=self._now(), entry=f"not in {bucket}", stored=changed)

    async def _versions(self, state: MintState, kind: CredentialKind, bucket: str) -> Sequence[ObjectVersion]:
        return await bounded(self._buckets.versions(bucket, key_of(state.application, kind)), bucket, self._rules)

    async def _put(self, state: MintState, generation: StoredGeneration, bucket: str) -> str:
        made = self._making.opened(generation)
        if not any(one.written.get(bucket) for one in state.generations):
            await self._buckets.check(bucket)
        metadata = {
            GENERATION_METADATA: generation.id.generation,
            FILES_METADATA: ",".join(sorted(OBJECTS[kind] for kind in state.application.credentials)),
        }
        key = key_of(state.application, generation.kind)
        return await self._buckets.put(bucket, key, content_of(made.document), metadata)


def _newest(versions: Sequence[ObjectVersion]) -> str | None:
    """Return the VersionId of the object that readers of a bucket get; None: they get none."""
    return next((one.version_id for one in versions if one.is_latest and not one.is_deletion), None)


def key_of(application: MintApplication, kind: CredentialKind) -> str:
    return f"{application.application_id}/{OBJECTS[kind]}"
