"""The registry behind the front, by the OCI distribution specification. Everything that it answers is verified.

Debian's docker-registry, Harbor (a project as the URL's path) and ECR are such backends.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from urllib.parse import urlencode, urlsplit

from whence_aggregator.adapters.answers import read_answer
from whence_aggregator.adapters.backend_calls import PATIENCE, BackendTimeouts, read_bounded, read_chunks
from whence_aggregator.adapters.backend_uploads import BackendUploads
from whence_aggregator.adapters.missing_places import check_place, missing, place_missing
from whence_aggregator.adapters.registry_session import RegistrySession, Scopes
from whence_aggregator.ports_registry import BlobAnswer
from whence_aggregator.registry.refusals import RegistryRefusal, unavailable
from whence_common.digest import sha256_digest
from whence_common.image_reference import is_repository_path, is_tag
from whence_common.loose_json import loose
from whence_common.oci_manifest import ACCEPT, MANIFEST_BYTES_MAX
from whence_common.referrer_pages import next_page
from whence_common.registry_address import REDIRECTS, RedirectRefused, redirected
from whence_common.registry_answers import ERROR_BYTES_MAX
from whence_common.registry_requests import read_headers
from whence_common.registry_sign_in import CATALOG_SCOPE
from whence_common.runtime.logs import fields

log = logging.getLogger(__name__)

CHUNK_BYTES = 256 * 1024
KEPT_TAG = "whence-"
"""Each manifest is also tagged with its digest, because garbage collectors delete what no tag names."""
_PAGE, _PAGES_MAX = 500, 10_000
_CACHED_MAX, _CACHED_BYTES_MAX = 512, 32 * 1024


class Backend(BackendUploads):
    """One registry, called through `session`; `path` is prefixed to each repository."""

    def __init__(self, *, session: RegistrySession, path: str = "", patience: BackendTimeouts = PATIENCE) -> None:
        super().__init__(session=session, path=path, patience=patience)
        self._manifests: OrderedDict[str, bytes] = OrderedDict()

    @asynccontextmanager
    async def read(
        self, repository: str, digest: str, range_: str, *, follow: bool = False
    ) -> AsyncIterator[BlobAnswer | None]:
        """Open a blob. Raises RegistryRefusal, also while chunks are read."""
        headers = read_headers("*/*") | ({"Range": range_} if range_ else {})
        url, scopes = self._blob(repository, digest), self._pull(repository)
        async with AsyncExitStack() as stack:
            asked = self._ask("GET", url, scopes, headers=headers, timeout=self._read, follow=follow)
            answer = await stack.enter_async_context(asked)
            location = ""
            if answer.status in REDIRECTS:
                location = self._passed_on(url, answer.headers.get("Location", ""))
                if not location:
                    asked = self._ask("GET", url, scopes, headers=headers, timeout=self._read, follow=True)
                    answer = await stack.enter_async_context(asked)
            if answer.status == 404:
                yield None
                return
            if range_ and answer.status in (400, 501):  # this registry, or its storage, does not support several ranges
                whole = self.read(repository, digest, "", follow=follow)
                yield await stack.enter_async_context(whole)
                return
            if answer.status not in (200, 206, 416) and not location:
                self._expect(answer, 200)
            yield BlobAnswer(
                status=307 if location else answer.status,
                size=answer.content_length,
                content_range=answer.headers.get("Content-Range", ""),
                content_type=answer.headers.get("Content-Type", ""),
                location=location,
                chunks=read_chunks(answer),
            )

    async def mount(self, repository: str, digest: str, source: str) -> bool:
        """Mount a blob. Raises RegistryRefusal."""
        from_ = self._path(source)
        url = self._uploads(repository)
        scopes = (*self._push(repository), *self._pull(source))
        async with self._ask(
            "POST", f"{url}?{urlencode({'mount': digest, 'from': from_})}", scopes, data=b""
        ) as answer:
            if answer.status == 202:  # the registry began an upload instead
                await self.cancel(self._upload(answer, 0))
                return False
            if answer.status in (400, 403, 404, 405):  # the client uploads the bytes, and receives the error then
                return False
            self._expect(answer, 201)
            return True

    async def manifest(self, repository: str, digest: str) -> bytes | None:
        """Return a manifest's bytes. Raises RegistryRefusal when they do not have the digest."""
        known = self._manifests.get(digest)
        if known is not None:
            self._manifests.move_to_end(digest)
            return known
        url = self._url(repository, "manifests", digest)
        async with self._ask("GET", url, self._pull(repository), headers=read_headers(), follow=True) as answer:
            if answer.status == 404:
                return None
            self._expect(answer, 200)
            content = await read_bounded(answer)
        if sha256_digest(content) != digest:
            raise unavailable("the registry behind returned bytes that do not have this digest")
        if len(content) <= _CACHED_BYTES_MAX:
            self._manifests[digest] = content
            if len(self._manifests) > _CACHED_MAX:
                self._manifests.popitem(last=False)
        return content

    async def keep_manifest(self, repository: str, content: bytes, media_type: str) -> None:
        """Store a manifest under its digest's tag. Raises RegistryRefusal."""
        digest = sha256_digest(content)
        tag = KEPT_TAG + digest.removeprefix("sha256:")
        try:
            stated = await self._put_manifest(repository, tag, digest, content, media_type)
        except RegistryRefusal as exc:
            if exc.code != "UNAVAILABLE" or not await self._has_manifest(repository, tag):
                raise
            return  # the answer was lost, the manifest was not
        if stated != digest:
            raise unavailable("the registry behind stored other bytes than were sent")

    async def _put_manifest(self, repository: str, tag: str, digest: str, content: bytes, media_type: str) -> str:
        url = self._url(repository, "manifests", tag)
        headers = {"Content-Type": media_type}
        async with self._ask("PUT", url, self._push(repository), data=content, headers=headers) as answer:
            if answer.status in (400, 409, 412):
                answered = (await read_answer(answer, ERROR_BYTES_MAX) or b"").decode("utf-8", "replace")
                if await self._has_manifest(repository, digest):
                    return digest  # a registry with immutable tags refuses a second push of the same bytes
                if place_missing(answer.status, answered.encode()):
                    raise missing(self._path(repository))
                raise RegistryRefusal(
                    "MANIFEST_INVALID", "the registry behind refuses this manifest", detail=answered[:300]
                )
            await check_place(answer, self._path(repository))
            self._expect(answer, 201)
            return answer.headers.get("Docker-Content-Digest", digest)

    async def repositories(self) -> AsyncIterator[str]:
        """Yield the repositories of the registry's catalogue that are below our path. Raises RegistryRefusal."""
        below = f"{self._prefix}/" if self._prefix else ""
        async for name in self._listed(f"{self._origin}/v2/_catalog?n={_PAGE}", "repositories", (CATALOG_SCOPE,)):
            if name.startswith(below) and is_repository_path(name.removeprefix(below)):
                yield name.removeprefix(below)

    async def tags(self, repository: str) -> list[str]:
        """Return all tags except those that the front itself set. Raises RegistryRefusal."""
        url = f"{self._base}/{repository}/tags/list?n={_PAGE}"
        found = [one async for one in self._listed(url, "tags", self._pull(repository))]
        return [one for one in found if is_tag(one) and not one.startswith(KEPT_TAG)]

    async def tagged(self, repository: str, reference: str) -> bytes:
        """Return a manifest by tag or digest. Raises RegistryRefusal."""
        url = self._url(repository, "manifests", reference)
        async with self._ask("GET", url, self._pull(repository), headers=read_headers(), follow=True) as answer:
            self._expect(answer, 200)
            return await read_bounded(answer)

    async def small_blob(self, repository: str, digest: str) -> bytes | None:
        """Return a blob that is no larger than a manifest may be. Raises RegistryRefusal."""
        url = self._blob(repository, digest)
        async with self._ask("GET", url, self._pull(repository), headers=read_headers("*/*"), follow=True) as answer:
            content = await read_answer(answer, MANIFEST_BYTES_MAX) if answer.status == 200 else None
        return content if content is not None and sha256_digest(content) == digest else None

    async def _listed(self, url: str, name: str, scopes: Scopes) -> AsyncIterator[str]:
        for _ in range(_PAGES_MAX):
            async with self._ask("GET", url, scopes) as answer:
                self._expect(answer, 200)
                found = loose(await read_bounded(answer)).get(name)
                following = self._next_page(url, answer.headers.get("Link", ""))
            for one in found if isinstance(found, list) else []:
                if isinstance(one, str):
                    yield one
            if not following:
                return
            url = following

    def _next_page(self, url: str, link: str) -> str:
        try:
            return next_page(self._session.place, url, link)
        except RedirectRefused as exc:
            raise unavailable("the registry behind names a next page that is not allowed") from exc

    async def _has_manifest(self, repository: str, reference: str) -> bool:
        url = self._url(repository, "manifests", reference)
        async with self._ask("HEAD", url, self._pull(repository), headers={"Accept": ACCEPT}) as answer:
            return answer.status == 200

    def _passed_on(self, url: str, location: str) -> str:
        """Return the URL to redirect a client to; empty when the front must follow it. Raises RegistryRefusal."""
        try:
            target = redirected(self._session.place, url, location)
        except RedirectRefused as exc:
            log.error("a redirect is refused", extra=fields(code=exc.code, message=exc.diagnostics()))
            raise unavailable("the registry behind redirects to an address that is not allowed") from exc
        parts = urlsplit(target)
        inside = parts.netloc in self._session.place.blob_hosts | {self._session.place.host}
        return target if parts.scheme == "https" and not inside else ""
