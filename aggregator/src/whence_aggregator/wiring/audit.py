"""Wiring of the programs besides `serve`: the witness, the check of a database and its rebuild."""

from __future__ import annotations

import asyncio
import hashlib
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from whence_aggregator.adapters.log_files import CheckpointFile, load_signers
from whence_aggregator.agents.sightings import Sightings
from whence_aggregator.audit.check import AuditOutcome, Check
from whence_aggregator.audit.rebuild import rebuild
from whence_aggregator.audit.witness import WatchedLog, Witness
from whence_aggregator.callers.trusted_proxies import TrustedProxies
from whence_aggregator.http.readiness import Readiness
from whence_aggregator.http.server import Server
from whence_aggregator.http.witness import WitnessCalls
from whence_aggregator.ledger.log_reader import LogReader
from whence_aggregator.ports import Database
from whence_aggregator.settings.server import Settings, log_origin
from whence_aggregator.settings.witness import WitnessFile
from whence_aggregator.storage.sqlite import SqliteDatabase
from whence_aggregator.wiring.operations import Operations, Program, load_witness_reload
from whence_aggregator.wiring.parts import check_witnesses, load_reader, open_database
from whence_aggregator.wiring.settings_files import load_authorities, load_tls_files
from whence_common.clock import utc_now
from whence_common.log_policy import Policy
from whence_common.note import WITNESS, VerifierKey

_CHECKS_MAX = 3


async def run_witness(
    settings: WitnessFile, *, read: Callable[[], WitnessFile], listening: Callable[[int], None]
) -> None:
    """Run a witness until a signal ends it; `read` reads the settings again.

    Raises WhenceError or OSError when it cannot start.
    """
    async with opened_witness(settings, read=read, listening=listening) as program:
        await program.run()


@asynccontextmanager
async def opened_witness(
    settings: WitnessFile, *, read: Callable[[], WitnessFile], listening: Callable[[int], None]
) -> AsyncIterator[Program]:
    """Open the parts of a witness for the block's duration. Raises WhenceError or OSError."""
    state = Path(settings.state_directory)
    signer = load_signers(Path(settings.key_file or state / "witness.key"), name=settings.name, type_=WITNESS)[0]
    keys: dict[str, list[VerifierKey]] = {}
    for text in settings.log_keys:
        keys.setdefault(VerifierKey.parse(text).name, []).append(VerifierKey.parse(text))
    check_witnesses([one for of_log in keys.values() for one in of_log], [signer.verifier])
    async with AsyncExitStack() as stack:
        logs = []
        for name, of_log in keys.items():
            file = state / f"{hashlib.sha256(name.encode()).hexdigest()[:32]}.checkpoint"
            keeper = CheckpointFile(file, synced_at_once=True)
            stack.callback(keeper.close)
            logs.append(WatchedLog(keys=of_log, keeper=keeper))
        tls = load_tls_files(settings.tls_certificate_file, settings.tls_key_file)
        operations = Operations("witness", settings, readiness=Readiness(_keeping(logs)), tls=tls)
        calls = WitnessCalls(witness=Witness(signer=signer, logs=logs, now=utc_now), key=str(signer.verifier))
        server = Server(
            routes=[*calls.routes(), *operations.routes(calls.families)],
            sign_in=None,
            address=settings.listen_address,
            port=settings.listen_port,
            tls=tls.context if tls is not None else None,
            listening=listening,
            proxies=TrustedProxies.parse(settings.trusted_proxies, settings.client_address_from),
            around=operations.around,
            refused=operations.refused,
        )
        reload = load_witness_reload(operations, settings, read)
        yield Program(operations=operations, server=server, services={}, reload=reload)


def _keeping(logs: Sequence[WatchedLog]) -> Callable[[], Awaitable[object]]:
    """Return the check that the witness can read its stored checkpoints."""

    async def check() -> None:
        for one in logs:
            await asyncio.to_thread(one.keeper.load)

    return check


async def check_ledger(
    settings: Settings, *, database_location: str | None, progress: Callable[[str], None]
) -> AuditOutcome:
    """Check a database. Raises WhenceError or OSError when it cannot be checked."""
    async with AsyncExitStack() as stack:
        database = await open_database(
            database_location or settings.database, "read", connections_max=settings.database_connections_max
        )
        stack.push_async_callback(database.close)
        reader = load_reader(settings, database)
        for _ in range(_CHECKS_MAX):
            outcome = await _check_once(settings, database, reader, progress)
            if not outcome.findings or await reader.size() == outcome.entries:
                return outcome
            progress("the log grew during the check: checking again")
        outcome.find("entry", "", "the log grew during every check: some findings may be entries just written")
        return outcome


async def _check_once(
    settings: Settings, database: Database, reader: LogReader, progress: Callable[[str], None]
) -> AuditOutcome:
    with tempfile.TemporaryDirectory(prefix="whence-check-") as directory:
        scratch = await SqliteDatabase.open(Path(directory) / "scratch.db")
        try:
            return await Check(
                database=database,
                reader=reader,
                scratch=scratch,
                policy=Policy(log_keys=_log_keys(settings)),
                authorities=load_authorities(settings.authorities_directory),
                sightings=_sightings(Path(settings.heartbeat_secret_file)),
                kept_note=CheckpointFile(Path(settings.checkpoint_file)).load(),
                progress=progress,
            ).run()
        finally:
            await scratch.close()


async def rebuild_ledger(settings: Settings, *, database_location: str | None) -> int:
    """Rebuild the projections of a database; return the number of entries."""
    database = await open_database(
        database_location or settings.database, "migrate", connections_max=settings.database_connections_max
    )
    try:
        return await rebuild(database, load_reader(settings, database))
    finally:
        await database.close()


def _sightings(secret: Path) -> Sightings | None:
    """Return what verifies the seals of heartbeats; None without the secret."""
    return Sightings(secret.read_bytes()) if secret.exists() else None


def _log_keys(settings: Settings) -> list[VerifierKey]:
    signers = load_signers(Path(settings.log_key_file), name=log_origin(settings), made=False)
    return [one.verifier for one in signers]
