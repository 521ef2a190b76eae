"""How many instances the EC2 API lists and how many are heard, over all accounts: the sums, kept for some seconds."""

from __future__ import annotations

import asyncio
from datetime import datetime

from whence_aggregator.collect import account_rows
from whence_aggregator.ports import Database
from whence_aggregator.queries.collect import LISTINGS, PRESENCE_COUNTS
from whence_aggregator.queries.query import together
from whence_aggregator.trace.listening import Listening
from whence_common.clock import Now, to_instant, to_millis


class PresenceTotal:
    """Sums the presence of all instances. It reads the whole inventory, so the sums are kept for `kept_seconds`."""

    def __init__(self, *, database: Database, listening: Listening, now: Now, kept_seconds: float = 0.0) -> None:
        self._database = database
        self._listening = listening
        self._now = now
        self._kept_seconds = kept_seconds
        self._kept: tuple[datetime, dict[str, object]] | None = None
        self._reading = asyncio.Lock()

    async def read(self) -> dict[str, object]:
        """Return the sums, as of now or of at most `kept_seconds` ago. Raises StorageUnavailable."""
        async with self._reading:
            kept, now = self._kept, self._now()
            if kept is None or (now - kept[0]).total_seconds() >= self._kept_seconds:
                kept = self._kept = now, await self._read(now)
            return kept[1]

    async def _read(self, now: datetime) -> dict[str, object]:
        since = self._listening.silent_before
        counts, listings = await self._database.fetch_all(
            together(
                PRESENCE_COUNTS.bind({"silent_before": to_millis(since), "awaited_since": to_instant(since)}),
                LISTINGS.bind({}),
            )
        )
        return {"counted_at": to_instant(now), **account_rows.presence_total(counts, listings)}
