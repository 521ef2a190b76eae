"""Two replicas on one database: what one knows from before, the other may have moved since."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest

from fakes.in_process import InProcess
from fakes.machine import FAILED, Machine
from fakes.signing_authority import SigningAuthority
from whence_aggregator.ports import Database, R, StorageUnavailable, T, Transaction
from whence_aggregator.queries.query import BoundCommand, BoundQueries, BoundQuery
from whence_aggregator.queries.trace import STATEMENTS_NOW
from whence_common.errors import WhenceError


class Watched:
    """A database that counts what is read inside of transactions, and whose next commit may fail."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.write = database.write
        self.write_returning = database.write_returning
        self.fetch = database.fetch
        self.fetch_all = database.fetch_all
        self.read: list[str] = []
        self.failing = False

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Transaction]:
        async with self._database.transaction() as transaction:
            yield _WatchedTransaction(self, transaction)


class _WatchedTransaction:
    def __init__(self, watched: Watched, transaction: Transaction) -> None:
        self._watched = watched
        self._transaction = transaction
        self.execute = transaction.execute

    async def fetch(self, asked: BoundQuery[R]) -> Sequence[R]:
        self._watched.read.append(asked.name)
        return await self._transaction.fetch(asked)

    async def fetch_all(self, asked: BoundQueries[T]) -> T:
        self._watched.read += [one.name for one in asked.queries]
        return await self._transaction.fetch_all(asked)

    async def finish(self, *writes: BoundCommand) -> None:
        if self._watched.failing:
            self._watched.failing = False
            raise StorageUnavailable("storage-full", "the disk is full")
        await self._transaction.finish(*writes)


@pytest.fixture
def watched(database: Database) -> Watched:
    return Watched(database)


@pytest.fixture
async def one(watched: Watched, authority: SigningAuthority) -> AsyncIterator[InProcess]:
    async with InProcess(watched, authority).running() as running:
        yield running


@pytest.fixture
async def other(one: InProcess, database: Database, authority: SigningAuthority) -> AsyncIterator[InProcess]:
    async with InProcess(database, authority).running() as running:
        yield running


async def sequence(house: InProcess, instance_id: str) -> int:
    (row,) = await house.database.fetch(STATEMENTS_NOW.bind({"instance_ids": f'["{instance_id}"]'}))
    return int(row["sequence"])


async def overtaken(one: InProcess, other: InProcess) -> tuple[Machine, bytes]:
    """Give a machine that both know, and a statement that is older than the newest, which only the other has."""
    machine = await one.machine()
    await one.say(machine)
    older, newer = machine.statement(), machine.statement(**FAILED)
    await other.ingest.accept(newer)
    return machine, older


async def test_an_instance_that_spoke_before_is_not_read_again(one: InProcess, watched: Watched) -> None:
    machine = await one.machine()
    await one.say(machine)
    watched.read.clear()
    for _ in range(3):
        await one.say(machine)
    assert watched.read == []
    assert await sequence(one, machine.instance_id) == 4


async def test_what_other_entries_this_replica_appends_does_not_matter(one: InProcess, watched: Watched) -> None:
    machine = await one.machine()
    await one.say(machine)
    await one.machine("i-00000000000000009")
    await one.work()
    watched.read.clear()
    await one.say(machine)
    assert watched.read == []


async def test_after_the_other_replica_appended_everything_is_read_again(
    one: InProcess, other: InProcess, watched: Watched
) -> None:
    machine = await one.machine()
    await one.say(machine)
    await other.say(machine)
    watched.read.clear()
    accepted = await one.say(machine)
    assert "instances_named" in watched.read
    assert not accepted.replayed
    assert await sequence(one, machine.instance_id) == 3
    assert len(await one.entries("statement")) == 3


async def test_what_the_other_replica_accepted_is_a_replay_here(one: InProcess, other: InProcess) -> None:
    machine = await one.machine()
    await one.say(machine)
    content = machine.statement()
    first = await other.ingest.accept(content)
    again = await one.ingest.accept(content)
    assert (again.ledger_index, again.replayed) == (first.ledger_index, True)


async def test_a_sequence_that_the_other_replica_took_is_refused_here(one: InProcess, other: InProcess) -> None:
    machine = await one.machine()
    await one.say(machine)
    await other.say(machine)
    machine.sequence -= 1
    with pytest.raises(WhenceError) as caught:
        await one.say(machine, cause="change")
    assert caught.value.code == "sequence-conflict"


async def test_an_older_statement_does_not_move_what_the_other_replica_moved_further(
    one: InProcess, other: InProcess
) -> None:
    machine, older = await overtaken(one, other)
    await one.ingest.accept(older)
    assert await sequence(one, machine.instance_id) == 3
    assert await one.state("image") == "missing"


async def test_what_is_known_of_instances_is_as_old_as_what_is_known_of_the_log(
    one: InProcess, other: InProcess
) -> None:
    machine, older = await overtaken(one, other)
    await one.machine("i-00000000000000009")  # reads the log, which the other moved, and nothing of that instance
    await one.ingest.accept(older)
    assert await sequence(one, machine.instance_id) == 3


async def test_a_commit_that_fails_leaves_nothing_that_is_taken_for_known(one: InProcess, watched: Watched) -> None:
    machine = await one.machine()
    await one.say(machine)
    content = machine.statement()
    watched.failing = True
    with pytest.raises(WhenceError):
        await one.ingest.accept(content)
    accepted = await one.ingest.accept(content)
    assert not accepted.replayed
    assert [entry.kind for entry in await one.entries()].count("statement") == 2


@pytest.mark.parametrize("seed", range(3))
async def test_concurrent_deliveries_to_both_result_in_one_log_and_the_newest_state(
    one: InProcess, other: InProcess, seed: int
) -> None:
    machines = [await one.machine(f"i-{number:017x}") for number in range(4)]
    wanted = {machine.instance_id: [machine.statement() for _ in range(8)] for machine in machines}
    deliveries = [(house, content) for house in (one, other) for said in wanted.values() for content in said]
    random.Random(seed).shuffle(deliveries)
    for start in range(0, len(deliveries), 9):
        accepted = await asyncio.gather(
            *(house.ingest.accept(content) for house, content in deliveries[start : start + 9])
        )
        assert all(answer.receipt for answer in accepted)
    assert len(await one.entries("statement")) == 32
    for machine in machines:
        assert await sequence(other, machine.instance_id) == 8
