"""Dead letters of notifications: listed, sent again and discarded; and how each destination stands."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from whence_aggregator.notifications.destination import Destination
from whence_aggregator.notifications.rows import DeadNotification, counts, dead_notifications, destination_states
from whence_aggregator.ports import Database, NotFound, Transaction
from whence_aggregator.queries.notifications import (
    ADD_NOTIFICATION_REPLAY,
    COUNT_NOTIFICATIONS,
    DEAD_NOTIFICATIONS,
    DISCARD_NOTIFICATION,
    ENABLE_DESTINATION,
    NOTIFICATION_DESTINATIONS,
    REVIVE_NOTIFICATION,
)
from whence_aggregator.queries.query import array, together
from whence_common.clock import Now, to_instant
from whence_common.errors import InputError
from whence_common.runtime.logs import fields

log = logging.getLogger(__name__)

LETTERS_AT_ONCE_MAX = 1_000


class NotificationBox:
    """Shows and moves what was given up. `destinations` are those of the settings."""

    def __init__(self, *, database: Database, destinations: Sequence[Destination], now: Now) -> None:
        self._database = database
        self._destinations = {one.name: one for one in destinations}
        self._now = now

    async def destinations(self) -> list[dict[str, object]]:
        """Return how each destination stands."""
        states, counted = await self._database.fetch_all(
            together(
                NOTIFICATION_DESTINATIONS.bind({"names": array(sorted(self._destinations))}),
                COUNT_NOTIFICATIONS.bind({}),
            )
        )
        found, numbers = destination_states(states), counts(counted)
        shown = []
        for name, one in sorted(self._destinations.items()):
            state = found.get(name)
            n, oldest = numbers.get((name, "waiting"), (0, ""))
            shown.append(
                {
                    "name": name, "kind": one.kind, "host": one.host, "waiting": n, "oldest_due_at": oldest or None,
                    "dead": numbers.get((name, "dead"), (0, ""))[0],
                    "paused_until": (state.paused_until if state is not None else "") or None,
                    "failures": state.failures if state is not None else 0,
                    "disabled_at": (state.disabled_at if state is not None else "") or None,
                    "disabled_reason": (state.disabled_reason if state is not None else "") or None,
                }
            )  # fmt: skip
        return shown

    async def page(
        self, *, destination: str | None, after: str, limit: int
    ) -> tuple[list[DeadNotification], str | None]:  # fmt: skip
        """Return dead letters, oldest first, and the cursor of the next page. Raises InputError for an invalid one."""
        at, tilde, last = after.partition("~")
        if after and not (tilde and len(after) <= 100 and after.isascii()):
            raise InputError("parameter-malformed", "invalid cursor", fix="pass `next` of the previous page")
        rows = await self._database.fetch(
            DEAD_NOTIFICATIONS.bind({"destination": destination, "after_at": at, "after_id": last, "limit": limit + 1})
        )
        found = dead_notifications(rows)
        page = found[:limit]
        return page, f"{page[-1].dead_at}~{page[-1].id}" if len(found) > limit else None

    async def replay(self, ids: Sequence[str], *, by: str) -> int:
        """Have letters sent again, each with the id that it had; note who wanted it. Raises NotFound."""
        async with self._database.transaction() as transaction:
            await self._revive(transaction, ids, by)
        return _replayed(ids, by)

    async def replay_all(self, destination: str | None, *, by: str) -> int:
        """Have the oldest letters sent again, at most LETTERS_AT_ONCE_MAX; return their number."""
        asked = DEAD_NOTIFICATIONS.bind(
            {"destination": destination, "after_at": "", "after_id": "", "limit": LETTERS_AT_ONCE_MAX}
        )
        async with self._database.transaction() as transaction:  # in which no letter is sent again or discarded
            ids = [one.id for one in dead_notifications(await transaction.fetch(asked))]
            await self._revive(transaction, ids, by)
        return _replayed(ids, by)

    async def _revive(self, transaction: Transaction, ids: Sequence[str], by: str) -> None:
        now = to_instant(self._now())
        for one in ids:
            if not await transaction.fetch(REVIVE_NOTIFICATION.bind({"id": one, "due_at": now})):
                raise _unknown(one)
        await transaction.execute(
            ADD_NOTIFICATION_REPLAY.bind([{"id": one, "at": now, "done_by": by} for one in dict.fromkeys(ids)])
        )

    async def discard(self, ids: Sequence[str], *, by: str) -> int:
        """Give letters up for good. Raises NotFound."""
        now = to_instant(self._now())
        async with self._database.transaction() as transaction:
            for one in ids:
                if not await transaction.fetch(DISCARD_NOTIFICATION.bind({"id": one, "done_at": now})):
                    raise _unknown(one)
        log.warning("dead letters of notifications discarded", extra=fields(letters=len(ids), by=by))
        return len(ids)

    async def enable(self, name: str, *, by: str) -> None:
        """Send to a destination again that wanted no more. Raises NotFound."""
        if name not in self._destinations:
            raise NotFound("destination-unknown", "no destination has this name", fix="see GET /v1/notifications")
        async with self._database.transaction() as transaction:
            if not await transaction.fetch(ENABLE_DESTINATION.bind({"name": name})):
                raise NotFound("destination-enabled", "the destination is not switched off")
        log.warning("destination switched on", extra=fields(destination=name, by=by))


def _replayed(ids: Sequence[str], by: str) -> int:
    log.warning("dead letters of notifications are sent again", extra=fields(letters=len(ids), by=by))
    return len(ids)


def _unknown(one: str) -> NotFound:
    return NotFound(
        "dead-letter-unknown", f"there is no dead letter {one}: it was sent again or discarded, or is named twice"
    )
