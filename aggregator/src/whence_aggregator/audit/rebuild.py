"""Rebuild: tables derived from the log are dropped and derived again, in one transaction."""

from __future__ import annotations

from whence_aggregator.audit.replay import Replay
from whence_aggregator.ledger.log_reader import LogReader
from whence_aggregator.ports import Conflict, Database
from whence_aggregator.projections.derived_tables import TABLES
from whence_aggregator.projections.kinds import KINDS
from whence_aggregator.queries.ledger import END_DERIVATIONS


async def rebuild(database: Database, reader: LogReader) -> int:
    """Derive the projections again; return the number of entries. Raises Conflict when an entry cannot be used."""
    wrong: list[str] = []
    async with database.transaction() as transaction:
        await transaction.execute(*(table.clear.bind([{}]) for table in TABLES))
        replay = Replay(
            transaction, kinds=KINDS, on_error=lambda index, message: wrong.append(f"entry {index}: {message}")
        )
        count = await replay.apply(reader.entries(0, await reader.size()))
        if wrong:
            raise Conflict("ledger-damaged", f"{len(wrong)} entries cannot be used, the first: {wrong[0]}",
                           fix="run whence-aggregator ledger check")  # fmt: skip
        if replay.lossy:
            raise Conflict(
                "ledger-pruned",
                f"{replay.lossy} bodies were pruned and are not in the archive: their rows would be lost",
                fix="set retention.archive_bucket to the bucket that they were archived in",
            )
        await transaction.execute(END_DERIVATIONS.bind([{}]))
    return count
