"""`GET /v1/diff` over both databases: instances, versions, images, one subject at two times; own teams and user data."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from fakes.in_process import ROOT, InProcess
from fakes.known_caller import called_by
from fakes.machine import DIGEST, FAILED
from fakes.ranges import KnownRanges
from fakes.versions import NEW, NEWER, OLD, version
from whence_aggregator.callers.caller import Caller
from whence_aggregator.changes.collected import CollectedRanges
from whence_aggregator.changes.differ import Differ
from whence_aggregator.changes.ranges import CommitRange, CommitRanges, RangeCommit
from whence_aggregator.changes.tracked import TrackedCommits
from whence_aggregator.collect.ranges import Ranges
from whence_aggregator.http.changes import DiffCalls
from whence_aggregator.http.errors import guarded
from whence_aggregator.ports_commits import CommitObject, RangeAnswer, RangeSide
from whence_aggregator.queries.work import TASKS_OF_KIND
from whence_aggregator.trace.facts import RANGE_KIND
from whence_aggregator.whence.diff import lines_of
from whence_common.statement import ApplicationFacts, UserDataFacts

ONE, TWO, THREE = (f"i-{number:017x}" for number in range(1, 4))
NOON, LATER = "2026-11-22T12:30:00Z", "2026-11-22T13:30:00Z"
SECRET = "correct-horse"


@asynccontextmanager
async def served(house: InProcess, caller: Caller = ROOT, ranges: CommitRanges | None = None) -> AsyncIterator[Any]:
    """Return what `/v1/diff` answers to a caller, as status and document."""

    differ = Differ(
        database=house.database,
        tracer=house.tracer,
        ranges=ranges or CollectedRanges(Ranges(database=house.database, now=house.clock)),
        tracked=TrackedCommits(database=house.database, trackers=house.tracer.trackers, now=house.clock),
    )
    application = web.Application(middlewares=[called_by(caller)])
    application.add_routes(
        web.route(one.method, one.path, guarded(one.handler, None)) for one in DiffCalls(differ).routes()
    )
    async with TestClient(TestServer(application)) as client:

        async def asked(**query: str) -> tuple[int, Any]:
            async with client.get("/v1/diff", params=query) as answer:
                return answer.status, await answer.json(content_type=None)

        yield asked


async def rollout(house: InProcess) -> None:
    """ONE runs 1.0 at noon and 1.1 an hour later; TWO runs 1.1 from the start."""
    await house.register("greeter", team_id="hello")
    one = await house.machine(ONE)
    await house.say(one, **version("1.0", DIGEST, OLD))
    house.clock.advance(3600)
    two = await house.machine(TWO, pendingTime="2026-11-22T12:59:00Z")
    await house.say(two, observed_at="2026-11-22T13:00:00.000Z", **version("1.1", NEWER, NEW))
    await house.say(one, cause="change", observed_at="2026-11-22T13:00:00.000Z", **version("1.1", NEWER, NEW))
    await house.work()
    house.clock.advance(3600)


async def test_one_instance_at_two_times_differs_in_what_was_deployed(house: InProcess) -> None:
    await rollout(house)
    async with served(house) as ask:
        status, found = await ask(a=ONE, at=NOON)
        assert status == 200
        assert {"version", "image", "source", "user_data"} <= {one["link"] for one in found["links"]}
        assert {"account", "team", "ami"} <= set(found["same"])
        assert found["user_data"] == {
            "changes": [
                {"path": "/application_version", "how": "changed", "masked": False, "a": "1.0", "b": "1.1"},
                {"path": "/environment/LEVEL", "how": "changed", "masked": False, "a": "1.0", "b": "1.1"},
            ],
            "masked": ["/environment/PASSWORD"],
            "cut": False,
        }
        assert (found["commits"]["state"], found["equal"]) == ("unknown", False)
        assert found["commits"]["reason"] == "not collected yet; next attempt at 2026-11-22T14:00:00.000Z"
        assert found["commits"]["due_at"] == "2026-11-22T14:00:00.000Z"
        assert (found["a"]["at"], found["b"]["subject"]) == ("2026-11-22T12:30:00.000Z", {"instance": ONE})


async def test_other_requests_are_served_while_tickets_are_looked_for_in_hostile_messages(house: InProcess) -> None:
    await rollout(house)
    message = ("fix " * 240 + "1\n") * 68
    commits = tuple(RangeCommit(commit_id=f"{number:040x}", message=f"{number} {message}") for number in range(30))
    pauses = [0.0]

    async def turn() -> None:
        while True:
            began = time.perf_counter()
            await asyncio.sleep(0)
            pauses.append(time.perf_counter() - began)

    async with served(house, ranges=KnownRanges({(OLD, NEW): CommitRange(state="found", only_b=commits)})) as ask:
        other = asyncio.create_task(turn())
        began = time.perf_counter()
        status, found = await ask(a=ONE, at=NOON)
        took = time.perf_counter() - began
        other.cancel()
    assert (status, len(found["commits"]["only_b"])) == (200, 30)
    assert max(pauses) < took / 2


async def test_the_time_of_a_side_may_follow_its_subject(house: InProcess) -> None:
    await rollout(house)
    async with served(house) as ask:
        _, by_parameter = await ask(a=ONE, at=NOON, and_at=LATER)
        _, by_sign = await ask(a=f"{ONE}@{NOON}", b=f"{ONE}@{LATER}")
        _, both = await ask(a=ONE, b=TWO, at=LATER)
        assert by_parameter["links"] == by_sign["links"] != []
        assert [both[side]["at"] for side in "ab"] == ["2026-11-22T13:30:00.000Z"] * 2


async def test_versions_and_images_are_compared_by_an_instance_that_runs_them(house: InProcess) -> None:
    await rollout(house)
    async with served(house) as ask:
        _, versions = await ask(a=f"greeter/1.0@{NOON}", b="greeter/1.1")
        _, images = await ask(a=f"{DIGEST}@{NOON}", b=NEWER)
        for found in (versions, images):
            assert [one["link"] for one in found["links"]][:2] == ["version", "image"]
            assert found["a"]["instance_id"] == ONE
            assert {"instance", "user_data", "verdicts"} <= {one["part"] for one in found["not_known"]}
            assert found["user_data"]["changes"] == []


async def test_a_version_that_was_replaced_in_place_is_compared_as_it_ran_last(house: InProcess) -> None:
    await rollout(house)
    async with served(house) as ask:
        for a, b in (("greeter/1.0", "greeter/1.1"), (DIGEST, NEWER)):
            status, found = await ask(a=a, b=b)
            assert (status, found["a"]["last_ran"], found["b"]["last_ran"]) == (200, "2026-11-22T12:59:59.999Z", None)
            assert (found["a"]["at"], found["a"]["instance_id"]) == ("2026-11-22T12:59:59.999Z", ONE)
            assert [one["link"] for one in found["links"]][:2] == ["version", "image"]
            assert next(lines_of(found)).endswith(f"at 2026-11-22T12:59:59.999Z, as {ONE} runs it")
            assert "   it runs no more on an instance that reports: this is the last time that one ran it" in list(
                lines_of(found)
            )


@pytest.mark.parametrize(
    ("a", "detail"),
    [("greeter/0.9", "no instance has reported that it runs greeter/0.9"),
     ("greeter/1.0@2026-11-22T13:30:00Z",
      "no instance has reported that it runs greeter/1.0 recorded by 2026-11-22T13:30:00.000Z")],
)  # fmt: skip
async def test_what_never_ran_or_did_not_run_at_the_time_is_not_found(house: InProcess, a: str, detail: str) -> None:
    await rollout(house)
    async with served(house) as ask:
        status, problem = await ask(a=a, b="greeter/1.1")
        assert (status, problem["detail"]) == (404, detail)


async def test_commits_in_between_are_shown_once_they_were_collected(house: InProcess) -> None:
    await rollout(house)
    known = KnownRanges(
        {(OLD, NEW): CommitRange(state="found", only_b=(RangeCommit(commit_id=NEW, message="PAY-7: pay (#3)"),))}
    )
    async with served(house, ranges=known) as ask:
        _, there = await ask(a=f"greeter/1.0@{NOON}", b="greeter/1.1")
        _, back = await ask(a="greeter/1.1", b=f"greeter/1.0@{NOON}")
        assert [one["tickets"] for one in there["commits"]["only_b"]] == [["PAY-7"]]
        assert there["commits"]["only_b"] == back["commits"]["only_a"]
        assert there["commits"]["diverged"] is False


async def test_a_diff_has_the_commits_in_between_collected_once_in_either_direction(house: InProcess) -> None:
    await rollout(house)
    house.sources.ranges[OLD, NEW] = RangeAnswer(
        merge_base=OLD, ahead=RangeSide(count=2_500, commits=(NEW,)), behind=RangeSide(count=0, commits=()),
        objects={NEW: CommitObject(content=b"tree 0\nauthor Ada <ada@example.org> 1763800000 +0100\n"
                                           b"committer Ada <ada@example.org> 1763800000 +0100\n\nPAY-9: pay\n")},
    )  # fmt: skip
    async with served(house) as ask:
        for _ in range(2):
            _, found = await ask(a=f"greeter/1.0@{NOON}", b="greeter/1.1")
            assert found["commits"]["reason"] == "not collected yet; next attempt at 2026-11-22T14:00:00.000Z"
        await house.work()
        _, there = await ask(a=f"greeter/1.0@{NOON}", b="greeter/1.1")
        _, back = await ask(a="greeter/1.1", b=f"greeter/1.0@{NOON}")
        assert [(one["commit"], one["tickets"]) for one in there["commits"]["only_b"]] == [(NEW, ["PAY-9"])]
        assert (there["commits"]["state"], there["commits"]["cut"]) == ("found", True)
        assert there["commits"]["only_b"] == back["commits"]["only_a"]
        assert len(await house.database.fetch(TASKS_OF_KIND.bind({"kind": RANGE_KIND}))) == 0


async def test_equal_instances_do_not_differ_but_in_who_they_are(house: InProcess) -> None:
    await rollout(house)
    async with served(house) as ask:
        _, found = await ask(a=ONE, b=TWO)
        assert [one["link"] for one in found["links"]] == ["instance"]
        assert (found["commits"]["state"], found["layers"], found["verdicts"]) == ("same", "unknown", [])


async def test_an_earlier_verdict_is_unknown_and_not_guessed(house: InProcess) -> None:
    machine = await house.machine(ONE)
    await house.say(machine)
    await house.work()
    house.clock.advance(3600)
    await house.say(machine, observed_at="2026-11-22T13:00:00.000Z", **FAILED)
    await house.work()
    house.clock.advance(3600)
    async with served(house) as ask:
        _, found = await ask(a=ONE, at=NOON)
        before = {one["rule"]: one["a"]["verdict"] for one in found["verdicts"] if one["b"]["verdict"] == "fail"}
        assert before["boot-failed"] == "unknown"
        _, since = await ask(a=ONE, at="2026-11-22T13:00:00Z", and_at=LATER)
        assert since["verdicts"] == []


async def test_only_who_may_read_user_data_sees_its_keys_and_nobody_sees_a_secret(house: InProcess) -> None:
    await house.register("greeter", team_id="hello")
    for name, value in ((ONE, SECRET), (TWO, "MASKED")):
        machine = await house.machine(name)
        shown = UserDataFacts(digest=f"sha256:{name[-1] * 64}", document={"environment": {"TOKEN": value}})
        await house.say(machine, user_data=shown)
    reader = Caller(name="reader", teams=frozenset({"hello"}))
    for caller, path in ((ROOT, ["/environment/TOKEN"]), (reader, [])):
        async with served(house, caller) as ask:
            _, found = await ask(a=ONE, b=TWO)
            assert found["user_data"]["masked"] == path
            assert found["user_data"]["changes"] == []
            assert SECRET not in json.dumps(found)


async def test_what_belongs_to_another_team_is_refused(house: InProcess) -> None:
    await rollout(house)
    await house.register("farewell", team_id="other")
    await house.say(
        await house.machine(THREE, pendingTime="2026-11-22T13:59:00Z"),
        application=ApplicationFacts(id="farewell", version="1.0"),
    )
    ada = Caller(name="ada", teams=frozenset({"hello"}), subject=("https://i", "1"), reads="teams")
    async with served(house, ada) as ask:
        assert (await ask(a=ONE, b=TWO))[0] == 200
        for query in ({"a": ONE, "b": THREE}, {"a": THREE, "b": ONE}, {"a": "farewell/1.0", "b": "greeter/1.1"}):
            status, problem = await ask(**query)
            assert (status, problem["code"]) == (403, "read-own-teams")


@pytest.mark.parametrize(
    ("query", "status", "code"),
    [
        ({}, 400, "parameter-malformed"),
        ({"a": ONE}, 400, "parameter-malformed"),
        ({"a": ONE, "at": NOON, "and_at": NOON}, 400, "parameter-malformed"),
        ({"a": f"{ONE}@{NOON}", "at": NOON, "b": TWO}, 400, "parameter-malformed"),
        ({"a": "x", "b": TWO}, 400, "subject-malformed"),
        ({"a": ONE, "b": "i-00000000000000009"}, 404, "instance-unknown"),
        ({"a": ONE, "b": "greeter/9.9"}, 404, "version-unknown"),
        ({"a": ONE, "b": "sha256:" + "0" * 64}, 404, "image-unknown"),
        ({"a": ONE, "b": TWO, "at": "2026-11-22T12:30:00Z"}, 404, "instance-unknown"),
        ({"a": ONE, "b": TWO, "at": "2036-11-22T12:30:00Z"}, 400, "time-in-future"),
        ({"a": ONE, "b": TWO, "c": TWO}, 400, "parameter-unknown"),
    ],
)
async def test_what_cannot_be_compared_is_refused_with_a_reason(
    house: InProcess, query: dict[str, str], status: int, code: str
) -> None:
    await rollout(house)
    async with served(house) as ask:
        found, problem = await ask(**query)
        assert (found, problem["code"]) == (status, code)
