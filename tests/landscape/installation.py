"""An aggregator's files and database in a test's folder, as its commands find them; and what befalls them."""

from __future__ import annotations

import base64
import copy
import json
import shutil
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec

from fakes.in_process import AUDIENCE, ORIGIN, SECRET, InProcess
from fakes.machine import Machine
from fakes.signing_authority import SigningAuthority
from landscape.postgres import new_database, programs
from landscape.processes import run
from whence_aggregator.adapters.backup import copy_database
from whence_aggregator.adapters.log_files import CheckpointFile
from whence_aggregator.check.programs import Surroundings, check_serve
from whence_aggregator.ledger.ledger import Ledger
from whence_aggregator.settings.server import Settings, read_settings
from whence_aggregator.storage.postgres import PostgresDatabase
from whence_aggregator.storage.sqlite import SqliteDatabase
from whence_aggregator.wiring import parts
from whence_aggregator.wiring.audit import check_ledger
from whence_aggregator.wiring.ledger import Decision
from whence_common.clock import utc_now
from whence_common.ledger_entry import kind_of
from whence_common.note import LOG, Signer

SEED = b"l" * 32


class Installation:
    """One installation. `location` is where its database is now."""

    def __init__(self, home: Path, authority: SigningAuthority, postgres_dsn: str | None) -> None:
        self.home = home
        self.authority = authority
        self.machine = Machine(authority)
        self._postgres_dsn = postgres_dsn
        self.location = f"sqlite://{home}/ledger.db"
        self._copies = 0
        (home / "authorities").mkdir()
        (home / "authorities" / "eu-central-1.pem").write_bytes(authority.pem)
        self.write_keys(Signer(ORIGIN, SEED))
        (home / "heartbeat.secret").write_bytes(SECRET)
        (home / "tokens").write_text("")
        self.settings = Settings(
            audience=AUDIENCE, accounts=["123456789012"], database=self.location,
            heartbeat_secret_file=str(home / "heartbeat.secret"), log_key_file=str(home / "log.key"),
            checkpoint_file=str(home / "log.checkpoint"), tokens_file=str(home / "tokens"),
            authorities_directory=str(home / "authorities"), sts="off",
        )  # fmt: skip

    def beside(self) -> Installation:
        """Give this installation, with a database that is to be restored, while the other one goes on."""
        other = copy.copy(self)
        if self._postgres_dsn is None:
            other.location = f"sqlite://{self.home}/restored.db"
        return other

    async def make(self) -> None:
        if self._postgres_dsn is not None:
            self.location = await self._new_postgres_database()

    @property
    def keys_file(self) -> Path:
        return self.home / "log.key"

    @property
    def checkpoint_file(self) -> Path:
        return self.home / "log.checkpoint"

    def write_keys(self, *signers: Signer, seeds: Sequence[bytes] = (SEED,)) -> None:
        lines = [
            f"PRIVATE+KEY+{signer.verifier.name}+{signer.verifier.id.hex()}+"
            f"{base64.b64encode(bytes([LOG]) + seed).decode()}\n"
            for signer, seed in zip(signers, seeds, strict=True)
        ]
        self.keys_file.write_text("".join(lines))

    def decision(self, reason: str = "a test") -> Decision:
        return Decision(settings=self.settings, location=self.location, reason=reason)

    def renamed(self, origin: str) -> None:
        self.settings = msgspec.structs.replace(self.settings, log_origin=origin)

    @asynccontextmanager
    async def house(self) -> AsyncIterator[InProcess]:
        """The use cases over this installation's database and checkpoint file, with its first key."""
        database = await parts.open_database(self.location)
        keeper = CheckpointFile(self.checkpoint_file)
        try:
            await parts.check_heartbeat_secret(self.settings, database)
            async with InProcess(database, self.authority, keeper=keeper).running() as house:
                yield house
        finally:
            keeper.close()
            await database.close()

    @asynccontextmanager
    async def started(
        self, *, beside: Path | None = None, witnesses: Sequence[Any] = ()
    ) -> AsyncIterator[tuple[Ledger, SqliteDatabase | PostgresDatabase]]:
        """Start the log as `serve` does."""
        async with AsyncExitStack() as stack:
            database = await parts.open_database(self.location)
            stack.push_async_callback(database.close)
            await parts.check_heartbeat_secret(self.settings, database)
            yield (
                await parts.start_ledger(self.settings, database, stack, beside=beside, witnesses=witnesses),
                database,
            )

    async def log_key_entries(self) -> list[dict[str, Any]]:
        database = await parts.open_database(self.location, "read")
        try:
            reader = parts.load_reader(self.settings, database)
            entries = [one async for one in reader.entries(0, await reader.size())]
        finally:
            await database.close()
        return [kind_of(one.content or b"")[1] for one in entries if one.kind == "log-key"]

    async def findings(self) -> list[str]:
        outcome = await check_ledger(self.settings, database_location=self.location, progress=lambda _: None)
        return list(map(str, outcome.findings))

    async def found_by_check(self) -> list[str]:
        """Give the codes of the errors that `check` finds."""
        content = json.dumps({**msgspec.to_builtins(self.settings), "listen_port": 0}, indent=1).encode()
        around = Surroundings(database_location=self.location, now=utc_now)
        problems = await check_serve(read_settings(content, name="aggregator.yaml"), around)
        return [one.code for one in problems if one.severity == "error"]

    async def save(self) -> str:
        """Save the database as the chapter on backups says; give what `restore` takes."""
        self._copies += 1
        if self._postgres_dsn is None:
            copy_database(self.home / "ledger.db", self.home / f"copy-{self._copies}.db")
            return f"copy-{self._copies}.db"
        file = self.home / f"copy-{self._copies}.dump"
        await run(programs() / "pg_dump", "--format=custom", f"--file={file}", self.location)
        return file.name

    async def restore(self, saved: str) -> None:
        if self._postgres_dsn is None:
            database = Path(self.location.removeprefix("sqlite://"))
            for suffix in ("", "-wal", "-shm"):
                Path(f"{database}{suffix}").unlink(missing_ok=True)
            shutil.copy(self.home / saved, database)
            return
        self.location = await self._new_postgres_database()
        await run(programs() / "pg_restore", "--no-owner", f"--dbname={self.location}", self.home / saved)

    async def _new_postgres_database(self) -> str:
        assert self._postgres_dsn is not None
        return await new_database(self._postgres_dsn)
