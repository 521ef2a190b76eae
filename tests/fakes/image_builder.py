"""A builder of machine images: its key, and the statements that it signs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from whence_common.ami_provenance import AmiPackage, ami_provenance
from whence_common.envelope import seal
from whence_common.image_trust import TrustedBuilder
from whence_common.keys import key_id

BUILDER_ID = "https://ci.example.org/images"
IMAGE_COMMIT = "5a" * 20
AMI, REGION = "ami-12c6146b", "eu-central-1"
"""The AMI that `Machine` was launched from."""
OPENSSL_OLD, OPENSSL_NEW = "3.0.16-1~deb12u1", "3.0.17-1~deb12u2"


def deb(name: str, version: str, architecture: str = "amd64") -> AmiPackage:
    return AmiPackage(
        system="deb", name=name, architecture=architecture, version=version, distribution="debian-12",
        origin="Debian", suite="oldstable", component="main",
    )  # fmt: skip


def pypi(name: str, version: str) -> AmiPackage:
    return AmiPackage(system="pypi", name=name, architecture="", version=version)


PACKAGES = (deb("openssl", OPENSSL_OLD), deb("vim", "2:9.0.1378-2"), pypi("aiohttp", "3.14.5"))


class ImageBuilder:
    """A builder with a key of its own."""

    def __init__(self, builder_id: str = BUILDER_ID, key: ec.EllipticCurvePrivateKey | None = None) -> None:
        self.builder_id = builder_id
        self.key = key or ec.generate_private_key(ec.SECP256R1())

    @property
    def trusted(self) -> TrustedBuilder:
        return TrustedBuilder(builder_id=self.builder_id, key=self.key.public_key())

    @property
    def pair(self) -> tuple[str, str]:
        return self.builder_id, key_id(self.key.public_key())

    @property
    def public_pem(self) -> bytes:
        return self.key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )

    @property
    def private_pem(self) -> bytes:
        return self.key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )

    def payload(self, *packages: AmiPackage, name: str = "whence-1.2", **changes: Any) -> bytes:
        stated: dict[str, Any] = {
            "name": name, "root_digest": "sha256:" + "7" * 64, "builder_id": self.builder_id,
            "repository": "https://git.example.org/demo/image", "commit_id": IMAGE_COMMIT, "modified": False,
            "finished_at": "2026-11-22T11:00:00Z", "packages": packages or PACKAGES, **changes,
        }  # fmt: skip
        return ami_provenance(**stated)

    def submission(self, payload: bytes | str, *amis: tuple[str, str]) -> bytes:
        """Return the body of a request: the statement signed, or its digest, with (region, image id) of AMIs."""
        statement: Mapping[str, Any] | str = (
            json.loads(seal(self.key, payload)) if isinstance(payload, bytes) else payload
        )
        named = [{"region": region, "image_id": image_id} for region, image_id in amis]
        return json.dumps({"statement": statement, "amis": named}).encode()
