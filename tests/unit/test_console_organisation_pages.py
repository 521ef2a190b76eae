"""Pages of teams, accounts, people, AMIs and of the visitor: what is not known is stated, what is hidden is not there."""

from __future__ import annotations

import re
from typing import Any

import pytest

from fakes.console import EVERYBODY, FakeAsk, shown
from unit.test_console_overview import AT, COMPLETE, HOSTILE, change, counts, place, source, summary, violation
from unit.test_console_search import application, lineage, lineages
from whence_aggregator.console.account import show_account, show_accounts
from whence_aggregator.console.ami import show_ami
from whence_aggregator.console.asking import ApiRefused
from whence_aggregator.console.me import show_me
from whence_aggregator.console.page import ShowPage, Visitor
from whence_aggregator.console.person import show_person
from whence_aggregator.console.team import show_team

ACCOUNT = "123456789012"
MEMBER = Visitor(name="ada", teams=frozenset({"hello"}), rights=frozenset())
UNREAD = {"complete": False, "incomplete_total": 1, "incomplete": []}


def team(**changes: Any) -> dict[str, Any]:
    return {
        "team_id": "hello", "spelled": "hello", "name": "The hello team", "aliases": ["greeters"], "status": "active",
        "into": None, "members": 2, "sources": [{"source": "file", "observed_at": AT, "ledger_index": 2}],
        "member_ids": ["ada", "grace"],
        "history": [{"team_id": "hello", "source": "file", "change": "found", "into": None, "name": "The hello team",
                     "aliases": [], "observed_at": AT, "ledger_index": 2}],
        **changes,
    }  # fmt: skip


def violations(*found: dict[str, Any]) -> dict[str, Any]:
    return {"at": AT, "known_at": AT, "violations": list(found), "next": None, "coverage": COMPLETE}


def changes_of(*found: dict[str, Any]) -> dict[str, Any]:
    return {"changes": list(found), "next": None, "left_out": []}


def of_team(**changes: Any) -> FakeAsk:
    ask = FakeAsk(
        {
            "/v1/teams/hello": team(),
            "/v1/summary": summary("rule", {"image-mutable": counts(4)}, subjects={"instance": counts(2)}),
            "/v1/violations": violations(), "/v1/changes": changes_of(),
            "/v1/applications": {"applications": [application("greeter")], "next": "more"},
        }
    )  # fmt: skip
    ask.answers |= changes
    return ask


def region(**changes: Any) -> dict[str, Any]:
    return {
        "region": "eu-central-1", "listed_at": AT, "running": 4, "failure": None, "speaking": 4, "silent": 0, "never": 0,
        "awaited": 0, "life": {}, "unknown": {"speaking": 0, "silent": 0, "never": 0}, "asked": "",
        "user_data_unread": {"count": 0, "instances": []}, **changes,
    }  # fmt: skip


def account(**changes: Any) -> dict[str, Any]:
    return {
        "account_id": ACCOUNT, "name": "production", "status": None, "path": None, "owner": "hello",
        "owners": {"file": "hello"}, "allows": [], "tags": {}, "sources": [], "instances_ever": 4, "regions": [region()],
        "trail": {"state": "read", "reason": None, "regions": []}, "drift": None,
        "history": [{"source": "file", "change": "found", "owner": "hello", "name": "production", "observed_at": AT,
                     "ledger_index": 6}],
        **changes,
    }  # fmt: skip


def of_account(**changes: Any) -> FakeAsk:
    ask = FakeAsk(
        {
            f"/v1/accounts/{ACCOUNT}": account(),
            f"/v1/accounts/{ACCOUNT}/silent": {"silent": [], "next": None},
            f"/v1/coverage?account={ACCOUNT}": {"complete": True, "sources": []},
            "/v1/summary": summary("rule", {"image-mutable": counts(4)}, subjects={"instance": counts(4)}),
            "/v1/violations": violations(), "/v1/account-plans": {"plans": [], "next": None},
        }
    )  # fmt: skip
    ask.answers |= changes
    return ask


def drift(**changes: Any) -> dict[str, Any]:
    doer = {"at": AT, "event": "PutRolePolicy", "event_id": "e", "by": "ada@example.org", "reason": ""}
    first = {
        "address": "role/fullstop", "step": "roles", "action": "update", "aspects": ["trust"],
        "lines": ["trust.Statement: other"], "doer": doer,
    }  # fmt: skip
    return {
        "state": "drifted", "reason": None, "observed_at": AT, "due_at": AT, "account": "production",
        "configuration": "sha256:00", "changes": 2, "first": [first, {**first, "doer": None, "lines": []}],
        "unread": [{"address": "eu-west-1/vpc/*", "reason": "denied"}], **changes,
    }  # fmt: skip


def verdict(html: str) -> tuple[str, str]:
    found = re.search(r'<div class="verdict is-(\w+)">.*?<h1>(.*?)</h1>', html, re.DOTALL)
    assert found is not None
    return found[1], found[2]


def text_of(html: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", html[html.index("<main") :]))


def nothing_raw(html: str) -> None:
    for word in ("None", "True", "False", "null", "[]", "{}"):
        assert not re.search(rf"(?<![\w&]){re.escape(word)}(?!\w)", text_of(html)), word


async def test_a_team_is_judged_by_what_it_owns() -> None:
    html = await shown(show_team, of_team(), path={"id": "hello"})
    assert verdict(html) == ("pass", "All 2 instances of team hello pass every rule")
    assert 'href="/console/people/ada"' in html
    assert 'href="/console/evidence/2"' in html
    assert 'href="/console/teams/hello?cursor=more"' in html
    nothing_raw(html)
    broken = summary("rule", {}, subjects={"instance": counts(1, 1), "version": counts(0, 2)}, coverage=UNREAD)
    ask = of_team(**{"/v1/summary": broken, "/v1/violations": violations(violation())})
    html = await shown(show_team, ask, path={"id": "hello"})
    assert verdict(html) == ("fail", "1 of 2 instances of team hello breaks a rule")
    assert "Rules are also broken by 2 of 2 versions. 1 source was not read that could deny this." in html
    assert 'href="/console/violations/v-1"' in html


@pytest.mark.parametrize(
    ("stated", "sentence"),
    [
        (summary("rule", {}, subjects={}), "No rule has judged anything of team hello"),
        (summary("rule", {}, subjects={"instance": counts(1)}, coverage=UNREAD),
         "The only instance of team hello passes every rule"),
        (summary("rule", {}, subjects={"instance": counts(1, 0, 1)}),
         "1 of 2 instances of team hello passes every rule; 1 subject cannot be judged yet"),
    ],
)  # fmt: skip
async def test_what_is_not_known_of_a_team_is_no_pass(stated: dict[str, Any], sentence: str) -> None:
    html = await shown(show_team, of_team(**{"/v1/summary": stated}), path={"id": "hello"})
    assert verdict(html) == ("unknown", sentence)


async def test_another_name_of_a_team_leads_to_its_page() -> None:
    ask = of_team(**{"/v1/teams/greeters": team()})
    assert await shown(show_team, ask, path={"id": "greeters"}) == "/console/teams/hello"


async def test_a_member_sees_its_own_team_without_what_the_organisation_states() -> None:
    ask = of_team()
    del ask.answers["/v1/teams/hello"]
    html = await shown(show_team, ask, path={"id": "hello"}, visitor=MEMBER)
    assert verdict(html)[0] == "pass"
    assert "is shown to callers who may read every team" in html
    assert "Members</h2>" not in html


async def test_a_team_that_is_not_there_is_not_found() -> None:
    ask = FakeAsk({"/v1/summary": summary("rule", {}), "/v1/applications": {"applications": [], "next": None}})
    with pytest.raises(ApiRefused) as refused:
        await shown(show_team, ask, path={"id": "nobody"})
    assert refused.value.answer.status == 404


async def test_an_account_is_known_as_far_as_its_sources_were_read() -> None:
    html = await shown(show_account, of_account(), path={"id": ACCOUNT})
    assert verdict(html) == ("pass", "All 4 instances of account production pass every rule")
    assert "All 4 listed instances are heard, or were launched just now." in html
    nothing_raw(html)
    silent = {
        "instance_id": "i-0123456789abcdef0", "region": "eu-central-1", "life": "running", "heard": "never",
        "launched_at": None, "last_seen": None, "ever_spoke": False,
    }  # fmt: skip
    ask = of_account(
        **{
            f"/v1/accounts/{ACCOUNT}": account(
                owner=None, owners={"file": "hello", "aws": "ships"}, name=None, tags={"stage": "live"},
                regions=[region(speaking=2, silent=1, never=1), region(region="eu-west-1", running=None, listed_at=None,
                         failure={"at": AT, "reason": "AssumeRole was refused"})],
                trail={"state": "unknown", "reason": "not configured", "regions": []},
            ),
            f"/v1/accounts/{ACCOUNT}/silent": {"silent": [silent], "next": "i-1"},
            f"/v1/coverage?account={ACCOUNT}": {
                "complete": False, "sources": [place(account_id=ACCOUNT, permission="ec2:DescribeInstances")],
            },
        }
    )  # fmt: skip
    html = await shown(show_account, ask, path={"id": ACCOUNT})
    assert verdict(html) == ("unknown", f"All 4 instances of account {ACCOUNT} pass every rule")
    text = text_of(html)
    assert "1 source of it is not read. Of 4 listed instances, 1 silent and 1 never heard." in text
    assert "ships by aws, hello by file" in text
    assert "AssumeRole was refused" in text
    assert "missing permission: ec2:DescribeInstances" in text
    assert "1 of 2 regions" in text
    assert f'href="/console/accounts/{ACCOUNT}?cursor=i-1"' in html
    nothing_raw(html)


async def test_an_account_shows_what_differs_from_its_configuration_and_who_changed_it() -> None:
    plan = {
        "account_id": ACCOUNT, "ledger_index": 7, "plan": "sha256:1", "report": "sha256:2", "begun_at": AT,
        "ended_at": AT, "applied_by": "ops", "changed": 3, "failed": 1, "error": "the account has moved",
    }  # fmt: skip
    plans = {"/v1/account-plans": {"plans": [plan], "next": None}}
    ask = of_account(**{f"/v1/accounts/{ACCOUNT}": account(drift=drift()), **plans})
    text = text_of(await shown(show_account, ask, path={"id": ACCOUNT}))
    assert "2 resources differ" in text
    assert "role/fullstop" in text
    assert "ada@example.org, PutRolePolicy" in text
    assert "eu-west-1/vpc/* : denied" in text
    assert "the account has moved" in text


@pytest.mark.parametrize(
    "found, told",
    [
        (None, None),
        (drift(state="converged", changes=0, first=[], unread=[]), "as declared"),
        (drift(state="unknown", reason="AWS denies it", first=[], unread=[]), "not known AWS denies it"),
        (drift(state="unknown", reason="the account was not planned yet", observed_at=None, account=None, changes=None,
                   configuration=None, first=[], unread=[]),
         "not known the account was not planned yet"),
    ],
)  # fmt: skip
async def test_an_account_says_how_it_stands_by_its_configuration(
    found: dict[str, Any] | None, told: str | None
) -> None:
    ask = of_account(**{f"/v1/accounts/{ACCOUNT}": account(drift=found)})
    html = await shown(show_account, ask, path={"id": ACCOUNT})
    assert ("Declared configuration" in html) == (told is not None)
    assert told is None or told in text_of(html)
    nothing_raw(html)


async def test_accounts_are_listed_with_their_denominators_and_the_unread_ones_counted_nowhere() -> None:
    listed = {
        "next": "x", "sources": [{"source": "file", "read_at": None, "failure": {"at": AT, "reason": "no file"},
                                  "notes": ["one account was left out"]}],
        "trail_queues": [],
        "accounts": [
            account(),
            account(account_id="210987654321", name=None, owner=None, owners={},
                    regions=[region(running=None, failure={"at": AT, "reason": "AssumeRole was refused"})]),
            account(account_id="310987654321", owner=None, owners={"file": "a", "aws": "b"}, regions=[]),
        ],
    }  # fmt: skip
    worst = source(state="failed", read=1, failed=1, accounts=3, accounts_unread=2, worst=place())
    ask = FakeAsk({"/v1/accounts": listed, "/v1/coverage": {"complete": False, "at": AT, "groups": [worst]}})
    html = await shown(show_accounts, ask)
    assert verdict(html) == ("unknown", "1 of 3 accounts was read whole; what runs in 2 is not known")
    assert html.count('<td colspan="4">') == 2
    assert "sources differ" in html
    assert "no file" in html
    assert 'href="/console/accounts?cursor=x"' in html
    nothing_raw(html)
    ask.answers["/v1/coverage"] = {"complete": True, "at": AT, "groups": [source()]}
    assert verdict(await shown(show_accounts, ask)) == ("pass", "All 2 accounts were read whole")
    ask.answers["/v1/coverage"] = {"complete": True, "at": AT, "groups": []}
    assert verdict(await shown(show_accounts, ask))[0] == "unknown"
    ask.answers["/v1/accounts"] = {"accounts": [], "next": None, "sources": [], "trail_queues": []}
    assert verdict(await shown(show_accounts, ask)) == ("unknown", "No account is known")


async def test_a_person_has_teams_and_what_names_them() -> None:
    membership = {"source": "file", "since": AT, "since_index": 3, "until": None, "until_index": None}
    known = {
        "uid": "ada", "teams": ["hello"],
        "memberships": [{**membership, "team_id": "hello"},
                        {**membership, "team_id": "ships", "since": None, "since_index": None, "until": AT,
                         "until_index": 9}],
    }  # fmt: skip
    traced = lineage()
    commit = next(one for one in traced["links"] if one["link"] == "commit")
    commit["value"]["author"] = "Ada <ADA@example.org>"
    ask = FakeAsk({"/v1/people/ada": known, "/v1/trace": {**lineages(traced), "next": "20"}})
    html = await shown(show_person, ask, path={"uid": "ada"})
    assert verdict(html) == ("quiet", "ada is in 1 team: hello")
    text = text_of(html)
    assert "i-0123456789abcdef0 greeter 1.0" in text
    assert "Greet louder commit running" in text
    assert 'href="/console/evidence/9"' in html
    assert 'href="/console/people/ada?cursor=20"' in html
    nothing_raw(html)
    ask.answers["/v1/people/ada"] = {**known, "teams": []}
    assert verdict(await shown(show_person, ask, path={"uid": "ada"}))[1] == "ada was in 2 teams, and is in none now"
    del ask.answers["/v1/people/ada"]
    html = await shown(show_person, ask, path={"uid": "ada"})
    assert verdict(html)[1] == "ada is named by 1 instance that runs or ran, and listed in no team"
    assert "No source that you may read lists ada in a team." in html
    with pytest.raises(ApiRefused):
        await shown(show_person, FakeAsk({"/v1/trace": lineages()}), path={"uid": "nobody"})


def instance(**changes: Any) -> dict[str, Any]:
    return {
        "instance_id": "i-0123456789abcdef0", "account_id": ACCOUNT, "region": "eu-central-1", "cause": "boot",
        "observed_at": AT, "recorded_at": AT, "recorded_by_then": True, "ledger_index": 19, "life": "running",
        "life_since": None, "heard": "speaking", "seen_at": AT, "application_id": "greeter", "application_version": "1.0",
        **changes,
    }  # fmt: skip


async def test_an_ami_lists_its_instances_now_and_ever() -> None:
    traced = lineage()
    link = next(one for one in traced["links"] if one["link"] == "ami")
    link |= {"state": "confirmed", "value": {"image_id": "ami-1", "name": "Taupage", "public": False, "more": {}}}
    instances = {"at": AT, "known_at": AT, "instances": [instance(), instance(application_id="")], "next": "2"}
    ask = FakeAsk({"/v1/trace": lineages(traced), "/v1/instances": instances, "/v1/violations": violations()})
    html = await shown(show_ami, ask, path={"id": "ami-1"})
    assert verdict(html) == ("confirmed", "More than 2 instances run from ami-1")
    assert "name Taupage public no" in text_of(html)
    assert 'href="/console/amis/ami-1?state=now&amp;cursor=2"' in html
    nothing_raw(html)
    ask.answers["/v1/violations"] = violations(violation())
    assert verdict(await shown(show_ami, ask, path={"id": "ami-1"})) == (
        "fail", "More than 2 instances run from ami-1; 1 violation of it is open",
    )  # fmt: skip
    ask.answers["/v1/instances"] = {**instances, "instances": [], "next": None}
    ask.answers["/v1/violations"] = violations()
    html = await shown(show_ami, ask, path={"id": "ami-1"})
    assert verdict(html)[1] == "No instance runs from ami-1 now"
    assert 'href="/console/amis/ami-1?state=any"' in html
    await shown(show_ami, ask, path={"id": "ami-1"}, query={"state": "any"})
    assert "/v1/instances?ami=ami-1&state=any&limit=50" in ask.asked
    del ask.answers["/v1/instances"]
    assert "ami-1 is used by instances of your teams" in await shown(
        show_ami, ask, path={"id": "ami-1"}, visitor=MEMBER
    )
    with pytest.raises(ApiRefused):
        await shown(show_ami, FakeAsk({"/v1/trace": lineages()}), path={"id": "ami-9"})


async def test_the_visitor_sees_its_own_rights_and_can_sign_out() -> None:
    stated = {
        "name": "ada", "issuer": "https://issuer.example.org", "subject": "s-1", "realm": "people", "teams": ["hello"],
        "teams_note": "groups were cut", "rights": ["audit", "other"], "reads": "organisation", "until": AT, "job": None,
    }  # fmt: skip
    html = await shown(show_me, FakeAsk({"/v1/whoami": stated}))
    assert verdict(html) == ("quiet", "You are signed in as ada")
    text = text_of(html)
    assert "https://issuer.example.org , as s-1 You are a person" in text
    assert "audit: read everything, with user data and bundles other" in text
    assert "groups were cut" in text
    assert '<form method="post" action="/console/sign-out"><input type="hidden" name="csrf"' in html
    bare = {**stated, "issuer": None, "subject": None, "realm": "unknown", "teams": None, "teams_note": None,
            "rights": [], "until": None}  # fmt: skip
    html = await shown(show_me, FakeAsk({"/v1/whoami": bare}))
    assert "a token of the server's tokens file" in html
    assert "You are</dt>" not in html
    nothing_raw(html)


@pytest.mark.parametrize(
    ("show", "ask", "path"),
    [
        (show_team, of_team(**{
            "/v1/teams/hello": team(name=HOSTILE, aliases=[HOSTILE], member_ids=[HOSTILE]),
            "/v1/applications": {"applications": [application(HOSTILE, name=HOSTILE)], "next": HOSTILE},
            "/v1/violations": violations(violation(reason=HOSTILE, title=HOSTILE)),
            "/v1/changes": changes_of(change(application_id=HOSTILE)),
        }), {"id": "hello"}),
        (show_account, of_account(**{f"/v1/accounts/{ACCOUNT}": account(
            name=HOSTILE, owner=None, owners={"aws": HOSTILE}, allows=[HOSTILE], tags={HOSTILE: HOSTILE}, path=HOSTILE,
            status=HOSTILE, regions=[region(failure={"at": AT, "reason": HOSTILE})],
        )}), {"id": ACCOUNT}),
        (show_accounts, FakeAsk({"/v1/accounts": {
            "accounts": [account(name=HOSTILE, owner=HOSTILE)], "next": HOSTILE, "trail_queues": [],
            "sources": [{"source": "file", "read_at": None, "failure": {"at": AT, "reason": HOSTILE}, "notes": [HOSTILE]}],
        }}), {}),
        (show_person, FakeAsk({"/v1/trace": {**lineages(lineage(HOSTILE)), "next": HOSTILE}}), {"uid": HOSTILE}),
        (show_ami, FakeAsk({
            "/v1/trace": lineages(lineage()),
            "/v1/instances": {"at": AT, "known_at": AT, "next": HOSTILE,
                              "instances": [instance(application_id=HOSTILE, application_version=HOSTILE)]},
        }), {"id": HOSTILE}),
        (show_me, FakeAsk({"/v1/whoami": {
            "name": HOSTILE, "issuer": HOSTILE, "subject": HOSTILE, "realm": "people", "teams": [HOSTILE],
            "teams_note": HOSTILE, "rights": [HOSTILE], "reads": "teams", "until": None, "job": None,
        }}), {}),
    ],
)  # fmt: skip
async def test_what_others_wrote_is_text_on_every_page(show: ShowPage, ask: FakeAsk, path: dict[str, str]) -> None:
    html = await shown(show, ask, path=path, visitor=EVERYBODY)
    assert "<script>alert" not in html
    assert "\u202e" not in html
    assert "&lt;script&gt;" in html
