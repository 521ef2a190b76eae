"""DSSE envelopes: signed bytes with their type. The payload is verified first; exactly the verified bytes are parsed.

Source of the format: DSSE 1.0 (`DSSEv1 <len type> <type> <len body> <body>`, lengths in bytes as decimal).
"""

from __future__ import annotations

import base64
from dataclasses import dataclass

import msgspec
from cryptography.hazmat.primitives.asymmetric import ec

from whence_common import keys, strict_base64
from whence_common.digest import sha256_digest
from whence_common.errors import InputError

IN_TOTO_TYPE = "application/vnd.in-toto+json"
ENVELOPE_BYTES_MAX = 256 * 1024
_SIGNATURES_MAX = 8


class EnvelopeInvalid(InputError):
    """The bytes are not a DSSE envelope, or the signature is not valid."""


class _Signature(msgspec.Struct, frozen=True):
    sig: str
    keyid: str = ""


class _Wire(msgspec.Struct, frozen=True):
    payload: str
    payloadType: str  # noqa: N815 - DSSE's own name
    signatures: list[_Signature]


class _ExactSignature(_Signature, frozen=True, forbid_unknown_fields=True): ...


class _ExactWire(_Wire, frozen=True, forbid_unknown_fields=True):
    signatures: list[_ExactSignature]  # type: ignore[assignment]  # a subtype that forbids unknown fields


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """A well-formed envelope that is not verified yet. `content` are its verbatim bytes."""

    content: bytes
    payload_type: str
    payload: bytes
    signatures: tuple[tuple[str, bytes], ...]
    """Pairs of key id and signature; the id is a hint."""
    exact: bool
    """Whether it has only the fields that DSSE defines; other fields are ignored."""

    @property
    def digest(self) -> str:
        return sha256_digest(self.content)

    @classmethod
    def parse(cls, content: bytes, *, bytes_max: int = ENVELOPE_BYTES_MAX) -> Envelope:
        """Parse envelope bytes. Raises EnvelopeInvalid."""
        if len(content) > bytes_max:
            raise EnvelopeInvalid("envelope-too-large", f"the envelope is larger than {bytes_max} bytes")
        try:
            wire, exact = _decoded(content)
            payload = _base64(wire.payload)
            signatures = tuple((one.keyid[:200], _base64(one.sig)) for one in wire.signatures)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, ValueError) as exc:
            raise EnvelopeInvalid("envelope-malformed", "the body is not a DSSE envelope") from exc
        if not 0 < len(signatures) <= _SIGNATURES_MAX:
            raise EnvelopeInvalid("envelope-signatures", f"an envelope has 1 to {_SIGNATURES_MAX} signatures")
        return cls(content=content, payload_type=wire.payloadType, payload=payload, signatures=signatures, exact=exact)

    def verify(self, public_key: ec.EllipticCurvePublicKey, *, payload_type: str = IN_TOTO_TYPE) -> bytes:
        """Return the payload if it has a valid signature of this key. Raises EnvelopeInvalid."""
        if self.payload_type != payload_type:
            raise EnvelopeInvalid("envelope-type", f"the payload type is not {payload_type}")
        signed = pre_authentication_encoding(self.payload_type, self.payload)
        if not any(keys.signature_holds(public_key, signature, signed) for _, signature in self.signatures):
            raise EnvelopeInvalid("envelope-signature", "the signature does not hold for this instance's key")
        return self.payload


_DECODER, _EXACT = msgspec.json.Decoder(_Wire), msgspec.json.Decoder(_ExactWire)


def seal(
    private_key: ec.EllipticCurvePrivateKey, payload: bytes, *, payload_type: str = IN_TOTO_TYPE, named: bool = True
) -> bytes:
    """Sign a payload and return the envelope's bytes, which must be stored verbatim.

    `named` states whether the signature has our key id. Verifiers of other projects, which derive key ids in another
    way, skip such a signature; leave the id out for envelopes that they verify.
    """
    signature = keys.sign(private_key, pre_authentication_encoding(payload_type, payload))
    wire = _Wire(
        payload=base64.b64encode(payload).decode("ascii"),
        payloadType=payload_type,
        signatures=[
            _Signature(
                sig=base64.b64encode(signature).decode("ascii"),
                keyid=keys.key_id(private_key.public_key()) if named else "",
            )
        ],
    )
    return msgspec.json.encode(wire)


def pre_authentication_encoding(payload_type: str, payload: bytes) -> bytes:
    kind = payload_type.encode("utf-8")
    return b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(payload), payload)


def _decoded(content: bytes) -> tuple[_Wire, bool]:
    try:
        return _EXACT.decode(content), True
    except msgspec.ValidationError:
        return _DECODER.decode(content), False


def _base64(text: str) -> bytes:
    """Decode either alphabet of base64, as DSSE requires, but not both in one text."""
    if "-" in text or "_" in text:
        return strict_base64.decode_url_safe(text)
    return strict_base64.decode(text)
