"""Whether an instance may pull: its account is allowed, it has not ended, and the key is the newest that it bound.

Its state comes from the database alone, and is cached for a short time, because each call of a pull needs it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Container
from datetime import datetime, timedelta

from whence_aggregator.ports import Database, StorageUnavailable, Unauthenticated
from whence_aggregator.queries.query import together
from whence_aggregator.queries.registry import STANDING_OF_INSTANCE, STANDING_OF_KEY
from whence_aggregator.registry.rows import StandingAsked, key_standing
from whence_aggregator.registry.standing import Standing
from whence_common.clock import Now

KEPT_SECONDS = 30.0
_KEPT_MAX = 10_000
DATABASE_SECONDS_MAX = 10.0


class Instances:
    """Looks instances up. `accounts` are the allowed accounts."""

    def __init__(self, *, database: Database, accounts: Container[str], now: Now) -> None:
        self._database = database
        self.accounts = accounts
        self._now = now
        self._good_until: dict[tuple[str, int | None], datetime] = {}
        """Refusals are not cached: another replica may have changed their reason."""

    async def of_key(self, key: str) -> Standing | None:
        """Return the current binding of a key by the key's id. Raises StorageUnavailable."""
        return await self._fetch(together(STANDING_OF_KEY.bind({"key_id": bytes.fromhex(key)})))

    async def check(self, instance_id: str, enrolment: int | None) -> None:
        """Check that an instance may still pull by a token of this binding; None: of no binding.

        Raises Forbidden, Unauthenticated or StorageUnavailable. An instance that never enrolled counts as
        running.
        """
        now, name = self._now(), (instance_id, enrolment)
        if self._good_until.get(name, now) > now:
            return
        standing = await self._fetch(together(STANDING_OF_INSTANCE.bind({"instance_id": instance_id})))
        if standing is not None:
            standing.check(self.accounts)
        if enrolment is not None and (standing is None or standing.enrolment != enrolment):
            raise Unauthenticated("enrolment-superseded", f"instance {instance_id} has bound a newer key")
        if len(self._good_until) >= _KEPT_MAX:
            self._good_until.clear()
        self._good_until[name] = now + timedelta(seconds=KEPT_SECONDS)

    async def _fetch(self, asked: StandingAsked) -> Standing | None:
        try:
            async with asyncio.timeout(DATABASE_SECONDS_MAX):
                (rows,) = await self._database.fetch_all(asked, brief=True)
        except TimeoutError as exc:
            raise StorageUnavailable("storage-slow", "the database does not answer in time") from exc
        return key_standing(rows[0]) if rows else None
