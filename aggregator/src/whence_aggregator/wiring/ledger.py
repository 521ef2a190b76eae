"""Wiring of an operator's decisions about a log: its keys, its name after a loss, its checkpoint file, its secret.

Each decision is recorded in an entry `log-key` before the files change: if the program ends in between, run it again.
"""

from __future__ import annotations

from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from whence_aggregator.adapters.log_files import (
    CheckpointFile,
    MemoryCheckpoint,
    add_key,
    drop_key,
    load_signers,
    make_keys,
    set_aside,
)
from whence_aggregator.agents.heartbeat_secret import accept_secret
from whence_aggregator.ledger.continuity import check_witnesses, checkpoint_of, published
from whence_aggregator.ledger.ledger import Ledger
from whence_aggregator.projections.kinds import KINDS
from whence_aggregator.settings.server import Settings, log_origin
from whence_aggregator.storage.named_queries import OpenMode
from whence_aggregator.storage.postgres import PostgresDatabase
from whence_aggregator.storage.sqlite import SqliteDatabase
from whence_aggregator.wiring import parts, settings_files
from whence_common.clock import to_instant, utc_now
from whence_common.log_policy import RevokedKey, revoked_of
from whence_common.note import NoteInvalid, Signer, VerifierKey
from whence_common.runtime.files import replace_for_owner
from whence_common.settings_file import SettingsInvalid

REASON_CHARACTERS_MAX = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """A decision, with the operator's reason."""

    settings: Settings
    location: str
    """The database's URL."""
    reason: str = ""

    def __post_init__(self) -> None:
        if len(self.reason) > REASON_CHARACTERS_MAX or not self.reason.isprintable():
            message = f"the reason must be one line of at most {REASON_CHARACTERS_MAX} characters"
            raise SettingsInvalid("reason", message)

    @property
    def keys_file(self) -> Path:
        return Path(self.settings.log_key_file)

    @property
    def checkpoint_file(self) -> Path:
        return Path(self.settings.checkpoint_file)


async def known_keys(decision: Decision) -> tuple[list[Signer], tuple[RevokedKey, ...]]:
    """Return the log's keys, and those that were revoked. Creates nothing. Raises WhenceError."""
    signers = load_signers(decision.keys_file, name=log_origin(decision.settings), made=False)
    async with AsyncExitStack() as stack:
        database = await _open(decision, stack, "read")
        stated = await parts.load_reader(decision.settings, database).newest_event("log-key")
    return signers, revoked_of(stated or {})


async def revoke_key(decision: Decision, wanted: str, *, stolen: bool, from_size: int | None) -> RevokedKey:
    """Revoke a key: record it in the log; other keys sign from then on. Raises WhenceError or OSError."""
    settings, origin = decision.settings, log_origin(decision.settings)
    async with AsyncExitStack() as stack:
        database = await _open(decision, stack, "read")
        reader = parts.load_reader(settings, database)
        stated, size = await reader.newest_event("log-key") or {}, await reader.size()
        key = _named(wanted, origin, [*_texts(stated.get("keys")), *(str(one.key) for one in revoked_of(stated))])
        if from_size is not None and not 0 <= from_size <= size:
            raise SettingsInvalid("from-size", f"--from-size must be from 0 to {size}, the entries of the log")
        signers = load_signers(decision.keys_file, name=origin)
        if all(one.verifier == key for one in signers):
            add_key(decision.keys_file, name=origin)
            signers = load_signers(decision.keys_file, name=origin)
        revoked = RevokedKey(key=key, from_size=size if from_size is None else from_size, stolen=stolen)
        others = [one for one in _dicts(stated.get("revoked")) if one.get("key") != str(key)]
        told = {
            "key": str(key), "from_size": revoked.from_size, "stolen": stolen, "reason": decision.reason, "at": _now(),
        }  # fmt: skip
        keeper = CheckpointFile(decision.checkpoint_file, synced_at_once=True)
        left = [one for one in signers if one.verifier != key]
        ledger = Ledger(database=database, reader=reader, kinds=KINDS, signers=left, keeper=keeper, now=utc_now)
        await ledger.start(decided={"revoked": [*others, told]})
    drop_key(decision.keys_file, key)
    return revoked


async def accept_checkpoint(decision: Decision) -> tuple[int, list[str]]:
    """Sign the log as it is, after its checkpoint file was lost; return its size and the witnesses that answered.

    Refused if the database, or a witness, shows that entries are missing. Raises WhenceError or OSError.
    """
    settings, file = decision.settings, CheckpointFile(decision.checkpoint_file, synced_at_once=True)
    if file.load() is not None:
        message = f"checkpoint_file {decision.checkpoint_file} exists: start the server"
        raise SettingsInvalid("checkpoint-there", message)
    signers = load_signers(decision.keys_file, name=log_origin(settings), made=False)
    async with AsyncExitStack() as stack:
        database = await _open(decision, stack, "read")
        session = await stack.enter_async_context(parts.new_session())
        reader, witnesses = parts.load_reader(settings, database), parts.load_witnesses(settings, session)
        size = await reader.size()
        note = await published(database, reader)
        names = await check_witnesses(witnesses, note, size) if note is not None else []
        silent = sorted({one.key.name for one in witnesses} - set(names))
        if silent:
            message = f"these witnesses, which know whether entries are missing, do not answer: {', '.join(silent)}"
            raise SettingsInvalid("witness-silent", message, fix="try again later, or remove them from `witnesses`")
        told: dict[str, Any] = {"size": size, "witnesses": names, "reason": decision.reason, "at": _now()}
        told["published"] = checkpoint_of(note).size if note is not None else None
        ledger = Ledger(database=database, reader=reader, kinds=KINDS, signers=signers, keeper=file, now=utc_now)
        await ledger.start(decided={"accepted": told})
    return size, names


async def continue_log(decision: Decision, origin: str) -> tuple[VerifierKey, int, int | None]:
    """Continue a log that lost entries under a new name and key; return key, size and number of lost entries.

    The number is None when the last signed checkpoint is lost too.

    No history is signed twice under one name: the old checkpoint is kept in a file beside the new one, and in the log.
    Raises WhenceError or OSError.
    """
    settings, before = decision.settings, log_origin(decision.settings)
    if origin == before:
        raise SettingsInvalid("log-origin", f"the log already has the name {origin}: choose a new one")
    kept = CheckpointFile(decision.checkpoint_file).load()
    signed = checkpoint_of(kept) if kept is not None else None
    keeper, next_keys = MemoryCheckpoint(), decision.keys_file.with_name(decision.keys_file.name + ".next")
    async with AsyncExitStack() as stack:
        database = await _open(decision, stack, "migrate")
        reader = parts.load_reader(settings, database)
        size = await reader.size()
        whole = signed is not None and signed.size <= size and await reader.root(signed.size) == signed.root
        if whole and "accepted" not in (await reader.newest_event("log-key") or {}):
            message = "the log has all signed entries, nothing is lost: start the server"
            raise SettingsInvalid("log-whole", message)
        signers = make_keys(next_keys, name=origin)
        lost = max(0, signed.size - size) if signed is not None else None
        told = {
            "origin": before, "checkpoint": kept, "size": size, "lost": lost, "reason": decision.reason, "at": _now(),
        }  # fmt: skip
        ledger = Ledger(database=database, reader=reader, kinds=KINDS, signers=signers, keeper=keeper, now=utc_now)
        await ledger.start(decided={"continues": told})
    name = f"before-{ledger.signed.size}"
    for file in (decision.checkpoint_file, Path(f"{decision.checkpoint_file}.registry"), decision.keys_file):
        set_aside(file, name)
    replace_for_owner(decision.checkpoint_file, (keeper.note or "").encode(), mode=0o644)
    next_keys.rename(decision.keys_file)
    return signers[0].verifier, size, lost


async def accept_heartbeat_secret(decision: Decision) -> int:
    """Replace a lost secret by the file's, or by a new one; return the number of rows that were sealed."""
    secret = settings_files.load_secret(Path(decision.settings.heartbeat_secret_file))
    async with AsyncExitStack() as stack:
        return await accept_secret(await _open(decision, stack, "read"), secret)


async def _open(decision: Decision, stack: AsyncExitStack, mode: OpenMode) -> SqliteDatabase | PostgresDatabase:
    database = await parts.open_database(decision.location, mode)
    stack.push_async_callback(database.close)
    return database


def _named(wanted: str, origin: str, known: list[str]) -> VerifierKey:
    """Return the key that `wanted` names, by its id or as a whole verifier key."""
    for text in known:
        if wanted == text or wanted == text.split("+")[1]:
            return VerifierKey.parse(text)
    try:
        key = VerifierKey.parse(wanted)
    except NoteInvalid as exc:
        message = f"{wanted[:100]!r} is not a key of this log"
        raise SettingsInvalid("log-key", message, fix="name a key that `whence-aggregator ledger keys` prints") from exc
    if key.name != origin:
        raise SettingsInvalid("log-key", f"{key} is a key of {key.name}, but this log is {origin}")
    return key


def _texts(value: object) -> list[str]:
    return [one for one in value if isinstance(one, str) and one.count("+") >= 2] if isinstance(value, list) else []


def _dicts(value: object) -> list[dict[str, Any]]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def _now() -> str:
    return to_instant(utc_now())
