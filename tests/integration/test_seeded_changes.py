"""The change record and differences between releases of a seeded history: what `git log` lists."""

from __future__ import annotations

import itertools
import json
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from fakes.in_process import ROOT, InProcess
from fakes.known_caller import called_by
from fakes.machine import scm
from fakes.signing_authority import SigningAuthority
from fakes.versions import version
from landscape.endurance import repeated
from landscape.history_sources import APP, Sources, sources
from landscape.made_history import History
from landscape.processes import ended
from landscape.programs import BIN
from whence_aggregator.changes.arrivals import Arrivals
from whence_aggregator.changes.collected import CollectedRanges
from whence_aggregator.changes.counted import ApprovalCounts
from whence_aggregator.changes.differ import Differ
from whence_aggregator.changes.newest import NewestRecord
from whence_aggregator.changes.ranges import COMMITS_MAX
from whence_aggregator.changes.record import ChangeRecord
from whence_aggregator.changes.tracked import TrackedCommits
from whence_aggregator.collect.commits import CommitCollector, RangeCollector
from whence_aggregator.collect.ranges import Ranges
from whence_aggregator.http.changes import ChangeCalls, DiffCalls
from whence_aggregator.http.errors import guarded
from whence_aggregator.storage.sqlite import SqliteDatabase
from whence_aggregator.trace.facts import RANGE_KIND
from whence_aggregator.wiring.work import kinds_of

DEPLOYMENTS = 8


@asynccontextmanager
async def opened(directory: Path) -> AsyncIterator[SqliteDatabase]:
    database = await SqliteDatabase.open(directory / "ledger.db", "make")
    yield database
    await database.close()


@asynccontextmanager
async def served(house: InProcess) -> AsyncIterator[str]:
    """Serve `/v1/changes` and `/v1/diff` on a loopback port; return the URL."""
    ranges = CollectedRanges(Ranges(database=house.database, now=house.clock))
    tracked = TrackedCommits(database=house.database, trackers=house.tracer.trackers, now=house.clock)
    counts = ApprovalCounts(database=house.database, reader=house.tracer.commits, policy=house.tracer.policy)
    arrivals = Arrivals(database=house.database, ranges=ranges, tracked=tracked, counts=counts)
    record = ChangeRecord(database=house.database, arrivals=arrivals)
    changes = ChangeCalls(
        record=record, newest=NewestRecord(database=house.database, record=record), moments=house.tracer.moments
    )
    diffs = DiffCalls(Differ(database=house.database, tracer=house.tracer, ranges=ranges, tracked=tracked))
    application = web.Application(middlewares=[called_by(ROOT)])
    routes = (*changes.routes(), *diffs.routes())
    application.add_routes(web.route(one.method, one.path, guarded(one.handler, None)) for one in routes)
    async with TestServer(application) as server:
        yield str(server.make_url("")).rstrip("/")


async def whence(url: str, *arguments: str) -> Any:
    """Return the JSON that the command `whence` prints."""
    done = await ended(BIN / "whence", *arguments, environment={"WHENCE_URL": url, "WHENCE_TOKEN": "t"})
    return json.loads(done.out)


def deployed(number: int, commit: str) -> dict[str, object]:
    """Return the changes of a statement that make it one about a version that was built from a commit."""
    digest = f"sha256:{number:064x}"
    return {
        **version(str(number), digest, commit), "scm_source": scm(url=f"https://{APP}", revision=commit),
        "cause": "change" if number else "boot", "observed_at": f"2026-11-22T12:{number:02d}:00.000Z",
    }  # fmt: skip


def logged(made: Sources, past: str, tip: str) -> list[str]:
    """Return what `git log` lists, without commits that both reach: by clocks that differ, it may list some."""
    listed = made.bare.git("log", "--format=%H", f"{past}..{tip}").split()
    shared = made.history.reached(past)
    assert set(listed) - shared == made.history.reached(tip) - shared
    return [one for one in listed if one not in shared]


@pytest.mark.endurance
async def test_the_change_record_between_two_releases_is_what_git_log_lists(
    tmp_path: Path, authority: SigningAuthority
) -> None:
    """Releases of main, of lines that diverged from it, and steps back, in an order drawn from a seed."""
    async with (
        sources(tmp_path, commits=repeated(sample=500, whole=10_000), seed=22) as made,
        opened(tmp_path) as database,
        InProcess(database, authority).running() as house,
    ):
        house.collectors |= {"commit": CommitCollector(made.git), RANGE_KIND: RangeCollector(made.git)}
        house.worker = house.worker_of(kinds_of(house.ledger, house.collectors, house.inventory, now=house.clock))
        steps = drawn(made.history, seed=22)
        await house.register("greeter", team_id="hello")
        machine = await house.machine()
        for number, commit in enumerate(steps):
            await house.say(machine, **deployed(number, commit))
            house.clock.advance(60)
        async with served(house) as url:
            record = ("changes", "--application", "greeter", "--all", "--json")
            await whence(url, *record)
            await house.work()
            found = (await whence(url, *record))["changes"]
            assert len(found) == len(steps)
            for number, (before, after) in enumerate(itertools.pairwise(steps), start=1):
                (started,) = found[number]["started"]
                commits = started["commits"]
                came, went = logged(made, before, after), logged(made, after, before)
                cut = max(len(came), len(went)) > COMMITS_MAX
                assert (started["commit"]["commit"], commits["state"], commits["cut"]) == (after, "found", cut)
                assert [one["commit"] for one in commits["only_b"]] == came[:COMMITS_MAX]
                assert [one["commit"] for one in commits["only_a"]] == went[:COMMITS_MAX]
                mirrored = {**commits, "only_a": commits["only_b"], "only_b": commits["only_a"]}
                assert (await asked(url, ran(number - 1), ran(number)))["commits"] == commits
                assert in_one_order((await asked(url, ran(number), ran(number - 1)))["commits"]) == in_one_order(
                    mirrored
                )
            assert any(one["started"][0]["commits"]["diverged"] for one in found[1:])
            shown = await whence(url, "diff", ran(0), ran(1), "--json")
            assert shown["commits"] == found[1]["started"][0]["commits"]


def in_one_order(commits: dict[str, Any]) -> dict[str, Any]:
    """Return a range with its tickets by id: they are listed in the order of the commits that name them."""
    return {**commits, "tickets": sorted(commits["tickets"], key=lambda one: str(one["id"]))}


async def asked(url: str, a: str, b: str) -> Any:
    async with aiohttp.ClientSession() as session, session.get(f"{url}/v1/diff", params={"a": a, "b": b}) as answer:
        return await answer.json()


def drawn(history: History, *, seed: int) -> list[str]:
    """Return releases in the order in which they are deployed: each is another one, of about the same time."""
    rng = random.Random(seed)
    places = {name: place for place, name in enumerate(history.commits)}
    ordered = sorted({*history.releases, *history.patches}, key=places.__getitem__)
    steps = [rng.randrange(len(ordered))]
    while len(steps) < DEPLOYMENTS:
        near = range(max(0, steps[-1] - 6), min(len(ordered), steps[-1] + 7))
        steps.append(rng.choice([one for one in near if one != steps[-1]]))
    return [ordered[one] for one in steps]


def ran(number: int) -> str:
    """Return a version as it ran half a minute after it was deployed."""
    return f"greeter/{number}@2026-11-22T12:{number:02d}:30Z"
