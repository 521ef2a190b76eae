"""Counts and measures the calls of a database."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Protocol

from whence_aggregator.ports import Database, P, R, StorageUnavailable, T, Transaction, WriteConflict
from whence_aggregator.queries.query import BoundCommand, BoundQueries, BoundQuery, NamedQuery
from whence_common.meters import Counter, Histogram
from whence_common.open_metrics import Family, Sample

_OPERATIONS = ("read", "look-up", "write", "transaction")


class Measurable(Database, Protocol):
    """A database that can be closed, and counts its connections."""

    def connections(self) -> Mapping[tuple[str, str], int]:
        """Return the number of connections by pool and state: `open`, `idle`, and the maximum, `most`."""

    async def close(self) -> None: ...


class MeasuredDatabase:
    """Passes calls to a database, and measures them."""

    def __init__(self, database: Measurable, clock: Callable[[], float] = time.perf_counter) -> None:
        self._database = database
        self._clock = clock
        self._seconds = Histogram(
            "whence_database_seconds", "How long calls of the database took, by operation.", ("operation",)
        )
        self._errors = Counter(
            "whence_database_errors", "Calls of the database that failed, by operation.", ("operation", "error"),
            known=[(operation, error) for operation in _OPERATIONS for error in ("unavailable", "conflict")],
        )  # fmt: skip
        self._under_way = dict.fromkeys(_OPERATIONS, 0)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Transaction]:
        with self._measured("transaction"):
            async with self._database.transaction() as transaction:
                yield transaction

    async def write(self, *writes: BoundCommand) -> None:
        with self._measured("write"):
            await self._database.write(*writes)

    async def write_returning(self, query: NamedQuery[P, R], rows: Sequence[P]) -> Sequence[R]:
        with self._measured("write"):
            return await self._database.write_returning(query, rows)

    async def fetch(self, asked: BoundQuery[R]) -> Sequence[R]:
        with self._measured("read"):
            return await self._database.fetch(asked)

    async def fetch_all(self, asked: BoundQueries[T], *, brief: bool = False) -> T:
        with self._measured("look-up" if brief else "read"):
            return await self._database.fetch_all(asked, brief=brief)

    async def close(self) -> None:
        await self._database.close()

    @contextmanager
    def _measured(self, operation: str) -> Iterator[None]:
        began = self._clock()
        self._under_way[operation] += 1
        try:
            yield
        except StorageUnavailable as exc:
            self._errors.add(operation, "conflict" if isinstance(exc, WriteConflict) else "unavailable")
            raise
        finally:
            self._under_way[operation] -= 1
            self._seconds.observe(self._clock() - began, operation)

    def families(self) -> Sequence[Family]:
        under_way = [Sample(count, {"operation": name}) for name, count in self._under_way.items()]
        connections = [
            Sample(count, {"pool": pool, "state": state})
            for (pool, state), count in self._database.connections().items()
        ]
        return (
            self._seconds.family(),
            self._errors.family(),
            Family(
                name="whence_database_calls_under_way", kind="gauge", samples=under_way,
                help="Calls of the database that wait or are being answered, by operation.",
            ),
            Family(
                name="whence_database_connections", kind="gauge", samples=connections,
                help="Connections to the database by pool: open, idle, and the most that there may be.",
            ),
        )  # fmt: skip
