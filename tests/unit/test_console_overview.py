"""The overview: the verdict first, nothing that is unknown reads like a pass, and every number has its denominator."""

from __future__ import annotations

import re
from typing import Any

import pytest

from fakes.console import FakeAsk, shown
from whence_aggregator.console.amounts import age, amount, course, percent
from whence_aggregator.console.asking import ApiAnswer
from whence_aggregator.console.live_parts import live_parts
from whence_aggregator.console.overview import show_overview
from whence_aggregator.console.page import Visitor

AT = "2026-11-27T12:00:00.000Z"
COMPLETE = {"complete": True, "incomplete_total": 0, "incomplete": []}
MEMBER = Visitor(name="ada", teams=frozenset({"hello", "ships"}), rights=frozenset())
HOSTILE = "<script>alert(1)</script>\u202e"
DIGEST = "sha256:" + "d" * 64


def counts(passed: int = 0, failed: int = 0, unknown: int = 0, folded: int = 0) -> dict[str, int]:
    return {
        "pass": passed, "fail": failed, "unknown": unknown, "folded": folded,
        "total": passed + failed + unknown + folded,
    }  # fmt: skip


def summary(by: str, groups: dict[str | None, dict[str, int]], **changes: Any) -> dict[str, Any]:
    """Return a summary; `subjects` are those of the total."""
    total = {name: sum(one[name] for one in groups.values()) for name in counts()}
    return {
        "by": by, "at": AT, "age_seconds": 0, "snapshot": None,
        "groups": [{by: name, "verdicts": one, "subjects": {}} for name, one in groups.items()],
        "total": {"verdicts": total, "subjects": changes.pop("subjects", {}), "unheard": 0},
        "presence": None, "findings": None, "coverage": COMPLETE, **changes,
    }  # fmt: skip


def presence(listed: int = 0, **changes: Any) -> dict[str, Any]:
    return {
        "counted_at": AT, "listed": listed, "speaking": listed, "silent": 0, "never": 0, "awaited": 0,
        "unknown": {"speaking": 0, "silent": 0, "never": 0}, "oldest_listed_at": "2026-11-27T11:59:20.000Z", **changes,
    }  # fmt: skip


def rule(id_: str, severity: int) -> dict[str, Any]:
    return {
        "id": id_, "version": 1, "title": "T", "severity": severity, "rationale": "r", "remedy": "m",
        "audit_relevant": False, "kind": "instance", "link": None, "examples": [], "in_force": True, "reason": None,
        "failing": None, "own": False, "digest": None,
    }  # fmt: skip


def violation(**changes: Any) -> dict[str, Any]:
    return {
        "id": "v-1", "state": "open", "rule": "image-mutable", "severity": 1,
        "title": "The image cannot change under its name", "remedy": "name it by digest", "source": "verdict",
        "subject": {"kind": "version", "id": "greeter@1.0"}, "application_id": "greeter", "account_id": "123456789012",
        "team": "hello", "reason": "it moves", "first_seen": AT, "since": AT, "last_seen": AT,
        "not_confirmed_since": None, "reopened": 0, "acknowledged": None, "exemption": None, "members": 2, "not_confirmed": 0,
        "ledger_index": 41, **changes,
    }  # fmt: skip


def change(**changes: Any) -> dict[str, Any]:
    deployed = {"version": "1.1", "image": DIGEST, "user_data": DIGEST}
    older = {**deployed, "version": "1.0"}
    range_: dict[str, Any] = {
        "state": "unknown", "reason": "not collected", "due_at": None, "diverged": False, "cut": False, "only_a": [],
        "only_b": [], "tickets": [],
    }  # fmt: skip
    ticket = dict.fromkeys(
        ("url", "reason", "problem", "title", "status", "assignee", "type", "closed_at", "approved", "host", "review",
         "observed_at", "read")
    )  # fmt: skip
    started = {
        **deployed, "replaced": older, "commits": range_, "reviews": [],
        "commit": {"state": "asserted", "reason": None, "repository": "git.example.org/demo/greeter",
                   "commit": "c" * 40, "author": "ada", "subject": "Greet louder"},
        "tickets": [{**ticket, "id": f"PAY-{n}", "state": "asserted"} for n in (7, 8, 9, 10)],
        "review": {"state": "missing", "reason": None, "reviews": []},
        "approvals": {"state": "missing", "reason": None, "by": []},
    }  # fmt: skip
    return {
        "recorded_at": AT, "observed_at": AT, "ledger_index": 30, "application_id": "greeter",
        "account_id": "123456789012", "region": "eu-central-1", "instance_id": "i-0123456789abcdef0", "cause": "boot",
        "before": [older], "after": [older, deployed], "started": [started], "ended": [], **changes,
    }  # fmt: skip


def place(**changes: Any) -> dict[str, Any]:
    return {
        "source": "inventory", "account_id": "210987654321", "region": "eu-central-1", "name": None, "state": "failed",
        "read_at": None, "age_seconds": None, "failed_at": AT, "reason": "AssumeRole was refused", "permission": None,
        "count": 0, **changes,
    }  # fmt: skip


def source(**changes: Any) -> dict[str, Any]:
    return {
        "source": "inventory", "name": None, "state": "read", "places": 2, "read": 2, "late": 0, "failed": 0,
        "never": 0, "accounts": 2, "accounts_unread": 0, "oldest_read_at": "2026-11-27T11:58:00.000Z",
        "newest_read_at": AT, "oldest_age_seconds": 120.0, "worst": None, **changes,
    }  # fmt: skip


def trend(*fails: int | None) -> dict[str, Any]:
    days = [
        {"day": f"2026-11-{13 + n}", "verdicts": None if one is None else counts(0, one), "ledger_index": None}
        for n, one in enumerate(fails)
    ]
    return {"from": "2026-11-13", "to": "2026-11-26", "days": days}


def organisation(groups: dict[str | None, dict[str, int]] | None = None, **changes: Any) -> FakeAsk:
    """Return what the API answers a caller who reads everything."""
    groups = {"hello": counts(8)} if groups is None else groups
    changes.setdefault("subjects", {"instance": counts(4)})
    changes.setdefault("presence", presence(4))
    total = {name: sum(one[name] for one in groups.values()) for name in counts()}
    return FakeAsk(
        {
            "/v1/summary?by=team": summary("team", groups, **changes),
            "/v1/summary?by=rule": summary("rule", {"image-mutable": total}),
            "/v1/rules": {"rules": [rule("image-mutable", 1)]},
            "/v1/violations": {"at": AT, "known_at": AT, "violations": [], "next": None, "coverage": COMPLETE},
            "/v1/changes": {"changes": [], "next": None, "left_out": []},
            "/v1/coverage": {"complete": True, "at": AT, "groups": [source()]},
            "/v1/summary/trend": trend(*[None] * 14),
            "/v1/log/checkpoint": ApiAnswer(
                status=200, document=None, text="whence.example.org\n48211\nAAAA\n\n— w B\n"
            ),
        }
    )


def heading(html: str) -> tuple[str, str]:
    """Return the sign of the verdict and its sentence."""
    found = re.search(r'<div class="verdict is-(\w+)">.*?<h1>(.*?)</h1>', html, re.DOTALL)
    assert found is not None
    assert html.count("<h1>") == 1
    return found[1], found[2]


@pytest.mark.parametrize(
    ("ask", "state", "sentence"),
    [
        (organisation(), "pass", "All 4 instances pass every rule"),
        (organisation(subjects={"instance": counts(1)}, presence=presence(1)), "pass",
         "The only instance passes every rule"),
        (organisation({"hello": counts(7, 1)}, subjects={"instance": counts(3, 1)}), "fail",
         "1 of 4 instances breaks a rule; 1 failing verdict is critical"),
        (organisation({"hello": counts(5, 3)}, subjects={"instance": counts(4), "version": counts(1, 2)}), "fail",
         "2 of 3 versions break a rule; 3 failing verdicts are critical"),
        (organisation(subjects={"instance": counts(2, 0, 1, 1)}), "unknown",
         "2 of 4 instances pass every rule; 2 cannot be judged yet"),
        (organisation(presence=presence(5, never=1)), "unknown",
         "All 4 instances that are judged pass every rule, but not all is known"),
        (organisation(presence=presence(5, silent=1)), "unknown",
         "All 4 instances that are judged pass every rule, but not all is known"),
        (organisation(presence=presence(0, oldest_listed_at=None)), "unknown",
         "All 4 instances that are judged pass every rule, but not all is known"),
        (organisation(coverage={"complete": False, "incomplete_total": 1, "incomplete": [place()]}), "unknown",
         "All 4 instances that are judged pass every rule, but not all is known"),
        (organisation(subjects={"account": counts(2)}), "unknown", "No instance has reported yet"),
        (organisation({}, subjects={}, presence=None), "quiet", "Nothing has reported yet"),
    ],
)  # fmt: skip
async def test_the_verdict_is_a_sentence_and_unknown_is_never_a_pass(ask: FakeAsk, state: str, sentence: str) -> None:
    assert heading(await shown(show_overview, ask)) == (state, sentence)


async def test_why_names_what_is_not_known_with_its_numbers() -> None:
    ask = organisation(
        {"hello": counts(8)}, subjects={"instance": counts(3, 0, 1)}, presence=presence(1204, never=1, silent=2),
        coverage={"complete": False, "incomplete_total": 2, "incomplete": [place(), place(account_id=None)]},
    )  # fmt: skip
    html = await shown(show_overview, ask)
    assert "Of 1,204 listed instances, 1 was never heard and 2 are silent." in html
    assert "1 instance waits for a source. 2 sources were not read that could deny this." in html
    assert "AssumeRole was refused" in html
    assert 'href="/console/accounts/210987654321"' in html


async def test_numbers_have_their_denominators_and_the_parts_their_age() -> None:
    ask = organisation(
        {"hello": counts(5, 2, 1), None: counts(1)}, subjects={"instance": counts(2, 1, 1)},
        presence=presence(200, speaking=197, silent=2, never=1, unknown={"speaking": 3, "silent": 1, "never": 0}),
    )  # fmt: skip
    ask.answers["/v1/summary/trend?from=2026-11-13&to=2026-11-26&team=hello"] = trend(*[None] * 12, 1, 4)
    html = await shown(show_overview, ask)
    text = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", html))
    assert "1 of 4 judged, 25 %" in text
    assert "197 of 200 listed, 98 %" in text
    assert "2 of 200 listed, 1 %" in text
    assert "4 , 3 of them speaking" in text
    assert "14 days: from 1 to 2, most 4, 12 days without a snapshot" in html
    assert "of no team" in text
    assert "EC2 inventory in time 2 min" in re.sub(r" +", " ", text)
    assert "The inventory read all 2 accounts." in text
    for never in ("None", "True", "False", "null", "[]", "{}"):
        assert not re.search(rf"(?<![\w&])({re.escape(never)})(?!\w)", text), never


async def test_violations_and_changes_link_to_their_pages_and_show_what_was_absent_as_words() -> None:
    ask = organisation({"hello": counts(5, 2)}, subjects={"instance": counts(2, 1)})
    nameless = change(application_id=None, started=[], ended=[{"version": None, "image": DIGEST, "user_data": None}])
    ask.answers["/v1/violations"] = {
        "at": AT, "known_at": AT, "next": None, "coverage": COMPLETE,
        "violations": [violation(), violation(id="v/2", team=None, members=None, reason="x" * 400)],
    }  # fmt: skip
    ask.answers["/v1/changes"] = {"changes": [change(), nameless], "next": None, "left_out": ["big"]}
    html = await shown(show_overview, ask)
    for link in (
        "/console/violations/v-1", "/console/violations/v%2F2", "/console/applications/greeter/versions/1.0",
        "/console/teams/hello", "/console/commits/" + "c" * 40, "/console/tickets/PAY-7",
        "/console/accounts/123456789012", "/console/instances/i-0123456789abcdef0", "/console/changes?application=big",
    ):  # fmt: skip
        assert f'href="{link}"' in html, link
    assert "PAY-10" not in html
    assert "and 1 more" in html
    assert "1.0 → 1.1" in re.sub(r"\s+", " ", html)
    assert '<span class="quiet">no team</span>' in html
    assert '<span class="quiet">none named</span>' in html
    assert "x" * 161 not in html


async def test_a_member_of_teams_sees_the_sums_of_these_alone() -> None:
    """The API refuses what is about all; each team is asked about by itself."""
    ask = FakeAsk({"/v1/rules": {"rules": [rule("image-mutable", 1)]}})
    for team, failed in (("hello", 1), ("ships", 2)):
        subjects = {"instance": counts(1, failed)}
        narrowed = f"grouped=true&team={team}&limit=6"
        ask.answers |= {
            f"/v1/summary?by=rule&team={team}": summary("rule", {"image-mutable": counts(1, failed)}, subjects=subjects),
            f"/v1/violations?{narrowed}": {
                "at": AT, "known_at": AT, "next": None, "coverage": COMPLETE,
                "violations": [violation(id=f"v-{team}", team=team, severity=failed)],
            },
            f"/v1/changes?newest=true&team={team}&limit=6": {
                "changes": [change(ledger_index=failed, instance_id=f"i-{team}")], "next": None, "left_out": [],
            },
        }  # fmt: skip
    html = await shown(show_overview, ask, visitor=MEMBER)
    assert heading(html) == ("fail", "3 of 5 instances break a rule; 3 failing verdicts are critical")
    assert html.index("v-hello") < html.index("v-ships"), "the more severe first"
    assert html.index("i-ships") < html.index("i-hello"), "the newer first"
    assert "of your teams: hello, ships" in html
    assert "How many instances are heard is counted for callers who may read every team." in html
    for hidden in ("Outside sources", "Coverage of accounts", "Ledger</h2>"):
        assert hidden not in html


async def test_who_is_in_no_team_and_reads_no_others_learns_what_to_do() -> None:
    nobody = Visitor(name="eve", teams=frozenset(), rights=frozenset())
    html = await shown(show_overview, FakeAsk({}), visitor=nobody)
    assert heading(html)[1] == "You are in no team, and may read what belongs to your own teams only"
    assert "ask the owners of your team to list you" in html


async def test_what_others_wrote_is_shown_as_text() -> None:
    ask = organisation({HOSTILE: counts(0, 1)}, subjects={"instance": counts(0, 1)})
    ask.answers["/v1/violations"] = {
        "at": AT, "known_at": AT, "next": None, "coverage": COMPLETE,
        "violations": [violation(title=HOSTILE, reason=HOSTILE, team=HOSTILE, id=HOSTILE, application_id=HOSTILE,
                                 subject={"kind": "version", "id": f"{HOSTILE}@{HOSTILE}"})],
    }  # fmt: skip
    hostile = change(application_id=HOSTILE, account_id=HOSTILE, region=HOSTILE, instance_id=HOSTILE)
    hostile["started"][0]["commit"] |= {"commit": HOSTILE, "subject": HOSTILE}
    hostile["started"][0] |= {"version": HOSTILE, "tickets": [{**hostile["started"][0]["tickets"][0], "id": HOSTILE}]}
    ask.answers["/v1/changes"] = {"changes": [hostile], "next": None, "left_out": [HOSTILE]}
    ask.answers["/v1/coverage"] = {
        "complete": False, "at": AT,
        "groups": [source(source="Git", name=HOSTILE, state="failed", worst=place(source="Git", reason=HOSTILE))],
    }  # fmt: skip
    html = await shown(show_overview, ask)
    assert "<script>alert" not in html
    assert "\u202e" not in html
    assert html.count("<script ") == 2, "the two of the console"


async def test_a_note_that_cannot_be_read_is_left_out_and_live_parts_are_those_of_the_page() -> None:
    ask = organisation()
    html = await shown(show_overview, ask)
    parts = live_parts(html)
    assert set(parts) == {
        "verdict", "look", "instances", "changes", "teams", "severities", "accounts", "sources", "as-of",
    }  # fmt: skip
    assert all(content in html for content in parts.values())
    assert len(html.encode()) < 20_000


def test_amounts_shares_and_ages_read_as_people_write_them() -> None:
    assert [amount(n, "entry", "entries") for n in (0, 1, 1204)] == ["0 entries", "1 entry", "1,204 entries"]
    assert [percent(*one) for one in ((0, 3), (1, 1000), (999, 1000), (3, 3), (1, 0))] == [
        "0 %", "1 %", "99 %", "100 %", "",
    ]  # fmt: skip
    assert [age(one) for one in (-1, 59, 60, 7199, 7200, 172799, 172800)] == [
        "under 1 min", "under 1 min", "1 min", "119 min", "2 h", "47 h", "2 d",
    ]  # fmt: skip


def test_a_course_needs_a_day_and_states_what_it_lacks() -> None:
    assert course([None, None], 3) is None
    found = course([4, None, 2], 0)
    assert found is not None
    assert (found.points, found.label) == (
        "0,2.0 67,10.5 100,19.0", "3 days: from 4 to 0, most 4, 1 day without a snapshot",
    )  # fmt: skip
