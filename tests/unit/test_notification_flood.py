"""However many steps are due, no hour has more messages than the bound, and every step is stated once."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whence_aggregator.notifications.flood import WINDOW, SentMessages, Turn, rest_until, turn
from whence_common.clock import to_instant

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
NONE_SENT = SentMessages(count=0, oldest="")


@pytest.mark.parametrize(
    ("count", "bound", "expected"),
    [
        (0, None, "one"), (10_000, None, "one"), (0, 3, "one"), (1, 3, "one"), (2, 3, "all"), (3, 3, "none"),
        (4, 3, "none"), (0, 1, "all"), (1, 1, "none"),
    ],
)  # fmt: skip
def test_the_last_message_before_the_bound_states_all_that_is_due(
    count: int, bound: int | None, expected: Turn
) -> None:
    assert turn(SentMessages(count=count, oldest=""), bound=bound) == expected


def test_a_destination_rests_until_its_oldest_message_is_an_hour_old() -> None:
    oldest = to_instant(NOON - timedelta(minutes=50))
    assert rest_until(SentMessages(count=2, oldest=oldest), now=NOON, bound=3) == NOON + timedelta(minutes=10)
    assert rest_until(NONE_SENT, now=NOON, bound=1) == NOON + WINDOW
    assert rest_until(SentMessages(count=1, oldest=oldest), now=NOON, bound=3) is None
    assert rest_until(SentMessages(count=9, oldest=oldest), now=NOON, bound=None) is None


@given(
    bound=st.integers(1, 5),
    arrivals=st.lists(st.tuples(st.integers(0, 2_000), st.integers(1, 8)), min_size=1, max_size=30),
)
def test_no_hour_has_more_messages_than_the_bound_and_every_step_is_stated_once(
    bound: int, arrivals: list[tuple[int, int]]
) -> None:
    now, due, resting, sent = NOON, 0, NOON, list[tuple[datetime, int]]()
    came = 0
    for seconds, number in [*arrivals, (3_600, 0), (3_600, 0)]:
        now += timedelta(seconds=seconds)
        due, came = due + number, came + number
        while due and resting <= now:
            within = [at for at, _ in sent if at > now - WINDOW]
            seen = SentMessages(count=len(within), oldest=to_instant(min(within)) if within else "")
            which = turn(seen, bound=bound)
            assert which != "none", "it rests before"
            stated = due if which == "all" else 1
            resting = rest_until(seen, now=now, bound=bound) or now
            sent.append((now, stated))
            due -= stated
    assert (due, sum(stated for _, stated in sent)) == (0, came)
    for at, _ in sent:
        assert sum(at - WINDOW < other <= at for other, _ in sent) <= bound
