"""Collecting while some do not answer: nobody else's questions wait for them, on either database."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace

import pytest

from fakes.in_process import InProcess
from landscape.processes import eventually
from whence_aggregator.collect.collectors import Collector
from whence_aggregator.collect.fact_recorder import FactRecorder
from whence_aggregator.ports import CollectedFact, SourceUnavailable
from whence_aggregator.queries.work import ADD_TASK_UNLESS_KNOWN, DUE_TASKS, TASKS_OF_KIND
from whence_aggregator.wiring.work import kinds_of
from whence_aggregator.work.lanes import SHARES, LaneShares
from whence_aggregator.work.questions import question
from whence_aggregator.work.task import Work
from whence_aggregator.work.worker import DUE_MAX, Worker
from whence_common.clock import to_instant

A, B = "123456789012", "210987654321"
ONE_AT_A_TIME = replace(SHARES, all_max=1)
of_no_database = pytest.mark.parametrize("database", ["sqlite"], indirect=True)
"""What a test with this is about is decided above the database."""


@dataclass
class Hosts:
    """Registries that answer at once, but for those that hang. `asked` is in order; `under_way` is what waits now."""

    hanging: set[str] = field(default_factory=set)
    failing: set[str] = field(default_factory=set)
    slow: Callable[[], None] = lambda: None
    asked: list[str] = field(default_factory=list)
    answered: list[str] = field(default_factory=list)
    under_way: list[str] = field(default_factory=list)

    async def collect(self, subject: str) -> CollectedFact:
        host = subject.partition("/")[0]
        self.asked.append(subject)
        self.under_way.append(subject)
        try:
            if host in self.hanging:
                await asyncio.Event().wait()
            if host in self.failing:
                self.slow()
                raise SourceUnavailable("registry-unreachable", "it does not answer")
            self.answered.append(subject)
            return CollectedFact(outcome="missing", reason="the registry has no such tag")
        finally:
            self.under_way.remove(subject)


def asking(house: InProcess, collectors: Mapping[str, Collector]) -> dict[str, Work]:
    return kinds_of(house.ledger, collectors, None, now=house.clock)


def worker(house: InProcess, hosts: Hosts, shares: LaneShares = SHARES) -> Worker:
    return house.worker_of(asking(house, {"tag": hosts}), shares)


async def ask(house: InProcess, lane: str, *subjects: str) -> None:
    rows = [question("tag", one, due_at=to_instant(house.clock()), lane=lane) for one in subjects]
    await house.database.write(ADD_TASK_UNLESS_KNOWN.bind(rows))


@asynccontextmanager
async def running(one: Worker) -> AsyncIterator[None]:
    task = asyncio.create_task(one.run())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


def tags(host: str, count: int) -> list[str]:
    return [f"{host}/team/app:{number:03}" for number in range(count)]


async def test_hosts_that_hang_delay_neither_other_lanes_nor_other_hosts(house: InProcess) -> None:
    hanging = [f"hanging{number}.example.org" for number in range(5)]
    hosts = Hosts(hanging=set(hanging))
    for host in hanging:
        await ask(house, A, *tags(host, 20))
    await ask(house, B, *tags("r.example.org", 20), *tags(hanging[0], 20))
    one = worker(house, hosts)
    async with running(one):
        await eventually(lambda: len(hosts.answered) == 20)
        of_a = [subject for subject in hosts.under_way if subject.partition("/")[0] != hanging[0]]
        assert len(of_a) <= SHARES.lane_max
        for host in hanging:
            assert sum(subject.startswith(host) for subject in hosts.under_way) <= SHARES.host_max
        await eventually(lambda: one.under_way == len(hosts.under_way))
        assert len(hosts.under_way) <= SHARES.lane_max + SHARES.pair_max
    assert (hosts.under_way, one.under_way) == ([], 0)


@of_no_database
async def test_a_question_that_comes_while_others_hang_is_answered(house: InProcess) -> None:
    hosts = Hosts(hanging={"hanging.example.org"})
    await ask(house, A, *tags("hanging.example.org", 3))
    one = worker(house, hosts)
    async with running(one):
        await eventually(lambda: len(hosts.under_way) == 3)
        await ask(house, A, "r.example.org/team/app:1.0")
        one.wake()
        await eventually(lambda: hosts.answered == ["r.example.org/team/app:1.0"])
        assert len(hosts.under_way) == 3


@of_no_database
async def test_one_accounts_long_answers_leave_room_at_the_same_host(house: InProcess) -> None:
    hosts = Hosts(hanging={"r.example.org"})
    await ask(house, A, *tags("r.example.org", 50))
    one = worker(house, hosts)
    async with running(one):
        await eventually(lambda: len(hosts.under_way) == SHARES.pair_max)
        hosts.hanging.clear()
        await ask(house, B, "r.example.org/b/app:1.0")
        one.wake()
        await eventually(lambda: hosts.answered == ["r.example.org/b/app:1.0"])


async def test_a_flood_of_one_account_comes_in_turn_with_the_questions_of_another(house: InProcess) -> None:
    hosts = Hosts()
    await ask(house, A, *tags("r.example.org", 100))
    house.clock.advance(60)
    await ask(house, B, *tags("b.example.org", 3))
    one = worker(house, hosts, ONE_AT_A_TIME)
    for _ in range(8):
        assert await one.work() == 1
    assert [subject[0] for subject in hosts.answered] == ["r", "b", "r", "b", "r", "b", "r", "r"]


async def test_more_due_tasks_than_are_read_do_not_hide_later_ones(house: InProcess) -> None:
    hosts = Hosts(hanging={"hanging.example.org"})
    await ask(house, A, *tags("hanging.example.org", DUE_MAX + 10))
    house.clock.advance(60)
    await ask(house, A, "r.example.org/a/app:1.0")
    await ask(house, B, *tags("r.example.org", 12))
    one = worker(house, hosts)
    async with running(one):
        await eventually(lambda: len(hosts.answered) == 13)
        assert len(hosts.under_way) == SHARES.pair_max


@of_no_database
async def test_hosts_that_are_not_configured_are_one_host_once_they_are_known_to_be(house: InProcess) -> None:
    class Unlisted:
        async def collect(self, subject: str) -> CollectedFact:
            raise SourceUnavailable("registry-not-configured", "it is not among the registries in the settings")

    one = house.worker_of(asking(house, {"tag": Unlisted()}))
    await ask(house, A, *(f"h{number}.example.org/team/app:1" for number in range(30)))
    while await one.work():
        pass
    house.clock.advance(60)
    due = await house.database.fetch(DUE_TASKS.bind({"now": to_instant(house.clock()), "limit": 100}))
    assert {row["host"] for row in due} == {"-"}
    assert len(due) == 30


@of_no_database
async def test_many_accounts_take_turns(house: InProcess) -> None:
    hosts = Hosts()
    for name in "cab":
        await ask(house, name, *tags(f"{name}.example.org", 2))
    one = worker(house, hosts, ONE_AT_A_TIME)
    while await one.work():
        pass
    assert "".join(subject[0] for subject in hosts.answered) == "abcabc"


async def test_an_account_that_asks_anothers_question_first_does_not_hold_it_back(house: InProcess) -> None:
    hosts = Hosts()
    wanted = "b.example.org/b/app:1.0"
    await ask(house, A, *tags("a.example.org", 100))
    await ask(house, A, wanted)
    await ask(house, B, wanted)
    one = worker(house, hosts, ONE_AT_A_TIME)
    await one.work()
    await one.work()
    assert wanted in hosts.answered
    (row,) = [
        row for row in await house.database.fetch(TASKS_OF_KIND.bind({"kind": "tag"})) if row["subject"] == wanted
    ]
    assert row["attempts"] == 0


async def test_statements_of_two_accounts_ask_in_lanes_of_their_own(house: InProcess) -> None:
    await house.say(await house.machine())
    claimed = await house.worker._claim()
    assert {task.lane for task in claimed} == {A}
    assert {task.host for task in claimed} == {"registry.example.org"} | {
        task.host for task in claimed if task.kind == "commit"
    }
    for task in claimed:
        await house.worker._do(task)


@of_no_database
async def test_a_host_that_was_slow_for_an_account_is_asked_one_thing_at_a_time_by_it(house: InProcess) -> None:
    hosts = Hosts(failing={"slow.example.org"}, slow=lambda: house.clock.advance(30))
    await ask(house, A, *tags("slow.example.org", 20))
    one = worker(house, hosts)
    assert await one.work() == SHARES.pair_max
    hosts.failing.clear()
    hosts.hanging.add("slow.example.org")
    async with running(one):
        await eventually(lambda: len(hosts.under_way) >= 1)
        await ask(house, B, "r.example.org/b/app:1.0")
        one.wake()
        await eventually(lambda: hosts.answered == ["r.example.org/b/app:1.0"])
        assert len(hosts.under_way) == 1


@of_no_database
async def test_a_host_that_fails_at_once_keeps_its_share(house: InProcess) -> None:
    hosts = Hosts(failing={"broken.example.org"})
    await ask(house, A, *tags("broken.example.org", 20))
    one = worker(house, hosts)
    assert await one.work() == SHARES.pair_max
    assert await one.work() == SHARES.pair_max


@of_no_database
async def test_an_answer_that_never_ends_is_waited_for_no_longer_than_any(house: InProcess) -> None:
    hosts = Hosts(hanging={"hanging.example.org"})
    recorder = FactRecorder(ledger=house.ledger, collectors={"tag": hosts}, now=house.clock, answer_seconds_max=0.05)
    with pytest.raises(SourceUnavailable) as caught:
        await recorder.ask("tag", "hanging.example.org/team/app:1.0", A)
    assert caught.value.code == "source-too-slow"
    assert caught.value.message == "hanging.example.org/team/app:1.0: no complete answer within 0.05 seconds"
    assert hosts.under_way == []


async def test_a_task_with_an_invalid_subject_is_deleted_without_a_request(house: InProcess) -> None:
    """Such rows are from before names were checked where they came in."""
    bent = [
        question(kind, subject, due_at=to_instant(house.clock()), lane=A)
        for kind, subject in (
            ("tag", "r.example.org/../../secret/admin?token=1:x"),
            ("image-source", "r.example.org/team/app@sha256:../x"),
            ("commit", "-x/app@--upload-pack=x"),
            ("commit-branch", "git.example.org/../x@" + "c" * 40),
        )
    ]
    await house.database.write(ADD_TASK_UNLESS_KNOWN.bind(bent))
    await house.work()
    for kind in ("tag", "image-source", "commit", "commit-branch"):
        assert await house.database.fetch(TASKS_OF_KIND.bind({"kind": kind})) == []
    assert await house.entries("fact") == []


@of_no_database
async def test_what_is_due_and_has_no_room_is_waited_for_without_a_busy_loop(house: InProcess) -> None:
    hosts = Hosts(hanging={"hanging.example.org"})
    await ask(house, A, *tags("hanging.example.org", 20))
    one = worker(house, hosts)
    async with running(one):
        await eventually(lambda: len(hosts.under_way) == SHARES.pair_max)
        assert await one._idle_seconds() == 5.0


@of_no_database
async def test_a_task_of_a_kind_without_a_handler_waits_with_a_reason(house: InProcess) -> None:
    """A replica of an older version sees kinds of a newer one: it must not lose them."""
    rows = [question("findings-of-2030", "x", due_at=to_instant(house.clock()), lane=A)]
    await house.database.write(ADD_TASK_UNLESS_KNOWN.bind(rows))
    await house.worker_of(asking(house, {"tag": Hosts()})).work()
    (row,) = await house.database.fetch(TASKS_OF_KIND.bind({"kind": "findings-of-2030"}))
    assert row["reason"] == "this aggregator has no handler for tasks of kind findings-of-2030"
