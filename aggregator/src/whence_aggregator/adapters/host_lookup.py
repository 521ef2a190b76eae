"""DNS lookups of hosts that untrusted answers name: in their own threads, because a hostile name can take long."""

from __future__ import annotations

import asyncio
import socket
from concurrent.futures import ThreadPoolExecutor

LOOKUP_SECONDS_MAX = 10.0
_LOOKUPS_AT_ONCE = 32
_WAITING_MAX = 256


class HostLookup:
    """Resolves names as the system does: at most 32 at once; 256 may run or wait, further ones are refused."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(_LOOKUPS_AT_ONCE, thread_name_prefix="whence-lookup")
        self._under_way = 0

    def close(self) -> None:
        """Start no further lookup; those in progress end by themselves."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def __call__(self, host: str) -> list[str]:
        """Return the addresses of a host. Raises OSError, also as TimeoutError."""
        if self._under_way >= _WAITING_MAX:
            raise OSError("too many host lookups at once")
        self._under_way += 1
        looking = asyncio.get_running_loop().run_in_executor(self._threads, _addresses, host)
        looking.add_done_callback(self._ended)
        async with asyncio.timeout(LOOKUP_SECONDS_MAX):
            return await asyncio.shield(looking)

    def _ended(self, looking: asyncio.Future[list[str]]) -> None:
        self._under_way -= 1
        if not looking.cancelled():
            looking.exception()  # the caller may have stopped waiting


def _addresses(host: str) -> list[str]:
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except UnicodeError as exc:
        raise OSError(type(exc).__name__) from exc
    return [str(one[4][0]) for one in found]
