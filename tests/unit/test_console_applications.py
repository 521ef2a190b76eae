"""Pages of applications, versions, images, commits, tickets, changes and comparisons: what they say of each answer."""

from __future__ import annotations

import json
import re
from copy import deepcopy
from dataclasses import replace
from typing import Any

import click
import pytest

from fakes.console import OF_HELLO, FakeAsk, shown
from landscape.whole import ROOT
from whence_aggregator.console.application import show_application
from whence_aggregator.console.applications import show_applications
from whence_aggregator.console.asking import ApiAnswer, ApiRefused
from whence_aggregator.console.deployments import show_changes
from whence_aggregator.console.difference import show_diff
from whence_aggregator.console.image_facts import reading
from whence_aggregator.console.page import Visitor
from whence_aggregator.console.traced_subject import show_commit, show_image, show_ticket
from whence_aggregator.console.version import show_version
from whence_aggregator.whence.cli import whence

IMAGE = "sha256:468f644910c4b7229a6e729e3b67be7ca71d824007a47886f120f977d3d28057"
COMMIT = "c34d918179fb02f19f080e7d3b02a572c15b267e"


def answer(name: str) -> Any:
    """Return an answer that an aggregator gave in the demo."""
    return json.loads((ROOT / "tests" / "data" / "console" / f"{name}.json").read_text(encoding="utf-8"))


def of_greeter(**changed: Any) -> FakeAsk:
    """Return what answers about greeter, with answers changed by their file's name."""
    found = {name: changed.get(name, answer(name)) for name in (
        "application", "versions", "history", "traced", "violations-of-application",
    )}  # fmt: skip
    return FakeAsk(
        {
            "/v1/applications/greeter": found["application"],
            "/v1/applications/greeter/versions": found["versions"],
            "/v1/applications/greeter/history": found["history"],
            "/v1/trace": found["traced"],
            "/v1/violations": found["violations-of-application"],
        }
    )


def nothing_traced() -> dict[str, Any]:
    return {**answer("traced"), "lineages": [], "ranges_waiting": 0}


def heading(page: str) -> str:
    found = re.search(r"<h1>(.*?)</h1>", page, re.DOTALL)
    assert found is not None
    return found[1]


def state(page: str) -> str:
    found = re.search(r'<div class="verdict is-([a-z]+)">', page)
    assert found is not None
    return found[1]


async def test_an_application_says_first_what_is_wrong_where_it_runs() -> None:
    page = await shown(show_application, of_greeter(), path={"id": "greeter"})
    assert state(page) == "contradicted"
    assert heading(page) == "greeter: 3 of 3 instances cannot be traced back whole: contradicted at commit"
    assert page.index("i-cdc91da69a79bccfd") < page.index("i-c5ae00a21014edf98")
    assert "Team hello answers for it." in page
    assert "user data asks for it: the image has neither tag nor digest" in page


async def test_an_application_that_is_not_registered_is_missing_though_it_runs() -> None:
    ask = of_greeter()
    for path in ("/v1/applications/greeter", "/v1/applications/greeter/versions", "/v1/applications/greeter/history"):
        del ask.answers[path]
    page = await shown(show_application, ask, path={"id": "greeter"})
    assert (state(page), heading(page)) == ("missing", "greeter is not registered, and 3 instances run it")


async def test_an_application_that_runs_nowhere_is_not_called_right() -> None:
    quiet = {**answer("violations-of-application"), "violations": [], "next": None}
    ask = of_greeter(traced=nothing_traced(), **{"violations-of-application": quiet})
    page = await shown(show_application, ask, path={"id": "greeter"})
    assert (state(page), heading(page)) == ("quiet", "greeter runs nowhere that is known; 0 violations open")
    assert "No instance states that it runs greeter." in page


async def test_a_lineage_without_a_gap_that_was_not_all_checked_is_unknown() -> None:
    traced = answer("traced")
    traced["lineages"] = traced["lineages"][:1]
    for link in traced["lineages"][0]["links"]:
        link.update(state="confirmed", lacking=False)
    traced["lineages"][0].update(complete=False, not_checked=[{"link": "review", "reason": "reviews are not read"}])
    page = await shown(show_application, of_greeter(traced=traced), path={"id": "greeter"})
    assert (state(page), heading(page)) == (
        "unknown", "greeter: 1 of 1 instance cannot be traced back whole: not all of it was checked",
    )  # fmt: skip


async def test_an_answer_that_may_lack_accounts_says_so() -> None:
    part = {**answer("violations-of-application"), "coverage": {
        "complete": False, "incomplete_total": 1, "incomplete": [],
    }}  # fmt: skip
    page = await shown(show_application, of_greeter(**{"violations-of-application": part}), path={"id": "greeter"})
    assert "not everything was read" in page


async def test_the_list_of_applications_keeps_its_filters_in_the_address_of_the_next_page() -> None:
    ask = FakeAsk({"/v1/applications": {**answer("applications"), "next": "c2"}})
    page = await shown(show_applications, ask, query={"team": "hello", "active": "true"})
    assert ask.asked == ["/v1/applications?team=hello&active=true&limit=50"]
    assert "/console/applications?q=" not in page
    assert 'href="/console/applications?team=hello&amp;active=true&amp;cursor=c2"' in page


async def test_who_reads_own_teams_only_is_listed_the_applications_of_a_team() -> None:
    ask = FakeAsk({"/v1/applications": {**answer("applications"), "next": "c2"}})
    page = await shown(show_applications, ask, visitor=OF_HELLO)
    assert ask.asked == ["/v1/applications?team=hello&limit=50"]
    assert 'href="/console/applications?team=hello&amp;cursor=c2"' in page


async def test_who_reads_own_teams_only_sees_an_application_of_each_of_them() -> None:
    of_two = replace(OF_HELLO, teams=frozenset({"a-team", "hello"}))
    ask = of_greeter()
    page = await shown(show_application, ask, path={"id": "greeter"}, visitor=of_two)
    assert "/v1/violations?team=hello&grouped=true&application=greeter&limit=10" in ask.asked
    assert "/console/evidence/" not in page


async def test_who_reads_own_teams_only_sees_the_changes_of_an_application() -> None:
    ask = FakeAsk({"/v1/changes": answer("changes")})
    page = await shown(show_changes, ask, query={"application": "greeter"}, visitor=OF_HELLO)
    assert ask.asked == ["/v1/changes?application=greeter&team=hello&limit=20"]
    assert "/console/evidence/" not in page


async def test_an_application_without_contact_says_how_to_state_one() -> None:
    page = await shown(show_application, of_greeter(), path={"id": "greeter"})
    assert "<dt>On call</dt><dd>not stated: set incident_contact of greeter, with PUT /apps/greeter</dd>" in page


def test_the_commands_that_pages_name_exist() -> None:
    templates = ROOT / "aggregator" / "src" / "whence_aggregator" / "console" / "templates"
    pages = "".join(file.read_text(encoding="utf-8") for file in templates.glob("*.html"))
    named = set(re.findall(r"<code>whence ([a-z-]+)(?: ([a-z-]+))?", pages))
    assert ("versions", "") in named
    for command, further in named:
        found = whence.commands.get(command)
        assert found is not None, command
        assert not further or not isinstance(found, click.Group) or further in found.commands, f"{command} {further}"


async def test_a_list_without_applications_says_what_to_do() -> None:
    ask = FakeAsk({"/v1/applications": {"applications": [], "next": None}})
    assert "whence import" in await shown(show_applications, ask)
    assert "Take a filter away" in await shown(show_applications, ask, query={"q": "nothing"})


async def test_a_version_shows_its_commits_and_that_nobody_approved_it() -> None:
    ask = FakeAsk({"/v1/applications/greeter/versions/1.1": answer("version"), "/v1/trace": answer("traced")})
    page = await shown(show_version, ask, path={"id": "greeter", "version": "1.1"})
    assert heading(page) == "greeter 1.1 runs on 3 instances, with 0 approvals of its image"
    assert "DEMO-2: greet politely" in page
    assert "None is recorded" in page


async def test_a_version_that_is_hidden_is_refused_as_one_that_is_not_there() -> None:
    with pytest.raises(ApiRefused):
        await shown(show_version, FakeAsk({"/v1/trace": answer("traced")}), path={"id": "greeter", "version": "9"})


@pytest.mark.parametrize(
    "show, kind, key, sentence",
    [
        (show_image, "digest", IMAGE, f"Image {IMAGE[:19]}… runs on 3 instances as greeter"),
        (show_commit, "commit", COMMIT, "Commit c34d9181 runs on 3 instances as greeter"),
        (show_ticket, "ticket", "DEMO-2", "Ticket DEMO-2 asked for code that runs on 3 instances as greeter"),
    ],
)
async def test_an_image_a_commit_and_a_ticket_lead_to_where_they_run(
    show: Any, kind: str, key: str, sentence: str
) -> None:
    page = await shown(show, FakeAsk({"/v1/trace": answer("traced")}), path={kind: key})
    assert heading(page) == sentence
    assert 'href="/console/instances/i-cdc91da69a79bccfd"' in page


def entry_of(value: object, kind: str = "image-source") -> dict[str, Any]:
    """Return an entry of the ledger about an image, as the API shows it."""
    content = json.dumps({"kind": kind, "observed_at": "2026-11-27T03:37:25.000Z", "value": value})
    return {
        "ledger_index": 57, "kind": "fact", "recorded_at": None, "digest": "sha256:" + "7" * 64, "account_id": None,
        "content": content, "withheld": None, "receipt": "receipt",
    }  # fmt: skip


def test_a_reading_of_the_registry_is_shown_as_far_as_it_was_stated() -> None:
    found = reading(entry_of({"signed_by": "release", "signatures": 2, "layers": [IMAGE], "sboms": None, "notes": []}))
    assert found is not None
    assert (found.signed_by, found.signatures, found.layers, found.sboms) == ("release", 2, [IMAGE], None)


@pytest.mark.parametrize(
    "entry",
    [
        entry_of({}, kind="commit"), entry_of([1]), entry_of(None), {**entry_of({}), "content": None},
        {**entry_of({}), "content": "not JSON"}, {**entry_of({}), "content": "[" * 5000}, {**entry_of({}), "content": "7"},
    ],
)  # fmt: skip
def test_an_entry_that_is_no_reading_of_an_image_shows_nothing(entry: dict[str, Any]) -> None:
    assert reading(entry) is None


async def test_an_image_without_a_reading_says_so() -> None:
    page = await shown(show_image, FakeAsk({"/v1/trace": nothing_traced()}), path={"digest": IMAGE})
    assert "No reading of its registry is known here" in page


async def test_a_ticket_that_nothing_runs_for_says_what_may_still_be_read() -> None:
    traced = {**nothing_traced(), "subject": {"ticket": "DEMO-9"}, "ranges_waiting": 2}
    page = await shown(show_ticket, FakeAsk({"/v1/trace": traced}), path={"ticket": "DEMO-9"})
    assert (state(page), heading(page)) == ("quiet", "Ticket DEMO-9 runs nowhere that is known")
    assert "2 ranges of commits are still to be read" in page


async def test_changes_lead_down_to_commits_and_tickets() -> None:
    ask = FakeAsk({"/v1/changes": answer("changes")})
    page = await shown(show_changes, ask, query={"team": "hello", "from": "2026-11-27T03:00:00", "to": ""})
    assert ask.asked == ["/v1/changes?team=hello&from=2026-11-27T03%3A00%3A00Z&limit=20"]
    assert heading(page) == "1 change of hello"
    assert f'href="/console/commits/{COMMIT}"' in page
    assert 'href="/console/tickets/DEMO-2"' in page


async def test_changes_without_a_subject_are_the_newest() -> None:
    ask = FakeAsk({"/v1/changes": answer("changes")})
    assert heading(await shown(show_changes, ask)) == "The newest 1 change"
    assert ask.asked == ["/v1/changes?newest=true&limit=20"]


async def test_who_reads_own_teams_only_sees_the_newest_changes_of_a_team() -> None:
    ask = FakeAsk({"/v1/changes": answer("changes")})
    mia = Visitor(name="mia", teams=frozenset({"hello"}), rights=frozenset(), reads_all=False)
    await shown(show_changes, ask, visitor=mia)
    assert ask.asked == ["/v1/changes?newest=true&limit=20&team=hello"]


async def test_a_period_without_a_subject_states_what_it_needs() -> None:
    ask = FakeAsk({"/v1/changes": {"changes": [], "next": None}})
    page = await shown(show_changes, ask, query={"from": "2026-11-27T03:00:00"})
    assert "for a period, name an application, a team or an account" in heading(page)


async def test_no_change_is_said_as_a_sentence() -> None:
    ask = FakeAsk({"/v1/changes": {"changes": [], "next": None}})
    assert heading(await shown(show_changes, ask, query={"team": "hello"})) == "Nothing changed for hello"


async def test_a_comparison_says_what_got_worse() -> None:
    found = answer("difference")
    for one in found["links"]:
        one["a"], one["b"] = one["b"], one["a"]
    page = await shown(show_diff, FakeAsk({"/v1/diff": found}), query={"a": "greeter/1.0", "b": "greeter/1.1"})
    assert state(page) == "contradicted"
    assert "commit was confirmed and is contradicted" in page
    assert '<td class="is-contradicted worse">' in page
    assert "Not known: the commits are of different repositories" in page


async def test_a_comparison_that_left_parts_out_is_not_called_equal() -> None:
    found = {**answer("difference"), "equal": True, "links": []}
    page = await shown(show_diff, FakeAsk({"/v1/diff": found}), query={"a": "greeter/1.0", "b": "greeter/1.1"})
    assert heading(page).endswith("nothing differs that was compared")
    assert "What was not compared" in page


async def test_a_comparison_without_sides_asks_for_them() -> None:
    ask = FakeAsk()
    assert "Compare two versions" in heading(await shown(show_diff, ask))
    assert ask.asked == []


async def test_a_side_that_cannot_be_compared_is_refused_with_its_reason() -> None:
    refused = ApiAnswer(status=400, document={"code": "subject-malformed", "detail": "a is not a subject", "fix": ""})
    with pytest.raises(ApiRefused, match="a is not a subject"):
        await shown(show_diff, FakeAsk({"/v1/diff": refused}), query={"a": "greeter@1.1"})


HOSTILE = ("<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "\u202egnp.exe", "\x1b[31mred", "a\u200bb")


@pytest.mark.parametrize("text", HOSTILE)
async def test_hostile_text_of_others_stays_text(text: str) -> None:
    application = {**answer("application"), "name": text, "description": text, "incident_contact": text}
    traced, changes = answer("traced"), answer("changes")
    for link in traced["lineages"][0]["links"]:
        link["reason"] = text
    changes["changes"][0]["started"][0]["commit"]["subject"] = text
    pages = [
        await shown(show_application, of_greeter(application=application, traced=traced), path={"id": "greeter"}),
        await shown(show_changes, FakeAsk({"/v1/changes": changes}), query={"team": text}),
        await shown(show_ticket, FakeAsk({"/v1/trace": nothing_traced()}), path={"ticket": text}),
    ]
    for page in pages:
        assert "<script>alert" not in page
        assert "<img" not in page
        assert not {"\u202e", "\x1b", "\u200b"} & set(page)


@pytest.mark.parametrize(
    "url", ["javascript:alert(1)", "data:text/html,x", "https://", "http://[", "//evil.example.org"]
)
async def test_a_url_that_no_browser_should_follow_is_text(url: str) -> None:
    application = {**answer("application"), "service_url": url, "specification_url": url}
    page = await shown(show_application, of_greeter(application=application), path={"id": "greeter"})
    assert f'href="{url}' not in page
    assert '<span class="wrap">' in page


async def test_a_recorded_answer_is_not_changed_by_a_page() -> None:
    ask = of_greeter()
    before = deepcopy(ask.answers)
    await shown(show_application, ask, path={"id": "greeter"})
    assert ask.answers == before
