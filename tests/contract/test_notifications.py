"""Notifications on both databases: sent once and in order, by one of several replicas, through failures and crashes."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from contract.test_grouped_violations import HELLO, running, served
from fakes.clocks import FakeClock
from fakes.in_process import InProcess
from fakes.notifications import FAILED, GONE, REFUSED, House, Killed, Receiver, Violations, everything
from whence_aggregator.notifications.dead_box import NotificationBox
from whence_aggregator.notifications.delivering import LEASE_SECONDS
from whence_aggregator.notifications.hours import Hours, QuietPeriod
from whence_aggregator.notifications.outcome import DeliveryOutcome
from whence_aggregator.ports import Database, NotFound
from whence_aggregator.queries.notifications import COUNT_NOTIFICATIONS
from whence_common.errors import InputError

DAY = 86_400.0


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def violations(database: Database, clock: FakeClock) -> Violations:
    return Violations(database, clock)


async def started(database: Database, clock: FakeClock, **changes: Any) -> House:
    house = House(database, clock, [everything(**changes)])
    await house.feeding.start()
    return house


def box(database: Database, house: House) -> NotificationBox:
    return NotificationBox(database=database, destinations=[everything()], now=house.clock)


async def test_every_step_is_sent_once_and_in_order(
    database: Database, clock: FakeClock, violations: Violations
) -> None:
    house = await started(database, clock)
    for step in ("opened", "acknowledged", "fixed", "reopened"):
        await violations.step(step)
        clock.advance(1)
    for _ in range(3):
        await house.turn()
    assert house.receivers["ops"].steps == ["opened", "acknowledged", "fixed", "reopened"]


async def test_a_new_destination_begins_with_what_is_new(
    database: Database, clock: FakeClock, violations: Violations
) -> None:
    await violations.step("opened")
    house = await started(database, clock)
    await house.turn()
    clock.advance(1)
    await violations.step("opened", "shop@2.0")
    await house.turn()
    assert [one.notifications[0].after.subject for one in house.receivers["ops"].got] == ["shop@2.0"]


async def test_a_destination_that_was_away_for_a_week_is_not_flooded_and_one_that_was_not_misses_nothing(
    database: Database, clock: FakeClock, violations: Violations
) -> None:
    await started(database, clock)
    await violations.step("opened")
    clock.advance(6 * DAY)
    house = await started(database, clock)
    await house.turn()
    await violations.step("opened", "shop@2.0")
    await house.feeding.feed()
    await violations.step("acknowledged", "shop@2.0")
    clock.advance(8 * DAY)
    late = await started(database, clock)
    await violations.step("fixed", "shop@2.0")
    await late.turn()
    assert (house.receivers["ops"].steps, late.receivers["ops"].steps) == (["opened"], [])


async def test_a_violation_that_is_fixed_within_notify_after_is_never_sent(
    database: Database, clock: FakeClock, violations: Violations
) -> None:
    house = await started(database, clock, notify_after_seconds=600.0)
    await violations.step("opened")
    await violations.step("opened", "shop@2.0")
    await house.turn()
    clock.advance(599)
    await violations.step("fixed")
    clock.advance(1)
    await house.turn()
    (got,) = house.receivers["ops"].got
    assert got.notifications[0].after.subject == "shop@2.0"
    clock.advance(60)
    await house.turn()
    assert len(house.receivers["ops"].got) == 1


async def test_a_fix_that_was_not_planned_yet_counts_when_its_fault_is_about_to_be_sent(
    database: Database, clock: FakeClock, violations: Violations
) -> None:
    house = await started(database, clock, notify_after_seconds=600.0)
    await violations.step("opened")
    await house.feeding.feed()
    clock.advance(590)
    await violations.step("fixed")
    clock.advance(20)
    assert await house.delivering.run("ops") == 0
    assert house.receivers["ops"].tried == []


async def test_what_is_no_longer_confirmed_is_not_sent_until_it_is(
    database: Database, clock: FakeClock, violations: Violations
) -> None:
    house = await started(database, clock, notify_after_seconds=60.0)
    await violations.step("opened")
    await house.turn()
    clock.advance(30)
    await violations.step("unconfirmed")
    clock.advance(600)
    await house.turn()
    assert house.receivers["ops"].steps == []
    await violations.step("confirmed")
    await house.turn()
    assert house.receivers["ops"].steps == ["opened"]


async def test_a_failure_is_tried_again_with_the_same_id_and_later_steps_wait(
    database: Database, clock: FakeClock, violations: Violations
) -> None:
    house = await started(database, clock)
    receiver = house.receivers["ops"]
    receiver.answers.append(FAILED)
    await violations.step("opened")
    await violations.step("acknowledged")
    await violations.step("opened", "shop@2.0")
    for _ in range(40):
        await house.turn()
        clock.advance(1)
    assert receiver.indexes == [2, 0, 1]
    assert len({one.id for one in receiver.tried if one.notifications[0].ledger_index == 0}) == 1


async def test_a_receiver_that_asks_for_time_gets_it(
    database: Database, clock: FakeClock, violations: Violations
) -> None:
    house = await started(database, clock)
    limited = DeliveryOutcome(kind="failed", code="http-429", reason="limited", retry_after_seconds=120.0)
    house.receivers["ops"].answers.append(limited)
    await violations.step("opened")
    await violations.step("opened", "shop@2.0")
    await house.turn()
    clock.advance(119)
    await house.turn()
    assert len(house.receivers["ops"].tried) == 1, "the other violation waits too: it has the same receiver"
    clock.advance(1)
    await house.turn()
    assert len(house.receivers["ops"].got) == 2


async def test_what_fails_for_a_day_is_a_dead_letter_and_later_steps_go_on(
    database: Database, clock: FakeClock, violations: Violations
) -> None:
    house = await started(database, clock)
    receiver = house.receivers["ops"]
    receiver.answers.extend([FAILED, FAILED])
    first = await violations.step("opened")
    await violations.step("acknowledged")
    await house.turn()
    clock.advance(DAY - 1)
    clock.advance(1)
    await house.turn()
    clock.advance(10)
    await house.turn()
    assert receiver.steps == ["acknowledged"]
    ((letter,), _) = await box(database, house).page(destination=None, after="", limit=10)
    assert (letter.ledger_index, letter.code, letter.attempts) == (first, "http-503", 2)


async def test_a_refusal_is_a_dead_letter_at_once_and_can_be_sent_again_once(
    database: Database, clock: FakeClock, violations: Violations
) -> None:
    house = await started(database, clock)
    receiver, letters = house.receivers["ops"], box(database, house)
    receiver.answers.append(REFUSED)
    await violations.step("opened")
    await violations.step("acknowledged")
    await house.turn()
    assert receiver.steps == ["acknowledged"]
    ((letter,), _) = await letters.page(destination="ops", after="", limit=10)
    assert await letters.replay([letter.id], by="olga") == 1
    await house.turn()
    assert receiver.steps == ["acknowledged", "opened"]
    assert receiver.tried[0].id == receiver.tried[-1].id == letter.id
    with pytest.raises(NotFound):
        await letters.replay([letter.id], by="olga")
    assert await letters.replay_all(None, by="olga") == 0


async def test_dead_letters_are_paged_and_discarded_for_good(
    database: Database, clock: FakeClock, violations: Violations
) -> None:
    house = await started(database, clock)
    house.receivers["ops"].answers.extend([REFUSED] * 3)
    for number in range(3):
        await violations.step("opened", f"app-{number}@1")
        await house.turn()
        clock.advance(1)
    letters = box(database, house)
    page, following = await letters.page(destination=None, after="", limit=2)
    rest, none = await letters.page(destination=None, after=following or "", limit=2)
    assert ([one.ledger_index for one in [*page, *rest]], none) == ([0, 1, 2], None)
    with pytest.raises(InputError, match="invalid cursor"):
        await letters.page(destination=None, after="x", limit=2)
    assert await letters.discard([page[0].id], by="olga") == 1
    assert await letters.replay_all("ops", by="olga") == 2
    assert (await letters.destinations())[0]["dead"] == 0


async def test_a_flood_is_one_summary_that_states_what_is_due(
    database: Database, clock: FakeClock, violations: Violations
) -> None:
    house = await started(database, clock, messages_per_hour_max=3)
    receiver = house.receivers["ops"]
    for number in range(20):
        await violations.step("opened", f"app-{number:02}@1")
    await house.turn()
    assert [len(one.notifications) for one in receiver.got] == [1, 1, 18]
    assert sorted(receiver.indexes) == list(range(20)), "nothing is lost"
    await violations.step("fixed", "app-00@1")
    await violations.step("fixed", "app-01@1")
    await house.turn()
    assert len(receiver.got) == 3, "no more in this hour"
    (shown,) = await box(database, house).destinations()
    assert (shown["waiting"], shown["paused_until"]) == (2, "2026-11-22T13:00:00.020Z")
    clock.advance(3_600)
    await house.turn()
    assert [len(one.notifications) for one in receiver.got[3:]] == [1, 1]


async def test_a_summary_that_fails_is_sent_again_as_it_was_and_a_refused_one_leaves_each_step_as_a_letter(
    database: Database, clock: FakeClock, violations: Violations
) -> None:
    house = await started(database, clock, messages_per_hour_max=1)
    receiver = house.receivers["ops"]
    receiver.answers.append(FAILED)
    for number in range(3):
        await violations.step("opened", f"app-{number}@1")
    await house.turn()
    clock.advance(60)
    await violations.step("opened", "app-3@1")
    await house.turn()
    first, second = receiver.tried
    assert (first.id, len(first.notifications)) == (second.id, len(second.notifications))
    assert (first.id[:4], len(second.notifications), len(receiver.got)) == ("msg_", 3, 1)
    clock.advance(3_600)
    await violations.step("opened", "app-4@1")
    receiver.answers.append(REFUSED)
    await house.turn()
    letters, _ = await box(database, house).page(destination="ops", after="", limit=10)
    assert {one.ledger_index for one in letters} == {3, 4}


async def test_a_step_that_was_tried_alone_is_in_no_summary(
    database: Database, clock: FakeClock, violations: Violations
) -> None:
    house = await started(database, clock, messages_per_hour_max=2)
    receiver = house.receivers["ops"]
    receiver.answers.append(FAILED)
    await violations.step("opened", "app-0@1")
    await house.turn()
    clock.advance(2)
    await violations.step("opened", "app-1@1")
    await house.turn()
    assert receiver.indexes == [1]
    clock.advance(60)
    await violations.step("fixed", "app-0@1")
    await violations.step("fixed", "app-1@1")
    await violations.step("opened", "app-2@1")
    await house.turn()
    summary = receiver.got[1]
    assert [one.ledger_index for one in summary.notifications] == [3, 4]
    clock.advance(3_600)
    await house.turn()
    assert receiver.indexes[3:] == [0, 2]
    assert receiver.tried[0].id == receiver.got[2].id, "it may have arrived, and keeps its id"


async def test_what_waits_for_a_destination_that_left_the_settings_is_not_kept_for_ever(
    database: Database, clock: FakeClock, violations: Violations
) -> None:
    first = House(database, clock, [everything(), everything("old", notify_after_seconds=60.0)])
    await first.feeding.start()
    await violations.step("opened")
    await first.feeding.feed()
    left = House(database, clock, [everything()])
    clock.advance(6 * DAY)
    await left.turn()
    await left.feeding.tidy()
    waiting = {(row["destination"], row["state"]) for row in await database.fetch(COUNT_NOTIFICATIONS.bind({}))}
    assert waiting == {("old", "waiting")}, "it may be away for less than a week"
    clock.advance(2 * DAY)
    await left.turn()
    await left.feeding.tidy()
    assert await database.fetch(COUNT_NOTIFICATIONS.bind({})) == []
    back = House(database, clock, [everything("old")])
    await back.feeding.start()
    await back.turn()
    assert back.receivers["old"].tried == []
    await violations.step("opened", "shop@2.0")
    await back.turn()
    assert back.receivers["old"].steps == ["opened"]


async def test_letters_that_go_while_all_are_sent_again_are_left_out(
    database: Database, clock: FakeClock, violations: Violations
) -> None:
    house = await started(database, clock)
    house.receivers["ops"].answers.extend([REFUSED] * 3)
    for number in range(3):
        await violations.step("opened", f"app-{number}@1")
    await house.turn()
    letters = box(database, house)
    (first, *_), _ = await letters.page(destination=None, after="", limit=1)
    found = await asyncio.gather(
        letters.replay_all(None, by="olga"), letters.replay_all("ops", by="otto"), letters.discard([first.id], by="o"),
        letters.replay_all(None, by="olga"), return_exceptions=True,
    )  # fmt: skip
    counts = [found[0], found[1], found[3]]
    assert all(isinstance(one, int) for one in counts), counts
    assert isinstance(found[2], NotFound) or found[2] == 1
    assert sum(one for one in counts if isinstance(one, int)) == (3 if isinstance(found[2], NotFound) else 2)
    rows = await database.fetch(COUNT_NOTIFICATIONS.bind({}))
    assert {row["state"] for row in rows} == {"waiting"}


async def test_a_receiver_that_is_gone_is_switched_off_until_it_is_enabled(
    database: Database, clock: FakeClock, violations: Violations
) -> None:
    house = await started(database, clock)
    house.receivers["ops"].answers.append(GONE)
    await violations.step("opened")
    await violations.step("opened", "shop@2.0")
    await house.turn()
    clock.advance(DAY)
    await house.turn()
    assert len(house.receivers["ops"].tried) == 1
    letters = box(database, house)
    (shown,) = await letters.destinations()
    assert (shown["disabled_reason"], shown["waiting"]) == ("hooks.example.org answers with HTTP 410", 2)
    await letters.enable("ops", by="olga")
    await house.turn()
    assert house.receivers["ops"].indexes == [0, 1]
    with pytest.raises(NotFound):
        await letters.enable("ops", by="olga")


async def test_a_crash_after_the_message_left_sends_it_again_with_its_id_when_the_lease_ends(
    database: Database, clock: FakeClock, violations: Violations
) -> None:
    first = await started(database, clock)
    second = House(database, clock, [everything()], holder="b", receivers=first.receivers)
    receiver = first.receivers["ops"]
    receiver.killed_after = True
    await violations.step("opened")
    await violations.step("acknowledged")
    with pytest.raises(Killed):
        await first.turn()
    await second.turn()
    assert receiver.indexes == [0], "the lease is still held"
    clock.advance(LEASE_SECONDS)
    await second.turn()
    assert receiver.indexes == [0, 0, 1]
    assert receiver.got[0].id == receiver.got[1].id


async def test_two_senders_at_once_send_everything_once(
    database: Database, clock: FakeClock, violations: Violations
) -> None:
    receivers = {"ops": Receiver()}
    houses = [House(database, clock, [everything()], holder=name, receivers=receivers) for name in "ab"]
    await houses[0].feeding.start()
    for number in range(6):
        await violations.step("opened", f"app-{number}@1")
        await violations.step("acknowledged", f"app-{number}@1")
    async with asyncio.TaskGroup() as group:
        for one in houses:
            group.create_task(one.turn())
    for one in houses:
        await one.turn()
    assert sorted(receivers["ops"].indexes) == list(range(12))


async def test_messages_to_a_limited_receiver_are_a_second_apart(
    database: Database, clock: FakeClock, violations: Violations
) -> None:
    house = await started(database, clock, kind="slack", seconds_between=1.0)
    for number in range(3):
        await violations.step("opened", f"app-{number}@1")
    sent = []
    for _ in range(3):
        await house.turn()
        await house.turn()
        sent.append(len(house.receivers["ops"].got))
        clock.advance(1)
    assert sent == [1, 2, 3]


async def test_quiet_hours_delay_and_drop_nothing(database: Database, clock: FakeClock, violations: Violations) -> None:
    noon = Hours(quiet=(QuietPeriod(start=12 * 60, end=13 * 60),))
    house = await started(database, clock, hours=noon)
    await violations.step("opened")
    clock.advance(600)
    await violations.step("fixed")
    await house.turn()
    assert house.receivers["ops"].steps == []
    clock.advance(3_000)
    await house.turn()
    assert house.receivers["ops"].steps == ["opened", "fixed"]


async def test_a_digest_has_all_of_a_team_at_its_time_and_keeps_its_id(
    database: Database, clock: FakeClock, violations: Violations
) -> None:
    mail = Hours(digests=(13 * 60,))
    house = await started(database, clock, kind="mail", hours=mail, teams=frozenset({"hello"}))
    receiver = house.receivers["ops"]
    clock.advance(1)
    await violations.step("opened")
    await violations.step("opened", "shop@2.0", team="shop")
    await violations.step("acknowledged")
    await violations.step("opened", "other@1")
    await house.turn()
    assert receiver.tried == []
    receiver.killed_after = True
    clock.advance(3_600)
    with pytest.raises(Killed):
        await house.turn()
    await violations.step("opened", "later@1")
    clock.advance(LEASE_SECONDS)
    receiver.answers.append(FAILED)
    await house.turn()
    clock.advance(2)
    await house.turn()
    assert sorted(receiver.indexes) == [0, 0, 2, 2, 3, 3]
    assert len({one.id for one in receiver.tried}) == 1
    clock.advance(DAY)
    await house.turn()
    assert [one.after.subject for one in receiver.got[-1].notifications] == ["later@1"]
    clock.advance(DAY)
    await house.turn()
    assert len(receiver.got) == 3, "there is no mail without news"


async def test_steps_of_verdicts_and_people_are_told_as_the_log_has_them(house: InProcess) -> None:
    await house.register("greeter")
    async with served(house) as asked:
        told = House(house.database, house.clock, [everything(steps=frozenset({"opened", "acknowledged"}))])
        await told.feeding.start()
        await running(asked.house, 2)
        await asked.follow()
        house.clock.advance(1)
        name = (await asked.one())["id"]
        await asked.post(f"/v1/violations/{name}/acknowledge", HELLO, comment="on it")
        await told.turn()
        shown = await asked.get(f"/v1/violations/{name}")
    ours = [one.notifications[0] for one in told.receivers["ops"].got if one.notifications[0].after.id == name]
    assert [(one.step, one.by, one.comment, one.after.team) for one in ours] == [
        ("opened", "", ours[0].comment, "hello"), ("acknowledged", "ada", "on it", "hello"),
    ]  # fmt: skip
    assert [one.ledger_index for one in ours] == sorted(each["ledger_index"] for each in shown["steps"])
    assert (ours[0].after.acknowledged_at, ours[1].after.acknowledged_by) == ("", "ada")


async def test_what_was_sent_a_month_ago_is_deleted_and_not_sent_again(
    database: Database, clock: FakeClock, violations: Violations
) -> None:
    house = await started(database, clock)
    await violations.step("opened")
    await house.turn()
    clock.advance(31 * DAY)
    await house.feeding.tidy()
    await house.turn()
    await violations.step("fixed")
    await house.turn()
    assert house.receivers["ops"].steps == ["opened", "fixed"]
