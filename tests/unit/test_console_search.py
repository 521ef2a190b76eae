"""Search opens what is unique, lists the rest by kind, and states what it searched where nothing is found."""

from __future__ import annotations

import re
from typing import Any

import pytest

from fakes.console import EVERYBODY, FakeAsk, shown
from unit.test_console_overview import AT, rule
from whence_aggregator.console.asking import ApiAnswer, ApiRefused
from whence_aggregator.console.page import Visitor
from whence_aggregator.console.search import search

DIGEST = "sha256:" + "d" * 64
COMMIT, OTHER = "0f3947d" + "c" * 33, "0f3947d" + "e" * 33
LINKS = (
    "account", "team", "instance", "ami", "user_data", "application", "version", "approval", "image", "source", "commit",
    "review", "ticket", "specification",
)  # fmt: skip
MEMBER = Visitor(name="ada", teams=frozenset({"hello"}), rights=frozenset())


def lineage(commit: str = COMMIT, *, contains: tuple[str, ...] = ()) -> dict[str, Any]:
    values = {
        "application": {"application_id": "greeter"}, "version": {"version": "1.0"}, "image": {"digest": DIGEST},
        "commit": {"commit": commit, "subject": "Greet louder"},
    }  # fmt: skip
    links: list[dict[str, Any]] = [
        {"link": one, "state": "asserted" if one in values else "missing", "value": values.get(one), "reason": None,
         "lacking": False, "evidence": []}
        for one in LINKS
    ]  # fmt: skip
    return {
        "subject": {"instance": "i-0123456789abcdef0"}, "at": AT, "known_at": AT, "complete": False, "required": [],
        "not_checked": [], "recorded_by_then": True, "life": "running", "life_since": None, "heard": "speaking",
        "last_seen": AT, "started_by": {"state": "unknown", "value": None, "reason": "none", "evidence": []},
        "reported_later": {"total": 0, "statements": []}, "contains": list(contains), "links": links, "checkpoint": "",
    }  # fmt: skip


def lineages(*found: dict[str, Any]) -> dict[str, Any]:
    return {"subject": {}, "at": AT, "known_at": AT, "lineages": list(found), "ranges_waiting": 0, "next": None}


def application(id_: str, **changes: Any) -> dict[str, Any]:
    return {
        "id": id_, "team_id": "hello", "name": "Greeter", "active": True, "last_modified": AT, "required_approvers": 2,
        "repositories": [], "trackers": [], "revision": 1, "ledger_index": 1, **changes,
    }  # fmt: skip


def empty(**answers: Any) -> FakeAsk:
    """Return an API that knows nothing but what is stated."""
    ask = FakeAsk(
        {
            "/v1/trace": lineages(), "/v1/applications": {"applications": [], "next": None}, "/api/teams": [],
            "/api/accounts/aws": [], "/v1/rules": {"rules": [rule("image-mutable", 1)]},
        }
    )  # fmt: skip
    ask.answers |= answers
    return ask


async def found(ask: FakeAsk, query: str, visitor: Visitor = EVERYBODY, **more: str) -> str:
    return await shown(search, ask, query={"q": query, **more}, visitor=visitor)


def heading(html: str) -> str:
    (sentence,) = re.findall(r"<h1>(.*?)</h1>", html, re.DOTALL)
    return str(sentence)


@pytest.mark.parametrize(
    ("query", "answers", "path"),
    [
        ("i-0123456789abcdef0",
         {"/v1/instances/i-0123456789abcdef0": {"lineage": lineage(), "statements": [], "verdicts": []}},
         "/console/instances/i-0123456789abcdef0"),
        ("ami-12c6146b", {"/v1/trace?ami=ami-12c6146b&state=any&limit=1": lineages(lineage())},
         "/console/amis/ami-12c6146b"),
        (DIGEST, {f"/v1/trace?image={DIGEST.replace(':', '%3A')}&state=any&limit=1": lineages(lineage())},
         "/console/images/sha256%3A" + "d" * 64),
        (DIGEST, {f"/v1/trace?user_data={DIGEST.replace(':', '%3A')}&state=any&limit=1": lineages(lineage())},
         "/console/instances?user_data=sha256%3A" + "d" * 64 + "&state=any"),
        (DIGEST, {f"/v1/receipts/sha256%3A{'d' * 64}":
                  {"digest": DIGEST, "ledger_index": 41, "recorded_at": AT, "receipt": "r"}}, "/console/evidence/41"),
        ("0f3947d", {"/v1/trace?commit=0f3947d&state=any&limit=10": lineages(lineage(), lineage())},
         f"/console/commits/{COMMIT}"),
        ("pay-7", {"/v1/trace?ticket=PAY-7&state=any&limit=1": lineages(lineage())}, "/console/tickets/PAY-7"),
        ("#4", {"/v1/trace?ticket=%234&state=any&limit=1": lineages(lineage())}, "/console/tickets/%234"),
        ("https://github.com/demo/greeter/issues/4",
         {"/v1/trace?ticket=demo%2Fgreeter%234&state=any&limit=1": lineages(lineage())},
         "/console/tickets/demo%2Fgreeter%234"),
        ("!12", {"/v1/trace?review=%2112&state=any&limit=10": lineages(lineage())}, f"/console/commits/{COMMIT}"),
        ("ada@example.org", {"/v1/people/ada%40example.org":
                             {"uid": "ada@example.org", "teams": ["hello"], "memberships": []}},
         "/console/people/ada%40example.org"),
        ("greeter", {"/v1/applications?q=greeter&limit=10":
                     {"applications": [application("greeter"), application("greeter-two")], "next": "x"}},
         "/console/applications/greeter"),
        ("greet", {"/v1/applications?q=greet&limit=10": {"applications": [application("greeter")], "next": None}},
         "/console/applications/greeter"),
        ("mutable", {}, "/console/rules/image-mutable"),
        ("produc", {"/api/accounts/aws": [
            {"id": "123456789012", "name": "production", "provider": "aws", "type": "aws", "description": "",
             "owner": "hello", "disabled": False, "members": []}]}, "/console/accounts/123456789012"),
        ("ships", {"/v1/teams/ships": {"team_id": "fleet", "spelled": "fleet", "name": "Fleet", "aliases": ["ships"],
                                       "status": "active", "into": None, "members": 2, "sources": []}},
         "/console/teams/fleet"),
    ],
)  # fmt: skip
async def test_what_is_unique_is_opened(query: str, answers: dict[str, Any], path: str) -> None:
    assert await found(empty(**answers), query) == path


async def test_the_beginning_of_several_commits_is_a_list_of_them() -> None:
    html = await found(
        empty(**{"/v1/trace?commit=0f3947d&state=any&limit=10": lineages(lineage(), lineage(OTHER))}), "0f3947d"
    )
    assert heading(html) == "2 things are found for “0f3947d”"
    assert f'href="/console/commits/{COMMIT}"' in html
    assert f'href="/console/commits/{OTHER}"' in html
    assert "a digest is found by at least 8 of its digits" in html


def begun(*keys: tuple[str, str, int | None], more: bool = False) -> dict[str, Any]:
    listed = [{"kind": kind, "value": value, "ledger_index": index} for kind, value, index in keys]
    return {"/v1/keys": {"beginning": "x", "keys": listed, "more": more}}


@pytest.mark.parametrize(
    ("query", "key", "path"),
    [
        ("i-0123", ("instance", "i-0123456789abcdef0", None), "/console/instances/i-0123456789abcdef0"),
        ("i-01234567", ("instance", "i-0123456789abcdef0", None), "/console/instances/i-0123456789abcdef0"),
        ("dddddddd", ("image", DIGEST, None), "/console/images/sha256%3A" + "d" * 64),
        ("SHA256:DDDDDDDD", ("image", DIGEST, None), "/console/images/sha256%3A" + "d" * 64),
        ("d" * 63, ("user_data", DIGEST, None), "/console/instances?user_data=sha256%3A" + "d" * 64 + "&state=any"),
        ("dddddddd", ("layer", DIGEST, None), "/console/search?q=sha256%3A" + "d" * 64),
        ("dddddddd", ("entry", DIGEST, 41), "/console/evidence/41"),
    ],
)
async def test_a_beginning_opens_what_alone_begins_so(query: str, key: tuple[str, str, int | None], path: str) -> None:
    ask = empty(**begun(key))
    assert await found(ask, query) == path
    asked = query.lower() if query.startswith("i-") else "sha256%3A" + query.lower().removeprefix("sha256:")
    assert f"/v1/keys?beginning={asked}&limit=10" in ask.asked


async def test_a_beginning_of_several_is_a_list_that_says_whether_there_are_more() -> None:
    keys = [("instance", f"i-0123{number:013x}", None) for number in range(10)]
    html = await found(empty(**begun(*keys, more=True)), "i-0123")
    assert heading(html) == "At least 10 things are found for “i-0123”"
    assert "more than 10" in html
    assert "More begin so: write more digits." in html
    assert "More begin so" not in await found(empty(**begun(*keys)), "i-0123")


async def test_a_beginning_finds_nothing_for_those_who_may_not_read_everything() -> None:
    refused = ApiAnswer(status=403, document={"code": "read-own-teams", "detail": "name a team", "fix": ""})
    assert heading(await found(empty(**{"/v1/keys": refused}), "i-0123")) == "Nothing is found for “i-0123”"


async def test_things_are_grouped_by_kind_with_their_number_and_where_there_is_more() -> None:
    rules = [rule(f"gre-{n}", 1) for n in range(12)]
    listed = {"applications": [application("gre-a"), application("gre-b", name="")], "next": "abc"}
    ask = empty(**{"/v1/applications": listed, "/v1/rules": {"rules": rules}})
    html = await found(ask, "gre")
    assert heading(html) == "At least 14 things are found for “gre”"
    assert [re.sub(r"<[^>]+>", "", one) for one in re.findall(r"<h2.*?</h2>", html)] == ["Applications", "Rules"]
    assert '<span class="small quiet">more than 2</span>' in html
    assert '<span class="small quiet">12</span>' in html
    assert html.count("/console/rules/gre-") == 10
    assert 'href="/console/search?q=gre&amp;kind=applications"' in html
    page = await found(ask, "gre", kind="applications", cursor="xyz")
    assert "/v1/applications?q=gre&limit=50&cursor=xyz" in ask.asked
    assert 'href="/console/search?q=gre&amp;kind=applications&amp;cursor=abc"' in page
    assert "/console/rules/gre-" not in page
    rest = await found(ask, "gre", kind="rules", cursor="10")
    assert re.findall(r"/console/rules/(gre-[0-9]+)", rest) == ["gre-10", "gre-11"]


async def test_nothing_found_states_the_query_what_was_searched_and_the_kinds_of_key() -> None:
    html = await found(empty(), "dec-12")
    assert heading(html) == "Nothing is found for “dec-12”"
    assert (
        "Searched as a ticket; as a person; as a team; as a part of the name of applications, images, teams, accounts,"
        " rules. What you may not read is not found." in html
    )
    assert '<h2 id="h-keys">Kinds of key</h2>' in html
    assert "i-0123456789abcdef0" in html


async def test_without_a_query_the_page_states_the_kinds_of_key_and_asks_nothing() -> None:
    ask = empty()
    assert heading(await found(ask, "   ")) == "Find anything by its key or a part of its name"
    assert ask.asked == []


async def test_what_cannot_be_searched_is_not_absent() -> None:
    """An unknown AMI may be there: the page says so, and opens nothing."""
    conflict = {"code": "ami-not-derived", "detail": "instances cannot be found by AMI yet", "fix": ""}
    ask = empty(**{"/v1/trace?ami=ami-12c6146b&state=any&limit=1": ApiAnswer(status=409, document=conflict)})
    html = await found(ask, "ami-12c6146b")
    assert "As an AMI: instances cannot be found by AMI yet." in html
    busy = ApiAnswer(status=503, document={"code": "storage-slow", "detail": "slow", "fix": ""})
    with pytest.raises(ApiRefused):
        await found(empty(**{"/v1/trace": busy}), "#4")


async def test_who_reads_own_teams_only_searches_in_these() -> None:
    ask = FakeAsk({"/v1/rules": {"rules": []}})
    ask.answers["/v1/applications?q=greeter&team=hello&limit=10"] = {
        "applications": [application("greeter")], "next": None,
    }  # fmt: skip
    assert await found(ask, "greeter", MEMBER) == "/console/applications/greeter"
    assert await found(FakeAsk({}), "hell", MEMBER) == "/console/teams/hello"


async def test_a_hostile_query_and_hostile_names_are_shown_as_text() -> None:
    hostile = "<script>alert(1)</script>\u202e"
    listed = {
        "applications": [application(hostile, name=hostile), application("b", name="\x1b[2J" * 200)],
        "next": None,
    }
    html = await found(empty(**{"/v1/applications": listed}), hostile)
    assert "<script>alert" not in html
    assert "\u202e" not in html
    assert "\x1b" not in html
    assert "/console/applications/%3Cscript%3Ealert%281%29%3C%2Fscript%3E" in html
