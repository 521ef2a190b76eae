"""What is noted of an application after a failed attempt, and after a success. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta

from whence_aggregator.mint.ports import BucketUnavailable, BucketUnsafe
from whence_aggregator.mint.state import NO_FAILURE, MintFailure, StoredMint
from whence_common.backoff import Backoff
from whence_common.clock import to_instant
from whence_common.errors import RoadError, WhenceError, one_line
from whence_common.storable import cleaned

PROBLEM_CHARACTERS_MAX = 300
_SECRET_CHARACTERS_MIN = 4
"""Shorter values are not looked for: they would be found in ordinary words."""
_HIDDEN = "[secret]"


def failed(
    stored: StoredMint, step: str, exc: WhenceError, *, now: datetime, backoff: Backoff, secrets: Iterable[str] = ()
) -> StoredMint:
    """Return the application after a failure of a step: it is tried again after a pause that grows."""
    before = stored.failure
    attempts = before.attempts + 1 if before.step == step else 1
    at_least = exc.retry_after_seconds if isinstance(exc, RoadError) else None
    retry_at = now + timedelta(seconds=backoff.seconds(attempts, at_least_seconds=at_least))
    is_of_bucket = isinstance(exc, BucketUnavailable | BucketUnsafe)
    failure = MintFailure(
        step=step,
        attempts=attempts,
        retry_at=to_instant(retry_at),
        since=before.since or to_instant(now),
        code=one_line(cleaned(exc.code), 64),
        problem=one_line(cleaned(without(exc.diagnostics(), secrets)), PROBLEM_CHARACTERS_MAX),
    )
    return replace(stored, failure=failure, bucket_errors=stored.bucket_errors + int(is_of_bucket))


def without(text: str, secrets: Iterable[str]) -> str:
    """Return text in which secrets are replaced, the longest first."""
    for secret in sorted(set(secrets), key=len, reverse=True):
        if len(secret) >= _SECRET_CHARACTERS_MIN:
            text = text.replace(secret, _HIDDEN)
    return text


def cleared(stored: StoredMint, step: str) -> StoredMint:
    """Return the application after a success of a step."""
    return replace(stored, failure=NO_FAILURE) if stored.failure.step == step else stored


def cleared_of_kind(stored: StoredMint, kind: str) -> StoredMint:
    """Return the application after a generation of a kind was committed."""
    return replace(stored, failure=NO_FAILURE) if stored.failure.step.split(" ")[0] == kind else stored
