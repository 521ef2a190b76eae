"""Each team's share of what an outside host may be asked in an hour."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from whence_aggregator.work.hour_shares import HourShares, Share

HOST = "github.com"


class Clock:
    def __init__(self) -> None:
        self.now = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now


def asked(shares: HourShares, lane: str, times: int) -> int:
    """Return how many questions a lane could ask."""
    found = [shares.take(HOST, lane) for _ in range(times)]
    return sum(one is not None and one.wait_seconds == 0 for one in found)


def test_a_team_that_is_alone_has_half_of_the_hour() -> None:
    assert asked(HourShares({HOST: 100}, Clock()), "team:a", 1_000) == 50


def test_another_team_finds_its_share_though_one_asks_without_end() -> None:
    shares = HourShares({HOST: 100}, Clock())
    assert asked(shares, "team:a", 1_000) == 50
    assert asked(shares, "team:b", 1_000) == 50


def test_all_together_ask_no_more_than_the_hour_allows() -> None:
    shares = HourShares({HOST: 100}, Clock())
    assert sum(asked(shares, f"team:{number}", 1_000) for number in range(20)) == 100


def test_teams_that_asked_in_the_hour_before_have_equal_shares_whoever_comes_first() -> None:
    clock = Clock()
    shares = HourShares({HOST: 100}, clock)
    for number in range(10):
        asked(shares, f"team:{number}", 1)
    clock.now += timedelta(hours=1)
    assert [asked(shares, f"team:{number}", 1_000) for number in range(10)] == [10] * 10


def test_what_is_left_is_stated_and_what_waits_keeps_its_order_in_the_next_hour() -> None:
    clock = Clock()
    clock.now += timedelta(minutes=45)
    shares = HourShares({HOST: 4}, clock)
    assert [shares.take(HOST, "team:a") for _ in range(4)] == [
        Share(left=1, share=2), Share(left=0, share=2), Share(left=0, share=2, wait_seconds=900.0),
        Share(left=0, share=2, wait_seconds=900.01),
    ]  # fmt: skip


def test_a_host_without_a_limit_is_asked_at_once() -> None:
    assert HourShares({HOST: 4}, Clock()).take("git.example.org", "team:a") is None
