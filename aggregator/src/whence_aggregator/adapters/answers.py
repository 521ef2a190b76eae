"""Answers of other servers, read no further than their bound, and whole: one read gives what has come so far."""

from __future__ import annotations

import aiohttp

_CHUNK_BYTES = 64 * 1024


async def read_answer(answer: aiohttp.ClientResponse, bytes_max: int) -> bytes | None:
    """Read a body of at most so many bytes; None when there is more, of which nothing is kept."""
    content = bytearray()
    async for chunk in answer.content.iter_chunked(_CHUNK_BYTES):
        content += chunk
        if len(content) > bytes_max:
            return None
    return bytes(content)
