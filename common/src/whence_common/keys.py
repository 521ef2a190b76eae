"""Instance keys: ECDSA on P-256, identified by the SHA-256 of their SubjectPublicKeyInfo."""

from __future__ import annotations

import base64
import hashlib
import re

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from whence_common import strict_base64
from whence_common.errors import InputError

_SPKI_BYTES_MAX = 200
_KEY_ID = re.compile(r"[0-9a-f]{64}\Z")
_ECDSA = ec.ECDSA(hashes.SHA256())


class PublicKeyInvalid(InputError):
    """The bytes are not a P-256 public key."""


def key_id(public_key: ec.EllipticCurvePublicKey) -> str:
    """Return a key's id: the hex SHA-256 of its DER SubjectPublicKeyInfo."""
    return hashlib.sha256(_spki(public_key)).hexdigest()


def is_key_id(text: str) -> bool:
    """Return whether a text has the form of a `key_id`, lower-case: look-ups compare ids as text."""
    return _KEY_ID.match(text) is not None


def public_key_to_wire(public_key: ec.EllipticCurvePublicKey) -> str:
    """Return the DER SubjectPublicKeyInfo in base64."""
    return base64.b64encode(_spki(public_key)).decode("ascii")


def public_key_from_wire(text: str) -> ec.EllipticCurvePublicKey:
    """Parse a key from base64 DER. Raises PublicKeyInvalid unless it is one P-256 key in canonical form."""
    try:
        der = strict_base64.decode(text)
        if len(der) > _SPKI_BYTES_MAX:
            raise ValueError("too long")
        key = serialization.load_der_public_key(der)
    except (ValueError, UnsupportedAlgorithm) as exc:
        raise PublicKeyInvalid("public-key-invalid", "the public key cannot be read") from exc
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise PublicKeyInvalid("public-key-invalid", "the public key is not on the curve P-256")
    if public_key_to_wire(key) != text:
        raise PublicKeyInvalid("public-key-invalid", "the public key is not in its canonical form, uncompressed DER")
    return key


def sign(private_key: ec.EllipticCurvePrivateKey, content: bytes) -> bytes:
    return private_key.sign(content, _ECDSA)


def signature_holds(public_key: ec.EllipticCurvePublicKey, signature: bytes, content: bytes) -> bool:
    try:
        public_key.verify(signature, content, _ECDSA)
    except InvalidSignature:
        return False
    return True


def _spki(public_key: ec.EllipticCurvePublicKey) -> bytes:
    return public_key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
