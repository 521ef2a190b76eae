"""Whether the database was restored from a backup since mint ran last: its log then continues under another name."""

from __future__ import annotations

from datetime import datetime

from whence_aggregator.mint.rows import known_log
from whence_aggregator.ports import Database
from whence_aggregator.queries.mint import KNOWN_MINT_LOG, PUT_MINT_LOG
from whence_common.clock import to_instant


async def note_log(database: Database, origin: str, now: datetime) -> str:
    """Note the log's name; return when mint first ran under it, empty if it never had another one.

    Raises StorageUnavailable.
    """
    known = known_log(await database.fetch(KNOWN_MINT_LOG.bind({})))
    if known is not None and known.origin == origin:
        return known.restored_at
    restored_at = to_instant(now) if known is not None else ""
    await database.write(PUT_MINT_LOG.bind([{"origin": origin, "restored_at": restored_at}]))
    return restored_at
