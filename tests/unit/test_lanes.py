"""Shares of the collecting: of each host, of each account, and of both together."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator

import pytest

from landscape.processes import eventually
from whence_aggregator.adapters.layer_stream import Windows, scan
from whence_aggregator.adapters.pace import Floor, ResponsePace, TooSlow, paced
from whence_aggregator.work.lanes import Lanes, LaneShares, choose
from whence_aggregator.work.questions import host_of, lane_of_team, question
from whence_aggregator.work.task import Again, Due, Task, Work

SHARES = LaneShares(all_max=10, lane_max=6, host_max=4, pair_max=3, slow_host_max=2, slow_pair_max=1)
FLOOR = Floor(bytes_per_second_min=100, window_seconds=10.0)


def test_a_lane_gets_its_share_of_a_host_and_others_get_theirs() -> None:
    lanes = Lanes(SHARES, {})
    for _ in range(3):
        lanes.take("tag", "a", "r.example.org", now=0.0)
    assert not lanes.has_room_for("tag", "a", "r.example.org", now=0.0)
    assert lanes.has_room_for("tag", "b", "r.example.org", now=0.0)
    lanes.take("tag", "b", "r.example.org", now=0.0)
    assert not lanes.has_room_for("tag", "b", "r.example.org", now=0.0)
    assert lanes.has_room_for("tag", "b", "elsewhere.example.org", now=0.0)
    for host in ("x", "y", "z"):
        lanes.take("tag", "a", host, now=0.0)
    assert not lanes.has_room_for("tag", "a", "elsewhere.example.org", now=0.0)
    for lane in ("c", "d", "e"):
        assert lanes.has_room_for("tag", lane, lane, now=0.0)
        lanes.take("tag", lane, lane, now=0.0)
    assert (lanes.under_way, lanes.has_room, lanes.has_room_for("tag", "f", "f", now=0.0)) == (10, False, False)


def test_what_is_given_back_is_there_for_the_next() -> None:
    lanes = Lanes(SHARES, {})
    for _ in range(100):
        assert lanes.has_room_for("tag", "a", "h", now=0.0)
        lanes.take("tag", "a", "h", now=0.0)
        lanes.give_back("tag", "a", "h")
    assert lanes.under_way == 0


def test_a_lane_that_found_a_host_slow_has_one_place_there_and_the_others_keep_theirs() -> None:
    lanes = Lanes(SHARES, {})
    lanes.was_slow("a", "h")
    lanes.take("tag", "a", "h", now=0.0)
    lanes.take("tag", "b", "h", now=0.0)
    assert (lanes.has_room_for("tag", "a", "h", now=0.0), lanes.has_room_for("tag", "b", "h", now=0.0)) == (False, True)
    lanes.answered("b", "h")
    assert not lanes.has_room_for("tag", "a", "h", now=0.0)
    lanes.answered("a", "h")
    assert lanes.has_room_for("tag", "a", "h", now=0.0)


def test_a_host_that_is_slow_for_several_has_two_places_until_it_answers_them() -> None:
    lanes = Lanes(SHARES, {})
    for lane in ("a", "b"):
        lanes.was_slow(lane, "h")
    lanes.take("tag", "c", "h", now=0.0)
    lanes.take("tag", "d", "h", now=0.0)
    assert not lanes.has_room_for("tag", "e", "h", now=0.0)
    lanes.answered("a", "h")
    assert lanes.has_room_for("tag", "e", "h", now=0.0)


def test_slow_hosts_are_remembered_within_a_bound() -> None:
    lanes = Lanes(SHARES, {})
    for number in range(10_050):
        lanes.was_slow("a", f"h{number}")
    lanes.take("tag", "a", "h0", now=0.0)
    lanes.take("tag", "a", "h10049", now=0.0)
    assert (lanes.has_room_for("tag", "a", "h0", now=0.0), lanes.has_room_for("tag", "a", "h10049", now=0.0)) == (
        True,
        False,
    )


class Nothing:
    """Does no work."""

    async def do(self, task: Task) -> Again | None:
        return None


def test_a_kind_with_a_bound_of_its_own_leaves_room_for_the_others() -> None:
    lanes = Lanes(SHARES, {"mint": Work(handler=Nothing(), under_way_max=1)})
    lanes.take("mint", "a", "h", now=0.0)
    assert not lanes.has_room_for("mint", "b", "elsewhere", now=0.0)
    assert lanes.has_room_for("tag", "a", "h", now=0.0)
    lanes.give_back("mint", "a", "h")
    assert lanes.has_room_for("mint", "b", "elsewhere", now=0.0)


def test_a_kind_with_a_pace_starts_no_sooner_for_any_lane() -> None:
    lanes = Lanes(SHARES, {"mint": Work(handler=Nothing(), seconds_between=5.0)})
    lanes.take("mint", "a", "h", now=100.0)
    lanes.give_back("mint", "a", "h")
    assert [lanes.has_room_for("mint", "b", "g", now=now) for now in (100.0, 104.9, 105.0)] == [False, False, True]
    assert lanes.has_room_for("tag", "b", "g", now=100.0)


def due(*named: str) -> list[Due]:
    """Give tasks, the oldest first, of texts such as `lane@host`."""
    return [
        Due(kind="tag", subject=f"{one}#{n}", due_at="", lane=one.partition("@")[0], host=one.partition("@")[2])
        for n, one in enumerate(named)
    ]


def chosen(tasks: list[Due], lanes: Lanes, *, after: str = "", tasks_max: int = 100) -> list[str]:
    return [one.subject for one in choose(tasks, lanes, after=after, tasks_max=tasks_max, now=0.0)]


def test_lanes_take_turns_from_the_one_that_follows_the_last() -> None:
    tasks = due("b@1", "b@2", "b@3", "c@1", "a@1")
    assert chosen(tasks, Lanes(SHARES, {})) == ["a@1#4", "b@1#0", "c@1#3", "b@2#1", "b@3#2"]
    assert chosen(tasks, Lanes(SHARES, {}), after="a", tasks_max=3) == ["b@1#0", "c@1#3", "a@1#4"]
    assert chosen(tasks, Lanes(SHARES, {}), after="c", tasks_max=1) == ["a@1#4"]
    assert chosen([], Lanes(SHARES, {})) == []


def test_a_task_without_room_does_not_block_the_tasks_behind_it() -> None:
    tasks = due(*["a@h"] * 50, "a@other", "b@h", "b@h")
    lanes = Lanes(SHARES, {})
    assert chosen(tasks, lanes) == ["a@h#0", "b@h#51", "a@h#1", "b@h#52", "a@other#50"]
    assert lanes.under_way == 5
    assert chosen(tasks, lanes) == ["a@other#50"]


@pytest.mark.parametrize(
    "kind, subject, host",
    [
        ("tag", "r.example.org:5000/team/app:1.0", "r.example.org:5000"),
        ("image-source", "r.example.org/team/app@sha256:1", "r.example.org"),
        ("commit", "git.example.org/team/app@c", "git.example.org"),
        ("inventory", "123456789012/eu-central-1", "ec2/123456789012/eu-central-1"),
        ("tag", "x" * 500, "x" * 300),
    ],
)
def test_a_question_names_the_host_that_is_asked(kind: str, subject: str, host: str) -> None:
    assert host_of(kind, subject) == host
    row = question(kind, subject, due_at="2026-11-22T12:00:00.000Z", lane=lane_of_team("hello"))
    assert (row["lane"], row["host"], row["kind"], row["subject"]) == ("team:hello", host, kind, subject)


def test_a_body_that_comes_fast_enough_is_never_too_slow() -> None:
    pace = ResponsePace(FLOOR)
    for _ in range(1_000):
        pace.took(1.0, 100)
    assert pace.left_seconds <= 10.0


@pytest.mark.parametrize(
    "waits", [[(10.0, 999)], [(1.0, 1)] * 10, [(5.0, 10_000), (5.0, 0), (10.0, 999)], [(0.0, 9), (10.0, 0)]]
)
def test_a_body_that_drips_is_too_slow_at_the_end_of_a_window(waits: list[tuple[float, int]]) -> None:
    pace, last = ResponsePace(FLOOR), waits.pop()
    for waited, came in waits:
        pace.took(waited, came)
    with pytest.raises(TooSlow) as caught:
        pace.took(*last)
    assert caught.value.code == "source-too-slow"


def test_time_that_the_reader_takes_for_itself_counts_against_nobody() -> None:
    pace = ResponsePace(FLOOR)
    for _ in range(1_000):
        pace.took(0.0, 1)  # an hour may have passed between them
    assert pace.left_seconds == 10.0


async def dripping(clock: list[float]) -> AsyncIterator[bytes]:
    while True:
        clock[0] += 1.0
        yield b"x"


async def test_a_stream_that_drips_is_given_up() -> None:
    clock = [0.0]
    with pytest.raises(TooSlow, match="arrived in 10 seconds"):
        async for _ in paced(dripping(clock), FLOOR, seconds=lambda: clock[0]):
            pass
    assert clock == [10.0]


async def hanging(closed: asyncio.Event) -> AsyncIterator[bytes]:
    try:
        yield b"x"
        await asyncio.Event().wait()
    finally:
        closed.set()


async def test_a_layer_that_stalls_is_given_up_and_its_connection_closed() -> None:
    closed = asyncio.Event()
    with pytest.raises(TooSlow):
        await scan(hanging(closed), windows=Windows(), floor=Floor(bytes_per_second_min=1_000, window_seconds=0.05))
    assert closed.is_set()
    await eventually(lambda: not _layer_threads())


async def test_many_stalled_layers_hold_up_no_other_thread() -> None:
    """The threads that all else shares are few: six of them on two cores."""
    closed = asyncio.Event()
    scans = [asyncio.create_task(scan(hanging(closed), windows=Windows())) for _ in range(40)]
    await eventually(lambda: len(_layer_threads()) == 40)
    async with asyncio.timeout(30):
        assert await asyncio.to_thread(lambda: "free") == "free"
    for one in scans:
        one.cancel()
    ended = await asyncio.gather(*scans, return_exceptions=True)
    assert {type(one) for one in ended} == {asyncio.CancelledError}
    await eventually(lambda: not _layer_threads())


def _layer_threads() -> list[str]:
    return [one.name for one in threading.enumerate() if one.name.startswith("whence-layer")]
