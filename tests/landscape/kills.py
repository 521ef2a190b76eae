"""Lives that end badly: one process for each fault, then the check of what it left, and another life on top of it."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from fakes.faults import _authority
from fakes.in_process import SECRET, InProcess
from landscape.whole import ROOT
from whence_aggregator.adapters.log_files import CheckpointFile
from whence_aggregator.agents.sightings import Sightings
from whence_aggregator.audit.check import Check
from whence_aggregator.storage.postgres import PostgresDatabase
from whence_aggregator.storage.sqlite import SqliteDatabase
from whence_common.identity_document import Authorities
from whence_common.log_policy import Policy

_LIFE_SECONDS_MAX = 60
CALLS = ("pwrite64", "fdatasync", "ftruncate")
"""The system calls by which a ledger on SQLite reaches its disk."""
_INJECTED = {"kill": "signal=SIGKILL", "full": "error=ENOSPC", "io": "error=EIO"}


def traceable() -> bool:
    """Tell whether faults can be injected into system calls here: some machines let nobody trace."""
    command = ["strace", "-qq", "-o", "/dev/null", "true"]
    return shutil.which("strace") is not None and subprocess.run(command, check=False).returncode == 0


@dataclass(frozen=True)
class Place:
    """Where a ledger lives: a directory, and a DSN when it is on PostgreSQL."""

    directory: Path
    dsn: str | None = None

    async def life(self, step: int, fault: str) -> tuple[int, str]:
        """Live once with a fault at a step; give exit code and what was said.

        `kill`, `full`, `io`, `lost` and `torn-kill` are done at the connection; `kill@CALL` and its like in the kernel.
        """
        environment = {**os.environ, "PYTHONPATH": str(ROOT / "tests")}
        if self.dsn is not None:
            environment["WHENCE_DATABASE"] = self.dsn
        kind, _, call = fault.partition("@")
        command = [sys.executable, "-m", "fakes.faults", str(self.directory)]
        if call:
            inject = ("-e", f"inject={call}:{_INJECTED[kind]}:when={step}") if step else ()
            command = [*self._tracing(), *inject, *command, "0", "kill"]
        else:
            command += [str(step), kind.removeprefix("torn-")]
        done = await asyncio.to_thread(
            lambda: subprocess.run(
                command, env=environment, capture_output=True, text=True, timeout=_LIFE_SECONDS_MAX, check=False
            )
        )
        if fault == "torn-kill" and self.dsn is None:
            with (self.directory / "ledger.db-wal").open("ab") as wal:
                wal.write(os.urandom(5000))  # what a disk may have of a write that was never synced
        return done.returncode, done.stdout + done.stderr

    async def calls(self) -> Counter[str]:
        """Live once without a fault; give how often a thread made each call."""
        code, said = await self.life(0, f"kill@{CALLS[0]}")
        assert code == 0, said
        made = Counter[tuple[str, str]]()
        for line in (self.directory / "calls").read_text(encoding="utf-8").splitlines():
            if match := re.match(r"(\d+) +(\w+)\(", line):
                made[match[1], match[2]] += 1
        most = Counter[str]()
        for (_, call), count in made.items():
            most[call] = max(most[call], count)
        return most

    def _tracing(self) -> list[str]:
        files = [self.directory / name for name in ("ledger.db", "ledger.db-wal", "log.checkpoint")]
        paths = [part for file in files for part in ("-P", str(file))]
        return ["strace", "-f", "-qq", "-o", str(self.directory / "calls"), *paths, "-e", f"trace={','.join(CALLS)}"]

    async def sound(self) -> str:
        """Check the ledger and that everything acknowledged is in it; give what is wrong, or nothing."""
        scratch_file = self.directory / "scratch.db"
        database = await (
            PostgresDatabase.open(self.dsn) if self.dsn else SqliteDatabase.open(self.directory / "ledger.db")
        )
        scratch = await SqliteDatabase.open(scratch_file)
        authority = _authority(self.directory)
        house = InProcess(database, authority)
        try:
            outcome = await Check(
                database=database, reader=house.reader, scratch=scratch,
                policy=Policy(log_keys=[house.signers[0].verifier]),
                authorities=Authorities.from_pem({"eu-central-1": authority.pem}), sightings=Sightings(SECRET),
                kept_note=CheckpointFile(self.directory / "log.checkpoint").load(), progress=lambda said: None,
            ).run()  # fmt: skip
            if outcome.findings:
                return "; ".join(map(str, outcome.findings))
            told = self.directory / "acknowledged"
            for line in told.read_text().splitlines() if told.exists() else []:
                digest, index = line.split()
                stored = await house.reader.find(digest)
                if stored is None or stored.ledger_index != int(index):
                    return f"acknowledged and missing: {line}"
            return ""
        finally:
            await scratch.close()
            await database.close()
            for file in self.directory.glob("scratch.db*"):
                file.unlink()
