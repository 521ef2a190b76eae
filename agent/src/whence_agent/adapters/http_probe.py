"""The application's health check by HTTP."""

from __future__ import annotations

import aiohttp
from yarl import URL

_REDIRECTS = (301, 302, 303, 307, 308)
_REDIRECTS_MAX = 5


class HttpProbe:
    """Sends GET requests. Only redirects within the same origin are followed: the application must not direct the agent
    to other hosts."""

    def __init__(self, *, session: aiohttp.ClientSession) -> None:
        self._session = session

    async def status(self, url: str, *, seconds_max: float) -> int | None:
        timeout = aiohttp.ClientTimeout(total=seconds_max)
        asked = URL(url)
        try:
            for _ in range(_REDIRECTS_MAX + 1):
                async with self._session.get(asked, timeout=timeout, allow_redirects=False) as answer:
                    following = _within(asked, answer.headers.get("Location", ""))
                    if answer.status not in _REDIRECTS or following is None:
                        return answer.status
                    asked = following
        except (aiohttp.ClientError, TimeoutError, OSError):
            return None
        return None


def _within(url: URL, location: str) -> URL | None:
    """Return the target of a redirect within the same origin; else None."""
    try:
        following = url.join(URL(location))
        return following if location and following.origin() == url.origin() else None
    except ValueError:
        return None
