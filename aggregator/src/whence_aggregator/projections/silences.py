"""Projection of silences: each row follows from one verdict entry alone, so that entries may be read in any order.

The table came after verdicts: those that an earlier version recorded are read when the program starts.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any, Protocol, TypedDict

from whence_aggregator.ledger.log_reader import Stored
from whence_aggregator.ledger.rows import due_entries
from whence_aggregator.ports import Database, StorageUnavailable
from whence_aggregator.projections.rows import known_instances, named
from whence_aggregator.queries.compliance import ADD_SILENCE, AddSilenceParameters
from whence_aggregator.queries.ledger import DERIVATION_DUE, END_DERIVATION, MOVE_DERIVATION
from whence_aggregator.trace.silences import AGENT_SILENT, silent_since
from whence_common.errors import InputError
from whence_common.ledger_entry import type_of
from whence_common.runtime.logs import fields

log = logging.getLogger(__name__)

_NAME, _VERDICT, _INSTANCE = "silence", "verdict", "instance"
PAGE_ENTRIES = 2_000
"""Of the log, of every kind, for a transaction."""


class EntryReader(Protocol):
    """The log."""

    async def entries_of(self, kind: str, first: int, past: int) -> Sequence[Stored]:
        """Return the entries of a kind among [first, past), in order. Raises StorageUnavailable."""


class SilenceRow(TypedDict):
    """What a verdict states about a silence; `silent_since` is empty if it ends one."""

    at: str
    verdict: str
    silent_since: str


def silence_in(event: Mapping[str, Any]) -> SilenceRow | None:
    """Return what a verdict entry states about a silence; None if it states nothing, as most do.

    A pass or an end counts unless it is the first verdict of the rule: others are stated only if something changed.
    Raises KeyError, TypeError or AttributeError if the entry is malformed.
    """
    if event["subject"]["kind"] != _INSTANCE:
        return None
    for verdict in event["verdicts"]:
        if verdict["rule"] != AGENT_SILENT:
            continue
        since = silent_since(verdict["verdict"], verdict["reason"])
        if since or (verdict["verdict"] in ("pass", "gone") and AGENT_SILENT not in event["first"]):
            return {"at": event["at"], "verdict": verdict["verdict"], "silent_since": since}
        return None
    return None


async def index_silences(database: Database, log_reader: EntryReader, *, page_entries: int = PAGE_ENTRIES) -> int:
    """Add what verdicts state that were recorded before the table was made; return the number of rows.

    Each page is noted as read with its rows, so that a start that is ended goes on where it was. Several replicas may
    do so at once. If entries cannot be read, because the archive is unavailable, the rest is left to the next start.
    """
    total = 0
    while (due := due_entries(await database.fetch(DERIVATION_DUE.bind({"name": _NAME})))) is not None:
        if due.start == 0:
            log.info("silences are derived from the verdicts of an earlier version", extra=fields(entries=due.stop))
        following = min(due.start + page_entries, due.stop)
        try:
            entries = await log_reader.entries_of(_VERDICT, due.start, following)
        except StorageUnavailable as exc:
            log.warning("older silences are missing until the next start", extra=fields(reason=exc.message))
            break
        total += await _add(database, entries, following)
    return total


async def _add(database: Database, entries: Sequence[Stored], following: int) -> int:
    """Add the rows of entries, and note that the log was read up to `following`."""
    stated = [found for one in entries if (found := _stated(one)) is not None]
    async with database.transaction() as transaction:
        rows: list[AddSilenceParameters] = []
        if stated:
            known = known_instances(await transaction.fetch(named([instance_id for _, instance_id, _ in stated])))
            rows = [
                {"instance": known[instance_id].number, "ledger_index": index, **row}
                for index, instance_id, row in stated
                if instance_id in known
            ]
        await transaction.execute(
            ADD_SILENCE.bind(rows),
            MOVE_DERIVATION.bind([{"name": _NAME, "following": following}]),
            END_DERIVATION.bind([{"name": _NAME}]),
        )
    return len(rows)


def _stated(stored: Stored) -> tuple[int, str, SilenceRow] | None:
    """Return what an entry states, with its index and its instance. A malformed one states nothing, as in a rebuild."""
    if stored.content is None:
        return None
    try:
        _, _, event = type_of(stored.content)
        row = silence_in(event)
        return (stored.ledger_index, str(event["subject"]["id"]), row) if row is not None else None
    except (InputError, KeyError, TypeError, AttributeError):
        return None
