"""Violations with their life over HTTP: grouped, acknowledged, exempted, expired, undone, reopened, and rebuilt."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from click.testing import CliRunner, Result

from fakes.auditor import checked
from fakes.cloud_trail import ROLE, identity, key, log_file, record, s3_event
from fakes.coverage import coverage_of
from fakes.findings import AFTER_THE_SCANS, sample
from fakes.in_process import LIMITLESS, InProcess
from fakes.machine import Machine
from fakes.trail_world import TrailWorld
from whence_aggregator.callers.caller import Caller
from whence_aggregator.callers.limits import Limit, Rate
from whence_aggregator.callers.membership import Membership
from whence_aggregator.callers.sign_in import NOBODY, Authenticator
from whence_aggregator.callers.tokens import token_hash
from whence_aggregator.findings.coverage import ScannerCoverage
from whence_aggregator.findings.listing import Findings
from whence_aggregator.findings.scanners import Scanner, Scanners
from whence_aggregator.http.authentication import authentication
from whence_aggregator.http.errors import guarded
from whence_aggregator.http.findings import FindingCalls
from whence_aggregator.http.violation_csv import csv_pieces
from whence_aggregator.organisation.allowed import AllowedAccounts
from whence_aggregator.organisation.directory import OrganisationDirectory
from whence_aggregator.ports import SourceUnavailable
from whence_aggregator.trace.moment import Moments
from whence_aggregator.violations.listing import WantedGroups, parse_states
from whence_aggregator.violations.recording import ViolationRecorder
from whence_aggregator.whence.cli import whence
from whence_aggregator.wiring.violations import LivingViolations, load_violations
from whence_common.clock import to_instant
from whence_common.statement import ApplicationFacts

ACCOUNT = "123456789012"
HELLO, OPERATOR = "hello", "operator"
CALLERS = {
    token_hash("reader"): Caller(name="reader", teams=frozenset()),
    token_hash(HELLO): Caller(name="ada", teams=frozenset({"hello"}), realm="people"),
    token_hash("evil"): Caller(name="eve", teams=frozenset({"evil"}), realm="people"),
    token_hash("own"): Caller(name="own", teams=frozenset({"evil"}), reads="teams"),
    token_hash("scanner"): Caller(
        name="scanner", teams=frozenset(), rights=frozenset({"findings"}), accounts=frozenset({"*"})
    ),
    token_hash("robot"): Caller(name="robot", teams=frozenset({"hello"}), realm="services"),
    token_hash(OPERATOR): Caller(name="olga", teams=frozenset(), rights=frozenset({"operate"}), realm="people"),
    token_hash("root"): Caller(name="root", teams=None, realm="people"),
}
SCANNERS = Scanners(named=(Scanner(product="prowler", interval_seconds=10 * 86_400.0),))
RULE = "spec-url-missing"


class Asked:
    """Asks for violations and moves them."""

    def __init__(self, client: Any, house: InProcess, living: LivingViolations) -> None:
        self._client = client
        self.house = house
        self.recorder: ViolationRecorder = living.recorder
        self.grouped = living.grouped

    async def get(self, path: str, token: str = "reader", **query: str) -> dict[str, Any]:
        async with self._client.get(path, params=query, headers={"Authorization": f"Bearer {token}"}) as answer:
            found: dict[str, Any] = await answer.json(content_type=None)
            return {**found, "status": answer.status} if answer.status != 200 else found

    async def text(self, **query: str) -> str:
        headers = {"Authorization": "Bearer reader", "Accept": "text/csv"}
        async with self._client.get("/v1/violations", params={"grouped": "true", **query}, headers=headers) as answer:
            return str(await answer.text())

    async def list(self, token: str = "reader", **query: str) -> list[dict[str, Any]]:
        found = await self.get("/v1/violations", token, grouped="true", **query)
        listed: list[dict[str, Any]] = found["violations"]
        return listed

    async def post(self, path: str, token: str, **body: Any) -> dict[str, Any]:
        headers = {"Authorization": f"Bearer {token}"}
        async with self._client.post(path, json=body, headers=headers) as answer:
            return {**await answer.json(content_type=None), "status": answer.status}

    async def whence(self, *arguments: str, token: str = HELLO) -> Result:
        """Run the command."""
        given = ["--url", str(self._client.make_url("")).rstrip("/"), *arguments]
        return await asyncio.to_thread(CliRunner(env={"WHENCE_TOKEN": token}).invoke, whence, given)

    async def follow(self) -> None:
        await self.house.work()
        await self.recorder.follow_all()

    async def one(self, rule: str = RULE) -> dict[str, Any]:
        (found,) = await self.list(rule=rule, status="any")
        return found

    async def state(self, rule: str = RULE) -> str:
        return str((await self.one(rule))["state"])

    async def push(self, name: str) -> None:
        headers = {"Authorization": "Bearer scanner"}
        query = {"complete": "true"}
        async with self._client.post("/v1/findings", params=query, data=sample(name), headers=headers) as answer:
            assert answer.status in (200, 201), await answer.text()


@asynccontextmanager
async def served(house: InProcess, steps: Rate = LIMITLESS, *, reads_events: bool = True) -> AsyncIterator[Asked]:
    database, directory = house.database, OrganisationDirectory(house.database)
    findings = Findings(database=database, directory=directory, scanners=SCANNERS)
    living = load_violations(
        database,
        house.ledger,
        directory,
        findings,
        now=house.clock,
        reads_events=reads_events,
        listening=house.listening,
    )
    accounts = AllowedAccounts(named=frozenset({ACCOUNT}), collected=False, database=database)
    scanners = ScannerCoverage(database=database, scanners=SCANNERS, accounts=accounts)
    calls = [
        *living.routes(
            Membership(None), house.tracer, house.listening, coverage_of(house), Limit("caller", steps, lambda: 0.0, unit="bytes")
        ),
        *FindingCalls(
            ledger=house.ledger, findings=findings, scanners=scanners, coverage=coverage_of(house), now=house.clock, on_change=lambda: None,
            moments=Moments(database=database, now=house.clock),
            caller_bytes=Limit("caller", LIMITLESS, lambda: 0.0, unit="bytes"),
        ).routes(),
    ]  # fmt: skip
    check = authentication(Authenticator(
        known=CALLERS, sources=NOBODY, sessions=None, attempts=Limit("address", LIMITLESS), now=house.clock
    ))  # fmt: skip
    application = web.Application()
    application.add_routes(web.route(one.method, one.path, guarded(one.handler, check)) for one in calls)
    async with TestClient(TestServer(application)) as client:
        yield Asked(client, house, living)


@pytest.fixture
async def asked(house: InProcess) -> AsyncIterator[Asked]:
    await house.register("greeter")
    async with served(house) as found:
        yield found


async def running(house: InProcess, count: int = 1) -> list[Machine]:
    machines = [await house.machine(f"i-0123456789abcde{n:02}") for n in range(count)]
    for one in machines:
        await house.say(one)
    return machines


async def test_a_fault_on_three_machines_is_one_violation_with_its_members_and_its_owner(asked: Asked) -> None:
    await running(asked.house, 3)
    await asked.follow()
    found = {one["rule"]: one for one in await asked.list()}
    one = found["scm-url-not-match-with-kio"]
    assert (one["subject"], one["members"]) == ({"kind": "version", "id": "greeter@1.0"}, 3)
    assert (one["team"], one["account_id"], one["state"]) == ("hello", ACCOUNT, "open")
    shown = await asked.get(f"/v1/violations/{one['id']}")
    assert [each["instance_id"] for each in shown["instances"]] == [
        "i-0123456789abcde00", "i-0123456789abcde01", "i-0123456789abcde02",
    ]  # fmt: skip
    assert [each["step"] for each in shown["steps"]] == ["opened"]


async def test_the_links_of_some_members_are_traced_for_those_who_may_read_them(asked: Asked) -> None:
    await running(asked.house, 3)
    await asked.follow()
    path = f"/v1/violations/{(await asked.one('scm-url-not-match-with-kio'))['id']}"
    traced = (await asked.get(path, links="1", links_from="1"))["instances"]
    assert ["lineage" in one for one in traced] == [False, True, False]
    assert (len(traced[1]["lineage"]["links"]), traced[1]["lineage"]["links"]["application"]) == (14, "confirmed")
    assert ["lineage" in one for one in (await asked.get(path))["instances"]] == [False] * 3
    assert [
        one["lineage"] for one in (await asked.get(path, links="50", links_from="3"))["instances"] if "lineage" in one
    ] == []
    for wrong in ({"links": "51"}, {"links": "-1"}, {"links": "x"}, {"links": "1", "links_from": "1000"}):
        assert (await asked.get(path, **wrong))["status"] == 400


async def test_the_list_of_instances_answers_as_before_unless_asked_for_groups(asked: Asked) -> None:
    await running(asked.house, 2)
    await asked.follow()
    found = await asked.get("/v1/violations", kind="version")
    assert {one["subject"]["id"] for one in found["violations"]} == {"greeter@1.0"}
    assert "state" not in found["violations"][0]
    for name, value in (("status", "open"), ("at", "2026-11-22T12:00:00Z"), ("facets", "true"), ("sort", "rule")):
        refused = await asked.get("/v1/violations", **{name: value})
        assert refused["code"] == "parameter-unknown"
        assert refused["detail"] == f"{name}: only for violations with their life"
        assert refused["fix"] == "add grouped=true (whence violations: --grouped), or omit them"
    said = await asked.whence("violations", "--status", "open")
    assert (said.exit_code, "--grouped" in said.stderr) == (2, True), said.output


async def test_filters_of_verdicts_are_refused_with_groups_and_with_what_to_ask_instead(asked: Asked) -> None:
    state = await asked.get("/v1/violations", grouped="true", state="running")
    assert (state["code"], "use status, as in status=open,reopened" in state["fix"]) == ("parameter-unknown", True)
    folded = await asked.get("/v1/violations", grouped="true", folded="all")
    assert (folded["code"], "GET /v1/violations/{id}" in folded["fix"]) == ("parameter-unknown", True)


async def moments(asked: Asked) -> dict[str, str]:
    """Return the times at which a violation was open, acknowledged, exempted, fixed and back."""
    times = {}

    def now(name: str) -> None:
        asked.house.clock.advance(60)
        times[name] = to_instant(asked.house.clock())
        asked.house.clock.advance(60)

    now("nothing")
    await running(asked.house)
    await asked.follow()
    path = f"/v1/violations/{(await asked.one())['id']}"
    now("open")
    await asked.post(f"{path}/acknowledge", HELLO, comment="on it")
    now("acknowledged")
    await asked.post(f"{path}/exempt", HELLO, reason="moved", until="2026-12-01T00:00:00Z")
    now("exempted")
    await asked.house.register("greeter", specification_url="https://example.org/spec")
    await asked.follow()
    now("fixed")
    await asked.house.register("greeter", specification_url="")
    await asked.follow()
    asked.house.clock.advance(60)
    return times


async def test_a_violation_and_its_list_are_shown_as_they_were_recorded_at_a_time(asked: Asked) -> None:
    times = await moments(asked)
    name = (await asked.one())["id"]
    for state in ("open", "acknowledged", "exempted", "fixed"):
        shown = await asked.get(f"/v1/violations/{name}", at=times[state])
        assert (shown["state"], shown["at"], shown["members"], shown["instances"]) == (state, times[state], None, None)
        (listed,) = await asked.list(rule=RULE, status="any", at=times[state])
        assert listed == {key: shown[key] for key in listed}
        assert len(await asked.list(rule=RULE, status=state, at=times[state])) == 1
        facets = (await asked.get(
            "/v1/violations", grouped="true", rule=RULE, status="any", facets="true", at=times[state]
        ))["facets"]  # fmt: skip
        assert facets["status"] == {state: 1}
    acknowledged = await asked.get(f"/v1/violations/{name}", at=times["acknowledged"])
    by_then = [one["step"] for one in acknowledged["steps"] if one["recorded_by_then"]]
    assert (by_then, acknowledged["steps"][0]["step"]) == (["acknowledged", "opened"], "exempted")
    narrowed = await asked.get(f"/v1/violations/{name}", at=times["acknowledged"], known_at=times["acknowledged"])
    assert [one["step"] for one in narrowed["steps"]] == ["acknowledged", "opened"]
    assert await asked.list(status="any", at=times["nothing"]) == []
    assert (await asked.get(f"/v1/violations/{name}", at=times["nothing"]))["code"] == "violation-unknown"
    assert (await asked.get("/v1/violations", grouped="true"))["at"] == to_instant(asked.house.clock())


async def test_times_that_no_answer_has_and_filters_by_instances_of_then_are_refused(asked: Asked) -> None:
    times = await moments(asked)
    name = (await asked.one())["id"]
    late = await asked.get("/v1/violations", grouped="true", at="2036-01-01T00:00:00Z")
    assert late["code"] == "time-in-future"
    reverse = await asked.get(f"/v1/violations/{name}", at=times["fixed"], known_at=times["open"])
    assert reverse["code"] == "time-not-known"
    assert (await asked.get(f"/v1/violations/{name}", at="noon"))["code"] == "parameter-malformed"
    for path, query in (
        ("/v1/violations", {"grouped": "true"}), (f"/v1/violations/{name}", {}), ("/v1/exemptions", {}),
        ("/v1/findings", {}),
    ):  # fmt: skip
        early = await asked.get(path, at="2026-11-22T11:59:59Z", **query)
        assert (early["status"], early["code"]) == (404, "time-before-log"), path
        assert early["detail"] == (
            "nothing is known of 2026-11-22T11:59:59.000Z: the log begins at 2026-11-22T12:00:00.000Z"
        )
        assert early["fix"] == "ask about 2026-11-22T12:00:00.000Z or later"
    unasked = await asked.whence("exemptions", "--at", "2026-11-22T11:59:59Z")
    assert (unasked.exit_code, "the log begins at" in unasked.stderr) == (4, True), unasked.output
    by_instance = await asked.get("/v1/violations", grouped="true", at=times["open"], region="eu-central-1")
    assert (by_instance["code"], by_instance["fix"]) == ("parameter-malformed", "omit them with at and known_at")


async def test_an_exemption_covers_from_its_recording_on_and_earlier_answers_stay(asked: Asked) -> None:
    times = await moments(asked)
    before = await asked.list(status="any", at=times["open"])
    path = f"/v1/violations/{(await asked.one())['id']}/exempt"
    await asked.post(path, HELLO, reason="moved again", until="2026-12-02T00:00:00Z")
    assert await asked.list(status="any", at=times["open"]) == before
    assert (await asked.get("/v1/exemptions", at=times["open"]))["exemptions"] == []
    assert len((await asked.get("/v1/exemptions", at=times["exempted"]))["exemptions"]) == 1
    assert len((await asked.get("/v1/exemptions"))["exemptions"]) == 2


async def test_the_owning_team_acknowledges_and_nobody_else(asked: Asked) -> None:
    await running(asked.house)
    await asked.follow()
    path = f"/v1/violations/{(await asked.one())['id']}/acknowledge"
    assert (await asked.post(path, "evil", comment="hush"))["code"] == "violation-forbidden"
    assert (await asked.post(path, HELLO))["code"] == "comment-malformed"
    assert (await asked.post(path, HELLO, comment="on it", note="x"))["code"] == "body-key"
    done = await asked.post(path, HELLO, comment="on it")
    assert (done["state"], done["acknowledged"]["by"], done["acknowledged"]["comment"]) == (
        "acknowledged", "ada", "on it"
    )  # fmt: skip
    undone = await asked.post(path.replace("acknowledge", "undo"), HELLO)
    assert [one["state"] for one in undone["violations"]] == ["open"]
    assert (await asked.post(path.replace("acknowledge", "undo"), HELLO))["status"] == 409


async def test_the_steps_that_one_caller_adds_to_the_log_are_limited(house: InProcess) -> None:
    await house.register("greeter")
    async with served(house, Rate(per_second=1.0, burst=2_048.0)) as asked:
        await running(house)
        await asked.follow()
        path = f"/v1/violations/{(await asked.one())['id']}/acknowledge"
        answers = [await asked.post(path, HELLO, comment=f"{n}") for n in range(3)]
        assert [one["status"] for one in answers] == [200, 200, 429]
        assert (await asked.post(path, OPERATOR, comment="not limited by others"))["code"] == "violation-forbidden"


async def test_an_undo_counts_each_violation_that_its_exemption_covers(house: InProcess) -> None:
    await house.register("greeter")
    async with served(house, Rate(per_second=1.0, burst=5 * 1024.0)) as asked:
        await running(house)
        await asked.follow()
        path = f"/v1/violations/{(await asked.one())['id']}"
        body = {"reason": "moved", "until": "2026-12-01T00:00:00Z"}
        made = await asked.post(f"{path}/exempt", HELLO, **body)
        assert (made["status"], made["covers"]) == (201, 1)
        assert (await asked.post(f"{path}/undo", HELLO))["status"] == 200, "two steps, as those of the exemption"
        again = await asked.post(f"{path}/exempt", HELLO, **body)
        assert again["status"] == 429, "one step is left"


async def test_a_fixed_fault_closes_its_violation_and_reopens_it_when_it_is_back(asked: Asked) -> None:
    await running(asked.house)
    await asked.follow()
    name = (await asked.one())["id"]
    await asked.post(f"/v1/violations/{name}/acknowledge", HELLO, comment="on it")
    asked.house.clock.advance(60)
    await asked.house.register("greeter", specification_url="https://example.org/spec")
    await asked.follow()
    assert await asked.state() == "fixed"
    assert RULE not in {one["rule"] for one in await asked.list()}
    asked.house.clock.advance(60)
    await asked.house.register("greeter", specification_url="")
    await asked.follow()
    one = await asked.one()
    assert (one["id"], one["state"], one["reopened"], one["acknowledged"]) == (name, "reopened", 1, None)


async def test_a_team_exempts_with_a_preview_until_a_date_and_it_reopens_by_itself(asked: Asked) -> None:
    await running(asked.house)
    await asked.follow()
    path = f"/v1/violations/{(await asked.one())['id']}/exempt"
    body = {"reason": "moved in June", "until": "2026-12-01T00:00:00Z"}
    assert (await asked.post(path, "evil", **body))["code"] == "violation-forbidden"
    assert (await asked.post(path, "robot", **body))["code"] == "exemption-person"
    assert (await asked.post(path, HELLO, **body, expiry="never"))["code"] == "body-key"
    assert (await asked.post(path, HELLO, **body, scope={"aplication": "greeter"}))["code"] == "exemption-key"
    assert (await asked.post(path, HELLO, **body, scope={}))["code"] == "exemption-scope"
    assert (await asked.post(path, HELLO, **{**body, "until": "2036-01-01T00:00:00Z"}))["code"] == "exemption-until"
    assert (await asked.post(path, HELLO, **{**body, "until": "2026-11-01T00:00:00Z"}))["code"] == "exemption-until"
    seen = await asked.post(path, HELLO, **body, dry_run=True)
    assert (seen["status"], seen["covers"], await asked.state()) == (200, 1, "open")
    done = await asked.post(path, HELLO, **body, covers=1)
    assert (done["status"], done["exemption"]["scope"]["team"], await asked.state()) == (201, "hello", "exempted")
    assert [one["id"] for one in (await asked.get("/v1/exemptions"))["exemptions"]] == [done["exemption"]["id"]]
    asked.house.clock.advance(10 * 86_400)
    assert await asked.state() == "reopened", "before any step states it"
    await asked.follow()
    one = await asked.one()
    assert (one["state"], one["reopened"], one["exemption"]) == ("reopened", 1, None)


async def test_an_exemption_covers_what_opens_later_and_is_undone_with_one_call(asked: Asked) -> None:
    await asked.house.register("other")
    await running(asked.house)
    await asked.follow()
    path = f"/v1/violations/{(await asked.one())['id']}/exempt"
    body = {"reason": "moved", "until": "2026-12-01T00:00:00Z", "scope": {"team": "hello"}}
    done = await asked.post(path, HELLO, **body)
    assert done["covers"] == 1
    machine = await asked.house.machine("i-0123456789abcdef9")
    await asked.house.say(machine, application=ApplicationFacts(id="other", version="1.0"))
    await asked.follow()
    found = await asked.list(rule=RULE)
    assert {one["subject"]["id"]: one["state"] for one in found} == {"greeter": "exempted", "other": "exempted"}
    assert (await asked.post(f"/v1/exemptions/{done['exemption']['id']}/undo", "evil"))["code"] == "exemption-forbidden"
    undone = await asked.post(f"/v1/exemptions/{done['exemption']['id']}/undo", HELLO)
    assert [one["state"] for one in undone["violations"]] == ["open", "open"]
    assert (await asked.post(f"/v1/exemptions/{done['exemption']['id']}/undo", HELLO))["status"] == 409
    two = await asked.post(path, HELLO, **body)
    assert two["code"] == "exemption-covers", "several are covered: their number must be sent"
    assert (await asked.post(path, HELLO, **body, covers=3))["code"] == "exemption-covers"
    assert (await asked.post(path, HELLO, **body, covers=2))["status"] == 201


async def test_nobody_exempts_what_their_own_token_recorded(asked: Asked) -> None:
    await running(asked.house)
    await asked.follow()
    path = f"/v1/violations/{(await asked.one())['id']}/exempt"
    refused = await asked.post(path, "root", reason="mine", until="2026-12-01T00:00:00Z")
    assert refused["code"] == "violation-own"


async def test_findings_are_violations_of_which_grave_ones_need_the_right_operate(asked: Asked) -> None:
    asked.house.clock.moment = AFTER_THE_SCANS
    await asked.push("prowler.ocsf.json")
    await asked.follow()
    found = [one for one in await asked.list() if one["source"] == "finding"]
    assert {one["subject"]["kind"] for one in found} == {"account"}
    grave = next(one for one in found if one["severity"] <= 2)
    body = {"reason": "accepted", "until": "2026-12-10T00:00:00Z"}
    path = f"/v1/violations/{grave['id']}/exempt"
    assert (await asked.post(path, HELLO, **body))["code"] == "violation-forbidden"
    assert (await asked.post(path, OPERATOR, **body))["status"] == 201
    asked.house.clock.advance(11 * 86_400)
    await asked.follow()
    late = next(one for one in await asked.list() if one["id"] == next(o for o in found if o != grave)["id"])
    assert (late["state"], late["not_confirmed_since"] is not None) == ("open", True), "its scanner is late"


async def test_lists_are_filtered_sorted_counted_and_paged(asked: Asked) -> None:
    await asked.house.register("other")
    await running(asked.house)
    await asked.house.say(
        await asked.house.machine("i-0123456789abcdef9"), application=ApplicationFacts(id="other", version="1.0")
    )
    await asked.follow()
    every = await asked.list(sort="-rule")
    rules = [one["rule"] for one in every]
    assert rules == sorted(rules, reverse=True)
    paged, cursor = list[str](), ""
    while True:
        page = await asked.get(
            "/v1/violations", grouped="true", sort="-rule", limit="1", **({"cursor": cursor} if cursor else {})
        )
        paged += [one["id"] for one in page["violations"]]
        if (cursor := page["next"] or "") == "":
            break
    assert paged == [one["id"] for one in every]
    found = await asked.get("/v1/violations", grouped="true", facets="true", application="other")
    assert found["facets"]["application"] == {"other": len(found["violations"])}
    assert {one["application_id"] for one in await asked.list(instance="i-0123456789abcdef9")} == {"other"}
    assert {one["id"] for one in await asked.list(region="eu-central-1")} == {one["id"] for one in every}
    assert await asked.list(region="eu-west-1") == []
    assert (await asked.get("/v1/violations", "reader", grouped="true", team="evil"))["code"] == "team-unknown"
    assert await asked.list(severity="1") == []
    assert (await asked.get("/v1/violations", grouped="true", sort="mood"))["code"] == "parameter-malformed"
    assert (await asked.get("/v1/violations", grouped="true", status="odd"))["code"] == "parameter-malformed"
    assert (await asked.get("/v1/violations", grouped="true", kind="instance"))["code"] == "parameter-malformed"
    assert (await asked.get("/v1/violations", grouped="true", cursor="x"))["code"] == "parameter-malformed"
    assert (await asked.get("/v1/violations", grouped="true", folded="all"))["code"] == "parameter-unknown"
    lines = (await asked.text(application="other")).split("\r\n")
    assert lines[0].startswith("id,state,severity,rule,title,kind,subject,application_id")
    assert len(lines) == len(found["violations"]) + 2


async def test_a_whole_csv_has_every_row_once_and_its_columns_once(asked: Asked) -> None:
    await running(asked.house, 2)
    await asked.follow()
    every = {one["id"] for one in await asked.list(status="any")}
    lines = (await asked.text(whole="true", status="any")).splitlines()
    assert lines[0].startswith("id,state,severity,rule")
    assert sorted(line.partition(",")[0] for line in lines[1:]) == sorted(every)
    for refused in ({"limit": "5"}, {"cursor": "x"}, {"format": "json"}):
        assert "whole goes with format=csv" in await asked.text(whole="true", **refused)
    assert "team-unknown" in await asked.text(whole="true", team="nobody")


async def test_a_whole_csv_is_cut_at_its_bound_and_says_so(asked: Asked) -> None:
    await running(asked.house, 2)
    await asked.follow()
    moment = await Moments(database=asked.house.database, now=asked.house.clock).of()
    wanted = WantedGroups(states=parse_states("any"))
    pieces = [one.decode() async for one in csv_pieces(asked.grouped, wanted, moment, rows_max=2)]
    lines = "".join(pieces).splitlines()
    assert len(lines) == 4
    assert lines[-1] == '"Cut after 2 rows: more match. Narrow the filters."'


async def test_who_reads_only_own_teams_sees_no_violation_of_others(asked: Asked) -> None:
    await running(asked.house)
    await asked.follow()
    name = (await asked.one())["id"]
    assert (await asked.get("/v1/violations", "own", grouped="true"))["code"] == "read-own-teams"
    assert await asked.list("own", team="evil") == []
    assert (await asked.get(f"/v1/violations/{name}", "own"))["code"] == "read-own-teams"
    assert (await asked.get("/v1/violations/v-00000000000000000000", "own"))["code"] == "read-own-teams"
    assert (await asked.get("/v1/violations/v-00000000000000000000"))["code"] == "violation-unknown"


async def test_a_hundred_steps_at_once_leave_what_a_rebuild_leaves(asked: Asked, tmp_path: Path) -> None:
    await running(asked.house, 2)
    await asked.follow()
    path = f"/v1/violations/{(await asked.one())['id']}"
    body = {"reason": "moved", "until": "2026-12-01T00:00:00Z"}

    async def step(n: int) -> int:
        if n % 4 == 0:
            return int((await asked.post(f"{path}/acknowledge", HELLO, comment=f"{n}"))["status"])
        if n % 4 == 1:
            return int((await asked.post(f"{path}/exempt", HELLO, **body))["status"])
        if n % 4 == 2:
            return int((await asked.post(f"{path}/undo", HELLO))["status"])
        await asked.recorder.follow_all()
        return 200

    statuses = await asyncio.gather(*map(step, range(100)))
    assert set(statuses) <= {200, 201, 409}
    await asked.follow()
    assert await asked.state() in ("open", "acknowledged", "exempted")
    live = {one["id"] for one in (await asked.get("/v1/exemptions"))["exemptions"]}
    exemption = (await asked.one())["exemption"]
    assert exemption is None or exemption["id"] in live
    outcome = await checked(asked.house, tmp_path)
    assert outcome.findings == []


async def test_the_command_lists_shows_acknowledges_exempts_and_undoes(asked: Asked) -> None:
    await running(asked.house, 2)
    await asked.follow()
    name = (await asked.one())["id"]
    listed = await asked.whence("violations", "--grouped", "--rule", RULE, "--json")
    assert (listed.exit_code, name in listed.output) == (5, True), listed.output
    assert "not complete: Git git.example.org failed" in listed.stderr
    assert (await asked.whence("violations", "--grouped", "--csv")).stdout.startswith("id,state,severity,rule")
    assert (await asked.whence("violations", "--csv")).exit_code == 2
    assert "opened" in (await asked.whence("violation", "show", name)).output
    unasked = await asked.whence("acknowledge", name, "--comment", "on it")
    assert (unasked.exit_code, "use --yes" in unasked.output) == (2, True), unasked.output
    done = await asked.whence("acknowledge", name, "--comment", "on it", "--yes")
    assert f"{name}: acknowledged" in done.output
    until = ("--reason", "moved", "--until", "2026-12-01T00:00:00Z")
    preview = await asked.whence("exempt", name, *until, "--team", "hello")
    assert (preview.exit_code, name in preview.output, await asked.state()) == (2, True, "acknowledged")
    exempted = await asked.whence("exempt", name, *until, "--team", "hello", "--yes")
    assert "1 exempted; undo it with: whence unexempt e-" in exempted.output, exempted.output
    exemption = exempted.output.split("whence unexempt ")[1].strip()
    shown = (await asked.whence("violation", "show", name)).output.splitlines()
    assert [one.split()[1] for one in shown if one.startswith(("exemption ", "exempt_until "))] == [
        exemption, "2026-12-01T00:00:00.000Z"
    ]  # fmt: skip
    assert any("verdict" in one for one in shown), "an instance may be unknown while another fails"
    twice = await asked.whence("unexempt", "e-no", "--yes")
    assert (twice.exit_code, "no exemption has the id 'e-no'" in twice.stderr) == (4, True)
    assert "whence exemptions lists those in force" in twice.stderr
    assert f"{name}: acknowledged" in (await asked.whence("unexempt", exemption)).output
    assert f"{name}: open" in (await asked.whence("unexempt", name)).output
    assert (await asked.whence("acknowledge", *[name] * 101, "--comment", "x")).exit_code == 2


async def test_the_command_lists_the_exemptions_in_force_with_their_scope_person_and_reason(asked: Asked) -> None:
    await running(asked.house)
    await asked.follow()
    path = f"/v1/violations/{(await asked.one())['id']}/exempt"
    before = to_instant(asked.house.clock())
    nothing = await asked.whence("exemptions")
    assert (nothing.exit_code, nothing.stderr) == (0, "0 in total\n"), nothing.output
    asked.house.clock.advance(60)
    scope = {"account": ACCOUNT, "team": "hello"}
    done = await asked.post(path, HELLO, reason="moved in June", until="2026-12-01T00:00:00Z", scope=scope)
    exemption = done["exemption"]
    listed = await asked.whence("exemptions")
    assert (listed.exit_code, listed.stderr) == (0, "1 in total\n"), listed.output
    names, row = listed.stdout.splitlines()
    assert names.split() == ["id", "rule", "scope", "until", "granted_by", "granted_at", "reason"]
    assert row.split() == [
        exemption["id"], RULE, f"account={ACCOUNT},team=hello", "2026-12-01T00:00:00.000Z", "ada",
        exemption["granted_at"], "moved", "in", "June",
    ]  # fmt: skip
    as_json = await asked.whence("exemptions", "--json")
    assert [one["id"] for one in json.loads(as_json.stdout)["exemptions"]] == [exemption["id"]]
    earlier = await asked.whence("exemptions", "--at", before)
    assert (earlier.exit_code, earlier.stderr) == (0, "0 in total\n"), earlier.output
    wrong = await asked.whence("exemptions", "--at", "June")
    assert (wrong.exit_code, "at" in wrong.stderr) == (2, True), wrong.output


async def test_several_are_acknowledged_and_undone_with_one_command_after_their_list_was_shown(asked: Asked) -> None:
    await running(asked.house)
    await asked.follow()
    names = [one["id"] for one in await asked.list()][:2]
    unasked = await asked.whence("acknowledge", *names, "--comment", "on it")
    assert (unasked.exit_code, all(name in unasked.stderr for name in names)) == (2, True), unasked.output
    done = await asked.whence("acknowledge", *names, "--comment", "on it", "--yes")
    assert all(f"  {name}  open  " in done.stderr for name in names), "the list is shown, asked or not"
    assert done.stdout.splitlines() == [f"{name}: acknowledged" for name in names]
    unasked = await asked.whence("unexempt", *names)
    assert (unasked.exit_code, all(name in unasked.stderr for name in names)) == (2, True), unasked.output
    wrong = await asked.whence("unexempt", *names, "v-no", "--yes")
    assert (wrong.exit_code, "no violation has the id 'v-no'" in wrong.stderr) == (4, True)
    assert (await asked.get(f"/v1/violations/{names[0]}"))["state"] == "acknowledged", "nothing was undone"
    undone = await asked.whence("unexempt", *names, "--yes")
    assert all(f"  {name}  acknowledged  " in undone.stderr for name in names)
    assert undone.stdout.splitlines() == [f"{name}: open" for name in names]
    assert (await asked.whence("unexempt", *[names[0]] * 101)).exit_code == 2


async def test_a_refusal_midway_leaves_what_was_done_printed_and_names_what_was_not(asked: Asked) -> None:
    await running(asked.house)
    await asked.follow()
    second = (await asked.one())["id"]
    await asked.house.register("greeter", specification_url="https://example.org/spec")
    await asked.follow()
    first, third = [one["id"] for one in await asked.list()][:2]
    said = await asked.whence("acknowledge", first, second, third, "--comment", "on it", "--yes")
    assert (said.exit_code, said.stdout) == (3, f"{first}: acknowledged\n"), said.output
    assert said.stderr.endswith(f"not acknowledged: {second}, {third}\n"), said.stderr
    assert (await asked.get(f"/v1/violations/{third}"))["state"] == "open"
    said = await asked.whence("unexempt", first, second, third, "--yes", "--json")
    assert (said.exit_code, said.stderr.endswith(f"not undone: {second}, {third}\n")) == (3, True), said.output
    (undone,) = json.loads(said.stdout)
    assert [one["id"] for one in undone["violations"]] == [first]


def stopped(number: int, instance: str, at: str, person: str) -> dict[str, Any]:
    """Return the record of a person's call that stopped an instance."""
    session = {"sessionIssuer": {"arn": ROLE}, "sourceIdentity": person}
    touched = {"instancesSet": {"items": [{"instanceId": instance}]}}
    return record(
        "StopInstances", number, eventTime=at, requestParameters=touched, userIdentity=identity(sessionContext=session)
    )


async def delivered(world: TrailWorld, *records: dict[str, Any]) -> None:
    """Have a trail deliver a log file."""
    world.objects.put(key(), log_file(*records))
    world.queue.send(s3_event(key()))
    await world.settle()


async def test_a_violation_states_for_each_instance_who_touched_it_last_before_its_fault(asked: Asked) -> None:
    world = TrailWorld(asked.house)
    first, second = (f"i-0123456789abcde{n:02}" for n in range(2))
    asked.house.clock.advance(600)
    await running(asked.house, 2)
    await asked.follow()
    path = f"/v1/violations/{(await asked.one('scm-url-not-match-with-kio'))['id']}"
    unread = (await asked.get(path))["caused_by"]
    reason = f"no log file of the trail of account {ACCOUNT} in eu-central-1 was read"
    assert unread == {"state": "unknown", "value": None, "reason": reason}
    calls = ((1, "2026-11-22T12:01:00Z", "ada"), (2, "2026-11-22T12:02:00Z", "bob"), (3, "2026-11-22T12:30:00Z", "eve"))
    await delivered(world, *(stopped(number, first, at, person) for number, at, person in calls))
    shown = await asked.get(path)
    causes = {one["instance_id"]: one["caused_by"] for one in shown["instances"]}
    value = causes[first]["value"]
    assert (causes[first]["state"], causes[first]["reason"], shown["caused_by"]) == ("asserted", None, causes[first])
    assert (value["event"], value["at"], value["by"]["person"], value["by"]["role"]) == (
        "StopInstances", "2026-11-22T12:02:00.000Z", "bob", ROLE
    )  # fmt: skip
    assert (value["event_id"], value["ledger_index"]) == ("11111111-0000-4000-8000-000000000002", value["ledger_index"])
    assert causes[second] == {
        "state": "unknown", "value": None, "reason": "no recorded event names the instance before its fault"
    }  # fmt: skip
    output = (await asked.whence("violation", "show", shown["id"])).output
    assert "bob" in output
    assert "not known: no recorded event names the instance before its fault" in output


async def test_an_event_that_is_known_says_what_was_not_read_after_it(house: InProcess) -> None:
    await house.register("greeter")
    world = TrailWorld(house)
    async with served(house) as asked:
        house.clock.advance(600)
        await running(house)
        await asked.follow()
        await delivered(world, stopped(1, "i-0123456789abcde00", "2026-11-22T12:01:00Z", "ada"))
        path = f"/v1/violations/{(await asked.one('scm-url-not-match-with-kio'))['id']}"
        cause = (await asked.get(path))["caused_by"]
    assert (cause["state"], cause["value"]["by"]["person"]) == ("asserted", "ada")
    assert cause["reason"] == (
        f"the trail of account {ACCOUNT} in eu-central-1 is read up to 2026-11-22T12:01:00.000Z, before the fault"
    )
    async with served(house, reads_events=False) as asked:
        cause = (await asked.get(path))["caused_by"]
    assert cause["reason"] == "events of CloudTrail are not read: cloud_trail is not configured"


async def listed_again(asked: Asked) -> None:
    await asked.house.inventory.collect(f"{ACCOUNT}/eu-central-1")
    await asked.follow()


async def test_instances_that_never_spoke_are_one_violation_of_their_account_with_themselves_as_members(
    asked: Asked,
) -> None:
    quiet = ["i-0123456789abcdea0", "i-0123456789abcdea1"]
    (machine,) = await running(asked.house)
    asked.house.ec2.listed = dict.fromkeys([machine.instance_id, *quiet], ("running", "2026-11-22T12:00:00.000Z"))
    await listed_again(asked)
    assert await asked.list(rule="agent-silent") == [], "agents have their time to speak after a launch"
    asked.house.clock.advance(290)
    await asked.house.say(machine)
    asked.house.clock.advance(60)
    await listed_again(asked)
    (one,) = await asked.list(rule="agent-silent")
    assert (one["subject"], one["members"], one["state"]) == ({"kind": "account", "id": ACCOUNT}, 2, "open")
    assert one["since"] == "2026-11-22T12:05:00.000Z"
    shown = await asked.get(f"/v1/violations/{one['id']}")
    assert [each["instance_id"] for each in shown["instances"]] == quiet
    assert {each["id"] for each in await asked.list(instance=quiet[0])} == {one["id"]}
    assert one["id"] in {each["id"] for each in await asked.list(region="eu-central-1")}
    asked.house.ec2.away = True
    with pytest.raises(SourceUnavailable):
        await listed_again(asked)
    await asked.follow()
    late = await asked.one("agent-silent")
    assert (late["state"], late["not_confirmed_since"] is not None) == ("open", True), "a failed read fixes nothing"
    assert (late["members"], late["not_confirmed"]) == (0, 2)
    asked.house.ec2.away = False
    asked.house.ec2.listed |= dict.fromkeys(quiet, ("terminated", "2026-11-22T12:00:00.000Z"))
    await listed_again(asked)
    assert await asked.state("agent-silent") == "fixed"


async def test_a_team_that_is_not_known_is_not_found_instead_of_without_violations(asked: Asked) -> None:
    for words in (["violations"], ["violations", "--grouped"], ["findings", "list"]):
        said = await asked.whence(*words, "--team", "helo", token=OPERATOR)
        assert (said.exit_code, "team helo is not known" in said.stderr) == (4, True), words
        assert (await asked.whence(*words, "--team", "Hello", token=OPERATOR)).exit_code == 0, words
