"""Checks at start, before anything is signed: the database, the keys and the checkpoint file belong to the same log.

A start with a missing or contradicting part is refused, with what to do. No start begins a new log silently.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from whence_aggregator.ledger.log_reader import LogReader
from whence_aggregator.ledger.publishing import LogWitness, WitnessBehind
from whence_aggregator.ledger.rows import checkpoint as checkpoint_row
from whence_aggregator.ports import CheckpointKeeper, Database
from whence_aggregator.queries.ledger import NEWEST_CHECKPOINT
from whence_common.errors import RoadError, WhenceError
from whence_common.log_policy import revoked_of
from whence_common.note import Checkpoint, Note, NoteInvalid, VerifierKey
from whence_common.runtime.logs import fields

log = logging.getLogger(__name__)

CHAPTER = "see `A restored database` in aggregator/README.md"


class StartRefused(WhenceError):
    """The log cannot be continued as configured; an operator must decide."""


async def check_start(
    *, reader: LogReader, keeper: CheckpointKeeper, origin: str, keys: Sequence[str], witnesses: Sequence[LogWitness]
) -> None:
    """Raise StartRefused unless the log may be continued with these keys."""
    size, kept = await reader.size(), keeper.load()
    if kept is None and size == 0:
        return
    if kept is None:
        raise StartRefused(
            "checkpoint-missing",
            f"the log has {size} entries, and checkpoint_file, which holds the last signed checkpoint, does not exist:"
            " it cannot be checked whether entries are missing",
            fix="restore checkpoint_file, or name running replicas in `replicas`; if it is lost, run whence-aggregator"
            f" ledger accept-checkpoint --reason TEXT; {CHAPTER}",
        )
    signed = checkpoint_of(kept)
    if signed.origin != origin:
        raise StartRefused(
            "checkpoint-origin", f"the last checkpoint is of the log {signed.origin}, but log_origin is {origin}",
            fix=f"set log_origin to {signed.origin}; to rename the log, run whence-aggregator ledger continue",
        )  # fmt: skip
    if signed.size > size or await reader.root(signed.size) != signed.root:
        raise StartRefused(
            "ledger-inconsistent",
            f"the log has {size} entries, but a checkpoint over {signed.size} was signed: the database is older"
            if signed.size > size
            else f"the log's first {signed.size} entries are not those that were signed",
            fix=f"restore the newer database; if it is lost, run whence-aggregator ledger continue; {CHAPTER}",
        )
    _check_keys(await reader.newest_event("log-key") or {}, keys)
    await check_witnesses(witnesses, kept, size)


def _check_keys(stated: dict[str, Any], keys: Sequence[str]) -> None:
    revoked = [one for one in revoked_of(stated) if str(one.key) in keys]
    if revoked:
        raise StartRefused(
            "log-key-revoked", f"log_key_file holds a key that was revoked: {revoked[0].key}",
            fix="remove its line from the file; whence-aggregator ledger revoke-key does so",
        )  # fmt: skip
    named = stated.get("keys")
    known = [one for one in named if isinstance(one, str)] if isinstance(named, list) else []
    if known and not set(known) & set(keys):
        raise StartRefused(
            "log-key-lost", f"log_key_file contains no key that the log is signed with: {', '.join(known)}",
            fix="restore log_key_file; if it is lost, run whence-aggregator ledger revoke-key KEY --lost --reason TEXT",
        )  # fmt: skip


async def check_witnesses(witnesses: Sequence[LogWitness], note: str, size: int) -> list[str]:
    """Return the names of the witnesses that answered. Raises StartRefused when one cosigned more than `size`."""
    answers = await asyncio.gather(*(_seen(witness, note) for witness in witnesses))
    for witness, seen in zip(witnesses, answers, strict=True):
        if seen is not None and seen > size:
            raise StartRefused(
                "witness-ahead", f"the witness {witness.key.name} has cosigned {seen} entries, but the log has {size}:"
                " the database is older", fix=f"restore the newer database; {CHAPTER}",
            )  # fmt: skip
    return [witness.key.name for witness, seen in zip(witnesses, answers, strict=True) if seen is not None]


async def _seen(witness: LogWitness, note: str) -> int | None:
    """Return the size that a witness cosigned, by submitting a signed checkpoint; None when it cannot be reached."""
    witness.size = size = checkpoint_of(note).size
    try:
        await witness.add_checkpoint([], note)
    except WitnessBehind as exc:
        return exc.size
    except RoadError as exc:
        log.warning("cannot reach a witness", extra=fields(witness=witness.key.name, reason=exc.message))
        return None
    return size


async def published(database: Database, reader: LogReader) -> str | None:
    """Return the newest checkpoint in the database. Raises StartRefused unless it matches the log."""
    rows = await database.fetch(NEWEST_CHECKPOINT.bind({}))
    if not rows:
        return None
    (_, note), size = checkpoint_row(rows[0]), await reader.size()
    checkpoint = checkpoint_of(note)
    if checkpoint.size > size or await reader.root(checkpoint.size) != checkpoint.root:
        raise StartRefused(
            "ledger-inconsistent",
            f"the log has {size} entries, which do not match the checkpoint over {checkpoint.size} in the database",
            fix=f"run whence-aggregator ledger check; {CHAPTER}",
        )  # fmt: skip
    return note


@dataclass(frozen=True, slots=True, kw_only=True)
class Copied:
    """A checkpoint of another replica that the log's own keys signed."""

    note: str
    size: int


def copied(content: bytes, *, origin: str, keys: Sequence[VerifierKey]) -> Copied:
    """Return a replica's checkpoint. Raises NoteInvalid unless one of these keys signed it for this log."""
    note = Note.parse(content)
    checkpoint = Checkpoint.parse(note.text)
    if checkpoint.origin != origin:
        raise NoteInvalid("note-origin", f"the checkpoint is of the log {checkpoint.origin}, not of {origin}")
    note.verify(keys)
    return Copied(note=content.decode(), size=checkpoint.size)


def checkpoint_of(note: str) -> Checkpoint:
    """Return the checkpoint in a stored note. Raises NoteInvalid."""
    return Checkpoint.parse(Note.parse(note.encode()).text)
