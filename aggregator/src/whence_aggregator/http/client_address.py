"""Where a request comes from: the one place that knows, for limits and logs."""

from __future__ import annotations

from aiohttp import web

from whence_aggregator.callers.trusted_proxies import limit_name

CLIENT_ADDRESS = web.RequestKey("client_address", str)


def client_address(request: web.BaseRequest) -> str:
    """Return the client's address, for logs. The server has found it before any handler runs."""
    return request.get(CLIENT_ADDRESS) or request.remote or ""


def limited_address(request: web.BaseRequest) -> str:
    """Return the name under which limits count the client."""
    return limit_name(client_address(request))
