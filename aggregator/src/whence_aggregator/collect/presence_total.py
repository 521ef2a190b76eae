"""How many instances the EC2 API lists and how many are heard, over all accounts. Reads the whole inventory."""

from __future__ import annotations

from whence_aggregator.collect import account_rows
from whence_aggregator.ports import Database
from whence_aggregator.queries.collect import LISTINGS, PRESENCE_COUNTS
from whence_aggregator.queries.query import together
from whence_aggregator.trace.listening import Listening
from whence_common.clock import Now, to_instant, to_millis


class PresenceTotal:
    """Sums the presence of all instances."""

    def __init__(self, *, database: Database, listening: Listening, now: Now) -> None:
        self._database = database
        self._listening = listening
        self._now = now

    async def read(self) -> dict[str, object]:
        """Return the sums as of now. Raises StorageUnavailable."""
        now, since = self._now(), self._listening.silent_before
        counts, listings = await self._database.fetch_all(
            together(
                PRESENCE_COUNTS.bind({"silent_before": to_millis(since), "awaited_since": to_instant(since)}),
                LISTINGS.bind({}),
            )
        )
        return {"counted_at": to_instant(now), **account_rows.presence_total(counts, listings)}
