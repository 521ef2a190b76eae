"""Whether mint's key is the one that was used before. Replicas must share one key."""

from __future__ import annotations

from whence_aggregator.agents import rows
from whence_aggregator.mint.key import MintKey
from whence_aggregator.ports import Database
from whence_aggregator.queries.agents import REPLACE_SECRET_FINGERPRINT, SECRET_FINGERPRINT

_NAME = "mint"


async def note_key(database: Database, key: MintKey) -> bool:
    """Note which key is used; return whether another one was used last. Raises StorageUnavailable."""
    known = rows.fingerprint(await database.fetch(SECRET_FINGERPRINT.bind({"name": _NAME})))
    if known == key.fingerprint:
        return False
    await database.write(REPLACE_SECRET_FINGERPRINT.bind([{"name": _NAME, "fingerprint": key.fingerprint}]))
    return known is not None
