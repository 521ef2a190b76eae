"""Blobs of the OCI API: streamed and hashed in both directions, never whole in memory."""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from urllib.parse import quote, urlencode

from aiohttp import web

from whence_aggregator.http.client_address import limited_address
from whence_aggregator.http.front_errors import body, no_continue, registry_guarded
from whence_aggregator.http.front_manifests import FrontCalls
from whence_aggregator.http.slots import Slots
from whence_aggregator.http.turns import Turns
from whence_aggregator.ports_registry import BlobAnswer, BlobBackend
from whence_aggregator.registry.access import Access, Principal
from whence_aggregator.registry.catalog import Catalog
from whence_aggregator.registry.names import Repository, check_digest, is_repository
from whence_aggregator.registry.refusals import RegistryRefusal, unavailable
from whence_aggregator.registry.uploads import UploadProgress, Uploads
from whence_common.digest import is_sha256_digest

TRANSFERS_AT_ONCE_MAX = 256
"""Over all callers; one caller may use a third, one address a half."""
TRANSFER_SECONDS_MAX = 3 * 3600.0
PIECES_A_ROUND = 4
"""A piece takes half a millisecond to hash and send. Without turns, heartbeats waited for 85 concurrent transfers."""
_OCTETS = "application/octet-stream"
_PARTS = re.compile(r"multipart/byteranges; ?boundary=[\x20-\x7e]{1,100}", re.IGNORECASE)
"""Several ranges in one answer: without the boundary, its parts cannot be separated (RFC 9110, 14.6)."""


class CallerLeft(Exception):
    """The caller stopped reading a blob. Not a ConnectionError, which means the registry behind."""


class BlobCalls:
    """Handlers of blobs and uploads."""

    def __init__(
        self, *, calls: FrontCalls, access: Access, uploads: Uploads, backend: BlobBackend, catalog: Catalog
    ) -> None:
        self._calls = calls
        self._catalog = catalog
        self._access = access
        self._uploads = uploads
        self._backend = backend
        self._transfers = Slots("transfers", TRANSFERS_AT_ONCE_MAX)
        self._turns = Turns(PIECES_A_ROUND)

    def routes(self) -> list[web.RouteDef]:
        one = "/v2/{name:(?s:.+)}/blobs/uploads/{number}"
        routes = [
            web.post("/v2/{name:(?s:.+)}/blobs/uploads/", self._start, expect_handler=no_continue),
            web.post("/v2/{name:(?s:.+)}/blobs/uploads", self._start, expect_handler=no_continue),
            web.patch(one, self._append, expect_handler=no_continue),
            web.put(one, self._finish, expect_handler=no_continue),
            web.get(one, self._status),
            web.delete(one, self._cancel),
            web.get("/v2/{name:(?s:.+)}/blobs/{digest}", self._read, allow_head=False),
            web.head("/v2/{name:(?s:.+)}/blobs/{digest}", self._size),
            web.delete("/v2/{name:(?s:.+)}/blobs/{digest}", self._delete),
        ]
        return [
            web.route(one.method, one.path, registry_guarded(one.handler, self._calls.challenges), **one.kwargs)
            for one in routes
        ]

    async def _size(self, request: web.Request) -> web.Response:
        repository, digest, _ = await self._readable(request)
        size = await self._backend.size(str(repository), digest)
        if size is None:
            raise _unknown(digest)
        headers = {"Docker-Content-Digest": digest, "Content-Length": str(size), "Content-Type": _OCTETS}
        return web.Response(headers={**headers, "Accept-Ranges": "bytes"})

    async def _read(self, request: web.Request) -> web.StreamResponse:
        repository, digest, principal = await self._readable(request)
        try:
            async with (
                self._transfer(request, principal),
                self._backend.read(str(repository), digest, _range(request)) as answer,
            ):
                return await self._answer(request, digest, answer)
        except CallerLeft as exc:
            raise ConnectionResetError(str(exc)) from exc

    async def _answer(self, request: web.Request, digest: str, answer: BlobAnswer | None) -> web.StreamResponse:
        if answer is None:
            raise _unknown(digest)
        if answer.status == 416:
            raise RegistryRefusal("SIZE_INVALID", "the blob has no such range", status=416)
        if answer.status == 307:
            return web.Response(status=307, headers={"Location": answer.location, "Docker-Content-Digest": digest})
        return await self._stream(request, digest, answer)

    async def _stream(self, request: web.Request, digest: str, answer: BlobAnswer) -> web.StreamResponse:
        """Forward bytes; the last of them only after all were verified by the digest."""
        kind = answer.content_type if answer.status == 206 and _PARTS.fullmatch(answer.content_type) else _OCTETS
        headers = {"Docker-Content-Digest": digest, "Content-Type": kind, "Accept-Ranges": "bytes"}
        if answer.size is not None:
            headers["Content-Length"] = str(answer.size)
        if answer.content_range:
            headers["Content-Range"] = answer.content_range
        response = web.StreamResponse(status=answer.status, headers=headers)
        whole, hashed, held = answer.status == 200, hashlib.sha256(), b""
        try:
            await _to_caller(response.prepare(request))
            async for chunk in self._turns.each(limited_address(request), answer.chunks):
                if whole:
                    hashed.update(chunk)
                if held:
                    await _to_caller(response.write(held))
                held = chunk
            if whole and f"sha256:{hashed.hexdigest()}" != digest:
                raise unavailable("the registry behind returned bytes that do not have this digest")
            await _to_caller(response.write(held))
            await _to_caller(response.write_eof())
        except RegistryRefusal:
            if request.transport is not None:
                request.transport.abort()  # the client must not accept a part as the whole
        finally:
            chunk = held = b""  # otherwise an error's traceback keeps them until the next garbage collection
        return response

    async def _start(self, request: web.Request) -> web.Response:
        repository, principal = await self._calls.writable(request)
        mounted = await self._mounted(request, repository)
        if mounted is not None:
            return mounted
        progress = await self._uploads.start(repository, principal)
        digest = request.query.get("digest")
        if digest is None:
            return self._going_on(repository, progress, 202)
        check_digest(digest)  # the whole upload in one call
        async with self._transfer(request, principal):
            progress = await self._uploads.append(
                repository, principal, progress.number, progress.state, self._sent(request),
                length=request.content_length,
            )  # fmt: skip
        await self._uploads.finish(repository, principal, progress.number, progress.state, digest)
        return await self._made(repository, digest)

    async def _mounted(self, request: web.Request, repository: Repository) -> web.Response | None:
        """Mount a blob from a repository that the caller may read; None when it must be uploaded."""
        digest, source = request.query.get("mount"), request.query.get("from")
        if digest is None or source is None or not is_repository(source):
            return None
        check_digest(digest)
        from_, principal = Repository.parse(source), await self._calls.caller(request)
        try:
            await self._access.check_pull(principal, from_)
        except RegistryRefusal:
            if principal.grant is None:
                return None  # signing in again does not help: the client uploads the bytes
            raise
        if not await self._backend.mount(str(repository), digest, str(from_)):
            return None
        return await self._made(repository, digest)

    async def _append(self, request: web.Request) -> web.Response:
        repository, principal = await self._calls.writable(request)
        if request.headers.get("Content-Type", _OCTETS).partition(";")[0].strip() != _OCTETS:
            raise RegistryRefusal("BLOB_UPLOAD_INVALID", f"Content-Type must be {_OCTETS}", status=415)
        async with self._transfer(request, principal):
            progress = await self._uploads.append(
                repository, principal, request.match_info["number"], request.query.get("_state", ""),
                self._sent(request), length=request.content_length,
                content_range=request.headers.get("Content-Range", ""),
            )  # fmt: skip
        return self._going_on(repository, progress, 202)

    async def _finish(self, request: web.Request) -> web.Response:
        repository, principal = await self._calls.writable(request)
        number, state = request.match_info["number"], request.query.get("_state", "")
        digest = check_digest(request.query.get("digest", ""))
        if request.body_exists and request.content_length != 0:
            async with self._transfer(request, principal):
                progress = await self._uploads.append(
                    repository, principal, number, state, self._sent(request), length=request.content_length,
                    content_range=request.headers.get("Content-Range", ""),
                )  # fmt: skip
            state = progress.state
        await self._uploads.finish(repository, principal, number, state, digest)
        return await self._made(repository, digest)

    async def _status(self, request: web.Request) -> web.Response:
        repository, principal = await self._calls.writable(request)
        progress = await self._uploads.status(
            repository, principal, request.match_info["number"], request.query.get("_state", "")
        )
        return self._going_on(repository, progress, 204)

    async def _cancel(self, request: web.Request) -> web.Response:
        repository, principal = await self._calls.writable(request)
        await self._uploads.cancel(repository, principal, request.match_info["number"], request.query.get("_state", ""))
        return web.Response(status=204)

    async def _delete(self, request: web.Request) -> web.Response:
        await self._calls.caller(request)
        raise RegistryRefusal("UNSUPPORTED", "this registry deletes no tags and no images")

    async def _readable(self, request: web.Request) -> tuple[Repository, str, Principal]:
        principal = await self._calls.caller(request)
        repository = Repository.parse(request.match_info["name"])
        await self._access.check_pull(principal, repository)
        return repository, check_digest(request.match_info["digest"]), principal

    def _going_on(self, repository: Repository, progress: UploadProgress, status: int) -> web.Response:
        query = urlencode({"_state": progress.state})
        headers = {
            "Location": f"/v2/{quote(str(repository))}/blobs/uploads/{progress.number}?{query}",
            "Docker-Upload-UUID": progress.number,
            "Range": f"0-{max(progress.received - 1, 0)}",
        }
        return web.Response(status=status, headers=headers)

    async def _made(self, repository: Repository, digest: str) -> web.Response:
        await self._catalog.note(repository)
        location = f"/v2/{quote(str(repository))}/blobs/{digest}"
        return web.Response(status=201, headers={"Location": location, "Docker-Content-Digest": digest})

    def _sent(self, request: web.Request) -> AsyncIterator[bytes]:
        return self._turns.each(limited_address(request), body(request))

    @asynccontextmanager
    async def _transfer(self, request: web.Request, principal: Principal) -> AsyncIterator[None]:
        """Bound the number of concurrent transfers, also by caller and address, and the time of each."""
        caller = f"{principal.kind} {principal.name}" if principal.name else ""
        try:
            with self._transfers.take(request, caller):
                async with asyncio.timeout(TRANSFER_SECONDS_MAX):
                    await self._turns.take(limited_address(request))
                    yield
        except TimeoutError as exc:
            raise RegistryRefusal("BLOB_UPLOAD_INVALID", "the transfer took too long", status=408) from exc


async def _to_caller(sending: Awaitable[object]) -> None:
    """Await a write to the caller. Raises CallerLeft."""
    try:
        await sending
    except ConnectionError as exc:
        raise CallerLeft("the caller stopped reading") from exc


def _range(request: web.Request) -> str:
    """Return the Range header; another unit than bytes means the whole blob (RFC 9110, 14.2)."""
    stated = request.headers.get("Range", "")
    return stated if stated.startswith("bytes=") else ""


def _unknown(digest: str) -> RegistryRefusal:
    if not is_sha256_digest(digest):
        return RegistryRefusal("DIGEST_INVALID", "this is not a digest")
    return RegistryRefusal("BLOB_UNKNOWN", "blob unknown to registry", detail=digest)
