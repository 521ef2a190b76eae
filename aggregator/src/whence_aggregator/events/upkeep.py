"""Upkeep: rows about objects that were read, sessions that nothing refers to, and old digest files are dropped."""

from __future__ import annotations

import logging

from whence_aggregator.events.session_keeping import SESSION_DAYS, SESSIONS_OF_ACCOUNT_MAX
from whence_aggregator.ports import Database, StorageUnavailable
from whence_aggregator.queries.events import DROP_SESSIONS, DROP_SESSIONS_BEYOND, DROP_TRAIL_DIGESTS, DROP_TRAIL_OBJECTS
from whence_common.clock import Now, to_millis
from whence_common.runtime.logs import fields
from whence_common.runtime.pause import pause

log = logging.getLogger(__name__)

OBJECT_DAYS = 14
"""SQS keeps a message no longer. A file that is named later is read again, and its events are known then."""
_DAY_MILLIS = 86_400_000
_ROUND_SECONDS = 3_600.0


class TrailUpkeep:
    """Drops old rows every hour."""

    def __init__(
        self,
        *,
        database: Database,
        digest_days: int,
        now: Now,
        sessions_of_account_max: int = SESSIONS_OF_ACCOUNT_MAX,
    ) -> None:
        self._database = database
        self._digest_days = digest_days
        self._sessions_of_account_max = sessions_of_account_max
        self._now = now

    async def run(self) -> None:
        """Drop rows until cancelled."""
        while True:
            try:
                await self.round()
            except StorageUnavailable as exc:
                log.error("storage unavailable", extra=fields(code=exc.code, message=exc.message))
            await pause(_ROUND_SECONDS)

    async def round(self) -> None:
        """Drop what is old now."""
        at = to_millis(self._now())
        await self._database.write(
            DROP_TRAIL_OBJECTS.bind([{"before": at - OBJECT_DAYS * _DAY_MILLIS}]),
            DROP_SESSIONS.bind([{"before": at - SESSION_DAYS * _DAY_MILLIS}]),
            DROP_SESSIONS_BEYOND.bind([{"kept": self._sessions_of_account_max}]),
            DROP_TRAIL_DIGESTS.bind([{"before": at - self._digest_days * _DAY_MILLIS}]),
        )
