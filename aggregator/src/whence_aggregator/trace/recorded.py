"""What is asked of the database about instances by and about a moment, and what of the answers counts."""

from __future__ import annotations

from collections.abc import Sequence

from whence_aggregator.ports import Asked, Parameters, Row
from whence_aggregator.trace.facts import Binding, StoredStatement
from whence_aggregator.trace.moment import Moment

LATER_MAX = 5
"""So many statements that were reported later are shown of an instance; all are counted."""


def questions_about(names: Parameters, moment: Moment) -> list[Asked]:
    """Ask for the statements of instances by and about a moment, and for what surrounds them.

    Lists: statements, enrolments, last seen, inventory, lives, and statements that were reported later. The time of the
    last listing comes in one row with the life, so that no life is older than the listing that it is judged by.
    """
    nothing = {"instance_ids": "[]"}
    past = {**names, "past": moment.past}
    if moment.is_now:
        return [
            ("statements_now", names), ("enrolments_of", names), ("seen", names), ("inventory_of", names),
            ("lives_of", names), ("seen", nothing),
        ]  # fmt: skip
    bounds = {"past": moment.past, "known_past": moment.known_past, "at": moment.at_millis}
    return [
        ("statements_at", past), ("enrolments_of", names), ("seen", nothing), ("inventory_at", past),
        ("lives_at", past), ("statements_later", {**names, **bounds, "limit": LATER_MAX}),
    ]  # fmt: skip


def by_instance(rows: Sequence[Row]) -> dict[str, list[Row]]:
    found: dict[str, list[Row]] = {}
    for row in rows:
        found.setdefault(row["instance_id"], []).append(row)
    return found


def counts(binding: Binding, statement: StoredStatement, moment: Moment) -> bool:
    """Return whether a binding was recorded by then, or is the one that signed what was reported later."""
    return binding.ledger_index < moment.past or binding.number == statement.enrolment
