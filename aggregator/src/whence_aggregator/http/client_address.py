"""The client's address of a request, for limits and logs."""

from __future__ import annotations

from aiohttp import web

from whence_aggregator.callers.trusted_proxies import limit_name

CLIENT_ADDRESS = web.RequestKey("client_address", str)


def client_address(request: web.BaseRequest) -> str:
    """Return the client's address, for logs. The server determines it before any handler runs."""
    return request.get(CLIENT_ADDRESS) or request.remote or ""


def limited_address(request: web.BaseRequest) -> str:
    """Return the name by which limits count the client."""
    return limit_name(client_address(request))
