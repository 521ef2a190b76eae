"""A DNS of our own: every name leads to one port of this machine."""

from __future__ import annotations

import socket

from aiohttp.abc import AbstractResolver, ResolveResult


class LateNames(AbstractResolver):
    """Names that resolve to loopback, at a port, once they were asked for so often."""

    def __init__(self, port: int, *, failures: int = 0) -> None:
        self.port, self.failures = port, failures
        self.asked: set[str] = set()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        self.asked.add(host)
        if self.failures > 0:
            self.failures -= 1
            raise OSError(None, "Temporary failure in name resolution")
        return [ResolveResult(hostname=host, host="127.0.0.1", port=self.port, family=socket.AF_INET, proto=0, flags=0)]

    async def close(self) -> None:
        pass
