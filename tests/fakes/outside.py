"""A host that answers GET with JSON, as code hosts and trackers do: pages, entity tags, limits, sign-in, redirects.

A host of one vendor fills `answers` with the documents that its API has at a path.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from fakes.loopback import loopback

Fault = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True)
class Asked:
    """A request that arrived."""

    path: str
    headers: dict[str, str]
    status: int


@dataclass
class OutsideHost:
    """`faults` answer the next requests instead of it, oldest first; `hidden` paths are 404 as for a login without rights."""

    prefix: str = ""
    page_names: tuple[str, str] = ("per_page", "page")
    page_items: int = 30
    authorization: tuple[str, str] | None = None
    """The header, and its value, that a request must have."""
    answers: dict[str, Any] = field(default_factory=dict)
    hidden: set[str] = field(default_factory=set)
    renamed: dict[str, str] = field(default_factory=dict)
    """Beginnings of paths that are redirected, and to where."""
    renamed_status: int = 301
    faults: list[Fault] = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=dict)
    tagged: bool = True
    """Whether answers have entity tags; without them a client keeps none."""
    requests_left: int | None = None
    """How many more requests are answered before the limit; None: there is none. Unchanged answers cost none."""
    reset_at: int = 0
    """When the limit is reset, in seconds since 1970."""
    asked: list[Asked] = field(default_factory=list)
    url: str = ""

    @asynccontextmanager
    async def serve(self) -> AsyncIterator[OutsideHost]:
        """Serve on a loopback port for the block's duration; `url` states which."""
        application = web.Application()
        application.router.add_route("GET", "/{path:.*}", self._answer)
        async with loopback(application) as host:
            self.url = f"http://{host}"
            yield self

    @property
    def paths(self) -> list[str]:
        """Return the paths that were asked for, without queries."""
        return [one.path for one in self.asked]

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        if self.faults:
            answer = await self.faults.pop(0)(request)
        else:
            answer = self.found(request)
        self.asked.append(Asked(request.raw_path.partition("?")[0], dict(request.headers), answer.status))
        return answer

    def found(self, request: web.Request) -> web.Response:
        """Return the answer of the host when nothing is wrong with it."""
        if not self.is_signed_in(request):
            return self._json({"message": "Bad credentials"}, status=401)
        if self.requests_left == 0:
            return self.limited()
        answer = self._unlimited(request)
        if self.requests_left is not None and answer.status != 304:
            self.requests_left -= 1
        return answer

    def is_signed_in(self, request: web.Request) -> bool:
        if self.authorization is None:
            return True
        name, value = self.authorization
        return request.headers.get(name) == value

    def limited(self) -> web.Response:
        """Return the answer of a host whose limit is used up; each vendor has its own form."""
        return web.Response(status=429, text="Too Many Requests")

    def _unlimited(self, request: web.Request) -> web.Response:
        path = request.raw_path.partition("?")[0].removeprefix(self.prefix)
        for old, new in self.renamed.items():
            if path.startswith(old):
                location = f"{self.url}{self.prefix}{new}{path.removeprefix(old)}"
                return web.Response(status=self.renamed_status, headers={"Location": location})
        if path not in self.answers or any(path.startswith(one) for one in self.hidden):
            return self._json({"message": "Not Found"}, status=404)
        return self._document(request, self.answers[path])

    def _document(self, request: web.Request, document: Any) -> web.Response:
        headers = dict(self.headers)
        items = document.get("check_runs") if isinstance(document, dict) else document
        if isinstance(items, list):
            per_name, page_name = self.page_names
            per, page = int(request.query.get(per_name, self.page_items)), int(request.query.get(page_name, "1"))
            if page * per < len(items):
                following = request.url.update_query({page_name: str(page + 1), per_name: str(per)})
                headers["Link"] = f'<{following}>; rel="next", <{following}>; rel="last"'
            part = items[(page - 1) * per : page * per]
            document = {**document, "check_runs": part} if isinstance(document, dict) else part
        content = json.dumps(document)
        if not self.tagged:
            return self._json(document, headers=headers)
        etag = f'W/"{hashlib.sha256(content.encode()).hexdigest()}"'
        if request.headers.get("If-None-Match") == etag:
            return web.Response(status=304, headers={"ETag": etag, **headers})
        return self._json(document, headers={"ETag": etag, **headers})

    def _json(self, document: Any, *, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
        return web.json_response(document, status=status, headers=headers or self.headers)


def answering(status: int = 200, body: str | bytes = "", *, kind: str = "application/json", **headers: str) -> Fault:
    """Return a fault that answers with this; header names have underscores for hyphens."""

    async def fault(_: web.Request) -> web.StreamResponse:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        content = body.encode() if isinstance(body, str) else body
        return web.Response(status=status, body=content, headers={"Content-Type": kind, **named})

    return fault
