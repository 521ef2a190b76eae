"""Rows about accounts and the silence of their instances, as `/v1/accounts` shows them. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypedDict, TypeVar

from whence_aggregator.queries.collect import InventorySilentRow, InventoryUnreadRow, ListingsRow, PresenceCountsRow
from whence_aggregator.queries.compliance import TalliesRow
from whence_aggregator.queries.work import TasksOfKindRow
from whence_aggregator.trace.life import LIVES
from whence_common.clock import from_millis

Region = tuple[str, str]
"""(account id, region)."""


class _InRegion(TypedDict):
    account_id: str
    region: str


X = TypeVar("X", bound=Mapping[str, Any])


def presence(rows: Sequence[PresenceCountsRow], listings: Sequence[ListingsRow]) -> dict[Region, dict[str, object]]:
    """Return the counts of each region that is listed or has instances, with the time of its listing."""
    counted, listed = _by_region(rows), {_region(row): row for row in listings}
    return {place: _presence(counted.get(place, ()), listed.get(place)) for place in {*counted, *listed}}


def presence_total(rows: Sequence[PresenceCountsRow], listings: Sequence[ListingsRow]) -> dict[str, object]:
    """Return the sums over all regions. `listed` counts instances that run, in regions with a complete listing."""
    listed = {_region(row) for row in listings if row["listed_at"] is not None}
    running = dict.fromkeys(("speaking", "silent", "never", "awaited"), 0)
    unknown = dict.fromkeys(("speaking", "silent", "never"), 0)
    for row in rows:
        if row["life"] == "running" and _region(row) in listed:
            running[row["heard"]] += row["n"]
        elif row["life"] in ("running", "unknown"):
            unknown["never" if row["heard"] == "awaited" else row["heard"]] += row["n"]
    times = [row["listed_at"] for row in listings if row["listed_at"] is not None]
    return {
        "listed": sum(running.values()), **running, "unknown": unknown,
        "oldest_listed_at": from_millis(min(times)) if times else None,
    }  # fmt: skip


def no_presence() -> dict[str, object]:
    """Return the counts of a region without a listing and without instances."""
    return _presence((), None)


def _presence(rows: Sequence[PresenceCountsRow], listing: ListingsRow | None) -> dict[str, object]:
    """Return the counts of one region, with the time of its listing.

    `running` is the denominator; None, not known, until a listing was complete.
    Instances not heard are `silent` (no longer heard), `never` (never heard) or `awaited` (launched too recently).
    `unknown` counts instances without a listed state: the speaking ones run, the silent ones may run.
    """
    listed_at = listing["listed_at"] if listing is not None else None
    n = {(row["life"], row["heard"]): row["n"] for row in rows}
    running = {heard: n.get(("running", heard), 0) for heard in ("speaking", "silent", "never", "awaited")}
    lives = {life: sum(count for (one, _), count in n.items() if one == life) for life in LIVES if life != "terminated"}
    unknown = {heard: n.get(("unknown", heard), 0) for heard in ("speaking", "silent", "never")}
    return {
        "listed_at": from_millis(listed_at) if listed_at is not None else None,
        "running": sum(running.values()) if listed_at is not None else None,
        "failure": _failure(listing),
        **running,
        "life": lives,
        "unknown": unknown,
    }


def _failure(listing: ListingsRow | None) -> dict[str, object] | None:
    """Return when and why the newest attempt to list failed; None when it succeeded."""
    if listing is None or listing["failed_at"] is None:
        return None
    return {"at": from_millis(listing["failed_at"]), "reason": listing["failure"]}


def unread(rows: Sequence[InventoryUnreadRow]) -> dict[Region, dict[str, object]]:
    """Return the number of instances with unreadable user data in the EC2 API, with the first ones and the reasons."""
    return {
        place: {
            "count": some[0]["n"],
            "instances": [{"instance_id": row["instance_id"], "reason": row["reason"]} for row in some],
        }
        for place, some in _by_region(rows).items()
    }


def asked(rows: Sequence[TasksOfKindRow]) -> dict[Region, str]:
    """Return the result of the last listing of each region."""
    found = {}
    for row in rows:
        account, _, region = row["subject"].partition("/")
        found[account, region] = row["reason"]
    return found


def instances_ever(rows: Sequence[TalliesRow]) -> dict[str, int]:
    """Return the number of instances with statements, by account."""
    return {row["account_id"]: row["n"] for row in rows if row["subject"] == "instances"}


def silent(row: InventorySilentRow) -> dict[str, object]:
    """Return an instance that runs, or may run, but is not heard."""
    seen_at = row["seen_at"]
    return {
        "instance_id": row["instance_id"],
        "region": row["region"],
        "life": row["life"],
        "heard": "silent" if seen_at is not None else "never",
        "launched_at": row["launched_at"] or None,
        "last_seen": from_millis(seen_at) if seen_at is not None else None,
        "ever_spoke": row["spoke"] >= 0,
    }


def _region(row: _InRegion) -> Region:
    return row["account_id"], row["region"]


def _by_region(rows: Sequence[X]) -> dict[Region, list[X]]:
    found: dict[Region, list[X]] = {}
    for row in rows:
        found.setdefault((row["account_id"], row["region"]), []).append(row)
    return found
