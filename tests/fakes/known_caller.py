"""A signed-in caller of routes that a test serves without sign-in."""

from __future__ import annotations

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from whence_aggregator.callers.caller import Caller
from whence_aggregator.http.authentication import CALLER


def called_by(caller: Caller) -> Middleware:
    """Return the middleware that states the caller of each request."""

    @web.middleware
    async def known(request: web.Request, handler: Handler) -> web.StreamResponse:
        request[CALLER] = caller
        return await handler(request)

    return known
