"""Roles whose clients are open: each holds about a megabyte, and mint writes to buckets of hundreds of accounts."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Protocol

from whence_aggregator.adapters.aws_clients import AssumedRole

_OPEN_MAX = 32


class Releasing(Protocol):
    """What opens clients."""

    async def release(self, role: AssumedRole) -> None:
        """Close the clients of a role, of which none is in use."""


class OpenRoles:
    """Closes the clients of the role that was used longest ago, if more than `open_max` roles have clients."""

    def __init__(self, clients: Releasing, *, open_max: int = _OPEN_MAX) -> None:
        self._clients = clients
        self._open_max = open_max
        self._last_used: dict[AssumedRole, None] = {}
        self._users: Counter[AssumedRole] = Counter()

    @asynccontextmanager
    async def used(self, role: AssumedRole | None) -> AsyncIterator[None]:
        """Keep the clients of a role open for the block's duration; None is our own, which stays open."""
        if role is None:
            yield
            return
        self._users[role] += 1
        self._last_used.pop(role, None)
        self._last_used[role] = None
        try:
            yield
        finally:
            self._users[role] -= 1
            await self._close_idle()

    async def _close_idle(self) -> None:
        idle = [one for one in self._last_used if not self._users[one]]
        for role in idle[: max(0, len(self._last_used) - self._open_max)]:
            del self._last_used[role], self._users[role]
            await self._clients.release(role)
