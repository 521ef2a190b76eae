"""Sends each request of an HTTP session by the proxy that stands before its host, if any."""

from __future__ import annotations

import aiohttp
from aiohttp import ClientHandlerType, ClientRequest, ClientResponse
from yarl import URL

from whence_agent.proxies import Proxies


class ByProxy:
    """A middleware of aiohttp's client. `trust_env` is not used: it shows passwords of ~/.netrc to the hosts asked."""

    def __init__(self, proxies: Proxies) -> None:
        self._proxies = proxies

    async def __call__(self, request: ClientRequest, handler: ClientHandlerType) -> ClientResponse:
        proxy = self._proxies.url_for(str(request.url))
        if proxy:
            request.update_proxy(URL(proxy), None, None)
        return await handler(request)


def reason(exc: BaseException) -> str:
    """Say in a word or two why no answer came; where it was the proxy, that. Holds no credentials."""
    if isinstance(exc, aiohttp.ClientHttpProxyError):
        fix = ": the credentials for it are missing or wrong" if exc.status == 407 else ""
        return f"the proxy refuses the connection with HTTP {exc.status}{fix}"
    if isinstance(exc, aiohttp.ClientProxyConnectionError):
        return f"the proxy at {exc.host}:{exc.port} does not answer"
    return type(exc).__name__
