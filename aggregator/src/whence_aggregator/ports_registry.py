"""What the registry front needs from the outside: the registry behind it, and what is found out about pushes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

from whence_common.oci_manifest import Manifest


@dataclass(frozen=True, slots=True, kw_only=True)
class BlobAnswer:
    """A blob as the backend gives it: 200, 206 or 416 with bytes, or 307 with where they are."""

    status: int
    size: int | None
    content_range: str
    content_type: str
    """Of several ranges `multipart/byteranges` with its boundary; of anything else it does not count."""
    location: str
    chunks: AsyncIterator[bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """An upload that is under way in the backend: where it goes on, and how many bytes it has."""

    location: str
    received: int


class BlobBackend(Protocol):
    """Blobs and manifests of the registry behind. Raises RegistryRefusal when it is away, full or lies."""

    async def size(self, repository: str, digest: str) -> int | None:
        """Give a blob's size in bytes; None when this repository has no such blob."""

    def read(
        self, repository: str, digest: str, range_: str, *, follow: bool = False
    ) -> AbstractAsyncContextManager[BlobAnswer | None]:
        """Open a blob, or the range of it that an HTTP Range header names; None when there is no such blob.

        `follow`: a redirect is never the answer.
        """

    async def mount(self, repository: str, digest: str, source: str) -> bool:
        """Take a blob over from another repository; false when that one does not have it."""

    async def manifest(self, repository: str, digest: str) -> bytes | None:
        """Give a manifest's verbatim bytes, which are those of its digest."""

    async def keep_manifest(self, repository: str, content: bytes, media_type: str) -> None:
        """Store a manifest so that no garbage collection takes it."""


class UploadBackend(Protocol):
    """Uploads to the registry behind. Raises RegistryRefusal."""

    async def start(self, repository: str) -> Upload: ...

    async def append(self, upload: Upload, chunks: AsyncIterator[bytes], length: int | None) -> Upload:
        """Append bytes; what has arrived when the sender ends too early is kept."""

    async def status(self, upload: Upload) -> Upload | None: ...

    async def finish(self, repository: str, upload: Upload, digest: str) -> bool:
        """Make the upload a blob; false when its bytes are not those of the digest."""

    async def cancel(self, upload: Upload) -> None: ...


class RegistryContents(Protocol):
    """What the registry behind holds, by its own lists. Raises RegistryRefusal."""

    def repositories(self) -> AsyncIterator[str]: ...

    async def tags(self, repository: str) -> list[str]: ...

    async def tagged(self, repository: str, reference: str) -> bytes:
        """Give the manifest of a tag or digest."""

    async def small_blob(self, repository: str, digest: str) -> bytes | None:
        """Give a blob of a manifest's size at most; None when it is not there or larger."""


class PushSources(Protocol):
    """What finds out which source an image names."""

    async def look(self, repository: str, digest: str) -> Mapping[str, object] | None:
        """Give what was found out about an image within a moment; None when it takes longer, or is not an image."""

    async def judge(self, repository: str, manifest: Manifest) -> str:
        """Say why the source of an image that is being pushed is not known; empty when it is."""
