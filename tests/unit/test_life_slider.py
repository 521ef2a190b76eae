"""The slider over the life of an instance: its steps, and the moment that each leads to."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from fakes.console import FakeAsk, answered, shown
from fakes.instance_answers import RULES, statement, whole_answer
from whence_aggregator.console.instance import show_instance
from whence_aggregator.console.life_events import LifeEvent
from whence_aggregator.console.life_slider import life_slider, slid_to
from whence_aggregator.console.page import Elsewhere
from whence_common.clock import to_instant
from whence_common.errors import InputError

_NOW = datetime(2026, 11, 27, 12, 0, tzinfo=UTC)
_BEGIN = "2026-11-27T09:00:00.000Z"
_EVENTS = [
    LifeEvent(at="2026-11-27T11:00:00.500Z", what="change"),
    LifeEvent(at="2026-11-27T10:00:20.000Z", what="heard again"),
    LifeEvent(at="2026-11-27T10:00:10.000Z", what="boot"),
    LifeEvent(at=_BEGIN, what="started", is_shown=False),
]


def _sent(number: int, **changes: str) -> dict[str, str]:
    return {"since": _BEGIN, "every": "60", "last": "180", "step": str(number), **changes}


def test_the_steps_go_from_the_first_event_to_now_in_a_unit_that_people_count_in() -> None:
    slider = life_slider(_EVENTS, shown="2026-11-27T10:30:00.000Z", now=_NOW, is_now=False)
    assert slider is not None
    assert (slider.since, slider.every, slider.unit, slider.last, slider.shown) == (_BEGIN, 60, "minutes", 180, 90)
    assert [(one.step, one.what) for one in slider.marks] == [(0, "started"), (61, "heard again"), (121, "change")]


def test_now_is_the_last_step_and_a_past_moment_never_is() -> None:
    now = life_slider(_EVENTS, shown=to_instant(_NOW), now=_NOW, is_now=True)
    past = life_slider(_EVENTS, shown="2026-11-27T11:59:59.999Z", now=_NOW, is_now=False)
    assert now is not None
    assert past is not None
    assert (now.shown, past.shown) == (180, 179)


@pytest.mark.parametrize("days", [0, 1, 100, 4000, 40000])
def test_a_life_of_any_length_has_some_hundred_steps_at_most(days: int) -> None:
    old = LifeEvent(at=to_instant(_NOW - timedelta(days=days)), what="boot")
    slider = life_slider([old], shown=old.at, now=_NOW, is_now=False)
    assert slider is not None
    assert 1 <= slider.last <= (1400 if days == 40000 else 400)


def test_without_an_event_there_is_no_slider() -> None:
    assert life_slider([], shown=_BEGIN, now=_NOW, is_now=True) is None


def test_a_step_leads_to_the_newest_event_within_it() -> None:
    assert slid_to(_sent(61), _EVENTS, now=_NOW) == "2026-11-27T10:00:20.000Z"
    assert slid_to(_sent(121), _EVENTS, now=_NOW) == "2026-11-27T11:00:00.500Z"


def test_a_step_without_an_event_leads_to_its_end_and_the_last_to_now() -> None:
    assert slid_to(_sent(90), _EVENTS, now=_NOW) == "2026-11-27T10:30:00.000Z"
    assert slid_to(_sent(0), _EVENTS, now=_NOW) == _BEGIN
    assert slid_to(_sent(180), _EVENTS, now=_NOW) is None
    assert slid_to(_sent(99999999), _EVENTS, now=_NOW) is None
    assert slid_to(_sent(180), _EVENTS, now=_NOW + timedelta(hours=9)) is None, "the page was open for long"


@pytest.mark.parametrize(
    "query",
    [
        {"step": "1"}, _sent(1, since="yesterday"), _sent(1, every="0x1"), _sent(1, last=""), _sent(1, step="-1"), _sent(1, step="1e3"),
        _sent(1, step="9" * 400), _sent(1, step="٣"), _sent(1, every="99999999", step="99999999"),
        _sent(1, since="0001-01-01T00:00:00.000Z", every="99999999", step="0"),
    ],
)  # fmt: skip
def test_what_no_slider_sends_is_refused(query: dict[str, str]) -> None:
    with pytest.raises(InputError, match="invalid moment of the slider"):
        slid_to(query, _EVENTS, now=_NOW)


async def test_the_page_has_the_slider_and_a_step_of_it_leads_to_an_address_that_stays_valid() -> None:
    answer = whole_answer()
    answer["statements"] = [statement(index=5, recorded_at="2026-11-27T01:00:00.000Z")]
    path = answer["lineage"]["subject"]["instance"]
    ask = FakeAsk({f"/v1/instances/{path}": answer, "/v1/rules": RULES})
    html = await shown(show_instance, ask, path={"id": path})
    assert '<input id="step" type="range" name="step"' in html
    assert 'label="boot"></option>' in html
    query = {"since": "2026-11-27T01:00:00.000Z", "every": "60", "last": "660", "step": "0"}
    assert await answered(show_instance, ask, path={"id": path}, query=query) == Elsewhere(
        path=f"/console/instances/{path}?at=2026-11-27T01%3A00%3A00.000Z"
    )
    last = {**query, "step": "660"}
    assert await answered(show_instance, ask, path={"id": path}, query=last) == Elsewhere(
        path=f"/console/instances/{path}"
    )
