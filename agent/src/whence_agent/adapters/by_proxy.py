"""Sends the requests of an HTTP session by the configured proxy, if any."""

from __future__ import annotations

import aiohttp
from aiohttp import ClientHandlerType, ClientRequest, ClientResponse
from yarl import URL

from whence_agent.proxies import Proxies


class ByProxy:
    """A middleware for aiohttp's client. `trust_env` is not used: it also sends passwords of ~/.netrc to hosts."""

    def __init__(self, proxies: Proxies) -> None:
        self._proxies = proxies

    async def __call__(self, request: ClientRequest, handler: ClientHandlerType) -> ClientResponse:
        proxy = self._proxies.url_for(str(request.url))
        if proxy:
            request.update_proxy(URL(proxy), None, None)
        return await handler(request)


def reason(exc: BaseException) -> str:
    """Return why a request failed, in a few words without credentials; an error of the proxy is named as such."""
    if isinstance(exc, aiohttp.ClientHttpProxyError):
        fix = ": its credentials are missing or wrong" if exc.status == 407 else ""
        return f"the proxy refuses the connection with HTTP {exc.status}{fix}"
    if isinstance(exc, aiohttp.ClientProxyConnectionError):
        return f"the proxy at {exc.host}:{exc.port} is unreachable"
    return type(exc).__name__
