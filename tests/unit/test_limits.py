"""Rate limits: as much as was said, and a time to come again."""

from __future__ import annotations

import pytest

from whence_aggregator.limits import Limit, Rate
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
    with pytest.raises(Overloaded, match="too many from instance a"):
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
