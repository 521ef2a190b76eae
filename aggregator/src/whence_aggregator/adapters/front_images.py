"""The front's own images, read from the registry behind it and from its own catalogue of referrers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from whence_aggregator.adapters.layer_stream import Windows, scan_layer
from whence_aggregator.ports import ImageStore, SourceUnavailable
from whence_aggregator.ports_registry import BlobBackend
from whence_aggregator.registry.catalog import PAGE_MAX, Catalog
from whence_aggregator.registry.names import Repository
from whence_aggregator.registry.refusals import RegistryRefusal
from whence_common.digest import is_sha256_digest, sha256_digest
from whence_common.image_layers import LayerFinding
from whence_common.image_trust import EVIDENCE_BYTES_MAX

_REFERRER_PAGES_MAX = 10


class FrontImages:
    """Reads images that were pushed here. Raises SourceUnavailable."""

    def __init__(self, *, backend: BlobBackend, catalog: Catalog, windows: Windows) -> None:
        self._windows = windows
        self._backend = backend
        self._catalog = catalog

    async def manifest(self, repository: str, reference: str) -> bytes | None:
        """Return a manifest from the backend: one that is being pushed is not in the catalogue yet."""
        place = _place(repository)
        try:
            if not is_sha256_digest(reference):
                reference = (await self._catalog.manifest(place, reference)).digest
            return await self._backend.manifest(str(place), reference)
        except RegistryRefusal as exc:
            if exc.status == 404:
                return None
            raise _unavailable(exc) from exc

    async def blob(self, repository: str, digest: str) -> bytes | None:
        content = bytearray()
        try:
            async with self._backend.read(str(_place(repository)), digest, "", follow=True) as answer:
                if answer is None or answer.status != 200 or (answer.size or 0) > EVIDENCE_BYTES_MAX:
                    return None
                async for chunk in answer.chunks:
                    content += chunk
                    if len(content) > EVIDENCE_BYTES_MAX:
                        return None
        except RegistryRefusal as exc:
            raise _unavailable(exc) from exc
        return bytes(content) if sha256_digest(bytes(content)) == digest else None

    async def referrers(self, repository: str, digest: str) -> bytes | None:
        found: list[dict[str, Any]] = []
        for _ in range(_REFERRER_PAGES_MAX):
            after = str(found[-1]["digest"]) if found else ""
            page = await self._catalog.referrers(
                _place(repository), digest, artifact_type=None, after=after, limit=PAGE_MAX
            )
            found += page
            if len(page) < PAGE_MAX:
                break
        return msgspec.json.encode({"manifests": found})

    async def layer(self, repository: str, digest: str) -> LayerFinding:
        """Scan a layer for its scm-source.json."""
        place = f"{repository}: layer {digest}"
        try:
            async with self._backend.read(str(_place(repository)), digest, "", follow=True) as answer:
                if answer is None or answer.status != 200:
                    raise SourceUnavailable("registry-error", f"{place} cannot be read")
                return await scan_layer(answer.chunks, digest, place=place, windows=self._windows)
        except RegistryRefusal as exc:
            raise _unavailable(exc) from exc


class FrontImageStores:
    """Returns the front's store for its own name, and another registry's store for every other name."""

    def __init__(self, *, others: ImageStore, own: Mapping[str, ImageStore]) -> None:
        self._others = others
        self._own = own

    def store_of(self, repository: str) -> ImageStore:
        return self._own.get(repository.partition("/")[0], self._others)


def _place(repository: str) -> Repository:
    try:
        return Repository.parse(repository.partition("/")[2])
    except RegistryRefusal as exc:
        raise SourceUnavailable("registry-image-unknown", exc.message) from exc


def _unavailable(exc: RegistryRefusal) -> SourceUnavailable:
    return SourceUnavailable("registry-unreachable", exc.message)
