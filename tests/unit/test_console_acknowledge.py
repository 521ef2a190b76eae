"""Acknowledging several violations in the console: choosing, the list before anything is written, and what was refused."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import pytest

from fakes.console import FakeAsk, answered, shown
from fakes.console_violations import AT, HOSTILE, listed, rule, violation, whole
from whence_aggregator.console.acknowledge_page import send_acknowledge, show_acknowledge
from whence_aggregator.console.asking import ApiAnswer, ApiRefused
from whence_aggregator.console.page import Elsewhere, Visitor, WebPage
from whence_aggregator.console.violation_list import show_violations

ADA = Visitor(name="ada", teams=frozenset({"hello"}), rights=frozenset())
READER = Visitor(name="eve", teams=frozenset(), rights=frozenset())
DONE = {"state": "acknowledged", "acknowledged": {"by": "ada", "at": AT, "comment": "on it"}}


def name_of(number: int) -> str:
    return f"v-{number:020x}"


def house(*violations: dict[str, Any], refused: Mapping[int, ApiAnswer] | None = None) -> FakeAsk:
    """Return an API with violations 0, 1, …, of which some refuse to be acknowledged."""
    ask = FakeAsk()
    for number, one in enumerate(violations):
        path = f"/v1/violations/{name_of(number)}"
        ask.answers[path] = whole(id=name_of(number), **one)
        ask.answers[f"{path}/acknowledge"] = (refused or {}).get(number, violation(id=name_of(number), **DONE))
    return ask


def ticked(*numbers: int, **further: str) -> dict[str, str]:
    return {**{name_of(number): "on" for number in numbers}, **further}


def problem(status: int, code: str) -> ApiAnswer:
    return ApiAnswer(status=status, document={"code": code, "detail": f"refused as {code}", "fix": "do otherwise"})


def heading(page: str) -> str:
    found = re.search(r"<h1>(.*?)</h1>", page)
    assert found is not None
    return found[1]


async def test_the_list_has_a_box_for_each_that_the_visitor_may_acknowledge() -> None:
    rows = [violation(id=name_of(0)), violation(id=name_of(1), team="other"), violation(id=name_of(2), **DONE)]
    ask = FakeAsk({"/v1/violations": listed(*rows), "/v1/rules": {"rules": [rule()]}})
    page = await shown(show_violations, ask, visitor=ADA)
    assert re.findall(r'<input type="checkbox"[^>]* name="(v-[0-9a-f]+)"', page) == [name_of(0)]
    assert 'action="/console/acknowledge"' in page
    for_reader = await shown(show_violations, ask, visitor=READER)
    assert 'type="checkbox"' not in for_reader
    assert "/console/acknowledge" not in for_reader


async def test_a_list_of_an_earlier_moment_has_no_boxes() -> None:
    then = listed(violation(id=name_of(0)), at="2026-11-26T00:00:00.000Z")
    ask = FakeAsk({"/v1/violations": then, "/v1/rules": {"rules": [rule()]}})
    page = await shown(show_violations, ask, visitor=ADA, query={"at": "2026-11-26T00:00:00Z"})
    assert 'type="checkbox"' not in page


async def test_the_chosen_are_shown_before_anything_is_written() -> None:
    ask = house({}, {"team": "other"}, {"state": "fixed"})
    page = await shown(show_acknowledge, ask, query=ticked(0, 1, 2, 7, team="x"), visitor=ADA)
    assert heading(page) == "1 violation to acknowledge: nothing is written yet"
    assert re.findall(r'<input type="hidden" name="(v-[0-9a-f]+)"', page) == [name_of(0)]
    assert "Left as they are" in page
    assert "1 chosen violation cannot be found, or not by you." in page
    assert ask.sent == []


async def test_each_is_acknowledged_with_the_comment_and_the_result_is_read_from_the_ledger() -> None:
    ask = house({}, {})
    answer = await answered(send_acknowledge, ask, form=ticked(0, 1, comment="on it"), visitor=ADA)
    assert answer == Elsewhere(path=f"/console/acknowledge?{name_of(0)}=on&{name_of(1)}=on")
    assert ask.sent == [(f"/v1/violations/{name_of(n)}/acknowledge", {"comment": "on it"}) for n in (0, 1)]
    after = house(DONE, DONE)
    page = await shown(show_acknowledge, after, query=ticked(0, 1), visitor=ADA)
    assert heading(page) == "2 of 2 chosen violations are acknowledged"
    assert '<form class="box' not in page


async def test_one_that_is_refused_is_named_with_the_reason_and_the_others_are_done() -> None:
    ask = house(DONE, {"state": "fixed"}, DONE, refused={1: problem(409, "violation-state")})
    page = await answered(send_acknowledge, ask, form=ticked(0, 1, 2, comment="on it"), visitor=ADA)
    assert isinstance(page, WebPage)
    assert page.status == 409
    html = await shown(send_acknowledge, ask, form=ticked(0, 1, 2, comment="on it"), visitor=ADA)
    assert heading(html) == "2 of 3 chosen violations are acknowledged"
    assert "refused: refused as violation-state (<code>violation-state</code>); do otherwise" in html
    assert "Not acknowledged" in html


@pytest.mark.parametrize(
    ("status", "code"), [(400, "comment-malformed"), (429, "rate-limited"), (503, "database-slow")]
)
async def test_what_refuses_every_one_stops_and_keeps_what_was_typed(status: int, code: str) -> None:
    ask = house({}, {}, {}, refused={0: problem(status, code)})
    html = await shown(send_acknowledge, ask, form=ticked(0, 1, 2, comment="typed"), visitor=ADA)
    assert len(ask.sent) == 1
    assert heading(html) == "Nothing was acknowledged"
    assert f"refused as {code}" in html
    assert ">typed</textarea>" in html
    assert html.count('<input type="hidden" name="v-') == 3


async def test_a_session_that_has_ended_is_no_refusal_of_a_violation() -> None:
    ask = house({}, refused={0: problem(401, "token-expired")})
    with pytest.raises(ApiRefused):
        await shown(send_acknowledge, ask, form=ticked(0, comment="on it"), visitor=ADA)


async def test_at_most_a_hundred_are_acknowledged_at_once() -> None:
    ask = house(*[{}] * 100)
    page = await shown(show_acknowledge, ask, query=ticked(*range(120)), visitor=ADA)
    assert "20 more were chosen and are left out:" in page
    await answered(send_acknowledge, ask, form=ticked(*range(120), comment="on it"), visitor=ADA)
    assert len(ask.sent) == 100


async def test_without_a_choice_it_says_what_to_do_and_writes_nothing() -> None:
    ask = house()
    assert heading(await shown(show_acknowledge, ask)) == "No violation was chosen"
    other = {"../x": "on", "v-XYZ": "on", "comment": "x"}
    assert await answered(send_acknowledge, ask, form=other) == Elsewhere(path="/console/acknowledge")
    assert ask.sent == []


async def test_hostile_text_is_shown_as_text() -> None:
    ask = house({"reason": HOSTILE, "rule": HOSTILE, "team": HOSTILE}, refused={0: problem(403, HOSTILE)})
    page = await shown(send_acknowledge, ask, form=ticked(0, comment=HOSTILE))
    assert "<script>alert" not in page
    assert "\u202e" not in page
