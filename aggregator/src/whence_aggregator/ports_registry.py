"""What the registry front needs from the outside: the registry behind it, and what is found out about pushes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

from whence_common.oci_manifest import Manifest


@dataclass(frozen=True, slots=True, kw_only=True)
class BlobAnswer:
    """The backend's answer for a blob: 200, 206 or 416 with bytes, or 307 with their URL."""

    status: int
    size: int | None
    content_range: str
    content_type: str
    """For several ranges `multipart/byteranges` with its boundary; otherwise not used."""
    location: str
    chunks: AsyncIterator[bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """An upload in progress in the backend: where it continues, and how many bytes it has."""

    location: str
    received: int


class BlobBackend(Protocol):
    """Blobs and manifests of the registry behind. Raises RegistryRefusal if it is down, full or returns wrong bytes."""

    async def size(self, repository: str, digest: str) -> int | None:
        """Return a blob's size in bytes; None when this repository has no such blob."""

    def read(
        self, repository: str, digest: str, range_: str, *, follow: bool = False
    ) -> AbstractAsyncContextManager[BlobAnswer | None]:
        """Open a blob, or the range of it that an HTTP Range header names; None when there is no such blob.

        `follow`: redirects are followed, and never returned.
        """

    async def mount(self, repository: str, digest: str, source: str) -> bool:
        """Mount a blob from another repository; return False when that one does not have it."""

    async def manifest(self, repository: str, digest: str) -> bytes | None:
        """Return a manifest's verbatim bytes, verified by its digest."""

    async def keep_manifest(self, repository: str, content: bytes, media_type: str) -> None:
        """Store a manifest so that no garbage collection deletes it."""


class UploadBackend(Protocol):
    """Uploads to the registry behind. Raises RegistryRefusal."""

    async def start(self, repository: str) -> Upload: ...

    async def append(self, upload: Upload, chunks: AsyncIterator[bytes], length: int | None) -> Upload:
        """Append bytes; if the sender ends too early, the bytes that arrived are kept."""

    async def status(self, upload: Upload) -> Upload | None: ...

    async def finish(self, repository: str, upload: Upload, digest: str) -> bool:
        """Turn the upload into a blob; return False when its bytes do not have the digest."""

    async def cancel(self, upload: Upload) -> None: ...


class RegistryContents(Protocol):
    """The content of the registry behind, by its own lists. Raises RegistryRefusal."""

    def repositories(self) -> AsyncIterator[str]: ...

    async def tags(self, repository: str) -> list[str]: ...

    async def tagged(self, repository: str, reference: str) -> bytes:
        """Return the manifest of a tag or digest."""

    async def small_blob(self, repository: str, digest: str) -> bytes | None:
        """Return a blob that is no larger than a manifest may be; None when it does not exist or is larger."""


class PushSources(Protocol):
    """Finds out which source an image names."""

    async def look(self, repository: str, digest: str) -> Mapping[str, object] | None:
        """Return what was found about an image within seconds; None when it takes longer, or is not an image."""

    async def judge(self, repository: str, manifest: Manifest) -> str:
        """Return why the source of an image that is being pushed is not known; empty when it is."""
