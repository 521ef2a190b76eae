"""What a build pipeline pushes beside an image: cosign's signatures and SLSA provenance, by tag and by fallback index."""

from __future__ import annotations

import base64
import io
import json
from typing import Any

import aiohttp
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed

from whence_common.digest import sha256_digest
from whence_common.envelope import seal

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
BUNDLE = "application/vnd.dev.sigstore.bundle.v0.3+json"
BUILDER = "https://builder.example.org/pipeline"


def new_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def public_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


def simple_signing(digest: str, *, kind: str = "cosign container image signature") -> bytes:
    critical = {"identity": {"docker-reference": "x"}, "image": {"docker-manifest-digest": digest}, "type": kind}
    return json.dumps({"critical": critical, "optional": None}).encode()


def sign_bytes(key: ec.EllipticCurvePrivateKey, body: bytes) -> bytes:
    return key.sign(body, ec.ECDSA(hashes.SHA256()))


def sign_digest(key: ec.EllipticCurvePrivateKey, digest: str) -> bytes:
    return key.sign(bytes.fromhex(digest.removeprefix("sha256:")), ec.ECDSA(Prehashed(hashes.SHA256())))


def provenance(key: ec.EllipticCurvePrivateKey, digest: str, *, builder: str = BUILDER, version: str = "v1") -> bytes:
    """Give a DSSE envelope with SLSA provenance."""
    predicate: dict[str, Any] = {"builder": {"id": builder}}
    if version == "v1":
        predicate = {"buildDefinition": {}, "runDetails": predicate}
    return statement(key, digest, f"https://slsa.dev/provenance/{version}", predicate)


def statement(key: ec.EllipticCurvePrivateKey, digest: str, kind: str, predicate: dict[str, Any]) -> bytes:
    body = {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": "_", "digest": {"sha256": digest.removeprefix("sha256:")}}],
        "predicateType": kind,
        "predicate": predicate,
    }
    return seal(key, json.dumps(body).encode())


def bundle(*, envelope: bytes | None = None, signature: bytes | None = None) -> bytes:
    """Give a Sigstore bundle around an envelope, or around a signature over the digest."""
    document: dict[str, Any] = {"mediaType": BUNDLE, "verificationMaterial": {"publicKey": {"hint": ""}}}
    if envelope is not None:
        document["dsseEnvelope"] = json.loads(envelope)
    if signature is not None:
        document["messageSignature"] = {"signature": base64.b64encode(signature).decode()}
    return json.dumps(document).encode()


class Pusher:
    """Pushes blobs and manifests to a registry that anybody may write to."""

    def __init__(self, session: aiohttp.ClientSession, registry: str, path: str) -> None:
        self._session = session
        self._base = f"http://{registry}/v2/{path}"

    async def blob(self, content: bytes) -> str:
        digest = sha256_digest(content)
        async with self._session.post(f"{self._base}/blobs/uploads/") as answer:
            location = answer.headers["Location"]
        url = f"{location}{'&' if '?' in location else '?'}digest={digest}"
        async with self._session.put(url, data=io.BytesIO(content)) as answer:
            assert answer.status == 201, await answer.text()
        return digest

    async def manifest(self, name: str, document: dict[str, Any], kind: str = MANIFEST) -> tuple[str, int]:
        content = json.dumps(document).encode()
        headers = {"Content-Type": kind}
        async with self._session.put(f"{self._base}/manifests/{name}", data=content, headers=headers) as answer:
            assert answer.status == 201, await answer.text()
        return sha256_digest(content), len(content)

    async def beside(self, digest: str, suffix: str, *layers: tuple[str, bytes, dict[str, str]]) -> None:
        """Push a manifest of layers under cosign's tag for an image: `.sig` or `.att`."""
        await self.manifest(digest.replace(":", "-") + suffix, await self._document(*layers))

    async def referring(self, digest: str, *layers: tuple[str, bytes, dict[str, str]]) -> None:
        """Push a manifest of layers as a referrer, listed by the fallback tag of OCI 1.1."""
        document = {**await self._document(*layers), "artifactType": BUNDLE}
        pushed, size = await self.manifest("referrer", document)
        entry = {"mediaType": MANIFEST, "digest": pushed, "size": size, "artifactType": BUNDLE}
        index = {"schemaVersion": 2, "mediaType": INDEX, "manifests": [entry]}
        await self.manifest(digest.replace(":", "-"), index, INDEX)

    async def _document(self, *layers: tuple[str, bytes, dict[str, str]]) -> dict[str, Any]:
        config = b"{}"
        described = [
            {"mediaType": kind, "digest": await self.blob(content), "size": len(content), "annotations": annotations}
            for kind, content, annotations in layers
        ]
        return {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": {
                "mediaType": "application/vnd.oci.image.config.v1+json",
                "digest": await self.blob(config),
                "size": len(config),
            },
            "layers": described,
        }

    async def sign(self, digest: str, key: ec.EllipticCurvePrivateKey, *, body: bytes | None = None) -> None:
        """Sign as cosign does by tag."""
        body = simple_signing(digest) if body is None else body
        annotations = {"dev.cosignproject.cosign/signature": base64.b64encode(sign_bytes(key, body)).decode()}
        await self.beside(digest, ".sig", ("application/vnd.dev.cosign.simplesigning.v1+json", body, annotations))

    async def attest(self, digest: str, envelope: bytes) -> None:
        """Attest as cosign does by tag."""
        await self.beside(digest, ".att", ("application/vnd.dsse.envelope.v1+json", envelope, {}))
