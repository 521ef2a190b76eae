"""Uploads to the registry behind the front. When the result of one is not known, the blob is looked up."""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import aiohttp

from whence_aggregator.adapters.backend_calls import BackendCalls, BackendTimeouts
from whence_aggregator.adapters.missing_places import check_place
from whence_aggregator.adapters.registry_session import RegistrySession, Scopes
from whence_aggregator.ports_registry import Upload
from whence_aggregator.registry.refusals import RegistryRefusal, unavailable
from whence_common.registry_address import RedirectRefused, same_origin
from whence_common.registry_requests import read_headers, upload_end, upload_location
from whence_common.registry_sign_in import scope_of

_STORED_MAX = 10_000
_RANGE = re.compile(r"(?:bytes=)?0-([0-9]{1,18})\Z")
_TOTAL = re.compile(r"bytes 0-0/([0-9]{1,18})\Z")
_UPLOAD = re.compile(r"/v2/(.+)/blobs/")
_OCTETS = "application/octet-stream"


class BackendUploads(BackendCalls):
    """Uploads blobs, and returns their sizes."""

    def __init__(self, *, session: RegistrySession, path: str, patience: BackendTimeouts) -> None:
        super().__init__(session=session, path=path, patience=patience)
        self._stored: OrderedDict[tuple[str, str], int] = OrderedDict()

    async def size(self, repository: str, digest: str) -> int | None:
        """Return a blob's size; that of a blob that was just stored comes from memory. Raises RegistryRefusal."""
        stored = self._stored.get((repository, digest))
        if stored is not None:
            return stored
        url = self._blob(repository, digest)
        async with self._ask("HEAD", url, self._pull(repository), follow=True) as answer:
            if answer.status == 404:
                return None
            if answer.status in (403, 405, 501) and not same_origin(self._session.place, str(answer.url)):
                return await self._size_by_range(repository, url)
            self._expect(answer, 200)
            return _known(answer.content_length)

    async def start(self, repository: str) -> Upload:
        """Begin an upload. Raises RegistryRefusal."""
        url = self._uploads(repository)
        async with self._ask("POST", url, self._push(repository), data=b"") as answer:
            await check_place(answer, self._path(repository))
            self._expect(answer, 202)
            return self._upload(answer, 0)

    async def append(self, upload: Upload, chunks: AsyncIterator[bytes], length: int | None) -> Upload:
        """Append bytes. Raises RegistryRefusal, or what the chunks raise."""
        sent, ended = 0, None

        async def counted() -> AsyncIterator[bytes]:
            nonlocal sent, ended
            try:
                async for chunk in chunks:
                    sent += len(chunk)
                    yield chunk
            except RegistryRefusal as exc:
                ended = exc  # the sender's error, not the error of the call that it broke
                raise

        headers = {"Content-Type": _OCTETS}
        if length is not None:
            headers["Content-Length"] = str(length)
        try:
            async with self._ask(
                "PATCH", upload.location, _scopes_of(upload), data=counted(), headers=headers, timeout=self._sent
            ) as answer:
                if answer.status == 404:
                    raise RegistryRefusal("BLOB_UPLOAD_UNKNOWN", "the registry behind lost this upload: begin it again")
                self._expect(answer, 202)
                return self._upload(answer, upload.received + sent)
        except RegistryRefusal as exc:
            raise (ended or exc) from exc

    async def status(self, upload: Upload) -> Upload | None:
        """Return how many bytes an upload has. Raises RegistryRefusal."""
        async with self._ask("GET", upload.location, _scopes_of(upload)) as answer:
            if answer.status == 404:
                return None
            self._expect(answer, 204)
            match = _RANGE.match(answer.headers.get("Range", ""))
            end = int(match[1]) if match is not None else -1
            received = 0 if end <= 0 and upload.received == 0 else end + 1
            return Upload(location=self._location(answer, upload.location), received=received)

    async def finish(self, repository: str, upload: Upload, digest: str) -> bool:
        """Finish an upload. When the result is not known, look the blob up. Raises RegistryRefusal."""
        try:
            if not await self._finished(repository, upload, digest):
                return False
        except RegistryRefusal as exc:
            if exc.code not in ("UNAVAILABLE", "BLOB_UPLOAD_UNKNOWN") or not await self._is_there(
                repository, digest, upload.received
            ):
                raise
        self._stored[repository, digest] = upload.received
        if len(self._stored) > _STORED_MAX:
            self._stored.popitem(last=False)
        return True

    async def cancel(self, upload: Upload) -> None:
        """Cancel an upload. Raises RegistryRefusal."""
        async with self._ask("DELETE", upload.location, _scopes_of(upload)) as answer:
            if answer.status not in (202, 204, 404):
                self._expect(answer, 204)

    async def _finished(self, repository: str, upload: Upload, digest: str) -> bool:
        url = upload_end(upload.location, digest)
        headers = {"Content-Type": _OCTETS, "Content-Length": "0"}
        scopes = self._push(repository)
        async with self._ask("PUT", url, scopes, data=b"", headers=headers, timeout=self._sent) as answer:
            if answer.status == 400:
                return False
            if answer.status == 404:
                raise RegistryRefusal("BLOB_UPLOAD_UNKNOWN", "the registry behind lost this upload: begin it again")
            self._expect(answer, 201)
        return True

    async def _is_there(self, repository: str, digest: str, size: int) -> bool:
        try:
            return await self.size(repository, digest) == size
        except RegistryRefusal:
            return False

    async def _size_by_range(self, repository: str, url: str) -> int | None:
        """Return a blob's size by reading its first byte: URLs that are signed for GET refuse HEAD."""
        headers = read_headers("*/*") | {"Range": "bytes=0-0"}
        async with self._ask("GET", url, self._pull(repository), headers=headers, follow=True) as answer:
            match = _TOTAL.match(answer.headers.get("Content-Range", "")) if answer.status == 206 else None
            if match is None:
                self._expect(answer, 200)
            return int(match[1]) if match is not None else _known(answer.content_length)

    def _upload(self, answer: aiohttp.ClientResponse, received: int) -> Upload:
        """Return where an upload continues. Raises RegistryRefusal when the reported size is not what was sent."""
        match = _RANGE.match(answer.headers.get("Range", ""))
        if match is not None and received > 1 and int(match[1]) + 1 != received:
            raise unavailable("the registry behind reports another number of bytes than were sent")
        return Upload(location=self._location(answer, str(answer.url)), received=received)

    def _location(self, answer: aiohttp.ClientResponse, otherwise: str) -> str:
        try:
            location = answer.headers.get("Location", otherwise)
            return upload_location(self._session.place, str(answer.url), location)
        except RedirectRefused as exc:
            raise unavailable("the registry behind redirects uploads to another host") from exc


def _scopes_of(upload: Upload) -> Scopes:
    """Return the scopes that continue an upload: registries have the repository in its URL."""
    match = _UPLOAD.match(urlsplit(upload.location).path)
    return (scope_of(match[1], push=True),) if match is not None else ()


def _known(size: int | None) -> int:
    if size is None:
        raise unavailable("the registry behind does not report the size of a blob")
    return size
