"""Uploads: bound to repository, caller and number, hashed while they stream, their state sealed in the next URL."""

from __future__ import annotations

import hashlib
import re
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from whence_aggregator.callers.sealing import Seal
from whence_aggregator.ports_registry import Upload, UploadBackend
from whence_aggregator.registry.access import Principal
from whence_aggregator.registry.names import Repository
from whence_aggregator.registry.refusals import RegistryRefusal
from whence_common.clock import Now

UPLOAD_SECONDS_MAX = 24 * 3600.0
_CONTENT_RANGE = re.compile(r"(?:bytes[ =])?([0-9]{1,18})-([0-9]{1,18})(?:/.*)?\Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadProgress:
    """An upload as its client sees it: its number, its sealed state, and how many bytes arrived."""

    number: str
    state: str
    received: int


class Uploads:
    """Accepts blobs."""

    def __init__(self, *, uploads: UploadBackend, seal: Seal, blob_bytes_max: int, now: Now) -> None:
        self._uploads = uploads
        self._seal = seal
        self._bytes_max = blob_bytes_max
        self._now = now

    async def start(self, repository: Repository, by: Principal) -> UploadProgress:
        """Begin an upload. Raises RegistryRefusal."""
        upload = await self._uploads.start(str(repository))
        content = {
            "number": str(uuid.uuid4()), "repository": str(repository), "by": by.name, "location": upload.location,
            "received": 0, "digest": hashlib.sha256().hexdigest(), "began": self._now().timestamp(),
        }  # fmt: skip
        return self._progress(content)

    async def append(
        self, repository: Repository, by: Principal, number: str, state: str, chunks: AsyncIterator[bytes],
        *, length: int | None, content_range: str = "",
    ) -> UploadProgress:  # fmt: skip
        """Append bytes. Raises RegistryRefusal; bytes out of order are refused with 416."""
        content = self._open(repository, by, number, state)
        _check_order(content_range, content["received"], length)
        if content["received"] + (length or 0) > self._bytes_max:
            raise _too_large(self._bytes_max)
        passed = hashlib.sha256()
        left = self._bytes_max - content["received"]

        async def hashed() -> AsyncIterator[bytes]:
            nonlocal left
            async for chunk in chunks:
                left -= len(chunk)
                if left < 0:
                    raise _too_large(self._bytes_max)
                passed.update(chunk)
                yield chunk

        before = Upload(location=content["location"], received=content["received"])
        after = await self._uploads.append(before, hashed(), length)
        content["digest"] = passed.hexdigest() if before.received == 0 else ""
        content.update(location=after.location, received=after.received)
        return self._progress(content)

    async def status(self, repository: Repository, by: Principal, number: str, state: str) -> UploadProgress:
        """Return how many bytes of an upload the backend has. Raises RegistryRefusal."""
        content = self._open(repository, by, number, state)
        found = await self._uploads.status(Upload(location=content["location"], received=content["received"]))
        if found is None:
            raise _unknown()
        if found.received != content["received"]:
            content["digest"] = ""  # bytes arrived in a call that did not end
        content.update(location=found.location, received=found.received)
        return self._progress(content)

    async def finish(self, repository: Repository, by: Principal, number: str, state: str, digest: str) -> None:
        """Turn the bytes into a blob. Raises RegistryRefusal; bytes without the digest are not stored."""
        content = self._open(repository, by, number, state)
        upload = Upload(location=content["location"], received=content["received"])
        if content["digest"] and f"sha256:{content['digest']}" != digest:
            await self._uploads.cancel(upload)
            raise _wrong_digest()
        if not await self._uploads.finish(str(repository), upload, digest):
            raise _wrong_digest()

    async def cancel(self, repository: Repository, by: Principal, number: str, state: str) -> None:
        """Cancel an upload. Raises RegistryRefusal."""
        content = self._open(repository, by, number, state)
        await self._uploads.cancel(Upload(location=content["location"], received=content["received"]))

    def _progress(self, content: dict[str, Any]) -> UploadProgress:
        return UploadProgress(number=content["number"], state=self._seal.seal(content), received=content["received"])

    def _open(self, repository: Repository, by: Principal, number: str, state: str) -> dict[str, Any]:
        content = self._seal.open(state)
        if content is None or (content["number"], content["repository"], content["by"]) != (
            number, str(repository), by.name,
        ):  # fmt: skip
            raise _unknown()
        if self._now().timestamp() - content["began"] > UPLOAD_SECONDS_MAX:
            raise _unknown()
        return content


def _check_order(content_range: str, received: int, length: int | None) -> None:
    if not content_range:
        return
    match = _CONTENT_RANGE.match(content_range)
    wrong = match is None or int(match[1]) != received
    if match is not None and length is not None and int(match[2]) - int(match[1]) + 1 != length:
        wrong = True
    if wrong:
        raise RegistryRefusal(
            "BLOB_UPLOAD_INVALID", f"the next byte must be number {received}", status=416, detail={"received": received}
        )


def _unknown() -> RegistryRefusal:
    return RegistryRefusal("BLOB_UPLOAD_UNKNOWN", "blob upload unknown to registry")


def _wrong_digest() -> RegistryRefusal:
    return RegistryRefusal("DIGEST_INVALID", "provided digest did not match uploaded content")


def _too_large(bytes_max: int) -> RegistryRefusal:
    return RegistryRefusal("SIZE_INVALID", f"the blob is larger than {bytes_max} bytes", status=413)
