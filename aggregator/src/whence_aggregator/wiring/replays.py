"""Wiring of replays of verdicts: each has an empty database in a directory of its own, removed afterwards."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from aiohttp import web

from whence_aggregator.compliance.own.rules import JudgesByOwnRules
from whence_aggregator.http.replays import ReplayCalls
from whence_aggregator.ledger.log_reader import LogReader
from whence_aggregator.ports import Database
from whence_aggregator.replays.verdicts import VerdictReplays
from whence_aggregator.storage.sqlite import SqliteDatabase


@asynccontextmanager
async def scratch_database() -> AsyncIterator[Database]:
    """Open an empty database for the block's duration."""
    with tempfile.TemporaryDirectory(prefix="whence-replay-") as directory:
        scratch = await SqliteDatabase.open(Path(directory) / "scratch.db")
        try:
            yield scratch
        finally:
            await scratch.close()


def replay_routes(database: Database, log: LogReader, engine: JudgesByOwnRules) -> list[web.RouteDef]:
    """Return the route of replays."""
    return ReplayCalls(VerdictReplays(database=database, log=log, scratch=scratch_database, engine=engine)).routes()
