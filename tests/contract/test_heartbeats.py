"""A heartbeat is taken once, whoever sends it, however often, in whatever order, and to which replica."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from fakes.beats import Recorded, recorded
from fakes.clocks import FakeClock
from fakes.in_process import SECRET, InProcess
from fakes.signing_authority import SigningAuthority
from whence_aggregator.agents.heartbeat_secret import accept_secret
from whence_aggregator.agents.heartbeats import Heartbeats
from whence_aggregator.agents.rows import sighting
from whence_aggregator.agents.sightings import Sightings
from whence_aggregator.callers.limits import Limit, Rate
from whence_aggregator.ports import Database, OutOfOrder
from whence_aggregator.queries.agents import SEE
from whence_aggregator.queries.audit import DUMP_LAST_SEEN
from whence_aggregator.queries.compliance import VERDICTS_OF
from whence_aggregator.queries.trace import SEEN
from whence_common.clock import from_millis, to_millis
from whence_common.counting import LEAP_MAX
from whence_common.errors import WhenceError

ONE, TWO = "i-0123456789abcdef0", "i-0fedcba9876543210"
MINUTE = 60.0


@pytest.fixture
async def other(house: InProcess, database: Database, authority: SigningAuthority) -> AsyncIterator[InProcess]:
    """A second replica on the same database."""
    async with InProcess(database, authority, clock=house.clock).running() as running:
        yield running


async def told(house: InProcess | Heartbeats, beat: Recorded) -> str:
    """Send a heartbeat; return `taken`, or the code of the refusal."""
    heartbeats = house.heartbeats if isinstance(house, InProcess) else house
    try:
        await heartbeats.accept(beat.body, beat.mac)
    except WhenceError as exc:
        return exc.code
    return "taken"


async def refusal(house: InProcess, beat: Recorded) -> OutOfOrder:
    with pytest.raises(OutOfOrder) as caught:
        await house.heartbeats.accept(beat.body, beat.mac)
    return caught.value


async def seen_at(house: InProcess, name: str = ONE) -> str:
    (row,) = await house.database.fetch(SEEN.bind({"instance_ids": f'["{name}"]'}))
    return from_millis(row["seen_at"])


async def clock_rule(house: InProcess) -> tuple[str, str]:
    """Sweep and judge as the worker does; return what stands of the rule `clock-off`."""
    await house.evaluator.sweep()
    while await house.evaluator.work():
        pass
    rows = await house.database.fetch(VERDICTS_OF.bind({"instance_ids": f'["{ONE}"]'}))
    found = {row["rule"]: (row["verdict"], row["reason"]) for row in rows}
    return found.get("clock-off", ("pass", ""))


async def test_a_recorded_heartbeat_is_not_taken_again_and_hides_no_silence(house: InProcess) -> None:
    beat = recorded(ONE, 1, house.clock())
    assert await told(house, beat) == "taken"
    house.clock.advance(3600)
    for _ in range(3):
        assert await told(house, beat) == "heartbeat-behind"
    assert await seen_at(house) == "2026-11-22T12:00:00.000Z"


async def test_heartbeats_out_of_order_are_refused_and_gaps_are_not(house: InProcess) -> None:
    order = [(1, "taken"), (65, "taken"), (64, "heartbeat-behind"), (65, "heartbeat-behind"), (66, "taken")]
    assert [await told(house, recorded(ONE, counter, house.clock())) for counter, _ in order] == [w for _, w in order]


async def test_what_one_replica_took_no_other_takes(house: InProcess, other: InProcess) -> None:
    first, second = recorded(ONE, 7, house.clock()), recorded(ONE, 8, house.clock())
    assert await told(house, first) == "taken"
    assert (await refusal(other, first)).last_taken == 7
    assert await told(other, second) == "taken"
    assert (await refusal(house, second)).last_taken == 8


async def test_of_one_message_sent_many_times_at_once_to_both_replicas_one_is_taken(
    house: InProcess, other: InProcess
) -> None:
    beat = recorded(ONE, 1, house.clock())
    answers = await asyncio.gather(*(told(one, beat) for one in (house, other) * 20))
    assert sorted(answers).count("taken") == 1
    assert set(answers) == {"taken", "heartbeat-behind"}


async def test_an_aggregator_that_was_restarted_remembers(
    house: InProcess, database: Database, authority: SigningAuthority
) -> None:
    beat = recorded(ONE, 3, house.clock())
    assert await told(house, beat) == "taken"
    async with InProcess(database, authority, clock=house.clock).running() as again:
        assert (await refusal(again, beat)).last_taken == 3


async def test_a_replica_whose_clock_is_behind_takes_the_newer_heartbeat_and_keeps_the_later_time(
    house: InProcess, database: Database, authority: SigningAuthority
) -> None:
    assert await told(house, recorded(ONE, 1, house.clock())) == "taken"
    behind = FakeClock()
    behind.advance(-20)
    async with InProcess(database, authority, clock=behind).running() as other:
        assert await told(other, recorded(ONE, 2, behind())) == "taken"
    assert await seen_at(house) == "2026-11-22T12:00:00.000Z"
    assert await told(house, recorded(ONE, 2, house.clock())) == "heartbeat-behind"


async def test_statements_move_last_seen_and_no_counter(house: InProcess) -> None:
    machine = await house.machine(ONE)
    beat = recorded(ONE, 5, house.clock())
    assert await told(house, beat) == "taken"
    house.clock.advance(MINUTE)
    await house.say(machine)
    assert await seen_at(house) == "2026-11-22T12:01:00.000Z"
    assert (await refusal(house, beat)).last_taken == 5


async def test_a_new_binding_counts_from_one_and_ends_the_old_one(house: InProcess, other: InProcess) -> None:
    assert await told(house, recorded(ONE, 900, house.clock())) == "taken"
    assert await told(house, recorded(ONE, 1, house.clock(), enrolment=2)) == "taken"
    for replica in (house, other):
        old = await refusal(replica, recorded(ONE, 901, house.clock()))
        assert (old.code, old.last_taken) == ("enrolment-superseded", None)
    assert await told(other, recorded(ONE, 2, house.clock(), enrolment=2)) == "taken"


async def test_a_statement_under_a_new_binding_ends_the_counter_of_the_old_one(house: InProcess) -> None:
    assert await told(house, recorded(ONE, 900, house.clock())) == "taken"
    house.clock.advance(1)
    await house.database.write(SEE.bind(house.sightings.rows([(ONE, 2)], to_millis(house.clock()))))
    (row,) = await house.database.fetch(DUMP_LAST_SEEN.bind({"limit": 9, "offset": 0}))
    assert (row["enrolment"], row["counter"], row["skew_millis"]) == (2, 0, 0)
    assert house.sightings.holds(sighting(row))
    assert await told(house, recorded(ONE, 1, house.clock(), enrolment=2)) == "taken"


@pytest.mark.parametrize("counter", [LEAP_MAX + 12, 2**53 - 1])
async def test_a_counter_far_ahead_is_refused_and_freezes_nothing(house: InProcess, counter: int) -> None:
    assert await told(house, recorded(ONE, 10, house.clock())) == "taken"
    far = await refusal(house, recorded(ONE, counter, house.clock()))
    assert (far.code, far.last_taken, far.fix) == ("heartbeat-ahead", 10, "continue with the counter after last_taken")
    assert await told(house, recorded(ONE, 11, house.clock())) == "taken"


async def test_a_counter_far_ahead_is_refused_of_an_instance_that_was_never_heard(house: InProcess) -> None:
    far = await refusal(house, recorded(ONE, LEAP_MAX + 1, house.clock()))
    assert (far.code, far.last_taken) == ("heartbeat-ahead", 0)
    assert await told(house, recorded(ONE, 1, house.clock())) == "taken"


async def test_counters_go_on_beyond_the_longest_leap(house: InProcess, other: InProcess) -> None:
    for counter in (LEAP_MAX, 2 * LEAP_MAX, 2 * LEAP_MAX + 1):
        assert await told(house, recorded(ONE, counter, house.clock())) == "taken"
        assert await told(other, recorded(ONE, counter, house.clock())) == "heartbeat-behind"


@pytest.mark.parametrize("seconds", [-5e9, -86_400.0, 301.0, 5e10])
async def test_no_clock_however_wrong_has_a_heartbeat_refused(house: InProcess, seconds: float) -> None:
    for counter in range(1, 4):
        house.clock.advance(MINUTE)
        beat = recorded(ONE, counter, house.clock() + timedelta(seconds=seconds))
        assert await told(house, beat) == "taken"
        assert await told(house, beat) == "heartbeat-behind"
    assert await seen_at(house) == "2026-11-22T12:03:00.000Z"


async def test_a_clock_that_is_ahead_fails_until_it_is_set_right(house: InProcess) -> None:
    machine = await house.machine(ONE)
    await house.say(machine)
    assert await clock_rule(house) == ("pass", "")
    await told(house, recorded(ONE, 1, house.clock() + timedelta(seconds=7200)))
    assert await clock_rule(house) == ("fail", "by its heartbeats, the clock is more than an hour ahead")
    entries = await house.reader.size()
    await told(house, recorded(ONE, 2, house.clock() + timedelta(seconds=7201)))
    await clock_rule(house)
    assert await house.reader.size() == entries, "no entry for each heartbeat"
    await told(house, recorded(ONE, 3, house.clock()))
    assert (await clock_rule(house))[0] == "pass"


async def test_a_clock_that_is_behind_fails_when_heartbeats_show_it_over_some_time(house: InProcess) -> None:
    machine = await house.machine(ONE)
    await house.say(machine)
    for counter, verdict in ((1, "unknown"), (2, "fail")):
        house.clock.advance(MINUTE)
        assert await told(house, recorded(ONE, counter, house.clock() - timedelta(seconds=3600))) == "taken"
        assert (await clock_rule(house))[0] == verdict
    assert (await clock_rule(house))[1] == "by its heartbeats, the clock is more than 300 s behind"
    house.clock.advance(MINUTE)
    await told(house, recorded(ONE, 3, house.clock()))
    assert (await clock_rule(house))[0] == "pass"


async def test_heartbeats_that_were_held_up_and_arrive_together_are_no_wrong_clock(house: InProcess) -> None:
    """An aggregator that stood still for an hour finds all of them at once."""
    machine = await house.machine(ONE)
    await house.say(machine)
    sent = [recorded(ONE, counter, house.clock() + timedelta(minutes=counter)) for counter in range(1, 60)]
    house.clock.advance(3600)
    assert {await told(house, beat) for beat in sent} == {"taken"}
    assert (await clock_rule(house))[0] != "fail"


async def test_replays_use_up_nothing_of_what_the_instance_may_send(house: InProcess) -> None:
    clock = FakeClock()
    heartbeats = Heartbeats(
        database=house.database, secret=SECRET, sightings=house.sightings, listening=house.listening,
        limit=Limit("instance", Rate(per_second=0.001, burst=4.0), lambda: 0.0), now=clock,
    )  # fmt: skip
    running = asyncio.create_task(heartbeats.run())
    old = recorded(ONE, 1, clock())
    assert await told(house, old) == "taken"  # by another replica
    answers = await asyncio.gather(*(told(heartbeats, old) for _ in range(300)))
    assert set(answers) == {"heartbeat-behind"}
    assert [await told(heartbeats, recorded(ONE, counter, clock())) for counter in (2, 3, 4)] == ["taken"] * 3
    assert await told(heartbeats, recorded(ONE, 5, clock())) == "rate-limited"
    running.cancel()


async def test_what_strangers_send_is_remembered_nowhere(house: InProcess) -> None:
    for number in range(200):
        bent = recorded(f"i-{number:08x}", 2**53 - 1, house.clock(), enrolment=number + 1)
        with pytest.raises(WhenceError) as caught:
            await house.heartbeats.accept(bent.body, "0" * 64)
        assert caught.value.code == "heartbeat-mac"
    assert not house.heartbeats._keys
    assert not house.heartbeats._last


@pytest.mark.parametrize("bent", [(b'"counter":1', b'"counter":2'), (b"12:00:00", b"12:00:01")])
async def test_the_mac_covers_counter_and_time(house: InProcess, bent: tuple[bytes, bytes]) -> None:
    beat = recorded(ONE, 1, house.clock())
    changed = Recorded(ONE, 1, 1, beat.body.replace(*bent), beat.mac)
    assert changed.body != beat.body
    assert await told(house, changed) == "heartbeat-mac"


@pytest.mark.parametrize("name", ["counter", "skew_millis", "skew_confirmed", "enrolment", "seen_at"])
async def test_a_changed_row_is_found(house: InProcess, name: str) -> None:
    await told(house, recorded(ONE, 5, house.clock()))
    (row,) = await house.database.fetch(DUMP_LAST_SEEN.bind({"limit": 9, "offset": 0}))
    seen = sighting(row)
    assert house.sightings.holds(seen)
    assert not house.sightings.holds(replace(seen, **{name: getattr(seen, name) + 1}))


class Model:
    """What must be true: of each instance, the highest place that was taken, and when."""

    def __init__(self, start: datetime) -> None:
        self.highest: dict[str, tuple[int, int]] = {}
        self.moved_at: dict[str, datetime] = {}
        self.sent: list[Recorded] = []
        self.taken: set[tuple[str, tuple[int, int]]] = set()
        self.start = start

    def expects(self, beat: Recorded) -> str:
        highest = self.highest.get(beat.instance_id, (0, 0))
        if beat.place > highest:
            return "taken"
        return "enrolment-superseded" if beat.enrolment < highest[0] else "heartbeat-behind"

    def take(self, beat: Recorded, now: datetime) -> None:
        key = beat.instance_id, beat.place
        assert key not in self.taken, "taken twice"
        self.taken.add(key)
        self.highest[beat.instance_id] = max(self.highest.get(beat.instance_id, (0, 0)), beat.place)
        self.moved_at[beat.instance_id] = now


class Walk:
    """A random walk over replicas that are restarted, agents that go on, and somebody who recorded everything."""

    def __init__(self, database: Database, authority: SigningAuthority, seed: int) -> None:
        self.database, self.authority = database, authority
        self.chance = random.Random(seed)
        self.clock = FakeClock()
        self.model = Model(self.clock())
        self.next = dict.fromkeys((ONE, TWO, "i-00000000000000003"), (1, 0))

    async def run(self, steps: int) -> None:
        async with AsyncExitStack() as stack:
            self.stack = stack
            self.replicas = [await self.started() for _ in range(2)]
            for _ in range(steps):
                self.clock.advance(self.chance.choice((0.0, 1.0, 60.0)))
                await self.chance.choice((self.one, self.one, self.many, self.replayed, self.rebound, self.restarted))()
                await self.compare()

    async def started(self) -> InProcess:
        house = InProcess(self.database, self.authority, clock=self.clock)
        return await self.stack.enter_async_context(house.running())

    async def restarted(self) -> None:
        self.replicas[self.chance.randrange(2)] = await self.started()

    async def rebound(self) -> None:
        if self.chance.random() < 0.2:
            name = self.chance.choice(list(self.next))
            self.next[name] = self.next[name][0] + 1, 0

    def fresh(self) -> Recorded:
        """Have an agent make its next heartbeat: after a restart it leaves numbers out; its clock is its own."""
        name = self.chance.choice(list(self.next))
        enrolment, counter = self.next[name]
        counter += self.chance.choice((1, 1, 1, 64))
        self.next[name] = enrolment, counter
        skew = timedelta(seconds=self.chance.choice((0, 0, -86_400, 86_400)))
        beat = recorded(name, counter, self.clock() + skew, enrolment=enrolment)
        self.model.sent.append(beat)
        return beat

    async def send(self, beat: Recorded) -> str:
        return await told(self.chance.choice(self.replicas), beat)

    async def one(self) -> None:
        await self.checked(self.fresh())

    async def replayed(self) -> None:
        if self.model.sent:
            await self.checked(self.chance.choice(self.model.sent))

    async def checked(self, beat: Recorded) -> None:
        """Send one message alone; the answer is the model's, also for one that was lost before and comes late."""
        if self.chance.random() < 0.15:
            return  # lost on its way, and recorded
        expected = self.model.expects(beat)
        assert await self.send(beat) == expected
        if expected == "taken":
            self.model.take(beat, self.clock())

    async def many(self) -> None:
        """Send several at once, old and new, some twice: any order may come out, but none twice and the highest stays."""
        before = dict(self.model.highest)
        beats = [self.fresh() for _ in range(self.chance.randint(1, 6))]
        beats += self.chance.choices(self.model.sent, k=self.chance.randint(1, 6))
        self.chance.shuffle(beats)
        answers = await asyncio.gather(*(self.send(beat) for beat in beats))
        for beat, answer in zip(beats, answers, strict=True):
            if answer == "taken":
                assert beat.place > before.get(beat.instance_id, (0, 0))
                self.model.take(beat, self.clock())
        for beat in beats:
            assert self.model.highest.get(beat.instance_id, (0, 0)) >= beat.place, "the highest is always taken"

    async def compare(self) -> None:
        rows = await self.database.fetch(DUMP_LAST_SEEN.bind({"limit": 9, "offset": 0}))
        assert {row["instance_id"]: (row["enrolment"], row["counter"]) for row in rows} == self.model.highest
        assert {row["instance_id"]: row["seen_at"] for row in rows} == {
            name: to_millis(moment) for name, moment in self.model.moved_at.items()
        }
        assert all(self.replicas[0].sightings.holds(sighting(row)) for row in rows)


@pytest.mark.parametrize("seed", range(4))
async def test_whatever_the_order_of_heartbeats_replays_and_restarts_each_is_taken_once(
    database: Database, authority: SigningAuthority, seed: int
) -> None:
    await Walk(database, authority, seed).run(steps=120)


async def test_rows_of_heartbeats_are_sealed_again_after_the_secret_was_lost(house: InProcess) -> None:
    await told(house, recorded(ONE, 5, house.clock()))
    await house.database.write(SEE.bind(house.sightings.rows([(TWO, 1)], to_millis(house.clock()))))
    assert await accept_secret(house.database, b"n" * 32) == 2
    rows = await house.database.fetch(DUMP_LAST_SEEN.bind({"limit": 9, "offset": 0}))
    assert [(row["instance_id"], row["counter"]) for row in rows] == [(ONE, 5), (TWO, 0)]
    assert all(Sightings(b"n" * 32).holds(sighting(row)) for row in rows)
    assert not any(house.sightings.holds(sighting(row)) for row in rows)
