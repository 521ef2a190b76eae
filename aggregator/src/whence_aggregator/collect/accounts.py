"""Accounts: the number of instances that the EC2 API lists, and how many of them are heard."""

from __future__ import annotations

from collections.abc import Sequence

from whence_aggregator.collect import account_rows
from whence_aggregator.ports import Database
from whence_aggregator.queries.collect import (
    INVENTORY_SILENT,
    INVENTORY_UNREAD,
    LISTINGS,
    PRESENCE_COUNTS,
    PresenceCountsParameters,
)
from whence_aggregator.queries.compliance import TALLIES
from whence_aggregator.queries.query import together
from whence_aggregator.queries.work import TASKS_OF_KIND
from whence_aggregator.trace.listening import Listening
from whence_aggregator.work.questions import INVENTORY_KIND
from whence_common.clock import to_instant, to_millis

_UNREAD_NAMED_MAX = 10


class Accounts:
    """Counts instances by account and region. `accounts` are the allowed ones."""

    def __init__(self, *, database: Database, accounts: Sequence[str], listening: Listening) -> None:
        self._database = database
        self._accounts = accounts
        self._listening = listening

    async def all(self) -> list[dict[str, object]]:
        """Return for each account and region how many instances run by the last listing, and how many are heard."""
        counts, tasks, tallies, unread_rows, listings = await self._database.fetch_all(
            together(
                PRESENCE_COUNTS.bind(self._bounds()),
                TASKS_OF_KIND.bind({"kind": INVENTORY_KIND}),
                TALLIES.bind({}),
                INVENTORY_UNREAD.bind({"most": _UNREAD_NAMED_MAX}),
                LISTINGS.bind({}),
            )
        )
        present, unread = account_rows.presence(counts, listings), account_rows.unread(unread_rows)
        asked, spoken = account_rows.asked(tasks), account_rows.instances_ever(tallies)
        places = sorted({*present, *unread, *asked})
        return [
            {
                "account_id": account,
                "instances_ever": spoken.get(account, 0),
                "regions": [
                    {
                        "region": place[1],
                        **present.get(place, account_rows.no_presence()),
                        "asked": asked.get(place, ""),
                        "user_data_unread": unread.get(place, {"count": 0, "instances": []}),
                    }
                    for place in places
                    if place[0] == account
                ],
            }
            for account in sorted({*self._accounts, *spoken, *(place[0] for place in places)})
        ]

    async def silent(self, account_id: str, *, after: str, limit: int) -> tuple[list[dict[str, object]], str | None]:
        """Return instances that run, or may run, but are not heard, and the cursor of the next page."""
        rows = await self._database.fetch(
            INVENTORY_SILENT.bind({"account_id": account_id, **self._bounds(), "after": after, "limit": limit + 1})
        )
        found = list(map(account_rows.silent, rows))
        following = str(found[limit - 1]["instance_id"]) if len(found) > limit else None
        return found[:limit], following

    def _bounds(self) -> PresenceCountsParameters:
        since = self._listening.silent_before
        return {"silent_before": to_millis(since), "awaited_since": to_instant(since)}
