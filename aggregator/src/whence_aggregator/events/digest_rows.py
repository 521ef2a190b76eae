"""Rows of digest files as they are stored once they were verified, or refused. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from whence_aggregator.events.digest_file import DigestFile, chain_of
from whence_aggregator.events.object_keys import TrailKey, TrailObject
from whence_aggregator.events.refused import TrailRefused
from whence_aggregator.queries.events import PutTrailDigestParameters
from whence_common.errors import one_line

MISSING = "object-missing"
"""The code of TrailRefused for an object that does not exist."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedFiles:
    """The log files of a digest file, as compared."""

    missing: int = 0
    invalid: int = 0
    unread: Sequence[TrailObject] = ()
    """Files that no message named: they are read now."""
    later: bool = False
    """Whether there are more of them than one run reads."""


def place_of(one: TrailObject) -> str:
    return f"s3://{one.bucket}/{one.key}"


def digest_row(
    one: TrailObject, key: TrailKey, digest: DigestFile, checked: CheckedFiles, *, at: int
) -> PutTrailDigestParameters:
    previous = digest.previous
    return {
        **_common(one, key, at=at),
        "starts_at": digest.starts_at,
        "ends_at": digest.ends_at,
        "content_digest": digest.content_digest,
        "previous_place": place_of(previous.object) if previous is not None else "",
        "previous_hash": previous.hash_value if previous is not None else "",
        "previous_signature": previous.signature if previous is not None else "",
        "state": "valid",
        "reason": "",
        "files": len(digest.files),
        "files_missing": checked.missing,
        "files_invalid": checked.invalid,
    }


def refused_digest_row(one: TrailObject, key: TrailKey, exc: TrailRefused, *, at: int) -> PutTrailDigestParameters:
    return _common(one, key, at=at, state="missing" if exc.code == MISSING else "invalid", reason=exc.message)


def unread_digest_row(one: TrailObject, key: TrailKey, reason: str, *, at: int) -> PutTrailDigestParameters:
    """Return the row of a digest file that cannot be read, or not compared: nothing is known of it."""
    return _common(one, key, at=at, state="unread", reason=reason)


def _common(
    one: TrailObject, key: TrailKey, *, at: int, state: str = "invalid", reason: str = ""
) -> PutTrailDigestParameters:
    return {
        "bucket": one.bucket,
        "object_key": one.key,
        "account_id": key.account_id,
        "region": key.region,
        "chain": chain_of(one.key),
        "starts_at": at,
        "ends_at": at,
        "content_digest": "",
        "previous_place": "",
        "previous_hash": "",
        "previous_signature": "",
        "state": state,
        "reason": one_line(reason, 300),
        "files": 0,
        "files_missing": 0,
        "files_invalid": 0,
        "verified_at": at,
    }
