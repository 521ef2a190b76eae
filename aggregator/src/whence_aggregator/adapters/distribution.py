"""The registry behind the front, spoken to as the OCI distribution specification says. Nothing it answers is believed.

Debian's docker-registry, Harbor (a project as the URL's path) and ECR are such backends.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from urllib.parse import urljoin, urlsplit

import aiohttp

from whence_aggregator.adapters.answers import read_answer
from whence_aggregator.ports_registry import BlobAnswer, Upload
from whence_aggregator.registry.refusals import RegistryRefusal, unavailable
from whence_common.digest import sha256_digest
from whence_common.loose_json import loose
from whence_common.oci_manifest import ACCEPT, MANIFEST_BYTES_MAX

CHUNK_BYTES = 256 * 1024
KEPT_TAG = "whence-"
"""Each manifest is also tagged so with its digest, because garbage collectors take what no tag names."""
_CALL_SECONDS_MAX = 30.0
_PAGE, _PAGES_MAX = 500, 10_000
_IDLE_SECONDS_MAX = 60.0
_REFUSAL_BYTES_MAX = 64 * 1024
_CACHED_MAX, _CACHED_BYTES_MAX = 512, 32 * 1024
_STORED_MAX = 10_000
_RANGE = re.compile(r"(?:bytes=)?0-([0-9]{1,18})\Z")
_FAILURES = (aiohttp.ClientError, TimeoutError, OSError)
_OCTETS = "application/octet-stream"
Authorize = Callable[[], Awaitable[str]]


class Backend:
    """One registry. `authorize` gives the Authorization header, or nothing."""

    def __init__(self, *, session: aiohttp.ClientSession, url: str, authorize: Authorize | None) -> None:
        parts = urlsplit(url)
        self._session = session
        self._origin = f"{parts.scheme}://{parts.netloc}"
        self._base = f"{self._origin}/v2{parts.path.rstrip('/')}"
        self._prefix = parts.path.strip("/")
        self._authorize = authorize
        self._manifests: OrderedDict[str, bytes] = OrderedDict()
        self._stored: OrderedDict[tuple[str, str], int] = OrderedDict()
        self._call = aiohttp.ClientTimeout(total=_CALL_SECONDS_MAX)
        self._stream = aiohttp.ClientTimeout(total=None, sock_connect=_CALL_SECONDS_MAX, sock_read=_IDLE_SECONDS_MAX)

    async def size(self, repository: str, digest: str) -> int | None:
        """Give a blob's size; of one that was stored a moment ago without asking. Raises RegistryRefusal."""
        stored = self._stored.get((repository, digest))
        if stored is not None:
            return stored
        async with self._ask("HEAD", self._blob(repository, digest), allow_redirects=True) as answer:
            if answer.status == 404:
                return None
            self._expect(answer, 200)
            if answer.content_length is None:
                raise unavailable("the registry behind does not say how large a blob is")
            return answer.content_length

    @asynccontextmanager
    async def read(self, repository: str, digest: str, range_: str) -> AsyncIterator[BlobAnswer | None]:
        """Open a blob. Raises RegistryRefusal, also while chunks are read."""
        headers = {"Accept-Encoding": "identity", **({"Range": range_} if range_ else {})}
        async with self._ask("GET", self._blob(repository, digest), headers=headers, timeout=self._stream) as answer:
            if answer.status == 404:
                yield None
                return
            if answer.status not in (200, 206, 307, 416):
                self._expect(answer, 200)
            location = answer.headers.get("Location", "") if answer.status == 307 else ""
            yield BlobAnswer(
                status=answer.status,
                size=answer.content_length,
                content_range=answer.headers.get("Content-Range", ""),
                location=urljoin(self._origin, location) if location else "",
                chunks=_chunks(answer),
            )

    async def mount(self, repository: str, digest: str, source: str) -> bool:
        """Mount a blob. Raises RegistryRefusal."""
        from_ = f"{self._prefix}/{source}".lstrip("/")
        url = f"{self._base}/{repository}/blobs/uploads/"
        async with self._ask("POST", url, params={"mount": digest, "from": from_}, data=b"") as answer:
            if answer.status == 202:  # it began an upload instead
                await self.cancel(self._upload(answer, 0))
                return False
            self._expect(answer, 201)
            return True

    async def manifest(self, repository: str, digest: str) -> bytes | None:
        """Give a manifest's bytes. Raises RegistryRefusal when they are not those of the digest."""
        known = self._manifests.get(digest)
        if known is not None:
            self._manifests.move_to_end(digest)
            return known
        url = f"{self._base}/{repository}/manifests/{digest}"
        async with self._ask("GET", url, headers={"Accept": ACCEPT, "Accept-Encoding": "identity"}) as answer:
            if answer.status == 404:
                return None
            self._expect(answer, 200)
            content = await _bounded(answer)
        if sha256_digest(content) != digest:
            raise unavailable("the registry behind gives other bytes than the digest's")
        if len(content) <= _CACHED_BYTES_MAX:
            self._manifests[digest] = content
            if len(self._manifests) > _CACHED_MAX:
                self._manifests.popitem(last=False)
        return content

    async def keep_manifest(self, repository: str, content: bytes, media_type: str) -> None:
        """Store a manifest under its digest's tag. Raises RegistryRefusal."""
        digest = sha256_digest(content)
        url = f"{self._base}/{repository}/manifests/{KEPT_TAG}{digest.removeprefix('sha256:')}"
        async with self._ask("PUT", url, data=content, headers={"Content-Type": media_type}) as answer:
            if answer.status in (400, 409, 412):
                said = (await read_answer(answer, _REFUSAL_BYTES_MAX) or b"").decode("utf-8", "replace")
                if await self._has_manifest(repository, digest):
                    return  # immutable tags refuse what they hold already
                raise RegistryRefusal(
                    "MANIFEST_INVALID", "the registry behind does not take this manifest", detail=said[:300]
                )
            self._expect(answer, 201)
            stated = answer.headers.get("Docker-Content-Digest", digest)
        if stated != digest:
            raise unavailable("the registry behind stores other bytes than it was given")

    async def repositories(self) -> AsyncIterator[str]:
        """Give the repositories of the registry's catalogue that lie below ours. Raises RegistryRefusal."""
        below = f"{self._prefix}/" if self._prefix else ""
        async for name in self._listed(f"{self._origin}/v2/_catalog?n={_PAGE}", "repositories"):
            if name.startswith(below):
                yield name.removeprefix(below)

    async def tags(self, repository: str) -> list[str]:
        """Give all tags but those that the front itself has set. Raises RegistryRefusal."""
        found = [one async for one in self._listed(f"{self._base}/{repository}/tags/list?n={_PAGE}", "tags")]
        return [one for one in found if not one.startswith(KEPT_TAG)]

    async def tagged(self, repository: str, reference: str) -> bytes:
        """Give a manifest by tag or digest. Raises RegistryRefusal."""
        url = f"{self._base}/{repository}/manifests/{reference}"
        async with self._ask("GET", url, headers={"Accept": ACCEPT, "Accept-Encoding": "identity"}) as answer:
            self._expect(answer, 200)
            return await _bounded(answer)

    async def _listed(self, url: str, name: str) -> AsyncIterator[str]:
        for _ in range(_PAGES_MAX):
            async with self._ask("GET", url) as answer:
                self._expect(answer, 200)
                found = loose(await _bounded(answer)).get(name)
                link = answer.links.get("next")
                following = str(link["url"]) if link is not None else ""
            for one in found if isinstance(found, list) else []:
                if isinstance(one, str):
                    yield one
            if not following.startswith(self._origin):
                return
            url = following

    async def start(self, repository: str) -> Upload:
        """Begin an upload. Raises RegistryRefusal."""
        async with self._ask("POST", f"{self._base}/{repository}/blobs/uploads/", data=b"") as answer:
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
                ended = exc  # what the sender did wrong, not what the broken call looks like
                raise

        headers = {"Content-Type": _OCTETS}
        if length is not None:
            headers["Content-Length"] = str(length)
        try:
            async with self._ask(
                "PATCH", upload.location, data=counted(), headers=headers, timeout=self._stream
            ) as answer:
                if answer.status == 404:
                    raise RegistryRefusal("BLOB_UPLOAD_UNKNOWN", "the upload is not known any more: begin it again")
                self._expect(answer, 202)
                return self._upload(answer, upload.received + sent)
        except RegistryRefusal as exc:
            raise (ended or exc) from exc

    async def status(self, upload: Upload) -> Upload | None:
        """Ask how far an upload is. Raises RegistryRefusal."""
        async with self._ask("GET", upload.location) as answer:
            if answer.status == 404:
                return None
            self._expect(answer, 204)
            match = _RANGE.match(answer.headers.get("Range", ""))
            end = int(match[1]) if match is not None else -1
            received = 0 if end <= 0 and upload.received == 0 else end + 1
            return Upload(location=self._location(answer, upload.location), received=received)

    async def finish(self, repository: str, upload: Upload, digest: str) -> bool:
        """End an upload. Raises RegistryRefusal."""
        joined = "&" if urlsplit(upload.location).query else "?"
        url = f"{upload.location}{joined}digest={digest}"
        headers = {"Content-Type": _OCTETS, "Content-Length": "0"}
        async with self._ask("PUT", url, data=b"", headers=headers) as answer:
            if answer.status == 400:
                return False
            if answer.status == 404:
                raise RegistryRefusal("BLOB_UPLOAD_UNKNOWN", "the upload is not known any more: begin it again")
            self._expect(answer, 201)
        self._stored[repository, digest] = upload.received
        if len(self._stored) > _STORED_MAX:
            self._stored.popitem(last=False)
        return True

    async def cancel(self, upload: Upload) -> None:
        """Give an upload up. Raises RegistryRefusal."""
        async with self._ask("DELETE", upload.location) as answer:
            if answer.status not in (202, 204, 404):
                self._expect(answer, 204)

    async def _has_manifest(self, repository: str, digest: str) -> bool:
        async with self._ask(
            "HEAD", f"{self._base}/{repository}/manifests/{digest}", headers={"Accept": ACCEPT}
        ) as answer:
            return answer.status == 200

    def _blob(self, repository: str, digest: str) -> str:
        return f"{self._base}/{repository}/blobs/{digest}"

    @asynccontextmanager
    async def _ask(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        params: Mapping[str, str] | None = None,
        data: bytes | AsyncIterator[bytes] | None = None,
        timeout: aiohttp.ClientTimeout | None = None,
        allow_redirects: bool = False,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        named = dict(headers or {})
        if self._authorize is not None:
            named["Authorization"] = await self._authorize()
        try:
            async with self._session.request(
                method, url, headers=named, params=params, data=data, timeout=timeout or self._call,
                allow_redirects=allow_redirects,
            ) as answer:  # fmt: skip
                yield answer
        except _FAILURES as exc:
            raise unavailable(f"the registry behind does not answer ({type(exc).__name__})") from exc

    def _expect(self, answer: aiohttp.ClientResponse, status: int) -> None:
        if answer.status == status:
            return
        if answer.status == 429:
            raise RegistryRefusal("TOOMANYREQUESTS", "the registry behind is too busy: try again later")
        raise unavailable(f"the registry behind answers HTTP {answer.status}")

    def _upload(self, answer: aiohttp.ClientResponse, received: int) -> Upload:
        """Read where an upload goes on; what it says of bytes that it has must be what was sent."""
        match = _RANGE.match(answer.headers.get("Range", ""))
        if match is not None and received > 1 and int(match[1]) + 1 != received:
            raise unavailable("the registry behind has other bytes than it was sent")
        return Upload(location=self._location(answer, str(answer.url)), received=received)

    def _location(self, answer: aiohttp.ClientResponse, otherwise: str) -> str:
        location = urljoin(str(answer.url), answer.headers.get("Location", otherwise))
        parts = urlsplit(location)
        if f"{parts.scheme}://{parts.netloc}" != self._origin:
            raise unavailable("the registry behind sends uploads to another host")
        return location


async def _bounded(answer: aiohttp.ClientResponse) -> bytes:
    content = await read_answer(answer, MANIFEST_BYTES_MAX)
    if content is None:
        raise unavailable("the registry behind gives an answer without end")
    return content


async def _chunks(answer: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    try:
        async for chunk in answer.content.iter_any():
            yield chunk
    except _FAILURES as exc:
        raise unavailable(f"the registry behind broke off ({type(exc).__name__})") from exc
