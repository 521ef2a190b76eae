"""Lookups of hosts that answers from outside name: threads of their own, since a hostile name can take long."""

from __future__ import annotations

import asyncio
import socket
from concurrent.futures import ThreadPoolExecutor

LOOKUP_SECONDS_MAX = 10.0
_LOOKUPS_AT_ONCE = 32
_WAITING_MAX = 256


class HostLookup:
    """Looks names up as the system does. At most 32 at once, and only so many wait: the rest is refused."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(_LOOKUPS_AT_ONCE, thread_name_prefix="whence-lookup")
        self._under_way = 0

    def close(self) -> None:
        """Start no further lookup; those under way end by themselves."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def __call__(self, host: str) -> list[str]:
        """Return the addresses of a host. Raises OSError, also as TimeoutError."""
        if self._under_way >= _WAITING_MAX:
            raise OSError("too many hosts are looked up at once")
        self._under_way += 1
        looking = asyncio.get_running_loop().run_in_executor(self._threads, _addresses, host)
        looking.add_done_callback(self._ended)
        async with asyncio.timeout(LOOKUP_SECONDS_MAX):
            return await asyncio.shield(looking)

    def _ended(self, looking: asyncio.Future[list[str]]) -> None:
        self._under_way -= 1
        if not looking.cancelled():
            looking.exception()  # whoever asked may have gone


def _addresses(host: str) -> list[str]:
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except UnicodeError as exc:
        raise OSError(type(exc).__name__) from exc
    return [str(one[4][0]) for one in found]
