"""Whether an instance may pull: its account is allowed, it has not ended, and the key is the one that it bound last.

What is known of it comes from the database alone. It is kept for a short time, since each call of a pull asks again.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import datetime, timedelta

from whence_aggregator.ports import Database, Forbidden, StorageUnavailable, Unauthenticated
from whence_aggregator.queries.query import BoundQuery, together
from whence_aggregator.queries.registry import STANDING_OF_INSTANCE, STANDING_OF_KEY, StandingOfKeyRow
from whence_aggregator.trace.life import ENDED, Life, as_life
from whence_common.clock import Now, to_millis

LISTING_SECONDS_MAX = 24 * 3600.0
"""An inventory that could not be listed for so long says nothing any more of which instances live."""
KEPT_SECONDS = 30.0
_KEPT_MAX = 10_000
DATABASE_SECONDS_MAX = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What is known of one binding of a key. Times are milliseconds of the aggregator's clock."""

    instance_id: str
    account_id: str
    region: str
    enrolment: int
    newest: int
    """The number of the instance's newest binding."""
    life: Life
    listed_at: int | None
    """When the newest complete listing of its account and region began; None when none ever showed the instance."""
    bound_at: int

    @classmethod
    def of(cls, row: StandingOfKeyRow) -> Standing:
        """Read a row of the queries `standing_…`."""
        return cls(
            instance_id=row["instance_id"],
            account_id=row["account_id"],
            region=row["region"],
            enrolment=row["enrolment"],
            newest=row["newest"],
            life=as_life(row["life"]),
            listed_at=row["listed_at"] if row["listed"] else None,
            bound_at=row["bound_at"] or 0,
        )

    def check(self, accounts: frozenset[str]) -> None:
        """Check what no proof can make good. Raises Forbidden or Unauthenticated."""
        if self.account_id not in accounts:
            raise Forbidden("account-not-allowed", f"account {self.account_id} is not on the allow-list")
        if self.life in ENDED:
            raise Forbidden("instance-ended", f"instance {self.instance_id} is {self.life}: it pulls nothing")
        if self.enrolment != self.newest:
            raise Unauthenticated(
                "enrolment-superseded", f"instance {self.instance_id} has bound another key since", fix="enrol again"
            )

    def is_known_to_live(self, now: datetime, *, unlisted_seconds_max: float) -> bool:
        """Return whether a recent listing shows the instance, or AWS's word at its enrolment is recent enough.

        A listing that shows it as stopped counts: it may have been started since, and its key spoke just now.
        """
        millis = to_millis(now)
        if self.listed_at is not None and millis - self.listed_at <= LISTING_SECONDS_MAX * 1000:
            return True
        return millis - self.bound_at <= unlisted_seconds_max * 1000


class Instances:
    """Looks instances up. `accounts` are those that are allowed."""

    def __init__(self, *, database: Database, accounts: frozenset[str], now: Now) -> None:
        self._database = database
        self.accounts = accounts
        self._now = now
        self._good_until: dict[tuple[str, int | None], datetime] = {}
        """Refusals are not kept: what another replica changed may have made them untrue."""

    async def of_key(self, key: str) -> Standing | None:
        """Find the binding of a key by its id, as it is now. Raises StorageUnavailable."""
        return await self._fetch(STANDING_OF_KEY.bind({"key_id": bytes.fromhex(key)}))

    async def check(self, instance_id: str, enrolment: int | None) -> None:
        """Check that an instance may go on pulling by what it was given for this binding; None: for none of them.

        Raises Forbidden, Unauthenticated or StorageUnavailable. An instance that never enrolled is not known to have
        ended.
        """
        now, name = self._now(), (instance_id, enrolment)
        if self._good_until.get(name, now) > now:
            return
        standing = await self._fetch(STANDING_OF_INSTANCE.bind({"instance_id": instance_id}))
        if standing is not None:
            standing.check(self.accounts)
        if enrolment is not None and (standing is None or standing.enrolment != enrolment):
            raise Unauthenticated("enrolment-superseded", f"instance {instance_id} has bound another key since")
        if len(self._good_until) >= _KEPT_MAX:
            self._good_until.clear()
        self._good_until[name] = now + timedelta(seconds=KEPT_SECONDS)

    async def _fetch(self, asked: BoundQuery[StandingOfKeyRow]) -> Standing | None:
        try:
            async with asyncio.timeout(DATABASE_SECONDS_MAX):
                (rows,) = await self._database.fetch_all(together(asked), brief=True)
        except TimeoutError as exc:
            raise StorageUnavailable("storage-slow", "the database does not answer in time") from exc
        return Standing.of(rows[0]) if rows else None
