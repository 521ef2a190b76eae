"""The statements of one instance, newest first, as `GET /v1/instances/{id}` returns them."""

from __future__ import annotations

from typing import Protocol

from whence_aggregator.ledger.rows import PackedEntry
from whence_aggregator.ports import Database
from whence_aggregator.queries.trace import STATEMENTS_OF
from whence_aggregator.trace.rows import shown_statement
from whence_common.digest import sha256_digest


class Unpacks(Protocol):
    """Unpacks entries of the log."""

    def content(self, entry: PackedEntry) -> bytes: ...


async def statements_of(
    database: Database, log: Unpacks, instance_id: str, *, past: int, limit: int
) -> list[dict[str, object]]:
    """Return the statements recorded before the bound `past`; pruned ones have no digest."""
    rows = await database.fetch(STATEMENTS_OF.bind({"instance_id": instance_id, "past": past, "limit": limit}))
    found = []
    for shown, packed in map(shown_statement, rows):
        digest = sha256_digest(log.content(packed)) if packed.body is not None else None
        found.append({"digest": digest, **shown})
    return found
