"""What is asked of the database about instances by and about a moment, and what of the answers counts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from whence_aggregator.ports import Database
from whence_aggregator.queries.agents import ENROLMENTS_OF, EnrolmentsOfRow
from whence_aggregator.queries.query import instance_ids, together
from whence_aggregator.queries.trace import (
    INVENTORY_AT,
    INVENTORY_OF,
    LIVES_AT,
    LIVES_OF,
    SEEN,
    STATEMENTS_AT,
    STATEMENTS_LATER,
    STATEMENTS_NOW,
    InventoryOfRow,
    LivesOfRow,
    SeenRow,
    StatementsAtParameters,
    StatementsLaterParameters,
    StatementsLaterRow,
    StatementsNowRow,
)
from whence_aggregator.trace.facts import Binding, StoredStatement
from whence_aggregator.trace.moment import Moment

LATER_MAX = 5
"""So many statements that were reported later are shown of an instance; all are counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """Rows about instances. The time of the last listing comes in one row with the life, so that no life is older than
    the listing that it is judged by. When agents were heard is known of the present only."""

    statements: Sequence[StatementsNowRow]
    enrolments: Sequence[EnrolmentsOfRow]
    seen: Sequence[SeenRow] = ()
    listed: Sequence[InventoryOfRow]
    lives: Sequence[LivesOfRow]
    later: Sequence[StatementsLaterRow] = ()
    """Statements that were reported later."""


async def read_recorded(database: Database, names: Sequence[str], moment: Moment, *, brief: bool) -> Recorded:
    """Read the statements of instances by and about a moment, and what surrounds them. `brief`: they are few."""
    named = instance_ids(names)
    if moment.is_now:
        now = together(
            STATEMENTS_NOW.bind(named), ENROLMENTS_OF.bind(named), SEEN.bind(named), INVENTORY_OF.bind(named),
            LIVES_OF.bind(named),
        )  # fmt: skip
        statements, enrolments, seen, listed, lives = await database.fetch_all(now, brief=brief)
        return Recorded(statements=statements, enrolments=enrolments, seen=seen, listed=listed, lives=lives)
    past: StatementsAtParameters = {**named, "past": moment.past}
    bounds: StatementsLaterParameters = {
        **past, "known_past": moment.known_past, "at": moment.at_millis, "limit": LATER_MAX,
    }  # fmt: skip
    then = together(
        STATEMENTS_AT.bind(past), ENROLMENTS_OF.bind(named), INVENTORY_AT.bind(past), LIVES_AT.bind(past),
        STATEMENTS_LATER.bind(bounds),
    )  # fmt: skip
    statements_then, enrolments, listed_then, lives_then, later = await database.fetch_all(then, brief=brief)
    return Recorded(
        statements=statements_then, enrolments=enrolments, listed=listed_then, lives=lives_then, later=later
    )


def by_instance(rows: Sequence[StatementsLaterRow]) -> dict[str, list[StatementsLaterRow]]:
    found: dict[str, list[StatementsLaterRow]] = {}
    for row in rows:
        found.setdefault(row["instance_id"], []).append(row)
    return found


def counts(binding: Binding, statement: StoredStatement, moment: Moment) -> bool:
    """Return whether a binding was recorded by then, or is the one that signed what was reported later."""
    return binding.ledger_index < moment.past or binding.number == statement.enrolment
