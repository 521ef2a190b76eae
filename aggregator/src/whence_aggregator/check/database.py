"""Check that a start could open the database: it is reachable, of a known version, and all rights are granted."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

from whence_aggregator.check.findings import SettingsProblems
from whence_aggregator.ports import StorageUnavailable
from whence_aggregator.storage import named_queries
from whence_aggregator.storage.postgres_state import PostgresState, read_state

_HEADER_BYTES = 100
_MAGIC = b"SQLite format 3\0"
_VERSION = slice(60, 64)
"""user_version in the header, big-endian: https://www.sqlite.org/fileformat.html"""
_POSTGRES_MIN = 12
_LOOPBACK = ("localhost", "127.0.0.1", "::1", "", None)


async def check_database(findings: SettingsProblems, location: str, *, connections_max: int) -> None:
    """Report why the database cannot be opened. Nothing is created or migrated."""
    if location.startswith("sqlite://"):
        _sqlite(findings, Path("/" + location.removeprefix("sqlite://").lstrip("/")))
        return
    try:
        state = await read_state(location)
    except StorageUnavailable as exc:
        findings.error(f"database: {exc.message}", fix=exc.fix, code=exc.code)
        return
    _postgres(findings, state, connections_max=connections_max)
    if not state.encrypted and _host(location) not in _LOOPBACK and not (_host(location) or "").startswith("/"):
        findings.warn(
            "database: the connection to PostgreSQL is not encrypted",
            fix="set sslmode=verify-full and sslrootcert=FILE in the DSN",
            code="database-not-encrypted",
        )


def _sqlite(findings: SettingsProblems, path: Path) -> None:
    if not path.exists():
        findings.writable("database", path.parent)
        return
    header = findings.content("database", str(path), bytes_max=_HEADER_BYTES)
    if header is None:
        return
    if header and not header.startswith(_MAGIC):
        fix = "name the ledger's database file, or one that does not exist yet"
        findings.error(f"database: {path} is not an SQLite database", fix=fix, code="database-not-sqlite")
        return
    _version(findings, int.from_bytes(header[_VERSION], "big"), named_queries.migrations("sqlite"), place=f"{path}: ")
    for suffix in ("", "-wal", "-shm"):  # a command run by root may have left the latter
        findings.file_writable("database", Path(f"{path}{suffix}"), code="database-rights")
    findings.writable("database", path.parent)


def _postgres(findings: SettingsProblems, state: PostgresState, *, connections_max: int) -> None:
    steps = named_queries.migrations("postgres")
    _version(findings, state.version, steps)
    if state.server < _POSTGRES_MIN:
        message = f"database: PostgreSQL {state.server} is too old"
        findings.error(message, fix=f"use version {_POSTGRES_MIN} or newer", code="database-version")
    if state.read_only:
        findings.error(
            "database: this PostgreSQL is read-only: it is a standby, or configured as read-only",
            fix="name the primary in the DSN, or several hosts with target_session_attrs=read-write",
            code="database-read-only",
        )
    if state.version < steps[-1][0] and not state.may_create:
        findings.error(
            f"database: the tables have version {state.version}, this program needs {steps[-1][0]}, and the role "
            f"{state.role} may not create tables",
            fix="run `whence-aggregator migrate` as the role that owns the database",
            code="database-rights",
        )
    if state.denied:
        findings.error(
            f"database: the role {state.role} lacks rights on {', '.join(state.denied[:10])}",
            fix="grant them as in the README (PostgreSQL)",
            code="database-rights",
        )
    if connections_max > state.connections_max:
        findings.error(
            f"database_connections_max: {connections_max} is more than the {state.connections_max} connections that "
            f"PostgreSQL allows the role {state.role}",
            fix="lower it, or raise max_connections or the connection limit of role and database",
            code="database-connections",
        )


def _version(findings: SettingsProblems, version: int, steps: Sequence[tuple[int, str]], *, place: str = "") -> None:
    try:
        named_queries.check_version(version, steps, "make")
    except StorageUnavailable as exc:
        findings.error(f"database: {place}{exc.message}", fix=exc.fix, code="database-version")


def _host(location: str) -> str | None:
    try:
        return urlsplit(location).hostname
    except ValueError:
        return None
