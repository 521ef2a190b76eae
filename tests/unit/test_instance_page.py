"""The page about an instance: verdict first, the chain with its evidence, its life, and what a visitor may see."""

from __future__ import annotations

import re
from collections.abc import Mapping
from html.parser import HTMLParser
from typing import Any

import pytest

from fakes.console import AUDITOR, EVERYBODY, FakeAsk, answered, shown
from fakes.instance_answers import RULES, change, envelope, instance_answer, link_of, statement, whole_answer
from whence_aggregator.console.asking import ApiAnswer, ApiRefused
from whence_aggregator.console.entry_files import save_receipt, save_statement
from whence_aggregator.console.form_times import asked_moment
from whence_aggregator.console.instance import show_instance
from whence_aggregator.console.page import SavedAnswer, SavedFile, Visitor

_MEMBER = Visitor(name="tim", teams=frozenset({"hello"}), rights=frozenset(), reads_all=False)
_NO_VIOLATIONS: dict[str, Any] = {
    "at": "2026-11-27T12:00:00.000Z", "known_at": "2026-11-27T12:00:00.000Z", "violations": [], "next": None,
    "coverage": {"complete": True, "incomplete_total": 0, "incomplete": []},
}  # fmt: skip


class _Text(HTMLParser):
    """The words of a page, without those of its frame."""

    def __init__(self) -> None:
        super().__init__()
        self.words: list[str] = []

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def _text(html: str) -> str:
    parser = _Text()
    parser.feed(html[html.index("<main") :])
    return " ".join(" ".join(parser.words).split())


def _ask(answer: dict[str, Any], others: Mapping[str, Any]) -> FakeAsk:
    instance_id = answer["lineage"]["subject"]["instance"]
    return FakeAsk(
        {f"/v1/instances/{instance_id}": answer, "/v1/rules": RULES, "/v1/violations": _NO_VIOLATIONS, **others}
    )


async def _page(
    answer: dict[str, Any], *, visitor: Visitor = EVERYBODY, at: str | None = None,
    others: Mapping[str, Any] | None = None,
) -> str:  # fmt: skip
    path = {"id": answer["lineage"]["subject"]["instance"]}
    query = {"at": at} if at is not None else {}
    return await shown(show_instance, _ask(answer, others or {}), path=path, query=query, visitor=visitor)


async def test_the_verdict_is_the_heading_and_the_open_link_is_the_one_that_decides() -> None:
    html = await _page(instance_answer("dirty"))
    assert re.findall(r"<h1>(.*?)</h1>", html) == ["Contradicted at commit: greeter 1.1 runs code that is in no commit"]
    assert html.count('<details name="link"') == 14
    assert html.count('<details name="link" open>') == 1
    assert "is-contradicted is-broken" in html
    assert "What to do:</strong> commit, build again, deploy." in html
    assert "Git states" in html
    assert "The image states" in html


async def test_a_whole_chain_opens_the_ticket() -> None:
    html = await _page(whole_answer())
    opened = re.search(r'id="link-(\w+)">\s*<details name="link" open>', html)
    assert opened is not None
    assert opened[1] == "ticket"
    assert "Every rule passes. Nothing to do." in html


async def test_evidence_leads_to_the_statement_its_receipt_and_its_entry() -> None:
    html = await _page(instance_answer("dirty"))
    digest = "sha256%3A39e6ed32b5d057065db92b3c1818aaa06acef65118dbc9ea8f8582b50b74bb2b"
    assert f'href="/console/statements/{digest}"' in html
    assert f'href="/console/receipts/{digest}.tlog-proof"' in html
    assert 'href="/console/receipts/70.tlog-proof"' in html
    assert 'href="/console/evidence/70"' in html


@pytest.mark.parametrize("name", ["right", "dirty", "five-mistakes"])
async def test_nothing_of_the_answers_form_is_shown(name: Any) -> None:
    text = _text(await _page(instance_answer(name)))
    for word in ("None", "True", "False", "null", "{}", "[]"):
        assert word not in text


async def test_the_agent_its_containers_drift_and_credentials_are_those_of_the_statement() -> None:
    answer = whole_answer()
    digest = link_of(answer, "instance")["evidence"][1]["digest"]
    sealed = envelope(
        agent_version="0.9.2", statements_dropped=3,
        containers=[{"name": "greeter", "container_id": "c", "image_digest": "sha256:" + "b" * 64, "state": "running",
                     "health": "healthy", "restarts": 2}],
        credentials={"generation": 5, "state": "current", "fetched_at": "2026-11-27T01:00:00.000Z"},
        drift=[{"kind": "exec", "container": "greeter", "count": 4}],
        stages=[{"name": "pull", "outcome": "done", "seconds": 1.25}],
    )  # fmt: skip
    text = _text(await _page(answer, others={f"/v1/statements/{digest.replace(':', '%3A')}": sealed}))
    assert "whence-agent 0.9.2" in text
    assert "3 statements" in text
    assert "generation 5, current, fetched 27 Nov 2026 01:00:00 , 2 h before" in text
    assert "1 at the newest statement, 1 deviation since the boot" in text
    assert "running" in text
    assert "healthy" in text
    assert "exec greeter" in text


async def test_what_a_visitor_may_not_read_is_named_and_not_linked() -> None:
    answer = instance_answer("dirty")
    link_of(answer, "user_data")["value"]["withheld"] = "the right user-data is needed for the rest"
    html = await _page(answer, visitor=_MEMBER)
    text = _text(html)
    assert "Withheld: the right user-data is needed for the rest" in text
    assert "in the statement, which needs the right user-data" in text
    assert "/console/statements/" not in html
    assert "/console/receipts/" not in html
    assert "/console/evidence/" not in html


async def test_a_visitor_who_reads_own_teams_is_shown_violations_of_the_team() -> None:
    answer = instance_answer("dirty")
    instance_id = answer["lineage"]["subject"]["instance"]
    refused = ApiAnswer(status=403, document={"code": "read-own-teams", "detail": "name a team", "fix": ""})
    violation = {
        "id": "v-1", "state": "open", "rule": "source-dirty", "severity": 1, "title": "t", "remedy": "r",
        "source": "verdict", "subject": {"kind": "version", "id": "greeter@1.1"}, "application_id": "greeter",
        "account_id": "123456789012", "team": "hello", "reason": "dirty", "first_seen": "2026-11-27T03:22:43.415Z",
        "since": "2026-11-27T03:22:43.415Z", "last_seen": "2026-11-27T03:26:18.929Z", "not_confirmed_since": None,
        "reopened": 0, "acknowledged": None, "exemption": None, "members": 1, "not_confirmed": 0, "ledger_index": 81,
    }  # fmt: skip
    others = {
        f"/v1/violations?grouped=true&limit=100&instance={instance_id}": refused,
        f"/v1/violations?grouped=true&limit=100&instance={instance_id}&team=hello": {
            **_NO_VIOLATIONS, "violations": [violation]
        },
    }  # fmt: skip
    html = await _page(answer, visitor=_MEMBER, others=others)
    assert 'href="/console/violations/v-1"' in html


async def test_who_is_on_call_is_named_if_the_application_states_it() -> None:
    application = {
        "id": "greeter", "team_id": "hello", "name": "Greeter", "active": True, "last_modified": "2026-11-27T01:00:00Z",
        "required_approvers": 2, "repositories": [], "trackers": [], "revision": 1, "ledger_index": 14,
        "incident_contact": "hello-oncall@example.org",
    }  # fmt: skip
    text = _text(await _page(instance_answer("dirty"), others={"/v1/applications/greeter": application}))
    assert "On call hello-oncall@example.org" in text
    unnamed = {"/v1/applications/greeter": {**application, "incident_contact": None}}
    text = _text(await _page(instance_answer("dirty"), others=unnamed))
    assert "On call not stated: set incident_contact of greeter, with PUT /apps/greeter" in text
    assert "On call" not in _text(await _page(instance_answer("dirty")))


async def test_a_moment_is_shown_as_it_was_with_the_way_back() -> None:
    answer, then = whole_answer(), instance_answer("dirty")
    then["lineage"] |= {"subject": answer["lineage"]["subject"], "at": "2026-11-27T03:22:50.000Z", "heard": None}
    then["verdicts"] = None
    path = "/v1/instances/i-a9090d3355a13ef4d"
    html = await _page(answer, at="2026-11-27T03:22:50", others={f"{path}?at=2026-11-27T03%3A22%3A50Z": then})
    text = _text(html)
    assert "Contradicted at commit" in text
    assert "As of 27 Nov 2026 03:22:50 ." in text
    assert "Rules are judged for now, not for another moment." in text
    assert "What to do" not in text
    assert 'rel="prev" href="/console/instances/i-a9090d3355a13ef4d?at=2026-11-27T03%3A22%3A39.055Z"' in html
    assert 'value="2026-11-27T03:22:50"' in html


async def test_earlier_runs_have_the_verdict_of_their_end() -> None:
    answer, earlier = whole_answer(), instance_answer("dirty")["lineage"]
    answer["statements"].append(statement(index=5, recorded_at="2026-11-27T01:00:00.000Z"))
    trace = "/v1/trace?instance=i-a9090d3355a13ef4d&at=2026-11-27T03%3A22%3A39.054Z"
    html = await _page(answer, others={trace: earlier})
    assert "aaaaaaaa, contradicted" in html
    assert re.search(r'class="run is-contradicted" x="0.0%"', html)


async def test_a_time_before_the_first_statement_is_no_absence() -> None:
    answer = whole_answer()
    path = "/v1/instances/i-a9090d3355a13ef4d?at=2026-11-20T00%3A00%3A00Z"
    absent = ApiAnswer(status=404, document={"code": "instance-unknown", "detail": "no statement", "fix": ""})
    text = _text(await _page(answer, at="2026-11-20T00:00", others={path: absent}))
    assert "Not heard yet: nothing about i-a9090d3355a13ef4d was recorded by 20 Nov 2026 00:00:00 UTC" in text


async def test_an_instance_that_runs_and_never_reported_is_never_heard() -> None:
    row = {
        "subject": {"kind": "instance", "id": "i-0123456789abcdef0"}, "instance_id": "i-0123456789abcdef0",
        "rule": "agent-silent", "verdict": "unknown", "reason": "the EC2 API lists it as running, but it never spoke",
        "since": "2026-11-27T01:00:00.000Z", "ledger_index": 7, "account_id": "123456789012", "region": "eu-central-1",
        "application_id": None, "folded_under": None, "severity": 1, "remedy": "look at the instance", "cursor": "x",
    }  # fmt: skip
    listed = {"violations": [row], "next": None, "coverage": _NO_VIOLATIONS["coverage"]}
    html = await shown(show_instance, FakeAsk({"/v1/violations": listed}), path={"id": "i-0123456789abcdef0"})
    text = _text(html)
    assert "Never heard: i-0123456789abcdef0 runs, and its agent has never reported" in text
    assert "What to do: look at the instance" in text
    assert 'href="/console/accounts/123456789012"' in html


async def test_an_unknown_instance_and_a_hidden_one_are_refused_alike() -> None:
    with pytest.raises(ApiRefused):
        await shown(show_instance, FakeAsk({}), path={"id": "i-0123456789abcdef0"})
    with pytest.raises(ApiRefused):
        await shown(
            show_instance, FakeAsk({"/v1/violations": {**_NO_VIOLATIONS, "violations": []}}), path={"id": "i-0"}
        )


async def test_hostile_values_are_text() -> None:
    hostile = "<script>alert(1)</script>\u202e\x1b[31m' onmouseover=\"x"
    answer = instance_answer("dirty")
    for name in ("account", "team", "application", "version", "image", "source", "commit", "specification"):
        value = link_of(answer, name)["value"]
        change(answer, name, value={key: hostile if isinstance(one, str) else one for key, one in value.items()})
        change(answer, name, reason=hostile)
    change(answer, "specification", value={"url": "javascript:alert(1)"})
    change(answer, "ticket", value={"tickets": [{"id": hostile, "place": "subject", "line": 1, "url": hostile}]})
    change(answer, "user_data", value={"digest": hostile, "document": {hostile: {hostile: hostile}}, "problems": [
        {"severity": "error", "code": hostile, "line": 3, "column": 1, "path": hostile, "message": hostile,
         "fix": hostile}]})  # fmt: skip
    for verdict in answer["verdicts"]:
        verdict["reason"] = hostile
    html = await _page(answer)
    assert "<script>" not in html
    assert 'onmouseover="x' not in html.replace("&#34;", "")
    assert "\u202e" not in html
    assert "\x1b" not in html
    assert 'href="javascript' not in html
    assert re.search(r"<[^>]* (?:style|on[a-z]+)=", html) is None


async def test_moments_of_forms_are_in_utc_and_others_as_they_are() -> None:
    assert asked_moment("2026-11-27T03:22") == "2026-11-27T03:22:00Z"
    assert asked_moment("2026-11-27 03:22:50") == "2026-11-27T03:22:50Z"
    assert asked_moment("2026-11-27T03:22:50+01:00") == "2026-11-27T03:22:50+01:00"
    assert asked_moment("yesterday") == "yesterday"
    assert asked_moment(" ") is None
    assert asked_moment(None) is None


async def test_statements_and_receipts_are_saved_under_names_that_verify_finds() -> None:
    digest = "sha256:" + "a" * 64
    assert await answered(save_statement, FakeAsk({}), path={"digest": digest}) == SavedAnswer(
        name="a" * 64 + ".json", path="/v1/statements/sha256%3A" + "a" * 64
    )
    assert await answered(save_receipt, FakeAsk({}), path={"name": f"{digest}.tlog-proof"}) == SavedAnswer(
        name="a" * 64 + ".tlog-proof", path="/v1/receipts/sha256%3A" + "a" * 64 + ".tlog-proof"
    )
    entry = {
        "ledger_index": 70, "kind": "collected", "digest": digest, "size": 2, "recorded_at": "2026-11-27T01:00:00Z",
        "state": "shown", "content": "{}", "receipt": "c2sp.org/tlog-proof@v1\n",
    }  # fmt: skip
    saved = await answered(save_receipt, FakeAsk({"/v1/log/entries/70": entry}), path={"name": "70.tlog-proof"})
    assert saved == SavedFile(
        name="a" * 64 + ".tlog-proof", media_type="text/plain", content=b"c2sp.org/tlog-proof@v1\n"
    )
    with pytest.raises(ApiRefused):
        await answered(save_receipt, FakeAsk({}), path={"name": "../secret"})


async def test_an_auditor_reads_user_data_and_links() -> None:
    html = await _page(instance_answer("dirty"), visitor=AUDITOR)
    assert "/console/statements/" in html
