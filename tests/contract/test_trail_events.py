"""CloudTrail's events become entries exactly once, however they are delivered, on either database."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest

from fakes.auditor import checked, dumped
from fakes.cloud_trail import (
    ACCOUNT,
    BUCKET,
    INSTANCE,
    REGION,
    bridged,
    key,
    log_file,
    record,
    s3_event,
    sns,
    trail_notice,
)
from fakes.in_process import InProcess
from fakes.trail_world import QUEUE, Died, TrailWorld
from landscape.endurance import repeated
from whence_aggregator.ports import SourceUnavailable
from whence_aggregator.queries.compliance import UNJUDGED
from whence_aggregator.queries.events import TRAIL_COVERAGES, TRAIL_QUEUES
from whence_aggregator.queries.work import TASKS_OF_KIND
from whence_aggregator.work.worker import IDLE_SECONDS_MAX

OTHER = "210987654321"
MACHINE = "i-0123456789abcdef0"
of_no_database = pytest.mark.parametrize("database", ["sqlite"], indirect=True)
"""What a test with this is about is decided above the database."""


def ids(events: list[dict[str, object]]) -> list[int]:
    return sorted(int(str(one["event_id"])[-12:], 16) for one in events)


async def test_a_file_that_a_message_names_becomes_entries_and_rows_that_a_rebuild_repeats(
    house: InProcess, tmp_path: Path
) -> None:
    world = TrailWorld(house)
    world.objects.put(key(), log_file(record(number=1), record("StopInstances", 2), record("DescribeInstances", 3)))
    world.queue.send(sns(s3_event(key())))
    await world.settle()
    events = await world.events()
    assert [(one["name"], one["instances"]) for one in events] == [
        ("RunInstances", [INSTANCE]), ("StopInstances", [INSTANCE]),
    ]  # fmt: skip
    assert events[0]["doer"]["person"] == "jane@example.org"
    assert events[0]["read_from"]["key"] == key()
    rows = await dumped(house.database)
    assert [(row["name"], row["ledger_index"]) for row in rows["cloud_event_instance"]] == [
        ("RunInstances", 2), ("StopInstances", 3),
    ]  # fmt: skip
    assert (await checked(house, tmp_path)).findings == []
    assert not world.queue.bodies


async def test_an_event_that_comes_by_several_ways_and_in_several_files_is_recorded_once(house: InProcess) -> None:
    world = TrailWorld(house)
    one = record(number=7)
    for name in ("a", "b"):
        world.objects.put(key(name), log_file(one, one))
    for body in (bridged(one), s3_event(key("a")), trail_notice([key("a"), key("b")]), sns(bridged(one))):
        world.queue.send(body, copies=3)
    world.queue.again = [s3_event(key("b")), bridged(one)]
    await world.settle()
    assert ids(await world.events()) == [7]


async def test_the_same_event_id_in_two_accounts_is_two_events(house: InProcess) -> None:
    world = TrailWorld(house, accounts=[ACCOUNT, OTHER])
    for account in (ACCOUNT, OTHER):
        world.objects.put(key(account=account), log_file(record(recipientAccountId=account)))
        world.queue.send(s3_event(key(account=account)))
    await world.settle()
    assert sorted(one["account_id"] for one in await world.events()) == [ACCOUNT, OTHER]


async def test_a_file_is_not_read_twice_unless_it_changed(house: InProcess) -> None:
    world = TrailWorld(house)
    world.objects.put(key(), log_file(record(number=1)))
    for _ in range(3):
        world.queue.send(s3_event(key()))
        await world.settle()
    assert world.objects.reads == [key()]
    world.objects.put(key(), log_file(record(number=1), record(number=2)))
    world.queue.send(s3_event(key()))
    await world.settle()
    assert world.objects.reads == [key(), key()]
    assert ids(await world.events()) == [1, 2]


async def test_an_event_marks_its_instance_for_judging_and_its_region_for_a_listing_soon(house: InProcess) -> None:
    machine = await house.machine(MACHINE)
    await house.say(machine)
    await house.inventory.schedule([(ACCOUNT, REGION)])
    await house.work()
    assert await house.database.fetch(UNJUDGED.bind({"after": 0, "limit": 10})) == []
    house.clock.advance(60)
    world = TrailWorld(house)
    answered = {"instancesSet": {"items": [{"instanceId": MACHINE}]}}
    world.queue.send(bridged(record("RebootInstances", requestParameters=answered)))
    await world.intake.round()
    (unjudged,) = await house.database.fetch(UNJUDGED.bind({"after": 0, "limit": 10}))
    assert unjudged["instance_id"] == MACHINE
    (task,) = await house.database.fetch(TASKS_OF_KIND.bind({"kind": "inventory"}))
    assert task["due_at"] == "2026-11-22T12:01:15.000Z"
    assert world.woken == 1


async def test_an_event_of_one_account_marks_no_instance_of_another(house: InProcess) -> None:
    machine = await house.machine(MACHINE)
    await house.say(machine)
    await house.work()
    world = TrailWorld(house, accounts=[OTHER], inline=[OTHER])
    answered = {"instancesSet": {"items": [{"instanceId": MACHINE}]}}
    stated = record("StopInstances", recipientAccountId=OTHER, requestParameters=answered)
    world.queue.send(bridged(stated, account=OTHER))
    await world.settle()
    assert len(await world.events()) == 1
    assert await house.database.fetch(UNJUDGED.bind({"after": 0, "limit": 10})) == []


async def test_what_is_not_accepted_becomes_a_dead_letter_and_proves_nothing(house: InProcess) -> None:
    world = TrailWorld(house, accounts=[ACCOUNT], inline=[ACCOUNT], buckets={BUCKET: (), "of-others": (OTHER,)})
    world.objects.put(key(), log_file(record(number=1), record(number=2, recipientAccountId=OTHER)))
    for body in (
        s3_event(key()),
        s3_event(key(account=OTHER)),
        s3_event(key(), bucket="not-ours"),
        s3_event(key("2"), bucket="of-others"),
        bridged(record(number=3), account=OTHER),
        bridged(record(number=4, recipientAccountId=OTHER)),
        "garbage",
    ):
        world.queue.send(body)
    await world.settle()
    assert ids(await world.events()) == [1]
    assert await world.dead() == [
        ("message", "account-foreign", -1),
        ("message", "account-not-accepted", -1),
        ("message", "message-malformed", -1),
        ("object", "account-not-accepted", -1),
        ("object", "account-not-accepted", -1),
        ("object", "bucket-foreign", -1),
        ("record", "account-foreign", 0),
    ]
    assert not world.queue.bodies


async def test_a_dead_letter_that_can_be_used_after_all_is_replayed_and_another_stays(house: InProcess) -> None:
    world = TrailWorld(house)
    world.queue.send("garbage")
    world.queue.send(s3_event(key(account=OTHER)))
    world.queue.send(bridged(record(number=3, recipientAccountId=OTHER), account=OTHER))
    await world.settle()
    assert len(await world.dead()) == 3
    world.accounts.add(OTHER)
    world.inline.add(OTHER)
    world.objects.put(key(account=OTHER), log_file(record(number=5, recipientAccountId=OTHER)))
    assert await world.box.replay_all(None) == 3
    await world.settle()
    assert ids(await world.events()) == [3, 5]
    assert await world.dead() == [("message", "message-malformed", -1)]
    (letter,), _ = await world.box.page(after="", limit=10)
    await world.box.discard(letter.id)
    assert await world.dead() == []


async def test_a_file_of_a_refused_record_is_read_again_when_the_record_is_replayed(house: InProcess) -> None:
    world = TrailWorld(house)
    world.objects.put(key(), log_file(record(number=1), record(number=2, eventVersion="2.0")))
    world.queue.send(s3_event(key()))
    await world.settle()
    assert await world.dead() == [("record", "record-version", 1)]
    await world.box.replay_all("record-version")
    await world.settle()
    assert world.objects.reads == [key(), key()]
    assert await world.dead() == [("record", "record-version", 1)]
    assert ids(await world.events()) == [1]


async def test_an_object_that_does_not_exist_is_a_dead_letter(house: InProcess) -> None:
    world = TrailWorld(house)
    world.queue.send(s3_event(key()))
    await world.settle()
    assert await world.dead() == [("object", "object-missing", -1)]


async def test_a_read_that_fails_is_tried_again_for_days_and_shown_until_it_succeeds(house: InProcess) -> None:
    world = TrailWorld(house)
    denied = SourceUnavailable("trail-denied", "s3://trail-logs: AWS denies the request: AccessDenied")
    world.objects.put(key(), log_file(record(number=1)))
    world.objects.failing[key()] = [denied] * 3
    world.queue.send(s3_event(key()))
    await world.settle()
    (row,) = await house.database.fetch(TRAIL_COVERAGES.bind({}))
    assert (row["account_id"], row["region"], row["newest_at"], row["failure"]) == (
        ACCOUNT, REGION, None, "s3://trail-logs: AWS denies the request: AccessDenied",
    )  # fmt: skip
    for _ in range(3):
        assert await world.events() == []
        house.clock.advance(10)
        await world.settle()
    assert ids(await world.events()) == [1]
    (row,) = await house.database.fetch(TRAIL_COVERAGES.bind({}))
    assert (row["newest_at"], row["failed_at"], row["failure"]) == (1_795_348_800_000, None, "")


async def test_one_account_whose_files_cannot_be_read_does_not_hold_up_the_others(house: InProcess) -> None:
    world = TrailWorld(house, accounts=[ACCOUNT, OTHER])
    away = SourceUnavailable("trail-unavailable", "S3 is away")
    for number in range(20):
        world.objects.put(key(str(number)), log_file(record(number=number)))
        world.objects.failing[key(str(number))] = [away] * 100
        world.queue.send(s3_event(key(str(number))))
    world.objects.put(key(account=OTHER), log_file(record(number=99, recipientAccountId=OTHER)))
    world.queue.send(s3_event(key(account=OTHER)))
    await world.settle()
    assert ids(await world.events()) == [99]


async def test_a_queue_that_cannot_be_read_is_shown_with_its_reason_until_it_can(house: InProcess) -> None:
    world = TrailWorld(house)
    world.queue.failing = [SourceUnavailable("trail-denied", "queue: AWS denies the request: AccessDenied")]
    with pytest.raises(SourceUnavailable):
        await world.intake.round()
    await world.intake._show(SourceUnavailable("trail-denied", "queue: AWS denies the request: AccessDenied"))
    (row,) = await house.database.fetch(TRAIL_QUEUES.bind({}))
    assert (row["url"], row["failure"]) == (QUEUE, "queue: AWS denies the request: AccessDenied")
    await world.intake.round()
    (row,) = await house.database.fetch(TRAIL_QUEUES.bind({}))
    assert (row["waiting"], row["failure"], row["failed_at"]) == (0, "", None)


async def test_an_event_that_claims_to_be_of_the_future_does_not_hide_the_lag(house: InProcess) -> None:
    world = TrailWorld(house)
    world.objects.put(key(), log_file(record(eventTime="2029-01-01T00:00:00Z")))
    world.queue.send(s3_event(key()))
    await world.settle()
    (row,) = await house.database.fetch(TRAIL_COVERAGES.bind({}))
    assert row["newest_at"] is None


def deliver(world: TrailWorld, random: Random) -> None:
    """Put 12 events into files that overlap, and send each file's message some times, in any order."""
    records = [record(("RunInstances", "StopInstances", "TerminateInstances")[n % 3], n) for n in range(12)]
    random.shuffle(records)
    for number in range(5):
        some = random.sample(records, 4) if number else records
        world.objects.put(key(str(number)), log_file(*some))
        world.queue.send(s3_event(key(str(number))), copies=random.randint(1, 3))
    world.queue.send(bridged(records[0]), copies=2)
    world.queue.again = [s3_event(key("0"))]


@of_no_database
@pytest.mark.endurance
@pytest.mark.parametrize("seed", range(repeated(sample=8, whole=300)))
async def test_any_order_of_deliveries_and_failures_records_each_event_once(house: InProcess, seed: int) -> None:
    random = Random(seed)
    world = TrailWorld(house, seed=seed)
    deliver(world, random)
    away = SourceUnavailable("trail-unavailable", "S3 is away")
    for number in random.sample(range(5), 3):
        world.objects.failing[key(str(number))] = [away] * random.randint(1, 3)
    for _ in range(5):
        await world.settle()
        house.clock.advance(10 + IDLE_SECONDS_MAX)
    assert ids(await world.events()) == list(range(12))
    assert await world.dead() == []


async def lives(world: TrailWorld, *, dies_at: int) -> bool:
    """Let a process live until it dies at a step; return whether it came to the end."""
    try:
        await world.restart(dies_at=dies_at)
        await world.settle()
    except (Died, BaseExceptionGroup) as exc:
        if isinstance(exc, BaseExceptionGroup) and exc.split(Died)[1] is not None:
            raise
        return False
    return True


@of_no_database
@pytest.mark.endurance
@pytest.mark.parametrize("step", range(1, 56, repeated(sample=6, whole=1)))
async def test_a_process_that_is_killed_at_any_step_loses_no_event_and_records_none_twice(
    house: InProcess, tmp_path: Path, step: int
) -> None:
    world, random = TrailWorld(house, seed=step), Random(step)
    deliver(world, random)
    world.queue.send("garbage")
    died = [await lives(world, dies_at=one) for one in (step, random.randint(1, 60))]
    assert died[0] is False
    house.clock.advance(700)  # the leases of tasks that they had claimed expire
    assert await lives(world, dies_at=0)
    assert ids(await world.events()) == list(range(12))
    assert await world.dead() == [("message", "message-malformed", -1)]
    assert (await checked(house, tmp_path)).findings == []
