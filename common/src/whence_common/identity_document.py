"""The instance identity document: AWS's signed facts about a machine, verified with the region's certificate.

Only the content inside the verified CMS is used.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from whence_common import ber, strict_base64
from whence_common.clock import parse_instant
from whence_common.cms import SignedData, open_signed_data
from whence_common.digest import sha256_digest
from whence_common.errors import InputError
from whence_common.identifiers import ACCOUNT_ID, INSTANCE_ID, REGION

if TYPE_CHECKING:
    from cryptography import x509

BLOB_CHARACTERS_MAX = 8 * 1024
_DOCUMENT_BYTES_MAX = 4 * 1024
_FIELD_CHARACTERS_MAX = 256


class DocumentRefused(InputError):
    """The blob does not prove the instance's identity. The code names the check that failed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceIdentity:
    """The facts that AWS signed. One that `verify` returned has a valid signature."""

    account_id: str
    region: str
    instance_id: str
    image_id: str
    instance_type: str
    availability_zone: str
    architecture: str
    private_ip: str
    pending_time: datetime
    digest: str
    """Digest of the signed content; unlike a digest of the blob, it does not depend on the encoding around it."""


@dataclass(frozen=True, slots=True)
class Authorities:
    """The certificates that may sign for each region."""

    by_region: Mapping[str, Sequence[x509.Certificate]]

    @classmethod
    def from_pem(cls, pem_by_region: Mapping[str, bytes]) -> Authorities:
        """Load PEM certificates by region. Raises ValueError if a key is not RSA-2048."""
        from cryptography import x509  # imported here: the agent verifies no documents, and so saves the memory

        loaded = {region: x509.load_pem_x509_certificates(pem) for region, pem in pem_by_region.items()}
        for region, certificates in loaded.items():
            for certificate in certificates:
                key = certificate.public_key()
                if not isinstance(key, rsa.RSAPublicKey) or key.key_size != 2048:
                    raise ValueError(f"the key of the certificate for {region} is not RSA-2048")
        return cls(loaded)


def verify(blob: str, authorities: Authorities) -> InstanceIdentity:
    """Verify the metadata service's `rsa2048`, base64, and return what it signs. Raises an InputError."""
    if len(blob) > BLOB_CHARACTERS_MAX:
        raise DocumentRefused("identity-too-large", f"the signature is longer than {BLOB_CHARACTERS_MAX} characters")
    try:
        decoded = strict_base64.decode(blob.replace("\r", "").replace("\n", ""))  # AWS breaks it into lines
    except ValueError as exc:
        raise DocumentRefused("identity-not-base64", "the signature is not base64") from exc
    signed = open_signed_data(ber.read(decoded))
    document = _document(signed.content)
    region = _text(document, "region")
    _verify_signature(signed, region, authorities)
    return _identity(document, signed.content)


def read_unverified(document: bytes) -> InstanceIdentity:
    """Parse the plain document of the metadata service, without verification, for the agent on its own machine."""
    return _identity(_document(document), document)


def _verify_signature(signed: SignedData, region: str, authorities: Authorities) -> None:
    certificates = authorities.by_region.get(region, ())
    if not certificates:
        raise DocumentRefused("identity-region-unknown", "no certificate is configured for the document's region")
    for certificate in certificates:
        if certificate.serial_number != signed.serial:
            continue
        key = certificate.public_key()
        assert isinstance(key, rsa.RSAPublicKey)
        try:
            key.verify(signed.signature, signed.signed, padding.PKCS1v15(), hashes.SHA256())
        except InvalidSignature:
            continue
        return
    raise DocumentRefused("identity-signature", "the signature is not valid for the region's certificate")


def _document(content: bytes) -> Mapping[str, Any]:
    if len(content) > _DOCUMENT_BYTES_MAX:
        raise DocumentRefused("identity-too-large", "the document is too large")
    try:
        document = json.loads(content, object_pairs_hook=_without_duplicates)
    except (ValueError, RecursionError) as exc:
        raise DocumentRefused("identity-not-json", "the document is not JSON, or names a key twice") from exc
    if not isinstance(document, dict):
        raise DocumentRefused("identity-not-json", "the document is not a JSON object")
    return document


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    document = dict(pairs)
    if len(document) != len(pairs):
        raise ValueError("duplicate key")
    return document


def _identity(document: Mapping[str, Any], content: bytes) -> InstanceIdentity:
    account_id, region, instance_id = (_text(document, name) for name in ("accountId", "region", "instanceId"))
    if not ACCOUNT_ID.match(account_id) or not REGION.match(region) or not INSTANCE_ID.match(instance_id):
        raise DocumentRefused("identity-malformed", "account, region or instance id in the document is malformed")
    try:
        pending_time = parse_instant(_text(document, "pendingTime"))
    except ValueError as exc:
        raise DocumentRefused("identity-malformed", "pendingTime in the document is not an instant") from exc
    return InstanceIdentity(
        account_id=account_id,
        region=region,
        instance_id=instance_id,
        image_id=_text(document, "imageId"),
        instance_type=_text(document, "instanceType"),
        availability_zone=_text(document, "availabilityZone"),
        architecture=_text(document, "architecture"),
        private_ip=_text(document, "privateIp"),
        pending_time=pending_time,
        digest=sha256_digest(content),
    )


def _text(document: Mapping[str, Any], name: str) -> str:
    value = document.get(name)
    if value is None:
        return ""
    if not isinstance(value, str) or len(value) > _FIELD_CHARACTERS_MAX:
        raise DocumentRefused(
            "identity-malformed", f"{name} in the document must be text of at most {_FIELD_CHARACTERS_MAX} characters"
        )
    return value
