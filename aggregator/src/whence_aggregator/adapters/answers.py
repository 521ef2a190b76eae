"""Response bodies of other servers, read whole and within a bound: a single read returns only what has arrived."""

from __future__ import annotations

import aiohttp

_CHUNK_BYTES = 64 * 1024


async def read_answer(answer: aiohttp.ClientResponse, bytes_max: int) -> bytes | None:
    """Return a body of at most `bytes_max` bytes; None when it is longer."""
    content = bytearray()
    async for chunk in answer.content.iter_chunked(_CHUNK_BYTES):
        content += chunk
        if len(content) > bytes_max:
            return None
    return bytes(content)
