"""Calls to the registry behind the front: its URLs, the scopes that they need, and their timeouts."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

import aiohttp

from whence_aggregator.adapters.answers import read_answer
from whence_aggregator.adapters.registry_session import FAILURES, RegistrySession, Scopes
from whence_aggregator.ports import SourceUnavailable
from whence_aggregator.registry.refusals import RegistryRefusal, unavailable
from whence_common.image_reference import ImageReferenceInvalid
from whence_common.oci_manifest import MANIFEST_BYTES_MAX
from whence_common.registry_requests import check_path, checked_path
from whence_common.registry_sign_in import scope_of
from whence_common.runtime.logs import fields

log = logging.getLogger(__name__)

_CHUNK_BYTES = 128 * 1024
"""Size of a chunk of a blob, which is passed on immediately: a slow reader holds three of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BackendTimeouts:
    """Timeouts of calls to the registry behind, in seconds."""

    call: float = 30.0
    """For a whole small call."""
    idle: float = 60.0
    """For the next bytes of a blob that is read."""
    answer: float = 900.0
    """For the answer to an upload: the registry moves the bytes to their place, which takes long for large blobs."""


PATIENCE = BackendTimeouts()


class BackendCalls:
    """One registry, called through `session`; `path` is prefixed to each repository."""

    def __init__(self, *, session: RegistrySession, path: str, patience: BackendTimeouts) -> None:
        self._session = session
        self._origin = session.place.origin
        self._prefix = path.strip("/")
        self._base = f"{self._origin}/v2/{self._prefix}".rstrip("/")
        self._call = aiohttp.ClientTimeout(total=patience.call)
        self._read = aiohttp.ClientTimeout(total=None, sock_connect=patience.call, sock_read=patience.idle)
        self._sent = aiohttp.ClientTimeout(total=None, sock_connect=patience.call, sock_read=patience.answer)

    def _path(self, repository: str) -> str:
        return f"{self._prefix}/{repository}".lstrip("/")

    def _pull(self, repository: str) -> Scopes:
        return (scope_of(self._path(repository)),)

    def _push(self, repository: str) -> Scopes:
        return (scope_of(self._path(repository), push=True),)

    def _blob(self, repository: str, digest: str) -> str:
        return self._url(repository, "blobs", digest)

    def _url(self, repository: str, part: str, name: str) -> str:
        """Return the URL of a part of a repository; the names are checked. Raises RegistryRefusal."""
        try:
            return f"{self._base}/{checked_path(repository, part, name)}"
        except ImageReferenceInvalid as exc:
            raise RegistryRefusal("NAME_INVALID", exc.message) from exc

    def _uploads(self, repository: str) -> str:
        try:
            check_path(repository)
        except ImageReferenceInvalid as exc:
            raise RegistryRefusal("NAME_INVALID", exc.message) from exc
        return f"{self._base}/{repository}/blobs/uploads/"

    @asynccontextmanager
    async def _ask(
        self,
        method: str,
        url: str,
        scopes: Scopes,
        *,
        headers: Mapping[str, str] | None = None,
        data: bytes | AsyncIterator[bytes] | None = None,
        timeout: aiohttp.ClientTimeout | None = None,
        follow: bool = False,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        asked = self._session.ask(
            method, url, scopes=scopes, headers=headers, data=data, timeout=timeout or self._call, follow=follow
        )
        try:
            async with AsyncExitStack() as stack:
                try:
                    answer = await stack.enter_async_context(asked)
                except SourceUnavailable as exc:
                    log.error("the registry behind", extra=fields(code=exc.code, message=exc.diagnostics()))
                    raise unavailable(f"the registry behind cannot be reached ({exc.code})") from exc
                yield answer
        except FAILURES as exc:
            raise unavailable(f"the registry behind does not answer ({type(exc).__name__})") from exc

    def _expect(self, answer: aiohttp.ClientResponse, status: int) -> None:
        if answer.status == status:
            return
        if answer.status == 429:
            raise RegistryRefusal("TOOMANYREQUESTS", "the registry behind is too busy: try again later")
        raise unavailable(f"the registry behind answers HTTP {answer.status}")


async def read_bounded(answer: aiohttp.ClientResponse) -> bytes:
    """Return a body that is no longer than a manifest may be. Raises RegistryRefusal."""
    content = await read_answer(answer, MANIFEST_BYTES_MAX)
    if content is None:
        raise unavailable("the registry behind sent more bytes than a manifest may have")
    return content


async def read_chunks(answer: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    """Yield bytes as they arrive. Raises RegistryRefusal when the connection breaks."""
    try:
        async for chunk in answer.content.iter_chunked(_CHUNK_BYTES):
            yield chunk
    except FAILURES as exc:
        raise unavailable(f"the registry behind broke the connection ({type(exc).__name__})") from exc
