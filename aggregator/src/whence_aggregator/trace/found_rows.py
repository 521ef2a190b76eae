"""Rows of the search for instances, and the queries that return them. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypedDict

import msgspec

from whence_aggregator.queries.query import BoundQueries, BoundQuery, together
from whence_aggregator.queries.trace import (
    INSTANCES_AT,
    INSTANCES_LATER,
    INSTANCES_NOW,
    INSTANCES_STATE,
    INSTANCES_WITH_FACETS_AT,
    INSTANCES_WITH_FACETS_LATER,
    INSTANCES_WITH_FACETS_NOW,
    INSTANCES_WITH_FACETS_STATE,
    ApprovedByRow,
    CommitsInRangesRow,
    CommitsInRangesWithWordRow,
    FacetsNumberedRow,
    ImagesContainingRow,
    ImagesOfCommitRow,
    InstancesAtParameters,
    InstancesAtRow,
    InstancesLaterParameters,
    InstancesNowParameters,
    InstancesNowRow,
    InstancesStateParameters,
    LastRanRow,
    PushedByRow,
    RangesWaitingRow,
)
from whence_aggregator.trace.moment import Moment
from whence_aggregator.trace.named_by import Deeds
from whence_aggregator.trace.state import States
from whence_common.clock import from_millis

Facets = Mapping[str, str | None]
"""The shown columns of a combination."""


class InstancePage(TypedDict):
    """The parameters of a page of instances that do not depend on the moment."""

    after: int
    cause: str | None
    first: int
    before: int
    ami: str | None
    limit: int


class _Numbered(TypedDict):
    number: int


class _Valued(TypedDict):
    value: str


def values(rows: Sequence[_Valued]) -> list[str]:
    """Return the values of rows that have nothing else."""
    return [row["value"] for row in rows]


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """An instance of a list, without its facets; `shown` is the rest. A Struct for speed: a page has up to 500."""

    number: int
    facets: int
    instance_id: str
    shown: dict[str, Any]


def ask_now(page: InstancePage, facets: str | None, states: States, silent_before: int) -> BoundQuery[InstancesNowRow]:
    """Return the query for instances as they are now; `facets` is a JSON array of the combinations to match."""
    now: InstancesNowParameters = {**page, "silent_before": silent_before}
    if states.now:
        if facets is None:
            return INSTANCES_NOW.bind(now)
        return INSTANCES_WITH_FACETS_NOW.bind({**now, "facets": facets})
    stated: InstancesStateParameters = {**now, **states.to_query()}
    if facets is None:
        return INSTANCES_STATE.bind(stated)
    return INSTANCES_WITH_FACETS_STATE.bind({**stated, "facets": facets})


def ask_then(
    page: InstancePage, facets: str | None, states: States, moment: Moment
) -> BoundQueries[tuple[Sequence[InstancesAtRow], Sequence[InstancesAtRow]]]:
    """Return the queries for instances with statements recorded by a moment, and with those reported later."""
    at: InstancesAtParameters = {**page, "lives": states.to_query()["lives"], "past": moment.past}
    later: InstancesLaterParameters = {
        **at, "known_past": moment.known_past, "soon_past": moment.soon_past, "at": moment.at_millis,
    }  # fmt: skip
    if facets is None:
        return together(INSTANCES_AT.bind(at), INSTANCES_LATER.bind(later))
    return together(
        INSTANCES_WITH_FACETS_AT.bind({**at, "facets": facets}),
        INSTANCES_WITH_FACETS_LATER.bind({**later, "facets": facets}),
    )


def found_now(row: InstancesNowRow, silent_before: int) -> Found:
    """Return an instance as it is now, with when it was heard last."""
    seen_at, since = row["seen_at"], row["life_since"]
    found = _found(row, late=False)
    found.shown["life_since"] = from_millis(since) if since is not None else None
    found.shown["heard"] = "never" if seen_at is None else "silent" if seen_at < silent_before else "speaking"
    found.shown["seen_at"] = from_millis(seen_at) if seen_at is not None else None
    return found


def found_then(recorded: Sequence[InstancesAtRow], later: Sequence[InstancesAtRow]) -> list[Found]:
    """Return instances as they were at a moment, in the order of the list."""
    found = [_found(row, late=False) for row in recorded] + [_found(row, late=True) for row in later]
    return sorted(found, key=lambda one: one.number)


def _found(row: InstancesAtRow | InstancesNowRow, *, late: bool) -> Found:
    return Found(
        number=row["number"],
        facets=row["facets"],
        instance_id=row["instance_id"],
        shown={
            "instance_id": row["instance_id"],
            "account_id": row["account_id"],
            "region": row["region"],
            "cause": row["cause"],
            "observed_at": from_millis(row["observed_at"]),
            "recorded_at": from_millis(row["recorded_at"]),
            "recorded_by_then": not late,
            "ledger_index": row["ledger_index"],
            "life": row["life"],
        },
    )


def numbers(rows: Sequence[_Numbered]) -> list[int]:
    """Return each combination once, even if several of the images are in it."""
    return list(dict.fromkeys(row["number"] for row in rows))


def digests(rows: Sequence[ImagesOfCommitRow]) -> set[str]:
    """Return the digests of images."""
    return {row["image_digest"] for row in rows}


def deeds(approved: Sequence[ApprovedByRow], pushed: Sequence[PushedByRow]) -> Deeds:
    """Return what a person approved and pushed."""
    return Deeds(
        approved=frozenset((row["application_id"], row["version"]) for row in approved),
        pushed=frozenset(row["digest"] for row in pushed),
    )


def shown_facets(row: FacetsNumberedRow) -> tuple[int, Facets]:
    """Return a combination's number and its shown columns."""
    return row["number"], {
        "application_id": row["application_id"] or None,
        "application_version": row["application_version"] or None,
        "user_data_digest": row["user_data_digest"] or None,
        "image_digest": row["image_digest"] or None,
    }


def commit_ids(rows: Sequence[CommitsInRangesRow] | Sequence[CommitsInRangesWithWordRow]) -> list[str]:
    return [row["commit_id"] for row in rows]


def containing(rows: Sequence[ImagesContainingRow]) -> tuple[tuple[str, ...], dict[str, tuple[str, ...]]]:
    """Return images, and the contained commits by `host/path@commit` of the images."""
    by_tip: dict[str, dict[str, None]] = {}
    for row in rows:
        by_tip.setdefault(f"{row['repository']}@{row['tip']}", {})[row["commit_id"]] = None
    images = dict.fromkeys(row["image_digest"] for row in rows)
    return tuple(images), {tip: tuple(some) for tip, some in by_tip.items()}


def waiting_ranges(rows: Sequence[RangesWaitingRow]) -> int:
    return rows[0]["n"]


def last_ran_at(rows: Sequence[LastRanRow]) -> str | None:
    """Return the last time before a statement was replaced, or when it was recorded."""
    if not rows:
        return None
    recorded_at, replaced_at = rows[0]["recorded_at"], rows[0]["replaced_at"]
    return from_millis(max(recorded_at, (replaced_at or 0) - 1))
