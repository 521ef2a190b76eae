"""Looks whether buckets still hold what mint wrote, long after it was committed."""

from __future__ import annotations

import logging
from dataclasses import replace

from whence_aggregator.mint.calls import bounded
from whence_aggregator.mint.disturbing import Disturbance, disturbance, disturbed_step, repair_at
from whence_aggregator.mint.failing import cleared, noted
from whence_aggregator.mint.ports import CredentialBuckets
from whence_aggregator.mint.publishing import key_of
from whence_aggregator.mint.rules import MintRules
from whence_aggregator.mint.state import BucketLook, LookFinding, MintState, StoredGeneration, StoredMint
from whence_aggregator.mint.store import MintStore
from whence_common.clock import Now, to_instant
from whence_common.runtime.logs import fields

log = logging.getLogger(__name__)

TAMPERED, UNRECORDED = "bucket-tampered", "bucket-unrecorded"
"""Codes of problems: of what somebody else wrote, and of what mint may have written itself."""
_FIXES = {
    TAMPERED: "find in CloudTrail who wrote to it; mint makes another credential",
    UNRECORDED: "nothing: mint may have written it when an answer was lost, and makes another credential",
}


class Looking:
    """Looks at buckets. Raises BucketUnavailable, BucketUnsafe, Overtaken."""

    def __init__(
        self, *, store: MintStore, buckets: CredentialBuckets, rules: MintRules, restored_at: str, now: Now
    ) -> None:
        """`restored_at`: when mint first ran on a database that was restored; empty: it was not."""
        self._store = store
        self._buckets = buckets
        self._rules = rules
        self._restored_at = restored_at
        self._now = now

    async def look(self, state: MintState, generation: StoredGeneration, bucket: str, step: str) -> None:
        """List the versions of the object in one bucket, once. What is seen twice is noted, and a renewal is due."""
        asked = self._buckets.versions(bucket, key_of(state.application, generation.kind))
        versions = await bounded(asked, bucket, self._rules)
        found = disturbance(
            versions, state, generation, bucket, rules=self._rules, restored_at=self._restored_at
        )  # fmt: skip
        finding = _finding(found, generation.looks.get(bucket))
        seen = BucketLook(at=to_instant(self._now()), finding=finding, version_id=found.version_id if found else "")
        is_first = seen.is_disturbed and not generation.disturbances
        looked = replace(
            generation,
            looks={**generation.looks, bucket: seen},
            disturbed=generation.disturbed + int(is_first),
        )
        stored = cleared(state.stored, step)
        if found is not None and seen.is_disturbed:
            stored = self._noted(stored, looked, bucket, found, code=TAMPERED if finding == "tampered" else UNRECORDED)
        entry = found.problem if found is not None and finding == "tampered" else None
        changed = stored if stored != state.stored else None
        await self._store.advance(looked, at=self._now(), entry=entry, stored=changed)

    def _noted(
        self, stored: StoredMint, looked: StoredGeneration, bucket: str, found: Disturbance, *, code: str
    ) -> StoredMint:
        one = looked.id
        log.warning(
            "a bucket does not hold what mint wrote",
            extra=fields(application_id=one.application_id, kind=one.kind, code=code, reason=found.problem),
        )
        renewed = repair_at(looked, self._rules)
        assert renewed is not None
        problem = f"{found.problem}: {_FIXES[code]}"
        return noted(stored, disturbed_step(looked, bucket), code, problem, now=self._now(), retry_at=renewed)


def _finding(found: Disturbance | None, before: BucketLook | None) -> LookFinding:
    """Return what a look found. A second look need not find the same version: somebody may write all the time."""
    if found is None:
        return ""
    if before is None or before.finding != "suspected":
        return "suspected"
    return "unrecorded" if found.is_own_possible else "tampered"
