"""Accounts and their silence: how many instances the EC2 API lists, and how many of them are heard of."""

from __future__ import annotations

from collections.abc import Sequence

from aiohttp import web

from whence_aggregator.http.bodies import JsonResponse, respond_json
from whence_aggregator.http.parameters import Query, account_id
from whence_aggregator.ports import Database, Row
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
from whence_aggregator.trace.life import LIVES
from whence_aggregator.trace.listening import Listening
from whence_common.clock import from_millis, to_instant, to_millis

_UNREAD_NAMED_MAX = 10


class AccountCalls:
    """`/v1/accounts`."""

    def __init__(self, *, database: Database, accounts: Sequence[str], listening: Listening) -> None:
        self._database = database
        self._accounts = accounts
        self._listening = listening

    def routes(self) -> list[web.RouteDef]:
        return [web.get("/v1/accounts", self._list), web.get("/v1/accounts/{id}/silent", self._silent)]

    async def _list(self, request: web.Request) -> JsonResponse:
        """Each account and region: how many instances run in the last listing, and how many of those are heard."""
        Query(request)
        counts, tasks, tallies, unread, listings = await self._database.fetch_all(
            together(
                PRESENCE_COUNTS.bind(self._bounds()),
                TASKS_OF_KIND.bind({"kind": "inventory"}),
                TALLIES.bind({}),
                INVENTORY_UNREAD.bind({"most": _UNREAD_NAMED_MAX}),
                LISTINGS.bind({}),
            )
        )
        counted, unread_of = _by_place(counts), _by_place(unread)
        listed = {place: rows[0] for place, rows in _by_place(listings).items()}
        asked = {_place(row["subject"]): row["reason"] for row in tasks}
        spoken = {row["account_id"]: row["n"] for row in tallies if row["subject"] == "instances"}
        places = sorted({*counted, *unread_of, *listed, *asked})
        return respond_json(
            {
                "accounts": [
                    {
                        "account_id": account,
                        "instances_ever": spoken.get(account, 0),
                        "regions": [
                            {
                                "region": place[1],
                                **_presence(counted.get(place, ()), listed.get(place)),
                                "asked": asked.get(place, ""),
                                "user_data_unread": _unread(unread_of.get(place, [])),
                            }
                            for place in places
                            if place[0] == account
                        ],
                    }
                    for account in sorted({*self._accounts, *spoken, *(place[0] for place in places)})
                ]
            }
        )

    def _bounds(self) -> PresenceCountsParameters:
        since = self._listening.silent_before
        return {"silent_before": to_millis(since), "awaited_since": to_instant(since)}

    async def _silent(self, request: web.Request) -> JsonResponse:
        """Instances that run, or may run, and that never spoke or have stopped speaking."""
        query = Query(request, "limit", "cursor")
        limit = query.limit()
        rows = await self._database.fetch(
            INVENTORY_SILENT.bind(
                {
                    "account_id": account_id(request.match_info["id"]),
                    **self._bounds(),
                    "after": query.text("cursor") or "",
                    "limit": limit + 1,
                }
            )
        )
        silent = [
            {
                "instance_id": row["instance_id"],
                "region": row["region"],
                "life": row["life"],
                "heard": "silent" if row["seen_at"] is not None else "never",
                "launched_at": row["launched_at"] or None,
                "last_seen": from_millis(row["seen_at"]) if row["seen_at"] is not None else None,
                "ever_spoke": row["spoke"] is not None and row["spoke"] >= 0,
            }
            for row in rows[:limit]
        ]
        return respond_json({"silent": silent, "next": rows[limit - 1]["instance_id"] if len(rows) > limit else None})


def _place(subject: str) -> tuple[str, str]:
    account, _, region = subject.partition("/")
    return account, region


def _by_place(rows: Sequence[Row]) -> dict[tuple[str, str], list[Row]]:
    found: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        found.setdefault((row["account_id"], row["region"]), []).append(row)
    return found


def _presence(rows: Sequence[Row], listing: Row | None) -> dict[str, object]:
    """Return the counts of one region, with the time of the listing that they rest on.

    `running` is the denominator; None where no listing was ever complete: it is not known.
    Those not heard are `silent` (no longer heard), `never` (never heard) or `awaited` (launched too recently to tell).
    `unknown` counts instances without a listed state: `speaking` ones run, of the silent ones it is not known.
    """
    complete = listing is not None and listing["listed_at"] is not None
    n = {(row["life"], row["heard"]): int(row["n"]) for row in rows}
    running = {heard: n.get(("running", heard), 0) for heard in ("speaking", "silent", "never", "awaited")}
    lives = {life: sum(count for (one, _), count in n.items() if one == life) for life in LIVES if life != "terminated"}
    unknown = {heard: n.get(("unknown", heard), 0) for heard in ("speaking", "silent", "never")}
    return {
        "listed_at": from_millis(listing["listed_at"]) if complete and listing is not None else None,
        "running": sum(running.values()) if complete else None,
        "failure": _failure(listing),
        **running,
        "life": lives,
        "unknown": unknown,
    }


def _failure(listing: Row | None) -> dict[str, object] | None:
    """Return when and why the newest attempt to list failed; None when it did not."""
    if listing is None or listing["failed_at"] is None:
        return None
    return {"at": from_millis(listing["failed_at"]), "reason": listing["failure"]}


def _unread(rows: Sequence[Row]) -> dict[str, object]:
    """Return how many instances' user data could not be read in the EC2 API, with the first of them and the reasons."""
    named = [{"instance_id": row["instance_id"], "reason": row["reason"]} for row in rows]
    return {"count": rows[0]["n"] if rows else 0, "instances": named}
