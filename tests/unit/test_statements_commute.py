"""Statements commute: told in any order, repeated and delayed, they are projected to the same state."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fakes.machine import DIGEST, REPOSITORY, Machine
from fakes.signing_authority import SigningAuthority
from landscape.endurance import repeated
from whence_aggregator.ports import R, T
from whence_aggregator.projections.rows import known_instance
from whence_aggregator.projections.stated import AppendedStatement, Stated
from whence_aggregator.projections.statements import Combinations, project_statements
from whence_aggregator.queries.agents import InstancesNamedRow
from whence_aggregator.queries.query import BoundCommand, BoundQueries, BoundQuery
from whence_common.statement import ApplicationFacts, ImageFacts

STATEMENTS = st.lists(
    st.tuples(st.integers(0, 2), st.integers(0, 59), st.sampled_from(["boot", "change", "stop", "failed"]), st.integers(1, 3)),
    min_size=2, max_size=8,
)  # fmt: skip
_NAMES = [f"i-{number:017x}" for number in range(3)]
_UNSIGNED = [Machine(SigningAuthority.make(), name) for name in _NAMES]


def running(version: str, digest: str = DIGEST) -> dict[str, object]:
    return {
        "application": ApplicationFacts(id="greeter", version=version),
        "image": ImageFacts(source=f"{REPOSITORY}@{digest}", repository=REPOSITORY, digest=digest),
        "containers": [],
    }


def at(minute: int) -> str:
    return f"2026-11-22T12:{minute:02d}:00.000Z"


@given(said=STATEMENTS, seed=st.integers(0, 2**32))
@pytest.mark.endurance
@settings(max_examples=repeated(sample=200, whole=1000), deadline=None)
def test_shuffled_repeated_and_delayed_statements_result_in_the_same_state(
    said: list[tuple[int, int, str, int]], seed: int
) -> None:
    """A thousand fleets of three, told in order and told in disorder, by what is projected."""
    asyncio.run(_commutes(said, random.Random(seed)))


async def _commutes(said: list[tuple[int, int, str, int]], chance: random.Random) -> None:
    predicates = []
    sequences = [0, 0, 0]
    for instance, minute, cause, version_ in said:
        sequences[instance] += 1
        machine = _UNSIGNED[instance]
        machine.sequence = sequences[instance]
        predicates.append(machine.predicate(cause=cause, observed_at=at(minute), **running(str(version_))))
    told = [Stated.of(one) for one in predicates]
    owners = [one.instance.instance_id for one in predicates]
    ordered = await _projected(list(zip(owners, told, strict=True)), chance, shuffled=False)
    assert await _projected(list(zip(owners, told, strict=True)), chance, shuffled=True) == ordered


async def _projected(told: list[tuple[str, Stated]], chance: random.Random, *, shuffled: bool) -> object:
    """Project statements in batches of any size; give what the instances' rows would be, and their histories."""
    order = list(enumerate(told, 10))
    if shuffled:
        chance.shuffle(order)
    rows: dict[str, dict[str, Any]] = {
        name: {"number": number, "instance_id": name, "account_id": "a", "region": "r", "enrolment": 0, "sequence": 0, "cause": "",
               "facets": 0, "base": -1, "first_index": -1, "earliest": 0, "late_millis": 0, "listed": "", "asked_at": 0, "spoke_at": 0,
               "life": "unknown", "life_index": -1}
        for number, name in enumerate(_NAMES, 1)
    }  # fmt: skip
    combinations, book, history = Combinations(), _Book(), []
    while order:
        size = chance.randint(1, 4) if shuffled else len(order)
        batch, order = order[:size], order[size:]
        known = {name: known_instance(cast(InstancesNamedRow, row)) for name, row in rows.items()}
        new = [
            AppendedStatement(ledger_index=0, instance_id=name, enrolment=1, stated=stated)
            for _, (name, stated) in batch
        ]
        for query, written in await project_statements(book, new, known, combinations, 0):
            for row in written:
                if query == "move_instance":
                    rows[str(row["instance_id"])].update(row)
                elif query == "add_statement":
                    history.append((row["instance"], row["sequence"], row["observed_at"], row["cause"]))
                elif query == "add_facets":
                    book.add(row)
    states = [
        (
            row["enrolment"],
            row["sequence"],
            row.get("observed_at"),
            row.get("cause"),
            row["life"],
            book.values.get(int(str(row["facets"]))),
        )
        for row in rows.values()
    ]
    return states, sorted(history)


class _Book:
    """The one table that projecting reads: combinations by number."""

    def __init__(self) -> None:
        self.values: dict[int, tuple[object, ...]] = {}

    def add(self, row: object) -> None:
        assert isinstance(row, dict)
        self.values[row["number"]] = tuple(value for name, value in row.items() if name != "number")

    async def fetch(self, asked: BoundQuery[R]) -> Sequence[R]:
        raise AssertionError(asked)

    async def fetch_all(self, asked: BoundQueries[T]) -> T:
        assert asked.queries[-1].name == "last_facets"
        none: list[Sequence[object]] = [[] for _ in asked.queries[:-1]]
        return cast(T, (*none, [{"number": max(self.values, default=0)}]))

    async def execute(self, *writes: BoundCommand) -> None: ...

    async def finish(self, *writes: BoundCommand) -> None: ...
