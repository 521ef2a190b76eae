"""What is noted of an application after a failed attempt, and after a success. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta

from whence_aggregator.mint.ports import BucketUnavailable, BucketUnsafe
from whence_aggregator.mint.state import MintFailure, StoredMint
from whence_common.backoff import Backoff
from whence_common.clock import to_instant
from whence_common.errors import RoadError, WhenceError, one_line
from whence_common.storable import cleaned

PROBLEM_CHARACTERS_MAX = 2_000
"""Enough for a bucket with every fault, and what to do about each."""
FAILURES_MAX = 64
_SECRET_CHARACTERS_MIN = 4
"""Shorter values are not looked for: they would be found in ordinary words."""
_HIDDEN = "[secret]"


def failed(
    stored: StoredMint, step: str, exc: WhenceError, *, now: datetime, backoff: Backoff, secrets: Iterable[str] = (),
    is_write: bool = True,
) -> StoredMint:  # fmt: skip
    """Return the application after a failure of a step: it is tried again after a pause that grows.

    `is_write`: the step may write to buckets, so that its failures are counted.
    """
    before = stored.failures.get(step)
    attempts = before.attempts + 1 if before is not None else 1
    at_least = exc.retry_after_seconds if isinstance(exc, RoadError) else None
    retry_at = now + timedelta(seconds=backoff.seconds(attempts, at_least_seconds=at_least))
    is_of_bucket = isinstance(exc, BucketUnavailable | BucketUnsafe)
    failure = MintFailure(
        attempts=attempts,
        retry_at=to_instant(retry_at),
        since=before.since if before is not None else to_instant(now),
        code=one_line(cleaned(exc.code), 64),
        problem=one_line(cleaned(without(exc.diagnostics(), secrets)), PROBLEM_CHARACTERS_MAX),
    )
    errors = stored.bucket_errors + int(is_of_bucket and is_write)
    return replace(_with(stored, step, failure), bucket_errors=errors)


def noted(stored: StoredMint, step: str, code: str, problem: str, *, now: datetime, retry_at: datetime) -> StoredMint:
    """Return the application with a problem that no failed step has; `retry_at`: when it is mended at the earliest."""
    failure = MintFailure(
        attempts=1, retry_at=to_instant(retry_at), since=to_instant(now), code=code,
        problem=one_line(cleaned(problem), PROBLEM_CHARACTERS_MAX),
    )  # fmt: skip
    return _with(stored, step, failure)


def _with(stored: StoredMint, step: str, failure: MintFailure) -> StoredMint:
    kept = sorted(stored.failures, key=lambda name: stored.failures[name].since)[: FAILURES_MAX - 1]
    return replace(stored, failures={**{name: stored.failures[name] for name in kept}, step: failure})


def without(text: str, secrets: Iterable[str]) -> str:
    """Return text in which secrets are replaced, the longest first."""
    for secret in sorted(set(secrets), key=len, reverse=True):
        if len(secret) >= _SECRET_CHARACTERS_MIN:
            text = text.replace(secret, _HIDDEN)
    return text


def cleared(stored: StoredMint, *steps: str) -> StoredMint:
    """Return the application after a success of steps."""
    if not stored.failures.keys() & set(steps):
        return stored
    return replace(stored, failures={name: one for name, one in stored.failures.items() if name not in steps})


def cleared_of_kind(stored: StoredMint, kind: str) -> StoredMint:
    """Return the application after a generation of a kind was committed."""
    return cleared(stored, *(name for name in stored.failures if name.split(" ")[0] == kind))


def tried_at(stored: StoredMint, moment: datetime) -> StoredMint:
    """Return the application with all that failed tried again from a moment on, with short pauses at first."""
    at = to_instant(moment)
    return replace(
        stored, failures={name: replace(one, attempts=0, retry_at=at) for name, one in stored.failures.items()}
    )
