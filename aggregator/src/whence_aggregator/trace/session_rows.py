"""The calls that made the keys of sessions in which instances were started: one round trip, none without a session."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import msgspec

from whence_aggregator.ports import Database
from whence_aggregator.queries.query import array
from whence_aggregator.queries.trace import ROLE_SESSIONS_OF, RoleSessionsOfRow
from whence_aggregator.trace.behind import STEPS_MAX, TakenRole
from whence_aggregator.trace.facts import Facts
from whence_aggregator.trace.moment import Moment
from whence_common.clock import from_millis

FOUND_MAX = 20_000
"""For a page of instances, each with its chain."""


async def with_sessions(gathered: dict[str, Facts], database: Database, moment: Moment) -> dict[str, Facts]:
    """Return the facts with the calls behind the sessions that started instances."""
    starts = [one.start.doer for one in gathered.values() if one.start is not None]
    keys = sorted({str(doer["access_key"]) for doer in starts if doer.get("access_key")})
    if not keys:
        return gathered
    rows = await database.fetch(
        ROLE_SESSIONS_OF.bind(
            {
                "keys": array(keys), "known_past": moment.known_past, "depth_max": 2 * STEPS_MAX, "limit": FOUND_MAX,
            }
        )
    )  # fmt: skip
    found = list(map(_session, rows))
    return {
        name: replace(facts, start=replace(facts.start, sessions=found)) if facts.start is not None else facts
        for name, facts in gathered.items()
    }


def _session(row: RoleSessionsOfRow) -> TakenRole:
    doer: Mapping[str, Any] = msgspec.json.decode(row["doer"], type=dict[str, Any])
    return TakenRole(
        ledger_index=row["ledger_index"], event_id=row["event_id"], account_id=row["account_id"],
        access_key=row["access_key"], shared_id=row["shared_id"], role=row["role"], at=from_millis(row["event_at"]),
        doer=doer,
    )  # fmt: skip
