"""Accounts and their silence: how many instances the EC2 API lists, and how many of them are heard of."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from aiohttp import web

from whence_aggregator.http.bodies import Answer, respond_json
from whence_aggregator.http.parameters import Query, account_id
from whence_aggregator.ports import Database, Row
from whence_common.clock import Now, from_millis, to_instant, to_millis

_UNREAD_NAMED_MAX = 10


class AccountCalls:
    """`/v1/accounts`."""

    def __init__(self, *, database: Database, accounts: Sequence[str], silent_after_seconds: float, now: Now) -> None:
        self._database = database
        self._accounts = accounts
        self._silent_after = timedelta(seconds=silent_after_seconds)
        self._now = now

    def routes(self) -> list[web.RouteDef]:
        return [web.get("/v1/accounts", self._list), web.get("/v1/accounts/{id}/silent", self._silent)]

    async def _list(self, request: web.Request) -> Answer:
        """Each account and region: `listed` is the denominator; who is not `speaking` is silent."""
        Query(request)
        until = to_millis(self._now() - self._silent_after)
        rows, tasks, tallies, unread = await self._database.fetch_all(
            [
                ("inventory_counts", {"until": until}),
                ("tasks_of_kind", {"kind": "inventory"}),
                ("tallies", {}),
                ("inventory_unread", {"most": _UNREAD_NAMED_MAX}),
            ]
        )
        counted = {(row["account_id"], row["region"]): row for row in rows}
        asked = {tuple(row["subject"].split("/", 1)): row for row in tasks}
        unread_of: dict[tuple[str, str], list[Row]] = {}
        for row in unread:
            unread_of.setdefault((row["account_id"], row["region"]), []).append(row)
        spoken = {row["account_id"]: row["n"] for row in tallies if row["subject"] == "instances"}
        return respond_json(
            {
                "accounts": [
                    {
                        "account_id": account,
                        "instances_ever": spoken.get(account, 0),
                        "regions": [
                            {
                                **_region(place[1], counted.get(place), row["reason"] if row is not None else ""),
                                "user_data_unread": _unread(unread_of.get(place, [])),
                            }
                            for place, row in sorted(
                                {**dict.fromkeys(counted), **dict.fromkeys(unread_of), **asked}.items(),
                                key=lambda item: item[0],
                            )
                            if place[0] == account
                        ],
                    }
                    for account in sorted({*self._accounts, *spoken})
                ]
            }
        )

    async def _silent(self, request: web.Request) -> Answer:
        """Instances that run as the EC2 API says, and that never spoke or have stopped speaking."""
        query = Query(request, "limit", "cursor")
        limit, now = query.limit(), self._now()
        rows = await self._database.fetch(
            "inventory_silent",
            {
                "account_id": account_id(request.match_info["id"]),
                "until": to_millis(now - self._silent_after),
                "launched_before": to_instant(now - self._silent_after),
                "after": query.text("cursor") or "",
                "limit": limit + 1,
            },
        )
        silent = [
            {
                "instance_id": row["instance_id"],
                "region": row["region"],
                "launched_at": row["launched_at"],
                "last_seen": from_millis(row["seen_at"]) if row["seen_at"] is not None else None,
                "ever_spoke": row["spoke"] is not None and row["spoke"] >= 0,
            }
            for row in rows[:limit]
        ]
        return respond_json({"silent": silent, "next": rows[limit - 1]["instance_id"] if len(rows) > limit else None})


def _region(region: str, row: object, said: str) -> dict[str, object]:
    names = ("listed", "enrolled", "spoken", "speaking")
    counts = {name: int(row[name] or 0) if row is not None else 0 for name in names}  # type: ignore[index]  # a row
    return {"region": region, **counts, "silent": counts["listed"] - counts["speaking"], "asked": said}


def _unread(rows: Sequence[Row]) -> dict[str, object]:
    """Return how many instances' user data could not be read in the EC2 API, with the first of them and the reasons."""
    named = [{"instance_id": row["instance_id"], "reason": row["reason"]} for row in rows]
    return {"count": rows[0]["n"] if rows else 0, "instances": named}
