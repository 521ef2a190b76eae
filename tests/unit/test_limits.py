"""Rate limits: as much as was said, and a time to come again."""

from __future__ import annotations

from contextlib import suppress

import pytest

from whence_aggregator.callers.limits import ChallengeLimits, Limit, Rate
from whence_aggregator.ports import Overloaded


class Clock:
    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


def test_a_burst_passes_then_the_rate_holds() -> None:
    clock = Clock()
    limit = Limit("instance", Rate(per_second=2.0, burst=3.0), clock)
    for _ in range(3):
        limit.take("a")
    with pytest.raises(Overloaded) as caught:
        limit.take("a")
    assert caught.value.retry_after_seconds == 1.0
    clock.seconds += 0.5
    limit.take("a")
    with pytest.raises(Overloaded):
        limit.take("a")


def test_names_do_not_share_a_bucket() -> None:
    limit = Limit("instance", Rate(per_second=0.001, burst=1.0), Clock())
    limit.take("a")
    limit.take("b")
    with pytest.raises(Overloaded, match="too many calls from instance a"):
        limit.take("a")


def test_what_was_refused_does_not_count() -> None:
    clock = Clock()
    limit = Limit("instance", Rate(per_second=1.0, burst=1.0), clock)
    limit.take("a")
    for _ in range(50):
        with pytest.raises(Overloaded):
            limit.take("a")
    clock.seconds += 1.0
    limit.take("a")


def test_buckets_that_are_full_again_take_no_memory() -> None:
    clock = Clock()
    limit = Limit("address", Rate(per_second=1.0, burst=10.0), clock)
    for number in range(10_000):
        clock.seconds += 0.1
        limit.take(f"name-{number}")
    assert limit.names_kept <= 11


def test_the_table_is_bounded_and_a_name_that_keeps_asking_stays_in_it() -> None:
    clock = Clock()
    limit = Limit("address", Rate(per_second=0.001, burst=2.0), clock, names_max=100)
    limit.take("flooder")
    limit.take("flooder")
    for number in range(5_000):
        limit.take(f"name-{number}")
        assert not limit.took("flooder"), "others fill the table, and its limit holds"
        assert limit.names_kept <= 100


def test_filling_the_table_locks_out_no_newcomer() -> None:
    limit = Limit("address", Rate(per_second=0.001, burst=2.0), Clock(), names_max=100)
    for number in range(1_000):
        limit.take(f"name-{number}")
    limit.take("newcomer")
    limit.take("newcomer")


def test_what_is_given_back_can_be_taken_again_and_no_more() -> None:
    limit = Limit("instance", Rate(per_second=0.001, burst=2.0), Clock())
    limit.take("a")
    for _ in range(5):
        limit.give_back("a")
    limit.take("a")
    limit.take("a")
    assert not limit.took("a")


def challenge_limits() -> ChallengeLimits:
    rate = Rate(per_second=0.001, burst=3.0)
    return ChallengeLimits(address=Limit("address", rate, Clock()), key=Limit("key", rate, Clock()))


def test_one_behind_a_shared_address_uses_up_no_challenge_of_another_key_behind_it() -> None:
    limits = challenge_limits()
    for name in (None, "a" * 64, None, "b" * 64, "c" * 64):
        with suppress(Overloaded):
            limits.take("10.0.0.254", name)
    with pytest.raises(Overloaded, match=r"too many calls from address 10\.0\.0\.254"):
        limits.take("10.0.0.254", None)
    for _ in range(3):
        limits.take("10.0.0.254", "d" * 64)
    with pytest.raises(Overloaded, match="too many calls from key dddd"):
        limits.take("10.0.0.254", "d" * 64)
    limits.take("10.0.0.1", "d" * 64)


def test_who_names_a_key_at_another_address_uses_up_nothing_of_its_owner() -> None:
    limits = challenge_limits()
    for _ in range(20):
        with suppress(Overloaded):
            limits.take("10.0.0.66", "d" * 64)
    limits.take("10.0.0.1", "d" * 64)
