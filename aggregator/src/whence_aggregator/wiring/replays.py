"""Wiring of replays of verdicts: each has an empty database in a directory of its own, removed afterwards."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from importlib import resources
from pathlib import Path

from aiohttp import web

from whence_aggregator.adapters.bundle_file import BundleFile
from whence_aggregator.adapters.rule_process import RuleProcess
from whence_aggregator.compliance.own.rules import JudgesByOwnRules
from whence_aggregator.http.replays import ReplayCalls
from whence_aggregator.ledger.log_reader import LogReader
from whence_aggregator.ports import Database
from whence_aggregator.replays.verdicts import StoredLog, VerdictReplay, VerdictReplays
from whence_aggregator.storage.sqlite import SqliteDatabase
from whence_common.identity_document import Authorities
from whence_common.log_policy import Policy, parse_keys


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
    stored = StoredLog(database=database, log=log)
    return ReplayCalls(VerdictReplays(log=stored, scratch=scratch_database, engine=engine)).routes()


async def replay_bundle(log: BundleFile, index: int) -> VerdictReplay:
    """Return the replay of a verdict from a bundle alone. Raises InputError and NotFound."""
    engine = RuleProcess()
    try:
        return await VerdictReplays(log=log, scratch=scratch_database, engine=engine).replay(index)
    finally:
        await engine.close()


def open_bundle(file: Path, keys: Sequence[Path], authorities: Path | None) -> BundleFile:
    """Open a bundle and verify it whole, by files of the log's keys. Raises InputError and OSError.

    `authorities`: a directory of certificates in place of AWS's, which this program includes.
    """
    found = [parse_keys(one.read_text(encoding="ascii", errors="replace")) for one in keys]
    policy = Policy(
        log_keys=tuple(key for one in found for key in one.keys), witness_keys=(), witnesses_least=0,
        revoked=tuple(key for one in found for key in one.revoked),
    )  # fmt: skip
    shipped = resources.files("whence_aggregator") / "aws_certificates"
    held = list(shipped.iterdir()) if authorities is None else list(authorities.glob("*.pem"))
    trusted = Authorities.from_pem({one.name.removesuffix(".pem"): one.read_bytes() for one in held})
    return BundleFile.verified(file, policy, trusted)
