"""A submitted statement about an AMI, verified. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec

from whence_aggregator.ports import Forbidden
from whence_common.ami_provenance import STATEMENT_BYTES_MAX, AmiProvenance
from whence_common.digest import is_sha256_digest, sha256_digest
from whence_common.envelope import Envelope, EnvelopeInvalid
from whence_common.errors import InputError, one_line
from whence_common.identifiers import REGION
from whence_common.image_trust import TrustedBuilder
from whence_common.keys import key_id
from whence_common.storable import check_json

ENVELOPE_BYTES_MAX = STATEMENT_BYTES_MAX * 4 // 3 + 16 * 1024
SUBMISSION_BYTES_MAX = ENVELOPE_BYTES_MAX + 64 * 1024
AMIS_MAX = 200
"""Of one request."""
AMI_ID = re.compile(r"ami-[0-9a-f]{8}(?:[0-9a-f]{9})?\Z")
_REASON_CHARACTERS_MAX = 200
_FIX = "send it with whence attest --ami"


class NamedAmi(msgspec.Struct, frozen=True, order=True):
    """An AMI: each region and account has ids of its own."""

    region: str
    image_id: str


class _Body(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    statement: msgspec.Raw
    amis: list[NamedAmi] = []


@dataclass(frozen=True, slots=True, kw_only=True)
class SubmittedAmi:
    """A statement, or the digest of one that is recorded already, and the AMIs that it is about."""

    digest: str
    amis: Sequence[NamedAmi]
    envelope: Mapping[str, object] | None = None
    """The envelope's members; None if only the digest was sent."""
    provenance: AmiProvenance | None = None
    key_id: str = ""
    """The key that signed it, which is a trusted builder's."""


def parse_submission(content: bytes, builders: Sequence[TrustedBuilder]) -> SubmittedAmi:
    """Return a verified submission. Raises InputError, or Forbidden for a signer that is not trusted."""
    try:
        body = msgspec.json.decode(content, type=_Body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as exc:
        message = f"the body is not a statement with AMIs: {one_line(str(exc), _REASON_CHARACTERS_MAX)}"
        raise InputError("ami-statement-malformed", message, fix=_FIX) from exc
    if len(body.amis) > AMIS_MAX or not all(
        REGION.match(one.region) and AMI_ID.match(one.image_id) for one in body.amis
    ):
        message = (
            f"amis has at most {AMIS_MAX} pairs of region and image_id, as in eu-central-1 and ami-0123456789abcdef0"
        )
        raise InputError("ami-malformed", message)
    amis, statement = sorted(set(body.amis)), bytes(body.statement)
    if statement.startswith(b'"'):
        return SubmittedAmi(digest=_digest(statement), amis=amis)
    envelope = Envelope.parse(statement, bytes_max=ENVELOPE_BYTES_MAX)
    if not envelope.exact:
        raise EnvelopeInvalid("envelope-malformed", "the envelope has members that DSSE does not define", fix=_FIX)
    verified = _verified(envelope, builders)
    check_json(envelope.payload, "the statement")
    provenance = AmiProvenance.parse(envelope.payload)
    signer = _signer(verified, provenance.builder_id)
    return SubmittedAmi(
        digest=sha256_digest(envelope.payload),
        amis=amis,
        envelope=msgspec.json.decode(statement),
        provenance=provenance,
        key_id=key_id(signer.key),
    )


def _digest(statement: bytes) -> str:
    digest = statement[1:-1].decode("utf-8", "replace")
    if not is_sha256_digest(digest):
        raise InputError("ami-statement-malformed", "statement is neither an envelope nor a digest", fix=_FIX)
    return digest


def _verified(envelope: Envelope, builders: Sequence[TrustedBuilder]) -> list[TrustedBuilder]:
    """Return the trusted builders whose keys signed. Raises Forbidden if there is none."""
    verified = [one for one in builders if _holds(envelope, one)]
    if not verified:
        raise Forbidden(
            "ami-signer-untrusted", "no key of a trusted builder has signed the statement",
            fix="sign it with a builder's key, or trust the builder: ami_builders in the aggregator's settings",
        )  # fmt: skip
    return verified


def _signer(verified: Sequence[TrustedBuilder], stated: str) -> TrustedBuilder:
    """Return the builder that the statement names. Raises Forbidden if another one signed."""
    for one in verified:
        if one.builder_id == stated:
            return one
    raise Forbidden(
        "ami-builder-other",
        f"the statement names the builder {stated[:100]!r}, and is signed by the key of {verified[0].builder_id!r}",
        fix="build with --builder-id of the builder whose key signs",
    )


def _holds(envelope: Envelope, builder: TrustedBuilder) -> bool:
    try:
        envelope.verify(builder.key)
    except EnvelopeInvalid:
        return False
    return True
