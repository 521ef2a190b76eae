"""Verify an image's cosign signatures and SLSA provenance by keys that the platform names. Pure.

Formats: cosign simple signing, Sigstore bundles, DSSE, SLSA provenance v0.2 and v1. Only verified bytes are read.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed

from whence_common import strict_base64
from whence_common.envelope import Envelope, EnvelopeInvalid
from whence_common.errors import InputError
from whence_common.keys import key_id, signature_holds
from whence_common.loose_json import loose
from whence_common.slsa_source import PROVENANCE_TYPES, subjects_of

EVIDENCE_BYTES_MAX = 8 * 1024 * 1024
"""The largest signature or attestation that is read. BuildKit's provenance with `mode=max` has several megabytes."""
_SIGN = "https://sigstore.dev/cosign/sign/v1"
WANTED_PREDICATES = (_SIGN, *PROVENANCE_TYPES)
"""Predicate types of signatures and provenance; SBOMs, scans and others are not read."""
PROVENANCE_PREFIX = "https://slsa.dev/provenance/"
_SIMPLE_SIGNING = "cosign container image signature"
_KEY_BYTES_MAX = 16 * 1024


class TrustKeyInvalid(InputError):
    """A key file of the platform does not hold a P-256 public key."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustedBuilder:
    builder_id: str
    key: ec.EllipticCurvePublicKey


def load_public_key(pem: bytes, *, name: str) -> ec.EllipticCurvePublicKey:
    """Load a PEM public key as cosign writes it. Raises TrustKeyInvalid."""
    try:
        key = serialization.load_pem_public_key(pem[:_KEY_BYTES_MAX])
    except ValueError as exc:
        raise TrustKeyInvalid("trust-key", f"{name} is not a public key in PEM") from exc
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise TrustKeyInvalid("trust-key", f"{name} is not a P-256 key", fix="create one: cosign generate-key-pair")
    return key


def signer_of(
    digest: str,
    *,
    signatures: Sequence[tuple[bytes, bytes]],
    digest_signatures: Sequence[bytes],
    envelopes: Sequence[bytes],
    keys: Iterable[ec.EllipticCurvePublicKey],
) -> str | None:
    """Return the id of the first key that signed this digest, by simple signing or a sign statement; else None."""
    for key in keys:
        for body, signature in signatures:
            if signature_holds(key, signature, body) and _names(body, digest):
                return key_id(key)
        if any(_signs_digest(key, signature, digest) for signature in digest_signatures):
            return key_id(key)
        for envelope in envelopes:
            statement = _statement(envelope, key, digest)
            if statement is not None and statement.get("predicateType") == _SIGN:
                return key_id(key)
    return None


def signing(envelopes: Sequence[bytes]) -> int:
    """Return how many envelopes state that somebody signed an image. Their signatures are not verified."""
    found = 0
    for envelope in envelopes:
        try:
            payload = Envelope.parse(envelope, bytes_max=EVIDENCE_BYTES_MAX).payload
        except EnvelopeInvalid:
            continue
        found += loose(payload).get("predicateType") == _SIGN
    return found


def other_subjects(envelopes: Sequence[bytes], digests: Collection[str]) -> bool:
    """Return whether provenance, by whomever, is about other digests only. Its signatures are not verified."""
    for envelope in envelopes:
        try:
            payload = Envelope.parse(envelope, bytes_max=EVIDENCE_BYTES_MAX).payload
        except EnvelopeInvalid:
            continue
        if about_others(loose(payload), digests):
            return True
    return False


def about_others(statement: Mapping[str, Any], digests: Collection[str]) -> bool:
    """Return whether a statement is provenance that names subjects, and none of these digests."""
    subjects = set(subjects_of(statement))
    is_provenance = str(statement.get("predicateType")).startswith(PROVENANCE_PREFIX)
    return is_provenance and bool(subjects) and subjects.isdisjoint(digests)


def builder_of(digest: str, *, envelopes: Sequence[bytes], builders: Iterable[TrustedBuilder]) -> str | None:
    """Return the id of the trusted builder whose provenance names this digest; else None."""
    found = verified_provenance(digest, envelopes=envelopes, builders=builders)
    return found[0][0].builder_id if found else None


def verified_provenance(
    digest: str, *, envelopes: Sequence[bytes], builders: Iterable[TrustedBuilder]
) -> list[tuple[TrustedBuilder, Mapping[str, Any]]]:
    """Return the provenance of this digest that trusted builders signed, each with its own builder id."""
    found = []
    for builder in builders:
        for envelope in envelopes:
            statement = _statement(envelope, builder.key, digest)
            if statement is not None and _builder_id(statement) == builder.builder_id:
                found.append((builder, statement))
    return found


def unread_provenance(digest: str, *, envelopes: Sequence[bytes], builders: Iterable[TrustedBuilder]) -> list[str]:
    """Return the unsupported predicate types of provenance of this digest that a builder's key signed."""
    found = []
    for builder in builders:
        for envelope in envelopes:
            statement = _statement(envelope, builder.key, digest)
            kind = statement.get("predicateType") if statement is not None else None
            if isinstance(kind, str) and kind.startswith(PROVENANCE_PREFIX) and kind not in PROVENANCE_TYPES:
                found.append(kind)
    return found


def read_bundle(content: bytes) -> tuple[bytes | None, bytes | None]:
    """Return a Sigstore bundle's DSSE envelope, or its signature over the manifest's digest; neither is verified."""
    bundle = loose(content)
    envelope = bundle.get("dsseEnvelope")
    if isinstance(envelope, dict):
        return json.dumps(envelope).encode(), None
    signature = _object(bundle.get("messageSignature")).get("signature")
    try:
        return None, strict_base64.decode(signature) if isinstance(signature, str) else None
    except ValueError:
        return None, None


def _signs_digest(key: ec.EllipticCurvePublicKey, signature: bytes, digest: str) -> bool:
    try:
        hashed = bytes.fromhex(digest.removeprefix("sha256:"))
        key.verify(signature, hashed, ec.ECDSA(Prehashed(hashes.SHA256())))
    except (InvalidSignature, ValueError):
        return False
    return True


def _names(body: bytes, digest: str) -> bool:
    critical = _object(loose(body).get("critical"))
    named = _object(critical.get("image")).get("docker-manifest-digest")
    return named == digest and critical.get("type") == _SIMPLE_SIGNING


def _statement(envelope: bytes, key: ec.EllipticCurvePublicKey, digest: str) -> Mapping[str, Any] | None:
    """Return the in-toto statement in an envelope if it is about this digest and its signature is valid; else None."""
    try:
        body = Envelope.parse(envelope, bytes_max=EVIDENCE_BYTES_MAX).verify(key)
    except EnvelopeInvalid:
        return None
    statement = loose(body)
    return statement if digest in subjects_of(statement) else None


def _builder_id(statement: Mapping[str, Any]) -> str | None:
    kind, predicate = statement.get("predicateType"), _object(statement.get("predicate"))
    if kind not in PROVENANCE_TYPES:
        return None
    holder = _object(predicate.get("runDetails")) if kind == PROVENANCE_TYPES[0] else predicate
    found = _object(holder.get("builder")).get("id")
    return found if isinstance(found, str) else None


def _object(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}
