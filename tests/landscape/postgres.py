"""A PostgreSQL cluster of our own: made, started, and gone again at the end."""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg

from landscape.processes import NotReady, free_port, run, started


def _as_it_is(_: Path) -> Sequence[str]:
    return ()


@asynccontextmanager
async def postgres(
    directory: Path, logs: Path, *, superuser: str = "whence", prepare: Callable[[Path], Sequence[str]] = _as_it_is
) -> AsyncIterator[str]:
    """Give the DSN of the cluster's database. Durability is left on: it is what is tested.

    `prepare` may change the files of the cluster before it starts, and gives further settings, `name=value`.
    """
    folder = programs()
    port, home = free_port(), directory / "postgres"
    home.mkdir()
    prefix: tuple[str, ...] = ()
    if os.geteuid() == 0:
        shutil.chown(home, "postgres", "postgres")
        directory.chmod(0o755)
        prefix = ("runuser", "-u", "postgres", "--")
    initdb = (folder / "initdb", "-D", home, "-U", superuser, "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8")
    await run(*prefix, *initdb, cwd=Path("/"))
    further = [word for setting in prepare(home) for word in ("-c", setting)]
    command = [
        *prefix, folder / "postgres", "-D", home, "-p", str(port), "-c", "listen_addresses=127.0.0.1",
        "-c", "unix_socket_directories=", "-c", "max_connections=50", *further,
    ]  # fmt: skip
    dsn = f"postgresql://{superuser}@127.0.0.1:{port}/postgres"
    async with started("postgres", command, logs=logs, ready=lambda: _serves(dsn), cwd=Path("/")):
        yield dsn


async def _serves(dsn: str) -> bool:
    """Say whether it takes connections: it listens a moment before it does."""
    try:
        await (await asyncpg.connect(dsn)).close()
    except (OSError, asyncpg.PostgresError):
        return False
    return True


def programs() -> Path:
    """Give the folder of PostgreSQL's programs."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if not found:
        raise NotReady("PostgreSQL's server is not installed: apt-get install postgresql")
    return found[-1].parent
