"""All that an image and its registry say of its source: layers from the top, labels, annotations, attestations."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import msgspec
from cryptography.hazmat.primitives.asymmetric import ec

from whence_aggregator.ports import Database, ImageSaid, ImageStore, SourceUnavailable
from whence_common.digest import sha256_digest
from whence_common.errors import InputError
from whence_common.image_evidence import (
    Gathering,
    ImageEvidence,
    evidence_manifests,
    fallback_tag,
    wanted_blobs,
)
from whence_common.image_layers import LayerFinding
from whence_common.image_provenance import (
    BASE_DIGEST,
    BASE_NAME,
    chains,
    claim_of_names,
    claims_of_buildkit,
    claims_of_labels,
    claims_of_provenance,
)
from whence_common.image_reference import ImageReference
from whence_common.image_trust import TrustedBuilder, builder_of, signer_of
from whence_common.loose_json import loose
from whence_common.oci_manifest import Descriptor, Manifest, ManifestInvalid

_ATTESTATION = ("vnd.docker.reference.type", "attestation-manifest")
_REFERENCE = "vnd.docker.reference.digest"
_IN_TOTO = "application/vnd.in-toto+json"
_FINDINGS_KEPT_MAX = 10_000
_ATTESTATIONS_MAX = 10
_FORMS = ("image.layer", "image.rootfs", "oci.image.layer", "tar")


@dataclass(frozen=True, slots=True, kw_only=True)
class Trust:
    """Whose signatures count for a registry: keys that sign images, builders that sign where they come from."""

    keys: tuple[ec.EllipticCurvePublicKey, ...] = ()
    builders: tuple[TrustedBuilder, ...] = ()


class Stores(Protocol):
    def store_of(self, repository: str) -> ImageStore:
        """Give what is asked for a repository. Raises SourceUnavailable for one that must not be asked."""


class Bases(Protocol):
    async def base_of(self, prefixes: list[str]) -> str | None:
        """Give the digest of a known image that is one of these beginnings of another's layers."""


class KnownBases:
    """Images that have been read before."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def base_of(self, prefixes: list[str]) -> str | None:
        """Look the beginnings up. Raises StorageUnavailable."""
        asked = {"chains": msgspec.json.encode(prefixes).decode(), "limit": 1}
        rows = await self._database.fetch("images_of_chains", asked)
        return str(rows[0]["image_digest"]) if rows else None


class ImageReader:
    """Reads images. `trust` is by the registry's host."""

    def __init__(self, *, stores: Stores, bases: Bases, trust: Mapping[str, Trust]) -> None:
        self._stores = stores
        self._bases = bases
        self._trust = trust
        self._findings: OrderedDict[str, LayerFinding] = OrderedDict()

    async def said(self, repository: str, digest: str, index_digest: str | None) -> ImageSaid:
        """Read one image. Raises SourceUnavailable."""
        store = self._stores.store_of(repository)
        content = await store.manifest(repository, digest)
        if content is None:
            raise SourceUnavailable("registry-image-unknown", f"{repository}: the registry does not have {digest}")
        return await self.said_by(repository, _manifest(content, repository), index_digest)

    async def digest_of(self, reference: str) -> str | None:
        """Give what a tag names now, by its bytes. Raises SourceUnavailable."""
        repository, _, tag = reference.rpartition(":")
        content = await self._stores.store_of(repository).manifest(repository, tag)
        return sha256_digest(content) if content is not None else None

    async def said_by(self, repository: str, manifest: Manifest, index_digest: str | None = None) -> ImageSaid:
        """Read the image of a manifest that is at hand. Raises SourceUnavailable."""
        store, said = self._stores.store_of(repository), ImageSaid()
        evidence = await self._evidence(store, repository, manifest.digest)
        index = await self._index(store, repository, index_digest)
        if index is not None and evidence == ImageEvidence():
            of_index = await self._evidence(store, repository, index.digest)
            self._judge(said, repository, index.digest, of_index)
        else:
            self._judge(said, repository, manifest.digest, evidence)
        said.claims += claim_of_names("annotation", manifest.annotations)
        if index is not None:
            await self._read_index(said, store, repository, manifest, index)
        await self._read_labels(said, store, repository, manifest)
        await self._read_layers(said, store, repository, manifest)
        return said

    def _judge(self, said: ImageSaid, repository: str, digest: str, evidence: ImageEvidence) -> None:
        """Believe what the configured keys have signed."""
        trust = self._trust.get(repository.partition("/")[0], Trust())
        said.signed_by = (
            signer_of(
                digest,
                signatures=evidence.signatures,
                digest_signatures=evidence.digest_signatures,
                envelopes=evidence.envelopes,
                keys=trust.keys,
            )
            or ""
        )
        said.built_by = builder_of(digest, envelopes=evidence.envelopes, builders=trust.builders) or ""
        if trust.keys and not said.signed_by:
            said.awaited = "a trusted signature"
        if trust.builders and not said.built_by:
            said.awaited = "a trusted builder's provenance"
        said.claims += claims_of_provenance(digest, envelopes=evidence.envelopes, builders=trust.builders)

    async def _evidence(self, store: ImageStore, repository: str, digest: str) -> ImageEvidence:
        referrers = await store.referrers(repository, digest)
        if referrers is None:
            referrers = await store.manifest(repository, fallback_tag(digest))
        gathering = Gathering()
        for name in evidence_manifests(digest, referrers):
            content = await store.manifest(repository, name)
            for blob in wanted_blobs(content) if content is not None else []:
                found = await store.blob(repository, blob.digest)
                if found is not None:
                    gathering.add(blob, found)
        return gathering.evidence()

    async def _index(self, store: ImageStore, repository: str, digest: str | None) -> Manifest | None:
        content = await store.manifest(repository, digest) if digest else None
        return _manifest(content, repository) if content is not None else None

    async def _read_index(
        self, said: ImageSaid, store: ImageStore, repository: str, manifest: Manifest, index: Manifest
    ) -> None:
        entry = next((one for one in index.children if one.digest == manifest.digest), None)
        named = {**index.annotations, **(entry.annotations if entry is not None else {})}
        said.claims += claim_of_names("index-annotation", named)
        statements = []
        for child in [one for one in index.children if _attests(one, manifest.digest)][:_ATTESTATIONS_MAX]:
            content = await store.manifest(repository, child.digest)
            layers = loose(content).get("layers") if content is not None else None
            for layer in layers[:_ATTESTATIONS_MAX] if isinstance(layers, list) else []:
                if isinstance(layer, dict) and layer.get("mediaType") == _IN_TOTO:
                    found = await store.blob(repository, str(layer.get("digest")))
                    statements.append(loose(found) if found is not None else {})
        said.claims += claims_of_buildkit(manifest.digest, statements)

    async def _read_labels(self, said: ImageSaid, store: ImageStore, repository: str, manifest: Manifest) -> None:
        labels = await self._labels(store, repository, manifest)
        if not labels:
            return
        claims, distrusted = claims_of_labels(labels, await self._base_labels(manifest))
        said.claims += claims
        said.notes += distrusted

    async def _labels(self, store: ImageStore, repository: str, manifest: Manifest) -> Mapping[str, Any]:
        content = await store.blob(repository, manifest.config.digest) if manifest.config is not None else None
        config = loose(content).get("config") if content is not None else None
        labels = config.get("Labels") if isinstance(config, dict) else None
        return labels if isinstance(labels, dict) else {}

    async def _base_labels(self, manifest: Manifest) -> Mapping[str, Any] | None:
        """Read the labels of the base image that the manifest names by digest; None when that cannot be done."""
        digest, name = (manifest.annotations.get(key, "") for key in (BASE_DIGEST, BASE_NAME))
        try:
            reference = ImageReference.parse(f"{name.partition('@')[0]}@{digest}")
            store = self._stores.store_of(reference.repository)
            content = await store.manifest(reference.repository, digest)
            if content is None:
                return None
            base = _manifest(content, reference.repository)
            if base.image is not None:
                content = await store.manifest(reference.repository, base.image.digest)
                base = _manifest(content or b"", reference.repository)
            return await self._labels(store, reference.repository, base)
        except (InputError, SourceUnavailable):
            return None

    async def _read_layers(self, said: ImageSaid, store: ImageStore, repository: str, manifest: Manifest) -> None:
        """Find the topmost scm-source.json; one that belongs to a known base image is not this image's."""
        digests = [one.digest for one in manifest.layers]
        said.chains = chains(digests)
        for number in range(len(digests) - 1, -1, -1):
            layer = manifest.layers[number]
            if not any(form in layer.media_type for form in _FORMS):
                return  # no image for a machine
            finding = await self._layer(store, repository, layer.digest)
            if finding.outcome == "unreadable":
                if said.claims:
                    said.notes.append(f"layer {layer.digest}: {finding.reason}")
                    return
                raise SourceUnavailable("image-layer-unreadable", f"layer {layer.digest}: {finding.reason}")
            if finding.outcome == "hidden":
                return
            if finding.outcome == "found":
                prefixes = said.chains[number:-1]
                base = await self._bases.base_of(prefixes) if prefixes else None
                if base is not None:
                    said.inherited = base
                    said.notes.append(f"/scm-source.json is that of the base image {base}, not this image's own")
                else:
                    said.scm_source, said.layer = finding.content, layer.digest
                return

    async def _layer(self, store: ImageStore, repository: str, digest: str) -> LayerFinding:
        known = self._findings.get(digest)
        if known is not None:
            self._findings.move_to_end(digest)
            return known
        finding = await store.layer(repository, digest)
        if len(finding.content) <= 4096:
            self._findings[digest] = finding
            if len(self._findings) > _FINDINGS_KEPT_MAX:
                self._findings.popitem(last=False)
        return finding


def _attests(child: Descriptor, digest: str) -> bool:
    return child.annotations.get(_ATTESTATION[0]) == _ATTESTATION[1] and child.annotations.get(_REFERENCE) == digest


def _manifest(content: bytes, repository: str) -> Manifest:
    try:
        return Manifest.parse(content)
    except ManifestInvalid as exc:
        raise SourceUnavailable("registry-no-manifest", f"{repository}: {exc.message}") from exc
