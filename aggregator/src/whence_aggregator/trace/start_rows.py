"""Rows of the events that started instances, as values. Pure."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from whence_aggregator.queries.query import EVERY_ENTRY, BoundQuery, array
from whence_aggregator.queries.trace import STARTS_OF, StartsOfRow
from whence_aggregator.trace.moment import Moment
from whence_aggregator.trace.start_event import StartEvent
from whence_aggregator.trace.stored_statement import StoredStatement
from whence_common.clock import from_millis


def starts(statements: Sequence[StoredStatement], moment: Moment) -> BoundQuery[StartsOfRow]:
    """Return the question by which event the instances of statements were started."""
    return STARTS_OF.bind(
        {
            "instance_ids": array(sorted({one.instance_id for one in statements})),
            "past": moment.past,
            "known_past": moment.known_past,
            "at": EVERY_ENTRY if moment.is_now else moment.at_millis,
        }
    )


def start_events(rows: Sequence[StartsOfRow], moment: Moment) -> dict[str, StartEvent]:
    """Return the newest start of each instance, by its id."""
    return {
        row["instance_id"]: StartEvent(
            ledger_index=row["ledger_index"],
            event_id=row["event_id"],
            account_id=row["account_id"],
            region=row["region"],
            name=row["name"],
            at=from_millis(row["event_at"]),
            doer=msgspec.json.decode(row["doer"]),
            later=row["ledger_index"] >= moment.past,
        )
        for row in rows
    }
