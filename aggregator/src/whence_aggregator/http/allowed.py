"""The methods that a path is served with, for answers to others."""

from __future__ import annotations

from aiohttp import hdrs, web


async def allowed_methods(router: web.UrlDispatcher, request: web.Request) -> set[str]:
    """Return the methods of the routes that match a request's path; those that take any method do not count."""
    allowed: set[str] = set()
    for one in router.resources():
        allowed |= (await one.resolve(request))[1]
    return allowed - {hdrs.METH_ANY}
