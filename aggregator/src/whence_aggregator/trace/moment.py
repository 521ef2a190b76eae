"""The moment that a query is about, and the entries of the log that count for it.

Every entry is recorded at the time of the newest `clock` entry at or before it. So an instant is a bound in the log:
the entries recorded by it are those before the first later clock. Machines' own clocks are not used here.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from whence_aggregator.ledger.rows import began_at, bound
from whence_aggregator.ports import Database, NotFound
from whence_aggregator.queries.ledger import CLOCK_PAST, FIRST_CLOCK
from whence_aggregator.queries.query import EVERY_ENTRY, each
from whence_common.clock import Now, parse_instant, to_instant, to_millis
from whence_common.errors import InputError

SETTLED_MILLIS = 1_000
"""A clock is valid for the next `CLOCK_MILLIS`, and a commit that read an earlier time may still be running."""
SOON_MILLIS = 600_000
"""Most first statements are recorded within this time of `observed_at`; the index `instance_late` has the others."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """The world `at` a time, as the entries recorded by `known_at` show it.

    `past` and `known_past` are the first entries that were not recorded by `at` and by `known_at`.
    """

    at: str = ""
    known_at: str = ""
    past: int = EVERY_ENTRY
    known_past: int = EVERY_ENTRY
    soon_past: int = EVERY_ENTRY
    """The first entry that was not recorded within `SOON_MILLIS` of `at`."""
    is_now: bool = True
    """Whether the query is about the present: then facts outside the log count too."""

    @property
    def at_millis(self) -> int:
        return to_millis(parse_instant(self.at))

    def to_wire(self) -> dict[str, str]:
        return {"at": self.at, "known_at": self.known_at}


NOW = Moment()
"""The present, for callers that do not show the time."""


class Moments:
    """Finds the bounds of a moment in the log."""

    def __init__(self, *, database: Database, now: Now) -> None:
        self._database = database
        self._now = now

    async def of(self, at: str | None = None, known_at: str | None = None) -> Moment:
        """Return the moment of a query; `known_at` is now by default, and `at` is `known_at`.

        Raises InputError when `at` is later than `known_at`, or `known_at` is in the future.
        """
        now = to_instant(self._now())
        if at is None and known_at is None:
            return Moment(at=now, known_at=now)
        world, known = at or known_at or now, known_at or now
        _check(world, known, now)
        await _until_settled(known_at or world, now)
        known = known_at or to_instant(self._now())
        millis = [to_millis(parse_instant(one)) for one in (world, known)]
        bounds = [CLOCK_PAST.bind({"at": one}) for one in (*millis, millis[0] + SOON_MILLIS)]
        past, known_past, soon_past = [
            _bound_of(bound(rows)) for rows in await self._database.fetch_all(each(bounds), brief=True)
        ]
        if known_at is None:
            known_past = EVERY_ENTRY
        return Moment(at=world, known_at=known, past=past, known_past=known_past, soon_past=soon_past, is_now=False)

    async def since_the_log(self, at: str | None = None, known_at: str | None = None) -> Moment:
        """Return the moment of a query about what the log states. Raises InputError, and NotFound before it begins.

        Nothing is known of that time: an empty list would state that there was nothing.
        """
        moment = await self.of(at, known_at)
        if not moment.is_now:
            began = began_at(await self._database.fetch(FIRST_CLOCK.bind({})))
            if moment.at < began:
                raise NotFound(
                    "time-before-log", f"nothing is known of {moment.at}: the log begins at {began}",
                    fix=f"ask about {began} or later",
                )  # fmt: skip
        return moment

    async def period(
        self, since: str | None, until: str | None, *, names: tuple[str, str] = ("since", "until")
    ) -> tuple[int, int]:
        """Return the bounds of the entries recorded in [since, until); `names` are those of the parameters.

        Raises InputError.
        """
        if since is not None and until is not None and since >= until:
            message = f"{names[0]} {since} is not before {names[1]} {until}"
            raise InputError("parameter-malformed", message, fix=f"pass a later {names[1]}")
        return await self._first(since, 0), await self._first(until, EVERY_ENTRY)

    async def _first(self, instant: str | None, otherwise: int) -> int:
        """Return the first entry that was recorded at an instant or later."""
        if instant is None:
            return otherwise
        rows = await self._database.fetch(CLOCK_PAST.bind({"at": to_millis(parse_instant(instant)) - 1}))
        return _bound_of(bound(rows))


def _check(at: str, known: str, now: str) -> None:
    for name, instant in (("known_at", known), ("at", at)):
        if instant > now:
            raise InputError("time-in-future", f"{name} {instant} is in the future", fix=f"pass {now} or earlier")
    if at > known:
        fix = "pass a known_at that is not before at"
        raise InputError("time-not-known", f"at {at} is later than known_at {known}", fix=fix)


async def _until_settled(latest: str, now: str) -> None:
    """Wait until no more entries can be recorded at the time asked about."""
    young = to_millis(parse_instant(now)) - to_millis(parse_instant(latest))
    if young < SETTLED_MILLIS:
        await asyncio.sleep((SETTLED_MILLIS - young) / 1000)


def _bound_of(clock: int | None) -> int:
    return clock if clock is not None else EVERY_ENTRY
