"""The console's pages of violations: what they state, what they offer, and what they do when the API refuses."""

from __future__ import annotations

import re
from typing import Any

import pytest

from fakes.console import EVERYBODY, FakeAsk, answered, shown
from fakes.console_violations import (
    AT,
    EXEMPTION,
    HOSTILE,
    INCOMPLETE,
    NAME,
    counts,
    exemption,
    listed,
    member,
    rule,
    step,
    summary,
    violation,
    whole,
)
from whence_aggregator.console.amounts import concerned
from whence_aggregator.console.asking import ApiAnswer
from whence_aggregator.console.exemptions_page import send_exemptions, show_exemptions
from whence_aggregator.console.page import SavedAnswer, Visitor
from whence_aggregator.console.violation_list import save_violations, show_violations
from whence_aggregator.console.violation_page import send_violation, show_violation

LIST, ONE = "/v1/violations", f"/v1/violations/{NAME}"
RULES = {"rules": [rule()]}
ADA = Visitor(name="ada", teams=frozenset({"hello"}), rights=frozenset())
READER = Visitor(name="eve", teams=frozenset(), rights=frozenset())
ROBOT = Visitor(name="robot", teams=frozenset({"hello"}), rights=frozenset(), is_person=False)


def text_of(page: str) -> str:
    """Return what a page shows, without its elements."""
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", page.partition("<main")[2]))


def heading(page: str) -> str:
    found = re.search(r"<h1>(.*?)</h1>", page)
    assert found is not None
    return found[1]


def problem(status: int, code: str, detail: str, fix: str = "do the other thing") -> ApiAnswer:
    return ApiAnswer(status=status, document={"code": code, "detail": detail, "fix": fix})


async def list_page(found: dict[str, Any], **further: Any) -> str:
    ask = FakeAsk({LIST: found, ONE: whole(), "/v1/rules": RULES, **further.pop("answers", {})})
    return await shown(show_violations, ask, **further)


async def one_page(one: dict[str, Any] | None = None, **further: Any) -> str:
    return await shown(show_violation, FakeAsk({ONE: one or whole(), "/v1/rules": RULES}), path={"id": NAME}, **further)


async def test_the_list_states_how_many_violations_there_are_and_how_many_of_them_are_severe() -> None:
    page = await list_page(listed(violation(severity=1), violation(id="v-2", severity=2, state="acknowledged"), violation(id="v-3", team=None)))  # fmt: skip
    assert heading(page) == "3 violations are not fixed, 1 of them critical, 1 of them high"
    assert "2 open, 1 acknowledged. Owned by hello, no team." in text_of(page)
    assert 'aria-current="true">Violations' in page


async def test_a_team_that_is_not_known_is_told_beside_the_filters() -> None:
    ask = FakeAsk({"/v1/violations": problem(404, "team-unknown", "team pai is not known"), "/v1/rules": RULES})
    page = await shown(show_violations, ask, query={"team": "pai"})
    assert heading(page) == "These filters cannot be applied"
    assert "team pai is not known" in page
    assert 'value="pai"' in page


async def test_the_worst_violation_is_open_and_shows_members_reason_remedy_and_rationale() -> None:
    page = await list_page(listed(violation(), violation(id="v-2")))
    assert page.count("<details open>") == 1
    assert "5 instances of 6" in page
    assert 'href="/console/instances/i-00000000000000004"' in page
    assert 'href="/console/evidence/44"' in page
    for part in (
        "user data asks for it: it moves",
        "name it by digest, or by a tag in an immutable registry",
        "A tag that moves makes the next boot run something that nobody approved.",
    ):
        assert part in text_of(page)
    assert 'href="/console/applications/greeter/versions/1.0"' in page


async def test_every_filter_reaches_the_api_and_stays_in_the_form_and_in_links() -> None:
    query = {
        "status": "open,reopened", "severity": "2", "team": "hello", "rule": "image-mutable", "verdict": "fail",
        "kind": "version", "application": "greeter", "version": "1.0", "account": "123456789012",
        "instance": "i-0123456789abcdef0", "region": "eu-central-1", "ami": "ami-12c6146b", "exemption": EXEMPTION,
        "since": "2026-11-01T00:00:00Z", "until": "2026-11-28T00:00:00Z", "at": "2026-11-27T00:00:00Z",
        "known_at": "2026-11-27T01:00:00Z", "sort": "-since",
    }  # fmt: skip
    ask = FakeAsk({LIST: listed(violation(), next_="bmV4dA=="), "/v1/rules": RULES})
    page = await shown(show_violations, ask, query=query)
    asked = next(one for one in ask.asked if one.startswith(LIST))
    for name, value in query.items():
        assert f'id="f-{name}"' in page
        assert f"{name}={value.replace(':', '%3A').replace(',', '%2C')}" in asked
    assert 'value="2026-11-27T00:00:00"' in page
    assert 'rel="next" href="/console/violations?status=open%2Creopened' in page
    assert "cursor=bmV4dA%3D%3D" in page
    assert 'href="/console/violations.csv?status=open%2Creopened' in page


@pytest.mark.parametrize(
    "query, address",
    [
        ({"team": "", "severity": "2"}, "/console/violations?severity=2"),
        ({"since": "2026-11-22"}, "/console/violations?since=2026-11-22T00%3A00%3A00Z"),
        ({"at": "2026-11-22T10:30"}, "/console/violations?at=2026-11-22T10%3A30%3A00Z"),
        ({"team": " hello "}, "/console/violations?team=hello"),
        ({"nonsense": "1"}, "/console/violations"),
    ],
)
async def test_a_form_leads_to_the_shortest_address_that_shows_the_same(query: dict[str, str], address: str) -> None:
    assert await list_page(listed(), query=query) == address


async def test_a_filter_that_the_api_refuses_is_explained_beside_the_form_which_keeps_it() -> None:
    refused = problem(400, "parameter-malformed", "version requires application", "name the application")
    page = await list_page({}, answers={LIST: refused}, query={"version": "1.0"})
    assert "version requires application" in page
    assert "name the application" in page
    assert 'name="version" maxlength="300" value="1.0"' in page


async def test_an_empty_list_is_a_pass_only_if_everything_was_judged_and_read() -> None:
    judged = summary({"rule": "image-mutable", "verdicts": counts(**{"pass": 9}), "subjects": {}}, total=counts(**{"pass": 9}))  # fmt: skip
    page = await list_page(listed(), answers={"/v1/summary": judged})
    assert heading(page) == "No violation is open"
    assert 'class="verdict is-pass"' in page
    assert "9 verdicts of 1 rule stand." in text_of(page)


@pytest.mark.parametrize(
    "found, total, reason",
    [
        (listed(), counts(**{"pass": 9, "unknown": 2}), "2 of them are unknown"),
        (listed(), counts(), "Nothing was judged yet"),
        (listed(coverage=INCOMPLETE), counts(**{"pass": 9}), "1 source could not be read, so that more may be wrong."),
    ],
)
async def test_an_empty_list_that_rests_on_ignorance_is_no_pass(
    found: dict[str, Any], total: dict[str, int], reason: str
) -> None:
    page = await list_page(found, answers={"/v1/summary": summary(total=total)})
    assert 'class="verdict is-unknown"' in page
    assert reason in text_of(page)


async def test_sources_that_were_not_read_are_named() -> None:
    page = text_of(await list_page(listed(violation(), coverage=INCOMPLETE)))
    assert (
        "inventory 123456789012 eu-west-1 : the permission ec2:DescribeInstances is missing: access was denied" in page
    )


async def test_a_violation_that_is_not_confirmed_is_shown_as_unknown() -> None:
    page = await list_page(listed(violation(not_confirmed_since=AT)))
    assert "open, not confirmed" in page
    assert 'class="state is-unknown"' in page


async def test_the_list_is_saved_as_csv_with_its_filters() -> None:
    found = await answered(save_violations, FakeAsk(), query={"team": "hello"})
    assert isinstance(found, SavedAnswer)
    assert (found.name, found.path) == ("violations.csv", LIST)
    assert found.parameters == {"grouped": "true", "team": "hello", "format": "csv", "whole": "true"}


async def test_a_violation_states_what_is_wrong_why_and_what_to_do() -> None:
    page = await one_page()
    assert heading(page) == "greeter 1.0 breaks the rule image-mutable on 6 instances"
    shown_text = text_of(page)
    for part in (
        "user data asks for it: it moves",
        "What to do: name it by digest",
        "source-dirty of 6 instances",
        "events of CloudTrail are not read: cloud_trail is not configured",
        "Opened",
        "the aggregator",
    ):
        assert part in shown_text.replace(" :", ":").replace("What to do:  ", "What to do: ")
    assert "None" not in shown_text


async def test_each_member_has_the_strip_of_its_links_or_says_that_it_was_not_traced() -> None:
    lineage = {"complete": False, "links": {"ticket": "missing"}, "gaps": ["ticket"]}
    one = whole(members=2, instances=[member(0, lineage=lineage), member(1, lineage=None)])
    html = await shown(show_violation, FakeAsk({f"{ONE}?links=25&links_from=0": one}), path={"id": NAME})
    assert html.count('<svg class="mini"') == 1
    assert "ticket" in html
    assert html.count(">not traced<") == 1
    assert '<svg class="mini"' in await list_page(listed(violation(members=2)), answers={f"{ONE}?links=5": one})


async def test_the_second_page_of_members_asks_for_their_links() -> None:
    ask = FakeAsk({ONE: whole(members=600, instances=[member(n) for n in range(500)])})
    await shown(show_violation, ask, path={"id": NAME}, query={"page": "2"})
    assert f"{ONE}?links=25&links_from=25" in ask.asked


async def test_members_are_paged() -> None:
    one = whole(members=600, instances=[member(n) for n in range(500)])
    first, last = await one_page(one), await one_page(one, query={"page": "20"})
    assert "600 instances, 1 to 25" in first
    assert "Page 1 of 20" in first
    assert f'href="/console/violations/{NAME}?page=2#h-members"' in first
    assert "600 instances, 476 to 500" in last
    assert "100 more are not listed here." in last
    assert "Next members" not in last


@pytest.mark.parametrize("page", ["0", "-1", "x", "99999999999", "²"])
async def test_a_page_of_members_that_is_not_there_leads_to_one_that_is(page: str) -> None:
    assert "i-00000000000000000" in await one_page(query={"page": page})


@pytest.mark.parametrize(
    "changes, sentence, sign",
    [
        ({"state": "fixed", "members": 0}, "greeter 1.0 broke the rule image-mutable; this is fixed", "pass"),
        ({"state": "acknowledged"}, "greeter 1.0 breaks the rule image-mutable on 6 instances, and is acknowledged", "fail"),
        ({"not_confirmed_since": AT}, "greeter 1.0 broke the rule image-mutable on 6 instances; whether it still does is not known", "unknown"),
        ({"subject": {"kind": "account", "id": "123456789012"}, "members": None}, "account 123456789012 breaks the rule image-mutable", "fail"),
        ({"subject": {"kind": "ami", "id": "ami-1"}, "members": 1}, "AMI ami-1 breaks the rule image-mutable on 1 instance", "fail"),
    ],
)  # fmt: skip
async def test_the_verdict_on_a_violation_follows_its_state(changes: dict[str, Any], sentence: str, sign: str) -> None:
    page = await one_page(whole(**changes))
    assert heading(page) == sentence
    assert f'class="verdict is-{sign}"' in page


@pytest.mark.parametrize(
    "visitor, one, offered",
    [
        (EVERYBODY, {}, {"acknowledge", "preview"}),
        (ADA, {}, {"acknowledge", "preview"}),
        (ADA, {"severity": 2}, {"acknowledge"}),
        (ADA, {"team": "other"}, set()),
        (ADA, {"team": None}, set()),
        (READER, {}, set()),
        (ROBOT, {}, {"acknowledge"}),
        (ADA, {"state": "acknowledged", "acknowledged": {"by": "bo", "at": AT, "comment": "on it"}}, {"preview", "undo"}),
        (ADA, {"state": "exempted", "exemption": {"id": EXEMPTION, "until": AT}}, {"undo"}),
        (EVERYBODY, {"state": "fixed"}, set()),
    ],
)  # fmt: skip
async def test_only_what_the_visitor_may_do_is_offered(
    visitor: Visitor, one: dict[str, Any], offered: set[str]
) -> None:
    page = await one_page(whole(**one), visitor=visitor)
    assert set(re.findall(r'name="do" value="(\w+)"', page)) == offered
    assert page.count('name="csrf"') == 1 + len(offered)


async def test_nothing_can_be_done_about_the_past() -> None:
    then = whole(instances=None, folded=None, members=None)
    ask = FakeAsk({ONE: then, "/v1/rules": RULES})
    page = await shown(show_violation, ask, path={"id": NAME}, query={"at": "2026-11-26T00:00:00Z"})
    assert f"{ONE}?at=2026-11-26T00%3A00%3A00Z" in ask.asked
    assert 'name="do"' not in page
    assert "See it as it is now" in page
    assert "is in their verdicts in the ledger, not on this page" in page


async def test_an_acknowledgement_is_sent_and_stated_by_the_step_that_the_ledger_recorded() -> None:
    acknowledged = {"by": "ada", "at": AT, "comment": "we fix it today"}
    done = step(step="acknowledged", by="ada", comment="we fix it today", ledger_index=133)
    ask = FakeAsk({f"{ONE}/acknowledge": violation(state="acknowledged", acknowledged=acknowledged, ledger_index=133)})
    form = {"do": "acknowledge", "comment": "we fix it today"}
    address = await shown(send_violation, ask, path={"id": NAME}, form=form)
    assert address == f"/console/violations/{NAME}?done=133#done"
    assert ask.sent == [(f"{ONE}/acknowledge", {"comment": "we fix it today"})]
    page = await one_page(whole(state="acknowledged", acknowledged=acknowledged, steps=[done, step()]), query={"done": "133"})  # fmt: skip
    assert "Acknowledged by ada, 27 Nov 2026 03:31:39 : we fix it today. Recorded as entry 133 of the ledger." in text_of(page)  # fmt: skip


async def test_an_address_cannot_claim_a_step_that_no_person_took() -> None:
    for index in ("999", "120", "x"):
        assert 'class="done"' not in await one_page(query={"done": index})


@pytest.mark.parametrize("status, code", [(400, "comment-malformed"), (403, "violation-forbidden"), (409, "violation-state"), (429, "caller-busy")])  # fmt: skip
async def test_a_refused_acknowledgement_is_explained_and_the_comment_kept(status: int, code: str) -> None:
    ask = FakeAsk({ONE: whole(), "/v1/rules": RULES, f"{ONE}/acknowledge": problem(status, code, "it was refused")})
    form = {"do": "acknowledge", "comment": "what I typed"}
    page = await shown(send_violation, ask, path={"id": NAME}, form=form)
    assert "it was refused" in page
    assert "do the other thing" in page
    assert code in page
    assert ">what I typed</textarea>" in page


def preview_answers(**changes: Any) -> dict[str, Any]:
    preview = {"dry_run": True, "exemption": exemption(), "covers": 1, "violations": [violation()], **changes}
    open_ones = listed(violation(), violation(id="v-2"), violation(id="v-3"))
    return {ONE: whole(), "/v1/rules": RULES, LIST: open_ones, f"{ONE}/exempt": preview}


FORM = {"reason": "1.1 is built on Monday", "until": "2026-12-02", "scope": ""}


async def test_an_exemption_is_previewed_first_and_nothing_is_written() -> None:
    ask = FakeAsk(preview_answers())
    page = await shown(send_violation, ask, path={"id": NAME}, form={**FORM, "do": "preview"})
    assert ask.sent == [
        (f"{ONE}/exempt", {"reason": "1.1 is built on Monday", "until": "2026-12-02T23:59:59Z", "dry_run": True})
    ]
    found = text_of(page)
    assert "Preview: nothing is written yet" in found
    assert "Exempts 1 violation now, and each later one of rule image-mutable, application greeter, version 1.0, until 02 Dec 2026 23:59:59" in found  # fmt: skip
    assert "Open violations of team hello: 3 to 2." in found
    assert "Exempt 1 violation until the end of 2026-12-02" in found
    assert 'name="reason" value="1.1 is built on Monday"' in page


async def test_the_second_form_exempts_exactly_what_was_previewed() -> None:
    ask = FakeAsk(preview_answers())
    page = await shown(send_violation, ask, path={"id": NAME}, form={**FORM, "do": "preview"})
    named = re.search(r'name="named" value="([0-9a-f]{64})"', page)
    assert named is not None
    granted = {**preview_answers()[f"{ONE}/exempt"], "dry_run": False}
    granted["violations"] = [violation(state="exempted", exemption={"id": EXEMPTION, "until": AT}, ledger_index=140)]

    class Recording(FakeAsk):
        async def post(self, path: str, document: Any, parameters: Any = None) -> Any:
            if not document.get("dry_run"):
                self.answers[path] = granted
            return await super().post(path, document, parameters)

    ask = Recording(preview_answers())
    form = {**FORM, "do": "exempt", "named": named[1]}
    assert await shown(send_violation, ask, path={"id": NAME}, form=form) == f"/console/violations/{NAME}?done=140#done"
    assert ask.sent[1] == (
        f"{ONE}/exempt",
        {"reason": "1.1 is built on Monday", "until": "2026-12-02T23:59:59Z", "covers": 1},
    )


async def test_a_list_that_changed_since_the_preview_is_shown_again_and_nothing_is_exempted() -> None:
    changed = preview_answers(covers=2, violations=[violation(), violation(id="v-9")])
    ask = FakeAsk(changed)
    form = {**FORM, "do": "exempt", "named": "0" * 64}
    page = await shown(send_violation, ask, path={"id": NAME}, form=form)
    assert "what it would cover has changed since the preview" in page
    assert "Exempt 2 violations until" in page
    assert [sent["dry_run"] for _, sent in ask.sent] == [True]


async def test_a_wider_scope_is_sent_as_the_api_takes_it() -> None:
    ask = FakeAsk(preview_answers())
    await shown(send_violation, ask, path={"id": NAME}, form={**FORM, "scope": "team:hello", "do": "preview"})
    assert ask.sent[0][1]["scope"] == {"team": "hello"}


async def test_a_refused_exemption_is_explained_and_keeps_what_was_typed() -> None:
    answers = {**preview_answers(), f"{ONE}/exempt": problem(403, "violation-own", "ada pushed what it is about")}
    form = {**FORM, "until": "2026-12-24", "scope": "account:123456789012", "do": "preview"}
    page = await shown(send_violation, FakeAsk(answers), path={"id": NAME}, form=form)
    assert "ada pushed what it is about" in page
    assert ">1.1 is built on Monday</textarea>" in page
    assert 'value="2026-12-24"' in page
    assert '<option value="account:123456789012" selected>' in page


async def test_undo_ends_the_exemption_and_states_the_step() -> None:
    ask = FakeAsk({f"{ONE}/undo": {"exemption": EXEMPTION, "violations": [violation(ledger_index=150)]}})
    address = await shown(send_violation, ask, path={"id": NAME}, form={"do": "undo"})
    assert (address, ask.sent) == (f"/console/violations/{NAME}?done=150#done", [(f"{ONE}/undo", {})])


async def test_hostile_text_in_a_violation_is_shown_and_never_run() -> None:
    one = whole(
        reason=HOSTILE, title=HOSTILE, remedy=HOSTILE, team=HOSTILE, application_id=HOSTILE, rule=HOSTILE,
        subject={"kind": "application", "id": HOSTILE}, account_id=HOSTILE,
        steps=[step(comment=HOSTILE, by=HOSTILE, exemption=HOSTILE)],
        instances=[member(1, reason=HOSTILE, instance_id=HOSTILE, region=HOSTILE)],
        folded=[{"rule": HOSTILE, "instances": 1}],
    )  # fmt: skip
    several = {key: value for key, value in one.items() if key in violation()}
    pages = [
        await one_page(one),
        await list_page(listed(several), answers={f"/v1/violations/{NAME}": one}),
        await shown(send_violation, FakeAsk({**preview_answers(violations=[several]), ONE: one}), path={"id": NAME}, form={"reason": HOSTILE, "until": "2026-12-24", "do": "preview"}),
        await shown(show_exemptions, FakeAsk({"/v1/exemptions": {"at": AT, "known_at": AT, "exemptions": [exemption(reason=HOSTILE, granted_by=HOSTILE)]}})),
    ]  # fmt: skip
    for page in pages:
        assert "<script>alert" not in page
        assert 'onload="x' not in page.replace("&#34;", "")
        assert "\u202e" not in page.replace("&#34;", "")


def exemptions(*found: dict[str, Any]) -> FakeAsk:
    return FakeAsk({"/v1/exemptions": {"at": AT, "known_at": AT, "exemptions": list(found)}})


async def test_exemptions_are_listed_with_reason_end_and_what_they_cover() -> None:
    page = await shown(show_exemptions, exemptions(exemption(), exemption(id="e-" + "1" * 20, until="2026-11-30T00:00:00Z")))  # fmt: skip
    assert heading(page) == "2 exemptions are in force"
    assert page.index('id="e-1111') < page.index(f'id="{EXEMPTION}"')
    assert "rule image-mutable, application greeter, version 1.0" in page
    assert f'href="/console/violations?exemption={EXEMPTION}&amp;status=any"' in page


async def test_without_exemptions_the_page_states_how_to_make_one() -> None:
    page = await shown(show_exemptions, exemptions())
    assert heading(page) == "No exemption is in force"
    assert "Exempt a violation from its own page" in page


@pytest.mark.parametrize(
    "visitor, granted, offered",
    [
        (EVERYBODY, exemption(), 1),
        (ADA, exemption(), 1),
        (READER, exemption(), 0),
        (ADA, exemption(granted_by="bo"), 0),
        (ADA, exemption(granted_by="bo", scope={"application": None, "version": None, "account": None, "ami": None, "team": "hello"}), 1),
    ],
)  # fmt: skip
async def test_ending_an_exemption_is_offered_to_who_may(
    visitor: Visitor, granted: dict[str, Any], offered: int
) -> None:
    assert (await shown(show_exemptions, exemptions(granted), visitor=visitor)).count(
        '<button class="wrap">End it<'
    ) == offered


async def test_an_exemption_is_ended_and_the_page_states_it_only_if_it_is_so() -> None:
    ask = FakeAsk({f"/v1/exemptions/{EXEMPTION}/undo": {"exemption": EXEMPTION, "violations": [violation()]}})
    assert await shown(send_exemptions, ask, form={"id": EXEMPTION}) == f"/console/exemptions?done={EXEMPTION}"
    sentence = "is not in force: what it covered is open again"
    assert sentence in await shown(show_exemptions, exemptions(), query={"done": EXEMPTION})
    assert sentence not in await shown(show_exemptions, exemptions(exemption()), query={"done": EXEMPTION})
    assert sentence not in await shown(show_exemptions, exemptions(), query={"done": "Your account was locked"})


async def test_a_refusal_to_end_an_exemption_stands_beside_it() -> None:
    ask = exemptions(exemption())
    ask.answers[f"/v1/exemptions/{EXEMPTION}/undo"] = problem(403, "exemption-forbidden", "ada may not undo this")
    assert "ada may not undo this" in await shown(send_exemptions, ask, form={"id": EXEMPTION})


async def test_causes_stand_beside_their_instances_and_what_is_the_same_of_all_stands_once() -> None:
    reason = "events of CloudTrail are not read: cloud_trail is not configured"
    same = await one_page()
    assert same.count(reason) == 1
    assert ">Caused by</th>" not in same
    by = {"type": "AssumedRole", "session": "deploy", "person": "ada"}
    value = {"event": "RunInstances", "event_id": "e", "account_id": "1", "region": "r", "at": AT, "by": by, "detail": None, "ledger_index": 3}  # fmt: skip
    caused = {"state": "asserted", "value": value, "reason": None}
    mixed = await one_page(whole(instances=[member(0, caused_by=caused), member(1), member(2, caused_by=None)]))
    found = text_of(mixed)
    assert "RunInstances by ada, asserted by CloudTrail" in found
    assert reason in found
    assert "not looked up" in found
    assert ">Caused by</th>" in mixed


async def test_who_reads_its_own_teams_only_is_led_to_the_list_of_its_team() -> None:
    mia = Visitor(name="mia", teams=frozenset({"hello", "other"}), rights=frozenset(), reads_all=False)
    assert await list_page(listed(), visitor=mia) == "/console/violations?team=hello"
    assert (
        await list_page(listed(), query={"severity": "2"}, visitor=mia) == "/console/violations?severity=2&team=hello"
    )
    judged = summary(total=counts(**{"pass": 9}))
    page = await list_page(listed(), answers={"/v1/summary": judged}, query={"team": "hello"}, visitor=mia)
    assert heading(page) == "No violation is open"
    assert "9 verdicts" in text_of(page)
    assert 'href="/console/exemptions"' not in page


@pytest.mark.parametrize(
    "members, not_confirmed, text",
    [
        (None, None, ""), (1, 0, "1 instance"), (1204, None, "1,204 instances"), (2, 5, "2 instances, 5 not confirmed"),
        (0, 3, "0 instances, 3 not confirmed"),
    ],
)  # fmt: skip
def test_instances_that_fail_and_those_not_confirmed_are_counted_apart(
    members: int | None, not_confirmed: int | None, text: str
) -> None:
    assert concerned(members, not_confirmed) == text
