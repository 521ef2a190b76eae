"""whence attest: push signed SLSA provenance for an image as a referrer. Builds run it after the push."""

from __future__ import annotations

import base64
import hashlib
import json
import os
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from whence_aggregator.whence.git_checkout import read_checkout
from whence_aggregator.whence.registry_client import RegistryClient
from whence_common.clock import to_instant
from whence_common.envelope import seal
from whence_common.errors import InputError, one_line
from whence_common.image_evidence import fallback_tag
from whence_common.image_provenance import slsa_provenance
from whence_common.image_reference import ImageReference
from whence_common.loose_json import loose
from whence_common.oci_manifest import OCI_INDEX, OCI_MANIFEST, Manifest
from whence_common.scm_source import FILE_BYTES_MAX, ScmSource, repository_of

BUNDLE = "application/vnd.dev.sigstore.bundle.v0.3+json"
BUILDER = "urn:whence:attest"
"""The default builder id, which identifies the builder only by its key."""
_EMPTY = "application/vnd.oci.empty.v1+json"
_KEY_BYTES_MAX = 16 * 1024


def source_of_file(path: Path) -> ScmSource:
    """Return the source in a scm-source.json. Raises InputError or OSError."""
    with path.open("rb") as stream:
        return ScmSource.parse(stream.read(FILE_BYTES_MAX + 1))


def source_of_git(directory: Path) -> ScmSource:
    """Return the source of a clone: its remote, the checked-out commit and local changes. Raises InputError."""
    found = read_checkout(directory, path=os.environ.get("PATH", ""))
    document = {"url": f"git:{found.url}", "revision": found.commit_id, "author": "", "status": found.changes}
    return ScmSource.parse(json.dumps(document).encode())


def load_key(path: Path) -> ec.EllipticCurvePrivateKey:
    """Load a private key in PEM, decrypted with WHENCE_KEY_PASSWORD if needed. Raises InputError or OSError."""
    with path.open("rb") as stream:
        pem = stream.read(_KEY_BYTES_MAX)
    password = os.environ.get("WHENCE_KEY_PASSWORD")
    try:
        key = serialization.load_pem_private_key(pem, password.encode() if password else None)
    except (ValueError, TypeError) as exc:
        raise InputError(
            "key-unusable", f"{path} is not a private key in PEM, or cannot be decrypted",
            fix="create a key: openssl ecparam -name prime256v1 -genkey -noout -out build.key; "
            "for an encrypted key, set WHENCE_KEY_PASSWORD",
        ) from exc  # fmt: skip
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
        raise InputError("key-unusable", f"{path} is not a P-256 key", fix="use openssl ecparam -name prime256v1")
    return key


def attest(
    image: str,
    source: ScmSource,
    key: ec.EllipticCurvePrivateKey,
    *,
    builder_id: str,
    token_hosts: tuple[str, ...],
    allow_dirty: bool,
    say: Callable[[str], None],
) -> str:
    """Push provenance for an image; return the digest of the referrer. Raises InputError or RoadError."""
    _check(source, allow_dirty=allow_dirty)
    reference = ImageReference.parse(image).canonical()
    registry = RegistryClient(reference, token_hosts=token_hosts)
    manifest = Manifest.parse(registry.manifest(reference.digest or reference.tag or ""))
    if reference.digest not in (None, manifest.digest):
        raise InputError("registry-wrong-digest", f"the registry's manifest does not match {reference.digest}")
    say(f"{reference.repository}@{manifest.digest}: {source.commit_id} of {source.url}")
    statement = slsa_provenance(
        manifest.digest, name=reference.repository, source=source, builder_id=builder_id,
        finished_at=to_instant(datetime.now(UTC)),
    )  # fmt: skip
    content = sigstore_bundle(seal(key, json.dumps(statement).encode(), named=False), key)
    described = {"mediaType": BUNDLE, "digest": registry.push_blob(content), "size": len(content)}
    referrer = json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "artifactType": BUNDLE,
            "config": {"mediaType": _EMPTY, "digest": registry.push_blob(b"{}"), "size": 2},
            "layers": [described],
            "subject": {"mediaType": manifest.media_type, "digest": manifest.digest, "size": len(manifest.content)},
            "annotations": _annotations(statement),
        }
    ).encode()
    digest, listed = registry.push_manifest(referrer, OCI_MANIFEST)
    if not listed:
        _list_by_tag(registry, manifest.digest, digest, len(referrer), _annotations(statement))
        say("the registry has no referrers API: the referrer is listed under the fallback tag")
    return digest


def _annotations(statement: Mapping[str, Any]) -> dict[str, str]:
    """Return the annotations by which cosign and GitHub find provenance."""
    return {
        "org.opencontainers.image.created": statement["predicate"]["runDetails"]["metadata"]["finishedOn"],
        "dev.sigstore.bundle.content": "dsse-envelope",
        "dev.sigstore.bundle.predicateType": statement["predicateType"],
    }


def _list_by_tag(
    registry: RegistryClient, subject: str, digest: str, size: int, annotations: Mapping[str, str]
) -> None:
    """Add the referrer to the index under OCI's fallback tag, for registries without the referrers API."""
    tag = fallback_tag(subject)
    found = registry.find_manifest(tag)
    listed = loose(found).get("manifests") if found is not None else None
    entries = [one for one in listed if isinstance(one, dict)] if isinstance(listed, list) else []
    entry = {
        "mediaType": OCI_MANIFEST,
        "digest": digest,
        "size": size,
        "artifactType": BUNDLE,
        "annotations": dict(annotations),
    }
    index = {
        "schemaVersion": 2, "mediaType": OCI_INDEX,
        "manifests": [*(one for one in entries if one.get("digest") != digest), entry],
    }  # fmt: skip
    registry.put_tag(tag, json.dumps(index).encode(), OCI_INDEX)


def _check(source: ScmSource, *, allow_dirty: bool) -> None:
    if source.commit_id is None:
        raise InputError(
            "source-no-commit", f"the source's revision is not a full commit id: {one_line(source.revision, 60)!r}"
        )
    if repository_of(source.url) is None:
        raise InputError(
            "source-no-repository", f"the source's URL does not name a repository: {one_line(source.url, 100)!r}",
            fix="add a remote to the clone: git remote add origin URL",
        )  # fmt: skip
    if source.dirty and not allow_dirty:
        raise InputError(
            "source-dirty", "the working tree has uncommitted changes, so the commit is not what was built",
            fix="commit them and build again; --allow-dirty attests the build with its changes",
        )  # fmt: skip


def sigstore_bundle(envelope: bytes, key: ec.EllipticCurvePrivateKey) -> bytes:
    """Return a Sigstore bundle with an envelope. The hint is, as in cosign, base64 of SHA-256 of the DER key."""
    spki = key.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    hint = base64.b64encode(hashlib.sha256(spki).digest()).decode("ascii")
    document: dict[str, Any] = {
        "mediaType": BUNDLE,
        "verificationMaterial": {"publicKey": {"hint": hint}, "tlogEntries": []},
        "dsseEnvelope": json.loads(envelope),
    }
    return json.dumps(document).encode()
