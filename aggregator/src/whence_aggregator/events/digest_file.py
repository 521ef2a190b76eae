"""CloudTrail's digest files: what they state, and whether AWS signed it. Pure.

docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-log-file-custom-validation.html. The signed text has the
names that are written in the file; a file at another place is refused, as AWS's own client does.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import msgspec
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_der_public_key

from whence_aggregator.events.log_file import inflate
from whence_aggregator.events.object_keys import TrailObject
from whence_aggregator.events.refused import TrailRefused
from whence_common.clock import parse_instant, to_millis
from whence_common.errors import one_line

ALGORITHM = "SHA256withRSA"
DIGEST_BYTES_MAX = 32 * 1024 * 1024
FILES_MAX = 20_000
_HEX = re.compile(r"[0-9a-f]{64}\Z")
_NAME = re.compile(r"[0-9]{12}_CloudTrail-Digest_[a-z0-9-]+?_(.+)_([0-9]{8}T[0-9]{6}Z)(_backfill)?\.json(?:\.gz)?\Z")


class DigestedFile(msgspec.Struct, frozen=True, rename="camel"):
    """A log file that a digest file names."""

    s3_bucket: str
    s3_object: str
    hash_value: str
    hash_algorithm: str


class _Wire(msgspec.Struct, frozen=True, rename="camel"):
    aws_account_id: str
    digest_start_time: str
    digest_end_time: str
    digest_s3_bucket: str
    digest_s3_object: str
    digest_public_key_fingerprint: str
    digest_signature_algorithm: str
    log_files: list[DigestedFile]
    previous_digest_s3_bucket: str | None = None
    previous_digest_s3_object: str | None = None
    previous_digest_hash_value: str | None = None
    previous_digest_hash_algorithm: str | None = None
    previous_digest_signature: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PreviousDigest:
    """The digest file before another one in its chain, as that one states it."""

    object: TrailObject
    hash_value: str
    signature: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DigestFile:
    """A digest file that is well formed, at its own place, and not yet verified."""

    account_id: str
    starts_at: int
    ends_at: int
    fingerprint: str
    files: Sequence[DigestedFile]
    previous: PreviousDigest | None
    """None: the chain begins here."""
    content_digest: str
    """Hex SHA-256 of the uncompressed file."""
    signed: bytes
    """What the signature is over."""


def parse_digest(content: bytes, place: TrailObject, account_id: str) -> DigestFile:
    """Return a digest file that was read at a place. Raises TrailRefused (`digest-…`) for one that is not valid."""
    plain = inflate(content, inflated_bytes_max=DIGEST_BYTES_MAX)
    try:
        wire = msgspec.json.decode(plain, type=_Wire)
        starts_at, ends_at = (to_millis(parse_instant(one)) for one in (wire.digest_start_time, wire.digest_end_time))
    except (msgspec.DecodeError, UnicodeError, RecursionError, ValueError) as exc:
        raise TrailRefused("digest-malformed", f"not a digest file: {one_line(str(exc), 200)}") from exc
    if (wire.digest_s3_bucket, wire.digest_s3_object) != (place.bucket, place.key):
        stated = one_line(f"s3://{wire.digest_s3_bucket}/{wire.digest_s3_object}", 300)
        raise TrailRefused("digest-moved", f"the digest file states that its place is {stated}")
    if wire.aws_account_id != account_id:
        raise TrailRefused("digest-foreign", f"the digest file is of account {one_line(wire.aws_account_id, 20)}")
    if wire.digest_signature_algorithm != ALGORITHM:
        raise TrailRefused("digest-algorithm", f"the digest file is not signed with {ALGORITHM}")
    if len(wire.log_files) > FILES_MAX:
        raise TrailRefused("digest-too-long", f"the digest file names more than {FILES_MAX} log files")
    for one in wire.log_files:
        if one.hash_algorithm != "SHA-256" or not _HEX.match(one.hash_value):
            raise TrailRefused("digest-malformed", "a log file's hash in the digest file is not SHA-256")
    digest = hashlib.sha256(plain).hexdigest()
    previous = _previous(wire)
    signature = wire.previous_digest_signature or "null"
    signed = f"{wire.digest_end_time}\n{place.bucket}/{place.key}\n{digest}\n{signature}"
    return DigestFile(
        account_id=account_id, starts_at=starts_at, ends_at=ends_at,
        fingerprint=wire.digest_public_key_fingerprint[:100], files=wire.log_files, previous=previous,
        content_digest=digest, signed=signed.encode(),
    )  # fmt: skip


def _previous(wire: _Wire) -> PreviousDigest | None:
    if wire.previous_digest_s3_object is None:
        return None
    bucket, value, signature = (
        wire.previous_digest_s3_bucket, wire.previous_digest_hash_value, wire.previous_digest_signature,
    )  # fmt: skip
    if bucket is None or value is None or signature is None or not _HEX.match(value) or len(signature) > 4096:
        raise TrailRefused("digest-malformed", "the digest file names the one before it only in part")
    place = TrailObject(bucket=bucket, key=wire.previous_digest_s3_object)
    return PreviousDigest(object=place, hash_value=value, signature=signature)


def check_signature(digest: DigestFile, signature: str, key: bytes) -> None:
    """Check AWS's signature, in hex, with a public key in PKCS#1 DER. Raises TrailRefused (`digest-signature`)."""
    try:
        public = load_der_public_key(key)
        if not isinstance(public, rsa.RSAPublicKey):
            raise TrailRefused("digest-signature", "the public key of the digest file is not of RSA")
        public.verify(bytes.fromhex(signature), digest.signed, padding.PKCS1v15(), SHA256())
    except (ValueError, InvalidSignature, UnsupportedAlgorithm) as exc:
        raise TrailRefused(
            "digest-signature", "the signature of the digest file is not AWS's over its content"
        ) from exc


def chain_of(key: str) -> str:
    """Return the chain that a digest file is in: its trail and home region; those for late log files are another."""
    found = _NAME.match(key.rpartition("/")[2])
    name = found[1] if found is not None else "unnamed"
    return f"{one_line(name, 200)}{' backfill' if found is not None and found[3] else ''}"


def ended_at(key: str) -> int:
    """Return when the hour of a digest file ended, by its key, in milliseconds; 0 if the key does not state it."""
    found = _NAME.match(key.rpartition("/")[2])
    try:
        return to_millis(datetime.strptime(f"{found[2]}+0000", "%Y%m%dT%H%M%SZ%z")) if found is not None else 0
    except ValueError:
        return 0
