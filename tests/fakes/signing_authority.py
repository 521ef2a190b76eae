"""A stand-in for AWS's signing key: a throw-away RSA-2048 certificate, and CMS blobs as the metadata service gives them.

The blobs are BER with indefinite lengths, one signer, SHA-256, four signed attributes, no certificate inside
(attestation.md). Knobs bend them for the tests of refusal.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.x509.oid import NameOID

_DATA = "2a864886f70d010701"
_SIGNED_DATA = "2a864886f70d010702"
_SHA256 = "608648016503040201"
_RSA = "2a864886f70d010101"
_CONTENT_TYPE = "2a864886f70d010903"
_SIGNING_TIME = "2a864886f70d010905"
_MESSAGE_DIGEST = "2a864886f70d010904"


@dataclass(frozen=True)
class SigningAuthority:
    """One region's signing key and certificate."""

    key: rsa.RSAPrivateKey
    certificate: x509.Certificate

    @classmethod
    def make(cls) -> SigningAuthority:
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        name = x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, "A throw-away authority")])
        now = datetime.now(UTC)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + timedelta(days=30))
            .sign(key, hashes.SHA256())
        )
        return cls(key, certificate)

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    def sign(
        self,
        content: bytes,
        *,
        signers: int = 1,
        claimed_digest: bytes | None = None,
        serial: int | None = None,
        certificates: bytes = b"",
        repeat_attribute: bool = False,
    ) -> str:
        """Give the base64 text of a SignedData over content."""
        digest = hashlib.sha256(content).digest() if claimed_digest is None else claimed_digest
        attributes = [
            _attribute(_CONTENT_TYPE, _oid(_DATA)),
            _attribute(_SIGNING_TIME, _tlv(0x17, b"260101000000Z")),
            _attribute(_MESSAGE_DIGEST, _tlv(0x04, digest)),
        ]
        if repeat_attribute:
            attributes.append(_attribute(_MESSAGE_DIGEST, _tlv(0x04, digest)))
        signed = b"".join(attributes)
        signature = self.key.sign(_tlv(0x31, signed), padding.PKCS1v15(), hashes.SHA256())
        number = self.certificate.serial_number if serial is None else serial
        issuer = self.certificate.issuer.public_bytes()
        identifier = _tlv(0x30, issuer + _integer(number))
        signer = _tlv(
            0x30,
            _integer(1)
            + identifier
            + _algorithm(_SHA256)
            + _tlv(0xA0, signed)
            + _algorithm(_RSA)
            + _tlv(0x04, signature),
        )
        encapsulated = _indefinite(0x30, _oid(_DATA) + _indefinite(0xA0, _indefinite(0x24, _tlv(0x04, content))))
        bag = _tlv(0xA0, certificates) if certificates else b""
        signed_data = _indefinite(
            0x30, _integer(1) + _tlv(0x31, _algorithm(_SHA256)) + encapsulated + bag + _tlv(0x31, signer * signers)
        )
        blob = _indefinite(0x30, _oid(_SIGNED_DATA) + _indefinite(0xA0, signed_data))
        encoded = base64.b64encode(blob).decode("ascii")
        return "\n".join(encoded[start : start + 64] for start in range(0, len(encoded), 64))


def identity_document(instance_id: str, **changes: str) -> bytes:
    """Give an identity document as the metadata service writes it."""
    document: Mapping[str, object] = {
        "accountId": "123456789012",
        "architecture": "x86_64",
        "availabilityZone": "eu-central-1a",
        "billingProducts": None,
        "imageId": "ami-12c6146b",
        "instanceId": instance_id,
        "instanceType": "t3.micro",
        "kernelId": None,
        "pendingTime": "2026-11-22T12:00:00Z",
        "privateIp": "10.0.0.7",
        "ramdiskId": None,
        "region": "eu-central-1",
        "version": "2017-09-30",
        **changes,
    }
    return json.dumps(document, indent=2).encode()


def launched_now(instance_id: str, **changes: str) -> bytes:
    """Give the document of an instance that was launched just now, for programs that look at the real clock."""
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return identity_document(instance_id, **{"pendingTime": now, **changes})


def _tlv(tag: int, content: bytes) -> bytes:
    size = len(content)
    if size < 0x80:
        return bytes([tag, size]) + content
    octets = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(octets)]) + octets + content


def _indefinite(tag: int, content: bytes) -> bytes:
    return bytes([tag, 0x80]) + content + b"\x00\x00"


def _oid(hexadecimal: str) -> bytes:
    return _tlv(0x06, bytes.fromhex(hexadecimal))


def _integer(number: int) -> bytes:
    return _tlv(0x02, number.to_bytes(number.bit_length() // 8 + 1, "big", signed=True))


def _algorithm(hexadecimal: str) -> bytes:
    return _tlv(0x30, _oid(hexadecimal) + b"\x05\x00")


def _attribute(name: str, value: bytes) -> bytes:
    return _tlv(0x30, _oid(name) + _tlv(0x31, value))
