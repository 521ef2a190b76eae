"""A registry behind the front that lies, stalls or breaks as a test says; without a lie it keeps the real one's contract."""

from __future__ import annotations

import asyncio
import hashlib
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import web

from fakes.loopback import loopback

LIES = (
    "refuses", "unavailable", "busy", "unauthorised", "redirects-uploads", "forgets-uploads", "stores-other-bytes",
    "loses-blobs", "wrong-size", "wrong-range", "wrong-blob", "cut-blob", "wrong-manifest", "endless-manifest",
    "loses-manifests", "drops", "wrong-stored-digest", "no-location", "unmade",
)  # fmt: skip


@dataclass
class LyingRegistry:
    """Its contents in memory. `lie` is what it does wrong now, or `no-ranges`, which it may do."""

    lie: str = ""
    blobs: dict[tuple[str, str], bytes] = field(default_factory=dict)
    manifests: dict[tuple[str, str], tuple[bytes, str]] = field(default_factory=dict)
    uploads: dict[str, bytearray] = field(default_factory=dict)
    host: str = ""
    wanted: str = ""
    """The Authorization header that it asks for."""
    asked: list[str] = field(default_factory=list)
    """The paths it was asked for."""
    _numbers: itertools.count[int] = field(default_factory=itertools.count)

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(request.path)
        if self.wanted and request.headers.get("Authorization") != self.wanted:
            return web.Response(status=401)
        statuses = {"refuses": 403, "unavailable": 500, "busy": 429, "unauthorised": 401}
        if self.lie in statuses:
            return web.Response(status=statuses[self.lie], text="no")
        if self.lie == "no-ranges" and "Range" in request.headers:
            return web.Response(status=501, text="Unsupported client range")
        if self.lie == "unmade" and request.method != "HEAD":
            error = {
                "code": "NAME_UNKNOWN",
                "message": "The repository does not exist in the registry with id '123456789012'",
            }
            return web.json_response({"errors": [error]}, status=404)
        if self.lie == "drops":
            assert request.transport is not None
            request.transport.abort()
            return web.Response()
        repository, between, rest = request.path.removeprefix("/v2/").rpartition("/blobs/")
        if not between:
            repository, _, name = request.path.removeprefix("/v2/").rpartition("/manifests/")
            return await self._manifest(request, repository, name)
        if rest.startswith("uploads/"):
            return await self._upload(request, repository, rest.removeprefix("uploads/"))
        return await self._blob(request, repository, rest)

    async def _upload(self, request: web.Request, repository: str, number: str) -> web.Response:
        if request.method == "POST":
            source = request.query.get("from")
            if source is not None and (source, request.query["mount"]) in self.blobs:
                self.blobs[repository, request.query["mount"]] = self.blobs[source, request.query["mount"]]
                return web.Response(status=201)
            number = f"u{next(self._numbers)}"
            self.uploads[number] = bytearray()
            return web.Response(status=202, headers=self._going_on(repository, number))
        if number not in self.uploads or (self.lie == "forgets-uploads" and request.method != "DELETE"):
            return web.Response(status=404)
        if request.method == "PATCH":
            async for chunk in request.content.iter_any():
                self.uploads[number] += chunk
            return web.Response(status=202, headers=self._going_on(repository, number))
        if request.method == "GET":
            return web.Response(status=204, headers=self._going_on(repository, number))
        content = bytes(self.uploads.pop(number))
        if request.method == "DELETE":
            return web.Response(status=204)
        digest = request.query["digest"]
        if "sha256:" + hashlib.sha256(content).hexdigest() != digest:
            return web.Response(status=400)
        if self.lie != "loses-blobs":
            self.blobs[repository, digest] = b"other" if self.lie == "stores-other-bytes" else content
        return web.Response(status=201)

    def _going_on(self, repository: str, number: str) -> dict[str, str]:
        if self.lie == "no-location":
            return {}
        size = len(self.uploads[number]) + (7 if self.lie == "wrong-range" else 0)
        place = "http://198.51.100.7" if self.lie == "redirects-uploads" else f"http://{self.host}"
        return {"Location": f"{place}/v2/{repository}/blobs/uploads/{number}", "Range": f"0-{max(size - 1, 0)}"}

    async def _blob(self, request: web.Request, repository: str, digest: str) -> web.StreamResponse:
        content = self.blobs.get((repository, digest))
        if content is None:
            return web.Response(status=404)
        if request.method == "HEAD":
            size = len(content) + (1 if self.lie == "wrong-size" else 0)
            return web.Response(headers={"Content-Length": str(size)})
        if self.lie == "wrong-blob":
            content = b"x" * len(content)
        if self.lie == "cut-blob":
            response = web.StreamResponse(headers={"Content-Length": str(len(content) + 1000)})
            await response.prepare(request)
            await response.write(content)
            assert request.transport is not None
            request.transport.close()
            return response
        return web.Response(body=content)

    async def _manifest(self, request: web.Request, repository: str, name: str) -> web.StreamResponse:
        if request.method == "PUT":
            content = await request.read()
            digest = "sha256:" + hashlib.sha256(content).hexdigest()
            if self.lie != "loses-manifests":
                for one in (name, digest):
                    self.manifests[repository, one] = (content, request.headers["Content-Type"])
            stated = "sha256:" + "0" * 64 if self.lie == "wrong-stored-digest" else digest
            return web.Response(status=201, headers={"Docker-Content-Digest": stated})
        found = self.manifests.get((repository, name))
        if found is None:
            return web.Response(status=404)
        content, kind = found
        if self.lie == "wrong-manifest":
            content = content.replace(b" ", b"  ")
        if self.lie == "endless-manifest":
            response = web.StreamResponse()
            await response.prepare(request)
            try:
                while True:
                    await response.write(b" " * 65_536)
                    await asyncio.sleep(0)
            except ConnectionError:
                return response
        return web.Response(body=content, headers={"Content-Type": kind})


@asynccontextmanager
async def lying_registry() -> AsyncIterator[LyingRegistry]:
    """Serve one on loopback."""
    registry = LyingRegistry()
    application = web.Application(client_max_size=1 << 30)
    application.router.add_route("*", "/{path:.*}", registry.answer)
    async with loopback(application) as host:
        registry.host = host
        yield registry
