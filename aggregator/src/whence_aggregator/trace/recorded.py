"""Reads what the database has recorded about instances by, and about, a moment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from whence_aggregator.ledger.rows import PackedEntry
from whence_aggregator.ports import Database
from whence_aggregator.queries.agents import ENROLMENTS_OF
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
    StatementsAtParameters,
    StatementsLaterParameters,
)
from whence_aggregator.trace.facts import InventoryFacts
from whence_aggregator.trace.moment import Moment
from whence_aggregator.trace.rows import (
    HeardFacts,
    LateStatements,
    LifeFacts,
    enrolment,
    heard_facts,
    inventory,
    late_statements,
    lives,
    statement_record,
)
from whence_aggregator.trace.stored_statement import Binding, StatementRecord, StoredStatement

LATER_MAX = 5
"""The number of later reported statements that are shown of an instance; all are counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """The recorded rows of instances. `heard` is known only of the present."""

    statements: Sequence[StatementRecord]
    enrolments: Sequence[tuple[str, PackedEntry]]
    """Each with the id of its instance, in the order of bindings."""
    lives: Mapping[str, LifeFacts]
    """With the time of the last listing, from the same row: a life is never older than the listing it is judged by."""
    listed: Mapping[str, InventoryFacts]
    heard: Mapping[str, HeardFacts] = field(default_factory=dict)
    later: Mapping[str, LateStatements] = field(default_factory=dict)

    def inventory_of(self, name: str) -> InventoryFacts:
        """Return an instance as the EC2 API lists it."""
        found = self.listed.get(name)
        life = self.lives.get(name, LifeFacts())
        return found or InventoryFacts(listed_at=life.listed_at, unread=life.unread)


async def read_recorded(database: Database, names: Sequence[str], moment: Moment, *, brief: bool) -> Recorded:
    """Return the statements, bindings, lives and listings of instances by and about a moment. `brief`: they are few."""
    named = instance_ids(names)
    if moment.is_now:
        now = together(
            STATEMENTS_NOW.bind(named), ENROLMENTS_OF.bind(named), SEEN.bind(named), INVENTORY_OF.bind(named),
            LIVES_OF.bind(named),
        )  # fmt: skip
        statements, enrolments, seen, listed, alive = await database.fetch_all(now, brief=brief)
        known = lives(alive)
        return Recorded(
            statements=list(map(statement_record, statements)),
            enrolments=list(map(enrolment, enrolments)),
            lives=known,
            listed=inventory(listed, known),
            heard=heard_facts(seen),
        )
    past: StatementsAtParameters = {**named, "past": moment.past}
    bounds: StatementsLaterParameters = {
        **past, "known_past": moment.known_past, "at": moment.at_millis, "limit": LATER_MAX,
    }  # fmt: skip
    then = together(
        STATEMENTS_AT.bind(past), ENROLMENTS_OF.bind(named), INVENTORY_AT.bind(past), LIVES_AT.bind(past),
        STATEMENTS_LATER.bind(bounds),
    )  # fmt: skip
    recorded, enrolments, listed_then, alive_then, later = await database.fetch_all(then, brief=brief)
    known = lives(alive_then)
    return Recorded(
        statements=list(map(statement_record, recorded)),
        enrolments=list(map(enrolment, enrolments)),
        lives=known,
        listed=inventory(listed_then, known),
        later=late_statements(later),
    )


def counts(binding: Binding, statement: StoredStatement, moment: Moment) -> bool:
    """Return whether a binding was recorded by the moment, or signed a statement that was reported later."""
    return binding.ledger_index < moment.past or binding.number == statement.enrolment
