"""Asks the application for its health."""

from __future__ import annotations

import aiohttp


class HttpProbe:
    """GET with redirects followed, on this machine only as far as the caller says so."""

    def __init__(self, *, session: aiohttp.ClientSession) -> None:
        self._session = session

    async def status(self, url: str, *, seconds_max: float) -> int | None:
        timeout = aiohttp.ClientTimeout(total=seconds_max)
        try:
            async with self._session.get(url, timeout=timeout) as answer:
                return answer.status
        except (aiohttp.ClientError, TimeoutError, OSError):
            return None
