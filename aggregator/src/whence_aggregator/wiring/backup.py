"""Wiring of `backup`: what is saved, and what is reported."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import msgspec

from whence_aggregator import __version__
from whence_aggregator.adapters import backup
from whence_aggregator.adapters.log_files import load_signers
from whence_aggregator.ports import StorageUnavailable
from whence_aggregator.settings.server import Settings, log_origin
from whence_aggregator.wiring.parts import load_reader, open_database
from whence_common.clock import to_instant, utc_now
from whence_common.runtime.files import write_durably

DATABASE = "ledger.db"
MANIFEST = "backup.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Saved:
    """The content of a backup."""

    size: int | None
    """The size of the log; None when it is not known."""
    without: str
    """Why the size is not known, for the operator; otherwise empty."""
    files: tuple[str, ...]
    missing: tuple[str, ...]


async def back_up(settings: Settings, directory: Path, *, location: str, config: Path) -> Saved:
    """Save database, keys, secret, tokens and settings into a new directory. Raises WhenceError or OSError."""
    load_signers(Path(settings.log_key_file), name=log_origin(settings), made=False)
    sqlite = location.startswith("sqlite://")
    without = await _look(location)
    backup.new_directory(directory)
    if sqlite:
        backup.copy_database(Path("/" + location.removeprefix("sqlite://").lstrip("/")), directory / DATABASE)
    wanted = {
        "log.key": Path(settings.log_key_file),
        "heartbeat.secret": Path(settings.heartbeat_secret_file),
        "tokens": Path(settings.tokens_file),
        "aggregator.yaml": config,
    }
    missing = tuple(name for name, path in wanted.items() if not backup.copy_file(path, directory / name))
    size = root = None
    if sqlite and not without:
        copy = await open_database(f"sqlite://{(directory / DATABASE).absolute()}", "read")
        try:
            reader = load_reader(settings, copy)
            size = await reader.size()
            root = (await reader.root(size)).hex()
        finally:
            await copy.close()
    files = backup.digests(directory)
    manifest = {
        "version": __version__, "taken_at": to_instant(utc_now()), "log_origin": log_origin(settings), "size": size,
        "root": root, "sha256": files,
    }  # fmt: skip
    write_durably(directory / MANIFEST, msgspec.json.format(msgspec.json.encode(manifest)), mode=0o600)
    return Saved(size=size, files=tuple(files), missing=missing, without=without)


async def _look(location: str) -> str:
    """Return why the size of the log will not be known, otherwise ''. Raises StorageUnavailable; creates nothing."""
    try:
        await (await open_database(location, "read")).close()
    except StorageUnavailable as exc:
        if exc.code != "database-older":  # an upgrade begins with a backup
            raise
        older = f"{exc.message}: its entries were not counted"
    else:
        older = ""
    if not location.startswith("sqlite://"):
        return "the backup does not contain the database: save PostgreSQL by pg_dump or pg_basebackup"
    return older
