"""What is shown of CloudTrail: who started an instance, its events, the coverage of accounts, and dead letters."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from fakes.cloud_trail import ACCOUNT, REGION, bridged, identity, key, log_file, record, s3_event
from fakes.in_process import ROOT, InProcess
from fakes.known_caller import called_by
from fakes.trail_world import QUEUE, TrailWorld
from landscape.whole import ROOT as ROOT_OF_PROJECT
from whence_aggregator.callers.caller import Caller
from whence_aggregator.collect.accounts import Accounts
from whence_aggregator.events.coverage import TrailCoverage
from whence_aggregator.events.touching import TouchingEvents
from whence_aggregator.http.accounts import AccountCalls
from whence_aggregator.http.errors import guarded
from whence_aggregator.http.events import EventCalls
from whence_aggregator.organisation.directory import OrganisationDirectory
from whence_aggregator.ports import SourceUnavailable

MACHINE = "i-0123456789abcdef0"
OTHER = "210987654321"
STARTED = {"instancesSet": {"items": [{"instanceId": MACHINE}]}}
Ask = Callable[..., Awaitable[tuple[int, Any]]]


def start(number: int, at: str, person: str = "jane@example.org", **members: Any) -> str:
    """Return EventBridge's message of a call that started the machine."""
    session = {"sessionIssuer": {"arn": f"arn:aws:iam::{ACCOUNT}:role/deploy"}, "sourceIdentity": person}
    who = identity(sessionContext=session)
    return bridged(
        record("StartInstances", number, eventTime=at, responseElements=STARTED, userIdentity=who, **members)
    )


@asynccontextmanager
async def served(house: InProcess, world: TrailWorld, *, caller: Caller = ROOT) -> AsyncIterator[Ask]:
    coverage = TrailCoverage(database=house.database, configured=True, now=house.clock)
    calls = EventCalls(
        touching=TouchingEvents(house.database), box=world.box, moments=house.tracer.moments, wake=world._wake
    ).routes()
    calls += AccountCalls(
        Accounts(database=house.database, accounts=[ACCOUNT, OTHER], listening=house.listening),
        OrganisationDirectory(house.database), house.tracer.moments, coverage, None,
    ).routes()  # fmt: skip
    application = web.Application(middlewares=[called_by(caller)])
    application.add_routes(web.route(one.method, one.path, guarded(one.handler, None)) for one in calls)
    async with TestClient(TestServer(application)) as client:

        async def ask(path: str, document: object = None, **query: str) -> tuple[int, Any]:
            method = "GET" if document is None else "POST"
            async with client.request(method, path, params=query, json=document) as answer:
                return answer.status, await answer.json(content_type=None)

        yield ask


async def a_machine(house: InProcess) -> TrailWorld:
    await house.say(await house.machine(MACHINE))
    return TrailWorld(house)


async def started(house: InProcess, at: str | None = None) -> Any:
    return (await house.lineage(MACHINE, at=at)).started_by.to_wire()


async def test_a_lineage_names_who_started_the_instance_by_which_event(house: InProcess) -> None:
    world = await a_machine(house)
    unknown: dict[str, object] = {"state": "unknown", "value": None, "evidence": []}
    assert await started(house) == {
        **unknown, "reason": "no recorded event of CloudTrail names a start of this instance",
    }  # fmt: skip
    world.queue.send(start(1, "2026-11-22T11:59:58Z"))
    await world.settle()
    found = await started(house)
    assert (found["state"], found["value"]["event"], found["value"]["by"]["person"]) == (
        "asserted", "StartInstances", "jane@example.org",
    )  # fmt: skip
    (entry,) = await house.entries("cloud-event")
    assert [one["ledger_index"] for one in found["evidence"]] == [entry.ledger_index]


async def test_a_past_moment_is_answered_by_what_was_recorded_then(house: InProcess) -> None:
    world = await a_machine(house)
    house.clock.advance(60)
    world.queue.send(start(1, "2026-11-22T11:59:58Z"))
    await world.settle()
    house.clock.advance(600)
    world.queue.send(start(2, "2026-11-22T11:59:59Z", "ben@example.org"))
    await world.settle()
    house.clock.advance(600)
    assert (await started(house))["value"]["by"]["person"] == "ben@example.org"
    then = (await started(house, at="2026-11-22T12:05:00Z"))["value"]
    assert (then["by"]["person"], then["recorded_later"]) == ("jane@example.org", False)
    before = (await started(house, at="2026-11-22T12:00:30Z"))["value"]
    assert (before["by"]["person"], before["recorded_later"]) == ("ben@example.org", True)


async def test_another_launch_than_the_newest_event_is_of_an_unknown_caller(house: InProcess) -> None:
    world = await a_machine(house)
    world.queue.send(start(1, "2026-11-22T08:00:00Z"))
    await world.settle()
    house.ec2.listed[MACHINE] = ("running", "2026-11-22T11:59:59.000Z")
    await house.inventory.collect(f"{ACCOUNT}/{REGION}")
    found = await started(house)
    assert (found["state"], found["value"]) == ("unknown", None)
    assert found["reason"] == (
        "EC2 lists a launch at 2026-11-22T11:59:59.000Z; the newest recorded start is StartInstances at"
        " 2026-11-22T08:00:00.000Z"
    )


async def test_an_event_of_another_account_names_nobody(house: InProcess) -> None:
    await house.say(await house.machine(MACHINE))
    world = TrailWorld(house, accounts=[OTHER], inline=[OTHER])
    stated = record("StartInstances", responseElements=STARTED, recipientAccountId=OTHER)
    world.queue.send(bridged(stated, account=OTHER))
    await world.settle()
    assert (await started(house))["state"] == "unknown"
    async with served(house, world) as ask:
        assert (await ask("/v1/events", instance=MACHINE))[1]["events"] == []


async def test_the_events_that_touched_an_instance_are_listed_in_pages_newest_first(house: InProcess) -> None:
    world = await a_machine(house)
    for number in range(5):
        world.queue.send(start(number, f"2026-11-22T11:0{number}:00Z"))
    await world.settle()
    async with served(house, world) as ask:
        found: list[str] = []
        cursor: dict[str, str] = {}
        for _ in range(3):
            status, page = await ask("/v1/events", instance=MACHINE, limit="2", **cursor)
            assert status == 200
            found += [one["at"][11:16] for one in page["events"]]
            cursor = {"cursor": page["next"]}
        assert (found, page["next"]) == (["11:04", "11:03", "11:02", "11:01", "11:00"], None)
        _, page = await ask("/v1/events", instance=MACHINE, before="2026-11-22T11:02:00Z")
        assert [one["at"][11:16] for one in page["events"]] == ["11:01", "11:00"]
        for wrong in (
            {},
            {"instance": "x"},
            {"instance": MACHINE, "cursor": "x"},
            {"instance": MACHINE, "before": "x"},
        ):
            assert (await ask("/v1/events", **wrong))[0] == 400


async def test_an_account_shows_how_far_its_events_were_read_and_why_not(house: InProcess) -> None:
    world = TrailWorld(house, accounts=[ACCOUNT, OTHER])
    trail = f"arn:aws:cloudtrail:{REGION}:{ACCOUNT}:trail/Default"
    stop = record(
        "StopLogging", eventSource="cloudtrail.amazonaws.com", requestParameters={"name": trail},
        eventTime="2026-11-22T11:50:00Z",
    )  # fmt: skip
    world.objects.put(key(), log_file(stop))
    world.queue.send(s3_event(key()))
    await world.settle()
    async with served(house, world) as ask:
        _, found = await ask("/v1/accounts")
        ours, theirs = (one["trail"] for one in found["accounts"])
        assert (theirs["state"], theirs["reason"]) == ("unknown", "no log file of this account was read")
        coverage = TrailCoverage(database=house.database, configured=True, now=house.clock)
        assert await coverage.unread([ACCOUNT, OTHER]) == {OTHER: ""}, "a rule judges accounts by this"
        (region,) = ours["regions"]
        assert (ours["state"], region["newest_event_at"], region["lag_seconds"]) == (
            "read", "2026-11-22T11:50:00.000Z", 600.0,
        )  # fmt: skip
        (change,) = region["changes"]
        assert (change["event"], change["detail"], change["by"]["person"]) == ("StopLogging", trail, "jane@example.org")
        assert [(one["url"], one["waiting"]) for one in found["trail_queues"]] == [(QUEUE, 0)]
        world.objects.put(key("2"), log_file(record()))
        world.objects.failing[key("2")] = [SourceUnavailable("trail-denied", "AWS denies the request: AccessDenied")]
        world.queue.send(s3_event(key("2")))
        await world.settle()
        assert await coverage.unread([ACCOUNT, OTHER]) == {ACCOUNT: REGION, OTHER: ""}
        _, one = await ask(f"/v1/accounts/{ACCOUNT}")
        assert (one["trail"]["state"], one["trail"]["reason"]) == (
            "unknown", f"{REGION}: AWS denies the request: AccessDenied",
        )  # fmt: skip


async def test_metrics_show_the_lag_the_queues_and_the_dead_letters(house: InProcess) -> None:
    world = TrailWorld(house)
    world.objects.put(key(), log_file(record()))
    world.queue.send(s3_event(key()))
    world.queue.send("garbage")
    await world.settle()
    families = await TrailCoverage(database=house.database, configured=True, now=house.clock).families()
    assert {one.name: [sample.value for sample in one.samples] for one in families} == {
        "whence_trail_newest_event_timestamp_seconds": [1_795_348_800.0],
        "whence_trail_failing": [0],
        "whence_trail_queue_messages": [0],
        "whence_trail_queue_oldest_timestamp_seconds": [0.001],
        "whence_trail_queue_failing": [0],
        "whence_trail_chains": [],
        "whence_trail_dead_letters": [1],
    }
    assert await TrailCoverage(database=house.database, configured=False, now=house.clock).families() == ()
    described = (ROOT_OF_PROJECT / "packaging" / "monitoring" / "README.md").read_text("utf-8")
    assert set(re.findall(r"`(whence_trail_[a-z_]+)`", described)) == {one.name for one in families}


async def test_dead_letters_are_listed_replayed_and_discarded_by_who_may_operate(house: InProcess) -> None:
    world = TrailWorld(house)
    for body in ("garbage", s3_event(key(account=OTHER))):
        world.queue.send(body)
    await world.settle()
    async with served(house, world, caller=Caller(name="reader", teams=frozenset({"a"}))) as ask:
        assert (await ask("/v1/events/dead"))[1]["counts"] == {"account-not-accepted": 1, "message-malformed": 1}
        for action in ("replay", "discard"):
            assert (await ask(f"/v1/events/dead/{action}", {"all": True}))[0] == 403
    async with served(house, world) as ask:
        _, found = await ask("/v1/events/dead")
        by_code = {one["code"]: one for one in found["letters"]}
        assert "body" not in by_code["message-malformed"]
        world.accounts.add(OTHER)
        world.objects.put(key(account=OTHER), log_file(record(recipientAccountId=OTHER)))
        status, said = await ask("/v1/events/dead/replay", {"ids": [by_code["account-not-accepted"]["id"]]})
        assert (status, said) == (202, {"replayed": 1})
        await world.settle()
        assert len(await world.events()) == 1
        garbage = by_code["message-malformed"]["id"]
        assert await ask("/v1/events/dead/discard", {"ids": [garbage]}) == (200, {"discarded": 1})
        assert await world.dead() == []
        assert (await ask("/v1/events/dead/discard", {"ids": [garbage]}))[0] == 404


@pytest.mark.parametrize("document", [{}, [], {"ids": []}, {"ids": ["x"]}, {"ids": ["0" * 32], "all": True}, {"a": 1}])
async def test_a_call_that_does_not_state_which_letters_is_refused(house: InProcess, document: object) -> None:
    async with served(house, TrailWorld(house)) as ask:
        assert (await ask("/v1/events/dead/replay", document))[0] == 400
