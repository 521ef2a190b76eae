"""Before anything is signed: whether this database, these keys and this checkpoint file are those of the log as it was.

What is missing or does not fit is refused with what to do; no start decides silently that a log begins anew.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import Any

from whence_aggregator.ledger.log_reader import LogReader
from whence_aggregator.ledger.publishing import LogWitness, WitnessBehind
from whence_aggregator.ledger.rows import checkpoint as checkpoint_row
from whence_aggregator.ports import CheckpointKeeper, Database
from whence_aggregator.queries.ledger import NEWEST_CHECKPOINT
from whence_common.errors import RoadError, WhenceError
from whence_common.log_policy import revoked_of
from whence_common.note import Checkpoint, Note
from whence_common.runtime.logs import fields

log = logging.getLogger(__name__)

CHAPTER = "see `A restored database` in aggregator/README.md"


class StartRefused(WhenceError):
    """The log cannot go on as it is configured; an operator must decide."""


async def check_start(
    *, reader: LogReader, keeper: CheckpointKeeper, origin: str, keys: Sequence[str], witnesses: Sequence[LogWitness]
) -> None:
    """Raises StartRefused unless the log may go on under these keys."""
    size, kept = await reader.size(), keeper.load()
    if kept is None and size == 0:
        return
    if kept is None:
        raise StartRefused(
            "checkpoint-missing",
            f"the log has {size} entries, and the file with its last signed checkpoint is not there: whether entries"
            " are missing cannot be known",
            fix="restore checkpoint_file, or copy a running replica's; where it is lost: whence-aggregator ledger"
            f" accept-checkpoint --reason TEXT; {CHAPTER}",
        )
    signed = checkpoint_of(kept)
    if signed.origin != origin:
        raise StartRefused(
            "checkpoint-origin", f"the last checkpoint is of the log {signed.origin}, and log_origin is {origin}",
            fix=f"set log_origin to {signed.origin}; a new name is given by whence-aggregator ledger continue",
        )  # fmt: skip
    if signed.size > size or await reader.root(signed.size) != signed.root:
        raise StartRefused(
            "ledger-inconsistent",
            f"the log has {size} entries, and a checkpoint over {signed.size} was signed: an older database"
            if signed.size > size
            else f"the log's first {signed.size} entries are not those that were signed",
            fix=f"restore the newer one; where it is lost: whence-aggregator ledger continue; {CHAPTER}",
        )
    _check_keys(await reader.newest_event("log-key") or {}, keys)
    await check_witnesses(witnesses, kept, size)


def _check_keys(stated: dict[str, Any], keys: Sequence[str]) -> None:
    revoked = [one for one in revoked_of(stated) if str(one.key) in keys]
    if revoked:
        raise StartRefused(
            "log-key-revoked", f"log_key_file holds a key that was revoked: {revoked[0].key}",
            fix="take its line out of the file; whence-aggregator ledger revoke-key does so",
        )  # fmt: skip
    named = stated.get("keys")
    known = [one for one in named if isinstance(one, str)] if isinstance(named, list) else []
    if known and not set(known) & set(keys):
        raise StartRefused(
            "log-key-lost", f"log_key_file holds none of the keys that the log is signed with: {', '.join(known)}",
            fix="restore log_key_file; where it is lost: whence-aggregator ledger revoke-key KEY --lost --reason TEXT",
        )  # fmt: skip


async def check_witnesses(witnesses: Sequence[LogWitness], note: str, size: int) -> list[str]:
    """Return the names of witnesses that answered. Raises StartRefused when one has seen more than `size` entries."""
    answers = await asyncio.gather(*(_seen(witness, note) for witness in witnesses))
    for witness, seen in zip(witnesses, answers, strict=True):
        if seen is not None and seen > size:
            raise StartRefused(
                "witness-ahead", f"the witness {witness.key.name} has cosigned {seen} entries, and the log has {size}:"
                " this database is older", fix=f"restore the newer one; {CHAPTER}",
            )  # fmt: skip
    return [witness.key.name for witness, seen in zip(witnesses, answers, strict=True) if seen is not None]


async def _seen(witness: LogWitness, note: str) -> int | None:
    """Ask a witness how much of the log it has seen, with a checkpoint that is signed already."""
    witness.size = size = checkpoint_of(note).size
    try:
        await witness.add_checkpoint([], note)
    except WitnessBehind as exc:
        return exc.size
    except RoadError as exc:
        log.warning("a witness cannot be asked", extra=fields(witness=witness.key.name, reason=exc.message))
        return None
    return size


async def published(database: Database, reader: LogReader) -> str | None:
    """Return the newest checkpoint that the database itself holds. Raises StartRefused unless the log fits it."""
    rows = await database.fetch(NEWEST_CHECKPOINT.bind({}))
    if not rows:
        return None
    (_, note), size = checkpoint_row(rows[0]), await reader.size()
    checkpoint = checkpoint_of(note)
    if checkpoint.size > size or await reader.root(checkpoint.size) != checkpoint.root:
        raise StartRefused(
            "ledger-inconsistent",
            f"the log has {size} entries, and they are not those of the checkpoint over {checkpoint.size} that the"
            " database holds", fix=f"whence-aggregator ledger check; {CHAPTER}",
        )  # fmt: skip
    return note


def checkpoint_of(note: str) -> Checkpoint:
    """Read a kept checkpoint. Raises NoteInvalid."""
    return Checkpoint.parse(Note.parse(note.encode()).text)
