"""A PostgreSQL cluster of our own: made, started, and gone again at the end."""

from __future__ import annotations

import os
import shutil
import signal
import uuid
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg

from landscape.processes import NotReady, free_port, run, started

_NO_CHECKPOINTS = ("-c", "checkpoint_timeout=1d", "-c", "max_wal_size=32GB")
"""The cluster lives for minutes, and SIGQUIT ends it without the checkpoint that SIGTERM makes: nobody opens it again."""

_MEMORY, _MEMORY_BYTES_MIN = Path("/dev/shm"), 1 << 30


def _as_it_is(_: Path) -> Sequence[str]:
    return ()


@asynccontextmanager
async def postgres(
    directory: Path, logs: Path, *, superuser: str = "whence", prepare: Callable[[Path], Sequence[str]] = _as_it_is
) -> AsyncIterator[str]:
    """Return the DSN of the cluster's database.

    Kills of processes are tested on it. Its files may be in memory, so the loss of a disk's cache is not.

    `prepare` may change the files of the cluster before it starts, and gives further settings, `name=value`.
    """
    folder = programs()
    port, home = free_port(), directory / "postgres"
    home.mkdir()
    prefix: tuple[str, ...] = ()
    if os.geteuid() == 0:
        shutil.chown(home, "postgres", "postgres")
        directory.chmod(0o755)
        prefix = ("setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups", "--")
    initdb = (
        folder / "initdb",
        "-D",
        home,
        "-U",
        superuser,
        "-A",
        "trust",
        "-E",
        "UTF8",
        "--locale=C.UTF-8",
        "--no-sync",
    )
    await run(*prefix, *initdb, cwd=Path("/"))
    further = [word for setting in prepare(home) for word in ("-c", setting)]
    command = [
        *prefix, folder / "postgres", "-D", home, "-p", str(port), "-c", "listen_addresses=127.0.0.1",
        "-c", "unix_socket_directories=", "-c", "max_connections=50", *_NO_CHECKPOINTS, *further,
    ]  # fmt: skip
    dsn = f"postgresql://{superuser}@127.0.0.1:{port}/postgres"
    async with started(
        "postgres", command, logs=logs, ready=lambda: _serves(dsn), cwd=Path("/"), stop_signal=signal.SIGQUIT
    ):
        yield dsn


def directory_for_many() -> Path:
    """Return a new directory for a cluster of many short-lived databases: in memory where there is enough of it."""
    memory = _MEMORY.is_dir() and os.access(_MEMORY, os.W_OK) and shutil.disk_usage(_MEMORY).free > _MEMORY_BYTES_MIN
    directory = (_MEMORY if memory else Path("/tmp")) / f"whence-postgres-{uuid.uuid4().hex[:8]}"
    directory.mkdir(mode=0o755)
    return directory


async def new_database(dsn: str, name: str | None = None) -> str:
    """Make a database of its own in a cluster, and return its DSN."""
    name = name or f"test_{uuid.uuid4().hex[:12]}"
    connection = await asyncpg.connect(dsn)
    await connection.execute(f"create database {name}")
    await connection.close()
    return dsn.removesuffix("postgres") + name


async def copied_database(dsn: str, template: str) -> tuple[str, str]:
    """Copy a template, which is faster than to make its tables, and return the copy's name and DSN.

    In memory, copying files is four times as fast as copying by the write-ahead log; on disk its checkpoints make it slower.
    """
    name = f"test_{uuid.uuid4().hex[:12]}"
    connection = await asyncpg.connect(dsn)
    in_memory = Path(await connection.fetchval("show data_directory")).is_relative_to(_MEMORY)
    strategy = "file_copy" if in_memory else "wal_log"
    await connection.execute(f"create database {name} template {template} strategy {strategy}")
    await connection.close()
    return name, dsn.removesuffix("postgres") + name


async def drop_database(dsn: str, name: str) -> None:
    connection = await asyncpg.connect(dsn)
    await connection.execute(f"drop database {name} with (force)")
    await connection.close()


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
