"""Check that database, keys, last checkpoint and secret belong together, as a start does before it signs."""

from __future__ import annotations

from pathlib import Path

from whence_aggregator.adapters.log_files import CheckpointFile, MemoryCheckpoint, load_signers
from whence_aggregator.agents.heartbeat_secret import check_secret
from whence_aggregator.check.findings import SettingsProblems
from whence_aggregator.ledger.continuity import check_start
from whence_aggregator.ports import CheckpointKeeper, Database, StorageUnavailable
from whence_aggregator.settings.server import Settings, log_origin
from whence_aggregator.wiring import parts, settings_files
from whence_aggregator.wiring.replicas import copy_checkpoint
from whence_common.errors import WhenceError

_SETTINGS = {
    "checkpoint-missing": "checkpoint_file", "checkpoint-unreadable": "checkpoint_file",
    "checkpoint-origin": "log_origin", "ledger-inconsistent": "database",
    "log-key-lost": "log_key_file", "log-key-revoked": "log_key_file", "heartbeat-secret": "heartbeat_secret_file",
    "replica-token": "replicas", "replica-ca-file": "replicas",
}  # fmt: skip
"""The setting for each error code."""


async def check_log(findings: SettingsProblems, settings: Settings, location: str) -> None:
    """Report why the log cannot be continued. `check_database` reports an unreadable database."""
    if findings.failed:
        return
    try:
        database = await parts.open_database(location, "read")
    except StorageUnavailable as exc:
        _not_opened(findings, settings, exc)
        return
    try:
        await _check_start(findings, settings, database)
        await _check_secret(findings, settings, database)
    finally:
        await database.close()


def _not_opened(findings: SettingsProblems, settings: Settings, exc: StorageUnavailable) -> None:
    if exc.code == "database-older":
        return  # the start migrates it
    if exc.code not in parts.NO_LEDGER:
        _note(findings, exc)
        return
    try:
        parts.refuse_new_ledger(settings, exc)
    except WhenceError as refused:
        _note(findings, refused)


async def _check_start(findings: SettingsProblems, settings: Settings, database: Database) -> None:
    keeper = CheckpointFile(Path(settings.checkpoint_file))
    beside = CheckpointFile(Path(f"{settings.checkpoint_file}.registry"))
    keys, origin = Path(settings.log_key_file), log_origin(settings)
    signers = load_signers(keys, name=origin) if keys.is_file() else []  # noqa: ASYNC240 - a short command
    try:
        kept: CheckpointKeeper = keeper if keeper.load() is not None else beside
        reader = parts.load_reader(settings, database)
        if kept.load() is None and signers and await reader.size() > 0:
            kept = MemoryCheckpoint()
            async with parts.new_session() as session:
                verifiers = [one.verifier for one in signers]
                await copy_checkpoint(settings.replicas, session, kept, origin=origin, keys=verifiers)
        await check_start(
            reader=reader, origin=origin, witnesses=(), keeper=kept, keys=[str(one.verifier) for one in signers]
        )
    except WhenceError as exc:
        _note(findings, exc)


async def _check_secret(findings: SettingsProblems, settings: Settings, database: Database) -> None:
    path = Path(settings.heartbeat_secret_file)
    try:
        secret = settings_files.load_secret(path) if path.is_file() else None  # noqa: ASYNC240 - a short command
        await check_secret(database, secret, path=str(path))
    except WhenceError as exc:
        _note(findings, exc)


def _note(findings: SettingsProblems, exc: WhenceError) -> None:
    setting = _SETTINGS.get(exc.code, "database")
    message = exc.message if exc.message.startswith(setting) else f"{setting}: {exc.message}"
    findings.error(message, fix=exc.fix, code=exc.code)
