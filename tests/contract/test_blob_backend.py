"""What the registry front may rely on in the registry behind: over HTTP, and in the memory of other tests."""

from __future__ import annotations

from collections.abc import AsyncIterator

import aiohttp
import pytest

from fakes.kept_blobs import BLOB_BYTES, KeptBlobs, image
from fakes.lying_registry import lying_registry
from fakes.roads import road
from whence_aggregator.adapters.backend import Backend
from whence_aggregator.ports_registry import BlobBackend
from whence_common.digest import sha256_digest

REPOSITORY = "alpha/app"
DIGEST, ABSENT = sha256_digest(BLOB_BYTES), sha256_digest(b"absent")


@pytest.fixture(params=["http", "fake"])
async def backend(request: pytest.FixtureRequest) -> AsyncIterator[BlobBackend]:
    """A registry whose repository alpha/app has one blob."""
    if request.param == "fake":
        yield KeptBlobs()
        return
    async with lying_registry() as registry, aiohttp.ClientSession() as session:
        registry.lie = ""
        registry.blobs[REPOSITORY, DIGEST] = BLOB_BYTES
        yield Backend(session=road(session, registry.host))


async def content(backend: BlobBackend, digest: str) -> bytes | None:
    async with backend.read(REPOSITORY, digest, "") as answer:
        if answer is None:
            return None
        assert (answer.status, answer.size, answer.location) == (200, 2, "")
        return b"".join([chunk async for chunk in answer.chunks])


async def test_a_blob_has_its_size_and_its_bytes(backend: BlobBackend) -> None:
    assert await backend.size(REPOSITORY, DIGEST) == 2
    assert await content(backend, DIGEST) == BLOB_BYTES


async def test_a_blob_that_is_not_there_is_none(backend: BlobBackend) -> None:
    assert await backend.size(REPOSITORY, ABSENT) is None
    assert await content(backend, ABSENT) is None


async def test_a_blob_is_taken_over_from_a_repository_that_has_it(backend: BlobBackend) -> None:
    assert await backend.mount("alpha/other", DIGEST, REPOSITORY)
    assert await backend.size("alpha/other", DIGEST) == 2
    assert not await backend.mount("alpha/other", ABSENT, REPOSITORY)


async def test_a_manifest_is_kept_verbatim_in_its_repository(backend: BlobBackend) -> None:
    manifest = image(n="1")
    assert await backend.manifest(REPOSITORY, manifest.digest) is None
    await backend.keep_manifest(REPOSITORY, manifest.content, manifest.media_type)
    assert await backend.manifest(REPOSITORY, manifest.digest) == manifest.content
    await backend.keep_manifest(REPOSITORY, manifest.content, manifest.media_type)
    assert await backend.manifest(REPOSITORY, image(n="2").digest) is None
