"""Reading a response no further than its bound."""

from __future__ import annotations

import aiohttp


class ResponseTooLarge(Exception):
    """The peer sends more than was agreed."""


async def read_bounded(response: aiohttp.ClientResponse, bytes_max: int) -> bytes:
    """Read a body of at most so many bytes. Raises BodyTooLarge; the rest is not read."""
    chunks, left = [], bytes_max
    async for chunk in response.content.iter_chunked(64 * 1024):
        left -= len(chunk)
        if left < 0:
            raise ResponseTooLarge(f"more than {bytes_max} bytes")
        chunks.append(chunk)
    return b"".join(chunks)


async def read_first(response: aiohttp.ClientResponse, bytes_max: int) -> bytes:
    """Read a body as far as a bound: what explains an error need not be whole."""
    chunks, left = [], bytes_max
    async for chunk in response.content.iter_chunked(16 * 1024):
        chunks.append(chunk[:left])
        left -= len(chunk)
        if left <= 0:
            break
    return b"".join(chunks)
