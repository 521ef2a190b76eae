"""Requests of pages from other origins, for the paths of fullstop.'s dashboards: open, since each call needs a token.

No cookie signs anybody in, so a page can send nothing but a token that it has already.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from aiohttp import hdrs, web

OPEN_PREFIXES = ("/api/violation", "/api/lifecycles/", "/api/whitelisting-rules")
"""Violations, their types and counts, lifecycles, and whitelisting rules."""
_AGE_SECONDS = 3600


def is_open(path: str) -> bool:
    """Return whether pages of every origin may call a path and read its answers."""
    return path.startswith(OPEN_PREFIXES)


def is_preflight(request: web.BaseRequest) -> bool:
    """Return whether a browser asks what it may send: that needs no token, and its answer names nothing."""
    return request.method == hdrs.METH_OPTIONS and is_open(request.path)


def preflights(routes: list[web.RouteDef]) -> list[web.RouteDef]:
    """Return routes with one for the method OPTIONS for each path."""
    methods: dict[str, list[str]] = {}
    for one in routes:
        methods.setdefault(one.path, []).append(one.method)
    return [*routes, *(web.options(path, _allowing(allowed)) for path, allowed in methods.items())]


def _allowing(methods: list[str]) -> Callable[[web.Request], Awaitable[web.Response]]:
    """Return the handler that states which methods and headers a path takes."""

    async def handle(_: web.Request) -> web.Response:
        headers = {
            hdrs.ACCESS_CONTROL_ALLOW_METHODS: ", ".join(methods),
            hdrs.ACCESS_CONTROL_ALLOW_HEADERS: "Authorization, Content-Type",
            hdrs.ACCESS_CONTROL_MAX_AGE: str(_AGE_SECONDS),
        }
        return web.Response(status=204, headers=headers)

    return handle
