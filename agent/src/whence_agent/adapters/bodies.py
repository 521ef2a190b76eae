"""Bounded reading of response bodies."""

from __future__ import annotations

import aiohttp


class ResponseTooLarge(Exception):
    """The response is larger than its bound."""


async def read_bounded(response: aiohttp.ClientResponse, bytes_max: int) -> bytes:
    """Return a body of at most `bytes_max` bytes. Raises ResponseTooLarge, without reading the rest."""
    chunks, left = [], bytes_max
    async for chunk in response.content.iter_chunked(64 * 1024):
        left -= len(chunk)
        if left < 0:
            raise ResponseTooLarge(f"more than {bytes_max} bytes")
        chunks.append(chunk)
    return b"".join(chunks)


async def read_first(response: aiohttp.ClientResponse, bytes_max: int) -> bytes:
    """Return a body's first `bytes_max` bytes, for error documents, which need not be complete."""
    chunks, left = [], bytes_max
    async for chunk in response.content.iter_chunked(16 * 1024):
        chunks.append(chunk[:left])
        left -= len(chunk)
        if left <= 0:
            break
    return b"".join(chunks)
