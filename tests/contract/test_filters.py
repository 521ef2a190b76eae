"""Filters of the lists: AMI, team, period, severity; and the instances that the EC2 API lists and that never spoke."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from fakes.coverage import coverage_of
from fakes.in_process import ROOT, SILENT_AFTER_SECONDS, InProcess
from fakes.known_caller import called_by
from fakes.machine import COMMIT, DIGEST, FAILED, Machine
from whence_aggregator.amis.package_search import PackageSearch
from whence_aggregator.collect.accounts import Accounts
from whence_aggregator.compliance.rules.catalogue import RULES
from whence_aggregator.compliance.violations import Violations
from whence_aggregator.events.coverage import TrailCoverage
from whence_aggregator.http.accounts import AccountCalls
from whence_aggregator.http.errors import guarded
from whence_aggregator.http.queries import QueryCalls
from whence_aggregator.http.violations import ViolationCalls
from whence_aggregator.ledger.log_reader import LogReader
from whence_aggregator.organisation.directory import OrganisationDirectory
from whence_aggregator.queries.agents import ADD_INSTANCE, HEARD_LAST, AddInstanceParameters
from whence_aggregator.trace.moment import Moments
from whence_common.clock import from_millis, parse_instant
from whence_common.statement import ApplicationFacts

ONE, TWO, THREE, FOUR, FIVE = (f"i-{number:017x}" for number in range(1, 6))
PLACE = "123456789012/eu-central-1"
NOON, LATER, LATEST = "2026-11-22T12:00:00Z", "2026-11-22T13:00:00Z", "2026-11-22T14:00:00Z"


@pytest.fixture
async def ask(house: InProcess) -> AsyncIterator[Any]:
    async with served(house) as asked:
        yield asked


@asynccontextmanager
async def served(house: InProcess) -> AsyncIterator[Any]:
    """Return what the API answers to a path, as status and document."""
    calls = QueryCalls(
        database=house.database,
        log=LogReader(house.database),
        search=house.search,
        tracer=house.tracer,
        rules=house.rules,
        packages=PackageSearch(
            database=house.database, listening=house.listening, search=house.search, trusted=frozenset()
        ),
    ).routes()
    calls += ViolationCalls(
        Violations(database=house.database, listening=house.listening), coverage=coverage_of(house), now=house.clock
    ).routes()
    calls += AccountCalls(
        Accounts(database=house.database, accounts=["123456789012"], listening=house.listening),
        OrganisationDirectory(house.database),
        Moments(database=house.database, now=house.clock),
        TrailCoverage(database=house.database, configured=False, now=house.clock),
        None,
    ).routes()
    application = web.Application(middlewares=[called_by(ROOT)])
    application.add_routes(web.route(one.method, one.path, guarded(one.handler, None)) for one in calls)
    async with TestClient(TestServer(application)) as client:

        async def asked(path: str, **query: str) -> tuple[int, Any]:
            async with client.get(path, params=query) as answer:
                return answer.status, await answer.json(content_type=None)

        yield asked


async def fleet(house: InProcess) -> None:
    """ONE and TWO boot at noon from two AMIs, THREE an hour later; greeter moves from hello to other in between."""
    await house.register("greeter", team_id="hello")
    await house.register("farewell", team_id="other")
    for name, ami in ((ONE, "ami-00000001"), (TWO, "ami-00000002")):
        machine = Machine(house.authority, name, imageId=ami)
        await house.enrol(machine)
        await house.say(machine)
    house.clock.advance(3600)
    await house.register("greeter", team_id="other")
    three = Machine(house.authority, THREE, imageId="ami-00000001", pendingTime="2026-11-22T12:59:00Z")
    await house.enrol(three)
    await house.say(three, application=ApplicationFacts(id="farewell", version="2.0"))
    house.clock.advance(3600)


BY_FILTER: list[tuple[dict[str, str], list[str]]] = [
    ({"ami": "ami-00000001"}, [ONE, THREE]),
    ({"ami": "ami-00000002"}, [TWO]),
    ({"ami": "ami-00000003"}, []),
    ({"ami": "ami-00000001", "application": "greeter"}, [ONE]),
    ({"ami": "ami-00000001", "at": "2026-11-22T12:30:00Z"}, [ONE]),
    ({"team": "other"}, [ONE, TWO, THREE]),
    ({"team": "hello"}, []),
    ({"team": "hello", "at": "2026-11-22T12:30:00Z"}, [ONE, TWO]),
    ({"team": "other", "at": "2026-11-22T12:30:00Z"}, []),
    ({"team": "other", "application": "greeter"}, [ONE, TWO]),
    ({"team": "nobody"}, []),
    ({"since": LATER}, [THREE]),
    ({"until": LATER}, [ONE, TWO]),
    ({"since": NOON, "until": "2026-11-22T13:00:01Z"}, [ONE, TWO, THREE]),
    ({"since": NOON, "until": LATER, "ami": "ami-00000001"}, [ONE]),
    ({"since": LATEST}, []),
    ({"since": LATER, "at": "2026-11-22T12:30:00Z"}, []),
    ({"until": LATER, "team": "other", "limit": "1"}, [ONE]),
]
REFUSED: list[tuple[str, dict[str, str]]] = [
    ("/v1/instances", {"ami": "x"}),
    ("/v1/instances", {"since": LATER, "until": NOON}),
    ("/v1/instances", {"since": "yesterday"}),
    ("/v1/violations", {"severity": "0"}),
    ("/v1/violations", {"severity": "high"}),
    ("/v1/violations", {"account": "me"}),
    ("/v1/violations", {"instance": "me"}),
    ("/v1/violations", {"cursor": "x"}),
    ("/v1/violations", {"cursor": "²~"}),
    ("/v1/violations", {"cursor": "never~'--"}),
    ("/v1/instances", {"cursor": "\u0661"}),
    ("/v1/instances", {"cursor": "-1"}),
    ("/v1/instances", {"image": "sha256:zz"}),
    ("/v1/instances", {"commit": "ZZ"}),
    ("/v1/instances", {"user_data": "sha256"}),
    ("/v1/instances", {"account": "me"}),
    ("/v1/instances", {"state": "gone"}),
    ("/v1/instances", {"state": "silent", "at": NOON}),
    ("/v1/trace", {"instance": ONE, "state": "any"}),
]


async def test_instances_are_found_by_ami_team_and_period(house: InProcess, ask: Any) -> None:
    await fleet(house)
    for query, found in BY_FILTER:
        status, document = await ask("/v1/instances", state="any", **query)
        assert (status, [row["instance_id"] for row in document["instances"]]) == (200, found), query
    for path, query in REFUSED:
        status, problem = await ask(path, **query)
        assert (status, problem["status"]) == (400, 400), (path, query)


async def violations(ask: Any, **query: str) -> list[tuple[str, str, str]]:
    """Return instance, rule and verdict of all violations, read page by page."""
    found: list[tuple[str, str, str]] = []
    cursor: dict[str, str] = {}
    while True:
        status, document = await ask("/v1/violations", limit="2", **query, **cursor)
        assert status == 200, document
        found += [(row["instance_id"], row["rule"], row["verdict"]) for row in document["violations"]]
        if document["next"] is None:
            return found
        cursor = {"cursor": document["next"]}


async def test_instances_without_an_agent_are_among_the_violations(house: InProcess, ask: Any) -> None:
    launched = "2026-11-22T11:00:00.000Z"
    house.ec2.listed = {
        name: (state, launched)
        for name, state in (
            (ONE, "running"),
            (TWO, "running"),
            (THREE, "running"),
            (FOUR, "stopped"),
            (FIVE, "terminated"),
        )
    }
    await house.say(await house.machine(ONE))
    await house.machine(TWO)
    await house.inventory.collect(PLACE)
    await house.work()
    never = [(name, "agent-silent", "unknown") for name in (TWO, THREE)]
    assert await violations(ask, rule="agent-silent") == never
    everything = await violations(ask)
    assert everything[-2:] == never
    assert len(everything) == len(set(everything)) > 2
    assert await violations(ask, rule="agent-silent", verdict="fail") == []
    assert await violations(ask, severity="1", instance=THREE) == never[1:]
    assert await violations(ask, severity="3", instance=THREE) == []
    assert await violations(ask, account="999999999999") == []
    assert await violations(ask, region="eu-west-1") == []
    assert await violations(ask, instance=THREE, since="2026-11-22T11:05:00Z") == never[1:]
    assert await violations(ask, instance=THREE, since="2026-11-22T11:05:00.001Z") == []
    assert await violations(ask, instance=THREE, until="2026-11-22T11:05:00Z") == []
    await house.register("farewell", team_id="hello")
    for unknowable in ({"application": "greeter"}, {"team": "hello"}, {"ami": "ami-12c6146b"}):
        assert [one for one in await violations(ask, **unknowable) if one in never] == []
    _, document = await ask("/v1/violations", instance=THREE)
    (row,) = document["violations"]
    assert (row["severity"], row["application_id"], row["account_id"]) == (1, None, "123456789012")
    assert row["reason"] == f"the EC2 API lists it as running, launched at {launched}, but it never made a statement"


async def test_an_instance_that_was_just_launched_is_not_missed_yet(house: InProcess, ask: Any) -> None:
    house.ec2.listed = {ONE: ("running", "2026-11-22T12:00:00.000Z")}
    await house.inventory.collect(PLACE)
    for seconds in (0, SILENT_AFTER_SECONDS):
        house.clock.advance(seconds)
        assert await violations(ask) == []
    house.clock.advance(1)
    assert await violations(ask) == [(ONE, "agent-silent", "unknown")]


async def test_violations_are_found_by_severity_team_ami_and_period(house: InProcess, ask: Any) -> None:
    await fleet(house)
    four = Machine(house.authority, FOUR, imageId="ami-00000004", pendingTime="2026-11-22T13:59:00Z")
    await house.enrol(four)
    await house.say(four, **FAILED)
    await house.work()
    boot = [(FOUR, "boot-failed", "fail")]
    assert await violations(ask, rule="boot-failed") == boot
    assert await violations(ask, rule="boot-failed", severity="2") == boot
    assert await violations(ask, rule="boot-failed", severity="1") == []
    assert await violations(ask, rule="boot-failed", ami="ami-00000004", region="eu-central-1") == boot
    assert await violations(ask, rule="boot-failed", ami="ami-00000001") == []
    assert {one[0] for one in await violations(ask, team="other")} >= {ONE, TWO, THREE}
    assert await violations(ask, team="hello") == []
    assert await violations(ask, rule="boot-failed", since=LATEST) == boot
    assert await violations(ask, rule="boot-failed", until=LATEST) == []
    lightest = {rule.id for rule in RULES if rule.severity == 3}
    assert {"ticket-missing"} <= {rule for _, rule, _ in await violations(ask, severity="3")} <= lightest


async def test_rows_of_an_earlier_version_are_not_passed_over_by_ami(house: InProcess, ask: Any) -> None:
    await house.machine(ONE)
    async with house.database.transaction() as transaction:
        row: AddInstanceParameters = {"number": 7, "instance_id": TWO, "account_id": "123456789012", "region": "eu-central-1", "image_id": "",
               "listed": "", "asked_at": 0, "life": "unknown", "life_index": -1}  # fmt: skip
        await transaction.execute(ADD_INSTANCE.bind([row]))
    for path in ("/v1/instances", "/v1/violations"):
        status, problem = await ask(path, ami="ami-12c6146b")
        assert (status, problem["code"], "rebuild" in problem["fix"]) == (409, "ami-not-derived", True)


async def test_violations_are_listed_by_state_and_close_with_their_instance(house: InProcess, ask: Any) -> None:
    launched = "2026-11-22T11:59:59.000Z"
    house.ec2.listed = {ONE: ("running", launched), TWO: ("running", launched)}
    for name in (ONE, TWO):
        await house.say(await house.machine(name), **FAILED)
    await house.inventory.collect(PLACE)
    await house.work()
    failed = [(name, "boot-failed", "fail") for name in (ONE, TWO)]
    assert await violations(ask, rule="boot-failed") == failed
    for state, found in (("now", failed), ("running", failed), ("speaking", failed), ("stopped", []), ("never", [])):
        assert await violations(ask, rule="boot-failed", state=state) == found, state
    house.ec2.listed[TWO] = "terminated", launched
    house.clock.advance(1)
    await house.inventory.collect(PLACE)
    await house.work()
    assert {name for name, _, _ in await violations(ask)} == {ONE}
    assert await violations(ask, state="terminated") == []
    house.clock.advance(SILENT_AFTER_SECONDS + 1)
    assert await violations(ask, rule="boot-failed", state="silent") == failed[:1]
    assert await violations(ask, rule="boot-failed", state="speaking") == []
    assert (await ask("/v1/violations", state="gone"))[0] == 400


async def restarted(house: InProcess) -> InProcess:
    """Return an aggregator that starts now on the same store."""
    (last,) = await house.database.fetch(HEARD_LAST.bind({}))
    assert last["seen_at"] is not None
    until = parse_instant(from_millis(last["seen_at"]))
    return InProcess(house.database, house.authority, clock=house.clock, keeper=house.keeper, heard_until=until)


async def test_an_aggregator_that_was_away_calls_no_agent_silent_before_it_had_time_to_hear(house: InProcess) -> None:
    """Without an inventory, all instances would be missing in every list until their next heartbeat."""
    await house.say(await house.machine(ONE))
    house.clock.advance(SILENT_AFTER_SECONDS + 10)
    await house.say(await house.machine(TWO))
    house.clock.advance(3600)
    async with served(await restarted(house)) as ask:
        for late in (0, SILENT_AFTER_SECONDS - 1):
            house.clock.advance(late)
            for path, state, found in (
                ("/v1/instances", "now", [TWO]),
                ("/v1/instances", "speaking", [TWO]),
                ("/v1/instances", "silent", [ONE]),
            ):
                _, document = await ask(path, state=state)
                assert [row["instance_id"] for row in document["instances"]] == found, (state, late)
            _, document = await ask("/v1/accounts/123456789012/silent")
            assert [row["instance_id"] for row in document["silent"]] == [ONE]
        house.clock.advance(2)
        _, document = await ask("/v1/instances", state="silent")
        assert [row["instance_id"] for row in document["instances"]] == [ONE, TWO]
        assert (await ask("/v1/instances"))[1]["instances"] == []


async def test_instances_launched_while_the_aggregator_was_away_are_not_missed_yet(house: InProcess) -> None:
    await house.say(await house.machine(ONE))
    house.clock.advance(3600)
    house.ec2.listed = {ONE: ("running", "2026-11-22T11:59:59.000Z"), TWO: ("running", "2026-11-22T12:30:00.000Z")}
    await house.inventory.collect(PLACE)
    async with served(await restarted(house)) as ask:
        assert await violations(ask, rule="agent-silent") == []
        assert (await ask("/v1/accounts/123456789012/silent"))[1]["silent"] == []
        house.clock.advance(SILENT_AFTER_SECONDS + 1)
        assert (TWO, "agent-silent", "unknown") in await violations(ask, rule="agent-silent")


async def test_violations_of_versions_are_listed_by_kind_and_those_that_follow_are_folded(
    house: InProcess, ask: Any
) -> None:
    await house.register()
    house.sources.images[DIGEST] = None
    house.sources.commits[COMMIT] = b"tree x\nauthor A <a@b> 1 +0000\ncommitter A <a@b> 1 +0000\n\nno ticket"
    await house.say(await house.machine(ONE))
    await house.say(await house.machine(TWO), **FAILED)
    await house.work()
    status, found = await ask("/v1/violations", kind="version", rule="scm-url-not-match-with-kio")
    (row,) = found["violations"]
    assert (status, row["subject"], row["instance_id"], row["application_id"]) == (
        200, {"kind": "version", "id": "greeter@1.0"}, None, "greeter",
    )  # fmt: skip
    for others in (
        {"account": "123456789012"},
        {"region": "eu-central-1"},
        {"application": "other"},
        {"ami": "ami-12c6146b"},
    ):
        assert (await ask("/v1/violations", kind="version", **others))[1]["violations"] == []
    after = (await ask("/v1/violations", kind="version", cursor=row["cursor"]))[1]
    assert row["rule"] not in {one["rule"] for one in after["violations"]}
    shown = {row["rule"] for row in (await ask("/v1/violations", instance=TWO))[1]["violations"]}
    every = {
        row["rule"]: row["folded_under"]
        for row in (await ask("/v1/violations", instance=TWO, folded="all"))[1]["violations"]
    }
    assert "boot-failed" in shown
    assert every["ticket-missing"] == "image"
    assert "ticket-missing" not in shown
    assert {rule for rule, link in every.items() if link is None} == shown
