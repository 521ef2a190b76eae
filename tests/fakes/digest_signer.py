"""CloudTrail's digest files as AWS describes them, signed with a key of our own: no emulator writes them.

docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-log-file-validation-digest-file-structure.html
"""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from fakes.cloud_trail import ACCOUNT, BUCKET, REGION
from whence_aggregator.events.ports import TrailPublicKey

FIRST = datetime(2026, 11, 22, 0, 0, tzinfo=UTC)


@cache
def signing_key(number: int = 0) -> rsa.RSAPrivateKey:
    """Return a key, made once in a process: it takes a tenth of a second."""
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def public(number: int = 0) -> TrailPublicKey:
    """Return the public key as ListPublicKeys does: PKCS#1 in DER."""
    content = signing_key(number).public_key().public_bytes(Encoding.DER, PublicFormat.PKCS1)
    return TrailPublicKey(fingerprint=hashlib.md5(content, usedforsecurity=False).hexdigest(), content=content)


@dataclass(frozen=True)
class Signed:
    """A digest file as it is stored."""

    key: str
    content: bytes
    signature: str
    plain: bytes


def digest_key(ends_at: datetime, *, backfill: bool = False, account: str = ACCOUNT, organisation: str = "") -> str:
    whose = f"{organisation}/{account}" if organisation else account
    name = f"{account}_CloudTrail-Digest_{REGION}_Default_{REGION}_{ends_at:%Y%m%dT%H%M%SZ}{'_backfill' * backfill}"
    return f"audit/AWSLogs/{whose}/CloudTrail-Digest/{REGION}/{ends_at:%Y/%m/%d}/{name}.json.gz"


@dataclass
class DigestSigner:
    """Signs the digest files of one chain, one after another, an hour each."""

    number: int = 0
    """Of the key."""
    backfill: bool = False
    hour: int = 0
    account: str = ACCOUNT
    organisation: str = ""
    """Of an organisation's trail: its id is in the keys."""
    bucket: str = BUCKET
    last: Signed | None = None
    last_bucket: str = BUCKET
    made: list[Signed] = field(default_factory=list)

    def skip(self) -> None:
        """Let an hour pass while logging is off: the next file begins a new chain."""
        self.hour += 1
        self.last = None

    def sign(self, files: Mapping[str, bytes] | None = None, **changes: Any) -> Signed:
        """Return the next digest file, over log files by their keys; `changes` are made before it is signed."""
        starts_at = FIRST + timedelta(hours=self.hour)
        ends_at = starts_at + timedelta(hours=1)
        key, before = (
            digest_key(ends_at, backfill=self.backfill, account=self.account, organisation=self.organisation), self.last,
        )  # fmt: skip
        document = {
            "awsAccountId": self.account,
            "digestStartTime": f"{starts_at:%Y-%m-%dT%H:%M:%SZ}",
            "digestEndTime": f"{ends_at:%Y-%m-%dT%H:%M:%SZ}",
            "digestS3Bucket": self.bucket,
            "digestS3Object": key,
            "digestPublicKeyFingerprint": public(self.number).fingerprint,
            "digestSignatureAlgorithm": "SHA256withRSA",
            "newestEventTime": None,
            "oldestEventTime": None,
            "previousDigestS3Bucket": self.last_bucket if before is not None else None,
            "previousDigestS3Object": before.key if before is not None else None,
            "previousDigestHashValue": hashlib.sha256(before.plain).hexdigest() if before is not None else None,
            "previousDigestHashAlgorithm": "SHA-256" if before is not None else None,
            "previousDigestSignature": before.signature if before is not None else None,
            "logFiles": self._files(files or {}),
            **changes,
        }
        plain = json.dumps(document).encode()
        text = [
            document["digestEndTime"],
            f"{document['digestS3Bucket']}/{document['digestS3Object']}",
            hashlib.sha256(plain).hexdigest(),
            document["previousDigestSignature"] or "null",
        ]
        signature = (
            signing_key(self.number).sign("\n".join(map(str, text)).encode(), padding.PKCS1v15(), SHA256()).hex()
        )
        self.last = Signed(key=key, content=gzip.compress(plain, mtime=0), signature=signature, plain=plain)
        self.last_bucket = self.bucket
        self.made.append(self.last)
        self.hour += 1
        return self.last

    def _files(self, files: Mapping[str, bytes]) -> Sequence[dict[str, str]]:
        return [
            {
                "s3Bucket": self.bucket, "s3Object": key, "hashAlgorithm": "SHA-256",
                "hashValue": hashlib.sha256(gzip.decompress(content)).hexdigest(),
                "newestEventTime": "2026-11-22T00:10:00Z", "oldestEventTime": "2026-11-22T00:00:00Z",
            }
            for key, content in files.items()
        ]  # fmt: skip
