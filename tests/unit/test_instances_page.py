"""The list of instances: its filters, its verdicts, its pages, and what it states when it is empty."""

from __future__ import annotations

from typing import Any

import pytest

from fakes.console import EVERYBODY, FakeAsk, shown
from fakes.instance_answers import instance_answer, whole_answer
from whence_aggregator.console.instances import counts, instance_row, sentence, show_instances
from whence_aggregator.console.page import Visitor

_AT = "2026-11-27T03:24:02.653Z"


def _row(answer: dict[str, Any] | None = None, **members: object) -> dict[str, Any]:
    """Return a row as GET /v1/instances?links=true returns it."""
    lineage = answer["lineage"] if answer is not None else None
    states = {one["link"]: one["state"] for one in lineage["links"]} if lineage is not None else {}
    gaps = [
        one["link"] for one in (lineage["links"] if lineage is not None else ())
        if lineage is not None and one["link"] in lineage["required"]
        and (one["state"] not in ("confirmed", "asserted") or one["lacking"])
    ]  # fmt: skip
    return {
        "instance_id": "i-40de0736bf1489cd5", "account_id": "123456789012", "region": "eu-central-1", "cause": "boot",
        "observed_at": "2026-11-27T03:22:43.015Z", "recorded_at": "2026-11-27T03:22:43.063Z", "recorded_by_then": True,
        "ledger_index": 63, "life": "unknown", "life_since": None, "heard": "speaking",
        "seen_at": "2026-11-27T03:24:00.748Z", "application_id": "greeter", "application_version": "1.1",
        "user_data_digest": None, "image_digest": None,
        "lineage": {"complete": lineage["complete"], "links": states, "gaps": gaps} if lineage is not None else None,
        **members,
    }  # fmt: skip


def _list(*rows: dict[str, Any], following: str | None = None) -> dict[str, Any]:
    return {"at": _AT, "known_at": _AT, "instances": list(rows), "next": following}


def _lacking() -> dict[str, Any]:
    answer = whole_answer()
    answer["lineage"]["complete"] = False
    next(one for one in answer["lineage"]["links"] if one["link"] == "commit")["lacking"] = True
    return answer


def _unchecked() -> dict[str, Any]:
    answer = whole_answer()
    answer["lineage"]["complete"] = False
    return answer


@pytest.mark.parametrize(
    ("row", "verdict"),
    [
        (_row(whole_answer()), ("confirmed", "complete")),
        (_row(whole_answer(), heard="silent"), ("unknown", "silent")),
        (_row(whole_answer(), heard="never"), ("unknown", "never heard")),
        (_row(whole_answer(), heard="silent", life="terminated"), ("confirmed", "complete")),
        (_row(whole_answer(), heard="silent", cause="stop"), ("confirmed", "complete")),
        (_row(instance_answer("dirty")), ("contradicted", "contradicted")),
        (_row(instance_answer("right")), ("unknown", "unknown")),
        (_row(instance_answer("five-mistakes"), cause="failed"), ("missing", "failed boot")),
        (_row(instance_answer("five-mistakes")), ("missing", "missing")),
        (_row(_lacking()), ("missing", "not complete")),
        (_row(_unchecked()), ("unknown", "not checked")),
        (_row(None), ("unknown", "not traced")),
    ],
)
def test_a_row_has_the_verdict_of_its_chain(row: dict[str, Any], verdict: tuple[str, str]) -> None:
    found = instance_row(row)
    assert (found.sign, found.word) == verdict


def test_the_page_counts_the_worst_first() -> None:
    rows = [instance_row(_row(one)) for one in (whole_answer(), instance_answer("dirty"), whole_answer())]
    assert counts(rows) == "1 contradicted, 2 complete."
    assert counts([]) == ""


@pytest.mark.parametrize(
    ("wanted", "count", "whole", "then", "expected"),
    [
        ({}, 12, True, False, "12 instances run now"),
        ({}, 1, True, False, "1 instance runs now"),
        ({"team": "hello"}, 0, True, False, "No instance of team hello runs now"),
        ({"team": "hello", "ami": "ami-1"}, 25, False, False, "Instances of team hello and AMI ami-1 that run now"),
        ({"state": "silent"}, 3, True, False, "3 instances are silent"),
        ({"state": "any", "cause": "failed"}, 2, True, False, "2 instances are known and last reported failed"),
        ({"state": "pending"}, 2, True, False, "2 instances are pending"),
        ({"state": "stopped,terminated,silent"}, 2, True, False, "2 instances are stopped or terminated and silent"),
        ({"state": "running,never"}, 1, True, False, "1 instance is running and never heard"),
        ({}, 2, True, True, "2 instances ran then"),
    ],
)
def test_the_heading_states_what_is_listed(
    wanted: dict[str, str], count: int, whole: bool, then: bool, expected: str
) -> None:
    assert sentence(wanted, count, whole=whole, then=then) == expected


async def test_each_row_has_a_strip_and_leads_to_the_instance() -> None:
    ask = FakeAsk({"/v1/instances": _list(_row(instance_answer("dirty")))})
    html = await shown(show_instances, ask)
    assert 'href="/console/instances/i-40de0736bf1489cd5"' in html
    assert 'aria-label="Gaps: approval unknown, commit contradicted, review unknown"' in html
    assert html.count('<use href="#m-') == 14
    assert "1 instance runs now" in html
    assert "1 s ago" in html


async def test_every_filter_is_in_the_address_and_stays_on_the_next_page() -> None:
    ask = FakeAsk({"/v1/instances": _list(_row(whole_answer()), following="c/1")})
    query = {"team": "hello", "application": "", "state": "any", "at": "2026-11-27T03:00", "cursor": "c/0"}
    html = await shown(show_instances, ask, query=query)
    assert ask.asked == [
        "/v1/instances?team=hello&state=any&at=2026-11-27T03%3A00%3A00Z&cursor=c%2F0&links=true&limit=25"
    ]
    assert 'href="/console/instances?team=hello&amp;state=any&amp;at=2026-11-27T03%3A00%3A00Z&amp;cursor=c%2F1"' in html
    assert 'name="team" value="hello"' in html
    assert '<option value="any" selected>' in html
    assert 'href="/console/instances/i-40de0736bf1489cd5?at=2026-11-27T03%3A24%3A02.653Z"' in html


async def test_a_filter_without_a_field_is_kept_by_the_form() -> None:
    ask = FakeAsk({"/v1/instances": _list()})
    digest = "sha256:" + "a" * 64
    html = await shown(show_instances, ask, query={"user_data": digest, "state": "running,silent"})
    assert f'<input type="hidden" name="user_data" value="{digest}">' in html
    assert '<option value="running,silent" selected>' in html


async def test_a_visitor_who_reads_own_teams_sees_those_of_one_of_them() -> None:
    visitor = Visitor(name="tim", teams=frozenset({"pay", "hello"}), rights=frozenset(), reads_all=False)
    ask = FakeAsk({"/v1/instances": _list()})
    html = await shown(show_instances, ask, visitor=visitor)
    assert ask.asked == ["/v1/instances?team=hello&links=true&limit=25"]
    assert '<option value="pay">' in html


async def test_an_empty_list_states_why_and_what_next() -> None:
    ask = FakeAsk({"/v1/instances": _list()})
    assert "No agent has enrolled yet." in await shown(show_instances, ask)
    filtered = await shown(show_instances, ask, query={"team": "hello"})
    assert "No instance of team hello runs now" in filtered
    assert 'href="/console/instances?team=hello&amp;state=any"' in filtered
    assert "No more instances match." in await shown(show_instances, ask, query={"cursor": "9"})


async def test_hostile_filters_are_text() -> None:
    hostile = '"><script>alert(1)</script>'
    ask = FakeAsk({"/v1/instances": _list(_row(whole_answer(), application_id=hostile, region=hostile))})
    html = await shown(show_instances, ask, query={"team": hostile, "state": hostile}, visitor=EVERYBODY)
    assert "<script>" not in html
