"""Answers of any length, sent in pieces, so that their length costs neither memory nor time of the event loop."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Mapping, Sequence

import msgspec
from aiohttp import hdrs, web

from whence_aggregator.http.client_address import client_address
from whence_common.runtime.logs import fields

log = logging.getLogger(__name__)

FURTHER_HEADERS = web.RequestKey("further_headers", Mapping[str, str])
"""Headers that who passes the answer on adds to it, before it is sent."""


async def streamed(
    request: web.Request, headers: Mapping[str, str], pieces: AsyncIterator[bytes]
) -> web.StreamResponse:
    """Send pieces as an answer. An error before the first piece is raised; a later one ends the connection.

    A client must never accept a part as the whole, and an answer that has begun cannot become an error.
    """
    response = web.StreamResponse(headers={**headers, **request.get(FURTHER_HEADERS, {})})
    first = await anext(pieces, b"")
    await response.prepare(request)
    if request.method == hdrs.METH_HEAD:
        return response
    try:
        await response.write(first)
        async for piece in pieces:
            await response.write(piece)
        await response.write_eof()
    except ConnectionError:
        raise
    except Exception:
        details = {"address": client_address(request), "path": request.path}
        log.exception("an answer failed after it had begun", extra=fields(**details))
        if request.transport is not None:
            request.transport.abort()
    return response


async def json_array(pages: AsyncIterator[Sequence[object]]) -> AsyncIterator[bytes]:
    """Yield pages as one JSON array. The first piece follows the first page."""
    before = b"["
    async for page in pages:
        for_page = b",".join(map(msgspec.json.encode, page))
        if for_page:
            yield before + for_page
            before = b","
    yield b"]" if before == b"," else b"[]"
