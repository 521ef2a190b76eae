"""Reads that several providers need in one pass over an account: each is made once.

A pass only reads and ends with its account, so that no answer outlives a write. What is read in order to write, or read
again until AWS has settled, never comes from here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

T = TypeVar("T")


class SharedReads:
    """The answers of one pass. A call that failed is not kept: whoever needs it next makes it again."""

    def __init__(self) -> None:
        self._answers: dict[str, Any] = {}
        self._locks: dict[str, asyncio.Lock] = {}

    async def answer(self, key: str, read: Callable[[], Awaitable[T]]) -> T:
        """Return the answer of a call, which must not be altered. Those who ask meanwhile wait for the first call."""
        async with self._locks.setdefault(key, asyncio.Lock()):
            if key not in self._answers:
                self._answers[key] = await read()
            found: T = self._answers[key]
            return found


class SharingClient:
    """A client of a pass: `shared` makes a call once; every other call is the client's own."""

    def __init__(self, client: Any, reads: SharedReads, where: str) -> None:
        """`where` names the service, the region and the account: no other client of the pass has that name."""
        self._client = client
        self._reads = reads
        self._where = where

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    async def shared(self, operation: str, asked: dict[str, Any], read: Callable[[], Awaitable[T]]) -> T:
        return await self._reads.answer(f"{self._where} {operation} {asked!r}", read)


async def once(client: Any, operation: str, **asked: Any) -> Any:
    """Return the answer of a call that reads; in a pass it is made once for all who ask the same."""

    async def read() -> Any:
        return await getattr(client, operation)(**asked)

    return await client.shared(operation, asked, read) if isinstance(client, SharingClient) else await read()
