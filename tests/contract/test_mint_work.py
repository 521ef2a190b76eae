"""mint's tasks: every application has its turn, whatever fails for another, and a provider's limits are kept."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial

import pytest

from fakes.mint_buckets import BucketMishap
from fakes.mint_house import MintReplica, MintWorld
from fakes.mint_provider import ProviderMishap
from whence_aggregator.mint.pace import ProviderPace
from whence_aggregator.mint.work import UNDER_WAY_MAX, MintWork
from whence_aggregator.ports import Database
from whence_aggregator.queries.work import TASKS_OF_KIND
from whence_aggregator.work.task import Again, Handler, Task, Work
from whence_aggregator.work.worker import Worker
from whence_common.backoff import Backoff
from whence_common.clock import parse_instant

NAMES = [f"app-{number:02}" for number in range(20)]


@pytest.fixture
def world() -> MintWorld:
    world = MintWorld()
    for name in NAMES:
        world.register(name)
    return world


@pytest.fixture
async def mint(database: Database, world: MintWorld) -> MintReplica:
    replica = MintReplica(database, world)
    await replica.ledger.start()
    return replica


def worker_of(mint: MintReplica, handler: Handler | None = None) -> Worker:
    drawn = random.Random(24).random
    handler = handler or MintWork(rotation=mint.rotation, random=drawn)
    return Worker(
        database=mint.database, kinds={"mint": Work(handler=handler, under_way_max=UNDER_WAY_MAX)}, now=mint.world.clock,
        seconds=lambda: mint.world.clock.moment.timestamp(),
        backoff=Backoff(first_seconds=1.0, longest_seconds=600.0, random=drawn), marks=lambda kind, subject: (),
    )  # fmt: skip


async def due_seconds(mint: MintReplica) -> dict[str, float]:
    """Return in how many seconds each application's task is due."""
    rows = await mint.database.fetch(TASKS_OF_KIND.bind({"kind": "mint"}))
    return {row["subject"]: (parse_instant(row["due_at"]) - mint.world.clock()).total_seconds() for row in rows}


async def worked(mint: MintReplica, worker: Worker, *, seconds: float, until: Callable[[], bool]) -> float:
    """Do what is due until something is so; return how long that took. Raises AssertionError after `seconds`."""
    begun = mint.world.clock.moment
    while not until():
        while await worker.work():
            pass
        waited = min((one for one in (await due_seconds(mint)).values() if one > 0), default=1.0)
        mint.world.clock.advance(max(waited, 0.5))
        assert (mint.world.clock.moment - begun).total_seconds() < seconds, "it takes too long"
    return (mint.world.clock.moment - begun).total_seconds()


def have_credentials(mint: MintReplica, names: list[str]) -> bool:
    return all(mint.objects(name, "one") for name in names)


async def test_every_application_gets_its_credentials_and_is_looked_at_again_at_different_times(
    mint: MintReplica,
) -> None:
    for name in NAMES:
        await mint.write(name, "one", credentials=("user",))
    worker = worker_of(mint)
    while await worker.work():
        pass
    assert have_credentials(mint, NAMES)
    due = await due_seconds(mint)
    assert all(900 <= one <= 930 for one in due.values())
    assert len({round(one, 1) for one in due.values()}) > 10


@dataclass
class OrderedAtTheEnd:
    """Does a task; what is ordered comes when all was read, before the task is put back."""

    handler: MintWork
    orders: list[Callable[[], Awaitable[None]]]

    async def do(self, task: Task) -> Again | None:
        again = await self.handler.do(task)
        if self.orders:
            await self.orders.pop()()
        return again


async def test_what_is_ordered_while_a_run_ends_is_done_at_once(mint: MintReplica) -> None:
    await mint.write("app-00", "one", credentials=("client",))
    worker = worker_of(mint)
    await worker.work()
    mint.world.clock.advance(1_000)
    handler = OrderedAtTheEnd(
        MintWork(rotation=mint.rotation, random=random.Random(24).random),
        [partial(mint.applications.revoke, "app-00", by="ada")],
    )
    worker = worker_of(mint, handler)
    await worker.work()
    assert (await due_seconds(mint))["app-00"] <= 0
    await worker.work()
    assert [step for _, step in await mint.steps()].count("committed") == 2
    assert (await due_seconds(mint))["app-00"] > 0
    assert await worker.work() == 0, "it is done once"


async def test_a_bug_or_a_failure_of_one_application_stops_no_other(mint: MintReplica, world: MintWorld) -> None:
    for name in NAMES:
        await mint.write(name, "one" if name != "app-03" else "two", credentials=("user",))

    def weather(bucket: str) -> BucketMishap:
        assert bucket != "two", "our bug"
        return "fine"

    world.buckets.weather = weather
    worker = worker_of(mint)
    while await worker.work():
        pass
    assert have_credentials(mint, [name for name in NAMES if name != "app-03"])


async def test_with_a_provider_that_throttles_the_last_application_has_its_turn_too(
    mint: MintReplica, world: MintWorld
) -> None:
    asked = 0

    def weather(_: str) -> ProviderMishap:
        nonlocal asked
        asked += 1
        return "throttled" if asked % 7 == 0 else "fine"

    world.provider.weather = weather
    for name in NAMES:
        await mint.write(name, "one", credentials=("user",))
        world.clock.advance(1)
    await worked(mint, worker_of(mint), seconds=7_200, until=lambda: have_credentials(mint, NAMES))


async def test_after_a_pause_the_longest_overdue_is_first(mint: MintReplica, world: MintWorld) -> None:
    for name in NAMES[:3]:
        await mint.write(name, "one", credentials=("user",))
        await mint.run(name)
        world.clock.advance(600)
    world.clock.advance(7_200)
    mint.pace.throttle("stups", 30.0)
    work = MintWork(rotation=mint.rotation, random=lambda: 0.5)
    tasks = [Task(kind="mint", subject=one, lane="mint", host="", lease="", attempts=1) for one in NAMES[:3]]
    again = [await work.do(task) for task in tasks]
    seconds = [one.seconds for one in again if one is not None]
    assert seconds == sorted(seconds)
    assert len(set(seconds)) == 3
    assert all(30.0 < one <= 90.0 for one in seconds)
    assert not any(one.asked for one in again if one is not None)


async def test_the_task_of_an_application_that_is_gone_ends(mint: MintReplica, world: MintWorld) -> None:
    await mint.write("app-00", "one")
    worker = worker_of(mint)
    await worker.work()
    world.clock.advance(61)
    await mint.applications.delete("app-00", by="ada")
    await worked(mint, worker, seconds=600, until=lambda: "app-00" not in world.provider.clients)
    assert await due_seconds(mint) == {}


async def test_an_order_makes_the_task_due_now(mint: MintReplica, world: MintWorld) -> None:
    await mint.write("app-00", "one")
    await worker_of(mint).work()
    assert (await due_seconds(mint))["app-00"] > 0
    await mint.applications.renew("app-00", by="ada")
    assert (await due_seconds(mint))["app-00"] == 0


async def test_a_provider_is_asked_no_faster_than_its_pace() -> None:
    now, paused = [0.0], list[float]()

    async def pause(seconds: float) -> None:
        paused.append(seconds)

    pace = ProviderPace(seconds=lambda: now[0], pause=pause, between={"stups": 0.5})
    for _ in range(3):
        await pace.turn("stups")
    await pace.turn("keycloak")
    assert paused == [0.5, 1.0]
    now[0] = 10.0
    await pace.turn("stups")
    assert paused == [0.5, 1.0]


async def test_the_longest_pause_that_a_provider_asked_for_counts() -> None:
    async def pause(_: float) -> None:
        """Return at once."""

    now = [0.0]
    pace = ProviderPace(seconds=lambda: now[0], pause=pause, between={})
    pace.throttle("stups", 90.0)
    pace.throttle("stups", 10.0)
    assert (pace.paused_seconds("stups"), pace.paused_seconds("keycloak")) == (90.0, 0.0)
    pace.throttle("stups", 10.0**9)
    assert pace.paused_seconds("stups") == 3_600.0
    now[0] = 3_600.0
    assert pace.paused_seconds("stups") == 0.0
