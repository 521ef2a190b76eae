"""Reads an image's source from its registry: layers from the top, labels, annotations, attestations."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from typing import Any, Protocol

from whence_aggregator.collect.attached import Beside, Pieces, Trust, judge_attached
from whence_aggregator.collect.rows import image_digest
from whence_aggregator.ports import Database, ImageSaid, ImageStore, SourceUnavailable
from whence_aggregator.queries.collect import IMAGES_OF_CHAINS, IMAGES_OF_CHAINS_AND_COMMIT
from whence_aggregator.queries.query import array
from whence_common.digest import sha256_digest
from whence_common.errors import InputError
from whence_common.image_evidence import Unreadable, provenance_blobs, sboms_in
from whence_common.image_layers import LayerFinding
from whence_common.image_provenance import (
    BASE_DIGEST,
    BASE_NAME,
    ImageConfig,
    chains,
    claim_of_names,
    claims_of_buildkit,
    claims_of_index,
    claims_of_labels,
    claims_of_manifest,
)
from whence_common.image_reference import ImageReference, registry_name
from whence_common.image_trust import EVIDENCE_BYTES_MAX, about_others
from whence_common.loose_json import loose
from whence_common.oci_manifest import Descriptor, Manifest, ManifestInvalid

_ATTESTATION = ("vnd.docker.reference.type", "attestation-manifest")
_REFERENCE = "vnd.docker.reference.digest"
_FINDINGS_KEPT_MAX = 10_000
_STATEMENTS_MAX = 20
_FORMS = ("image.layer", "image.rootfs", "oci.image.layer", "tar")


class ImageStores(Protocol):
    def store_of(self, repository: str) -> ImageStore:
        """Return the store of a repository. Raises SourceUnavailable for one that must not be read."""


class BaseImages(Protocol):
    async def base_of(self, prefixes: list[str]) -> str | None:
        """Return the digest of a known image whose layers are one of these prefixes of another's; None without one."""

    async def base_with_commit(self, prefixes: list[str], commit: str) -> str | None:
        """Return the digest of such an image that states this commit as its source; None without one."""


class KnownBaseImages:
    """Base images among those that were read before."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def base_of(self, prefixes: list[str]) -> str | None:
        """Return the known image with one of these prefixes. Raises StorageUnavailable."""
        rows = await self._database.fetch(IMAGES_OF_CHAINS.bind({"chains": array(prefixes), "limit": 1}))
        return image_digest(rows)

    async def base_with_commit(self, prefixes: list[str], commit: str) -> str | None:
        """Return the known image with one of these prefixes and this commit. Raises StorageUnavailable."""
        rows = await self._database.fetch(
            IMAGES_OF_CHAINS_AND_COMMIT.bind({"chains": array(prefixes), "commit_id": commit, "limit": 1})
        )
        return image_digest(rows)


class RegistryImageReader:
    """Reads images. `trust` is by the registry's host."""

    def __init__(self, *, stores: ImageStores, bases: BaseImages, trust: Mapping[str, Trust]) -> None:
        self._stores = stores
        self._bases = bases
        self._trust = trust
        self._findings: OrderedDict[str, LayerFinding] = OrderedDict()

    async def said(self, repository: str, digest: str, index_digest: str | None) -> ImageSaid:
        """Return what one image states about its source. Raises SourceUnavailable."""
        store = self._stores.store_of(repository)
        content = await store.manifest(repository, digest)
        if content is None:
            raise SourceUnavailable("registry-image-unknown", f"{repository}: the registry does not have {digest}")
        return await self.said_by(repository, _manifest(content, repository), index_digest)

    async def digest_of(self, reference: str) -> str | None:
        """Return the digest that a tag points to now, from its bytes. Raises SourceUnavailable."""
        repository, _, tag = reference.rpartition(":")
        content = await self._stores.store_of(repository).manifest(repository, tag)
        return sha256_digest(content) if content is not None else None

    async def said_by(self, repository: str, manifest: Manifest, index_digest: str | None = None) -> ImageSaid:
        """Return what the image of a given manifest states about its source. Raises SourceUnavailable."""
        store, said = self._stores.store_of(repository), ImageSaid()
        said.layers = [one.digest for one in manifest.layers]
        said.chains = chains(said.layers)
        index = await self._index(store, repository, index_digest)
        trust = self._trust.get(registry_name(repository.partition("/")[0]), Trust())
        manifests = [one for one in (manifest, index) if one is not None]
        pieces = Pieces(store, repository)
        beside = await judge_attached(said, pieces, manifests, trust)
        said.claims += claims_of_manifest(manifest.content)
        if index is not None:
            await self._read_index(said, pieces, manifest, index, beside)
        beside.state(said)
        await self._read_labels(said, store, repository, manifest)
        await self._read_layers(said, store, repository, manifest)
        return said

    async def _index(self, store: ImageStore, repository: str, digest: str | None) -> Manifest | None:
        content = await store.manifest(repository, digest) if digest else None
        return _manifest(content, repository) if content is not None else None

    async def _read_index(
        self, said: ImageSaid, pieces: Pieces, manifest: Manifest, index: Manifest, beside: Beside
    ) -> None:
        said.claims += claims_of_index(index.content, manifest.digest)
        statements: list[Mapping[str, Any]] = []
        for child in [one for one in index.children if _attests(one, manifest.digest)]:
            content = await pieces.needed_manifest(child.digest) or b""
            beside.sboms |= sboms_in(content, child.digest)
            for digest, size in provenance_blobs(content):
                try:
                    if size > EVIDENCE_BYTES_MAX or len(statements) >= _STATEMENTS_MAX:
                        raise Unreadable("it is too large, or one of too many")
                    statements.append(loose(await pieces.blob(digest) or b""))
                except Unreadable as exc:
                    beside.whole = False
                    said.unknown.append(f"BuildKit's attestation {digest} was not read: {exc}")
        beside.others |= any(about_others(one, (manifest.digest,)) for one in statements)
        said.claims += claims_of_buildkit(manifest.digest, statements)

    async def _read_labels(self, said: ImageSaid, store: ImageStore, repository: str, manifest: Manifest) -> None:
        """Add the claims of the labels; those of a base image, stated or known, are not this image's own."""
        if manifest.config is not None and manifest.config.size > EVIDENCE_BYTES_MAX:
            said.unknown.append(f"the image's configuration has {manifest.config.size} bytes, which are not read")
            return
        config = await self._config(store, repository, manifest)
        said.diff_ids = list(config.diff_ids)
        said.created_at = config.created
        named = [*claim_of_names("label", config.labels), *claims_of_labels(config, None)[0]]
        if not named:
            return
        base, known = await self._base_config(manifest), ""
        commit = next((one.source.commit_id for one in named if one.source.commit_id), None)
        if base is None and commit is not None and said.chains[:-1]:
            known = await self._bases.base_with_commit(said.chains[:-1], commit) or ""
        claims, inherited, unknown = claims_of_labels(config, base, base_digest=known)
        said.claims += claims
        said.notes += inherited
        said.unknown += unknown

    async def _config(self, store: ImageStore, repository: str, manifest: Manifest) -> ImageConfig:
        content = await store.blob(repository, manifest.config.digest) if manifest.config is not None else None
        return ImageConfig.parse(content or b"")

    async def _base_config(self, manifest: Manifest) -> ImageConfig | None:
        """Return the configuration of the base image that the manifest names by digest; None when it is unreadable."""
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
            return await self._config(store, reference.repository, base)
        except (InputError, SourceUnavailable):
            return None

    async def _read_layers(self, said: ImageSaid, store: ImageStore, repository: str, manifest: Manifest) -> None:
        """Add the topmost scm-source.json; one that belongs to a known base image is not this image's."""
        digests = [one.digest for one in manifest.layers]
        for number in range(len(digests) - 1, -1, -1):
            layer = manifest.layers[number]
            if not any(form in layer.media_type for form in _FORMS):
                return  # not a container image
            finding = await self._layer(store, repository, layer.digest)
            if finding.outcome == "unreadable":
                if any(not one.maybe_inherited for one in said.claims):
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
