"""The registry behind the front, in memory: every blob that is asked for is two bytes long, every manifest is kept."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from whence_aggregator.ports_registry import BlobAnswer
from whence_common.digest import sha256_digest
from whence_common.oci_manifest import Manifest

BLOB_BYTES = b"{}"


class KeptBlobs:
    """Keeps the contract of BlobBackend, as far as pushes need it."""

    def __init__(self) -> None:
        self.manifests: dict[tuple[str, str], bytes] = {}

    async def size(self, repository: str, digest: str) -> int | None:
        return len(BLOB_BYTES) if digest == sha256_digest(BLOB_BYTES) else None

    @asynccontextmanager
    async def read(
        self, repository: str, digest: str, range_: str, *, follow: bool = False
    ) -> AsyncIterator[BlobAnswer | None]:
        async def chunks() -> AsyncIterator[bytes]:
            yield BLOB_BYTES

        if await self.size(repository, digest) is None:
            yield None
        else:
            yield BlobAnswer(status=200, size=2, content_range="", content_type="", location="", chunks=chunks())

    async def mount(self, repository: str, digest: str, source: str) -> bool:
        return await self.size(source, digest) is not None

    async def manifest(self, repository: str, digest: str) -> bytes | None:
        return self.manifests.get((repository, digest))

    async def keep_manifest(self, repository: str, content: bytes, media_type: str) -> None:
        self.manifests[repository, sha256_digest(content)] = content


def image(**annotations: str) -> Manifest:
    """Give an image of one layer, told from others by its annotations."""
    blob = {"digest": sha256_digest(BLOB_BYTES), "size": len(BLOB_BYTES)}
    document = {
        "schemaVersion": 2,
        "config": {"mediaType": "application/vnd.oci.image.config.v1+json", **blob},
        "layers": [{"mediaType": "application/vnd.oci.image.layer.v1.tar", **blob}],
        "annotations": annotations,
    }
    return Manifest.parse(json.dumps(document).encode())
