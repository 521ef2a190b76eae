"""Each commit of a seeded history, from Git to its pull request and its tickets: what is found is what was made."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import os
import random
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from fakes.facts import facts, link
from fakes.in_process import ROOT, InProcess
from fakes.known_caller import called_by
from fakes.machine import scm
from fakes.outside_client import outside_client
from fakes.signing_authority import SigningAuthority
from fakes.versions import version
from landscape.bare import Bare
from landscape.endurance import SECONDS_MAX, repeated
from landscape.hosted_history import AWAY, github_of, jira_of, moved
from landscape.seeded_history import PROJECT, REPOSITORY, Fate, History, MadeCommit, MadePull, seeded_history
from whence_aggregator.adapters.git_cache import GitCache
from whence_aggregator.adapters.git_places import mirror_place
from whence_aggregator.adapters.git_process import GitRuns
from whence_aggregator.adapters.git_range import RangeBounds
from whence_aggregator.adapters.git_server import GitServerReader
from whence_aggregator.changes.arrivals import Arrivals
from whence_aggregator.changes.collected import CollectedRanges
from whence_aggregator.changes.differ import Differ
from whence_aggregator.changes.ranges import COMMITS_MAX
from whence_aggregator.changes.record import ChangeRecord
from whence_aggregator.changes.tracked import TrackedCommits
from whence_aggregator.collect.collectors import Collector
from whence_aggregator.collect.commit_object import commit_value
from whence_aggregator.collect.commits import CommitCollector, RangeCollector
from whence_aggregator.collect.ranges import Ranges
from whence_aggregator.collect.tracker_collectors import ReviewCollector, TicketCollector
from whence_aggregator.http.changes import ChangeCalls, DiffCalls
from whence_aggregator.http.errors import guarded
from whence_aggregator.ports import CollectedFact
from whence_aggregator.storage.sqlite import SqliteDatabase
from whence_aggregator.trace.facts import RANGE_KIND, Answer, Facts
from whence_aggregator.trace.named_tickets import wanted_tickets
from whence_aggregator.trackers.github import GithubReader
from whence_aggregator.trackers.jira import JiraReader
from whence_aggregator.trackers.places import KnownTracker, KnownTrackers
from whence_aggregator.wiring.work import kinds_of
from whence_common.scm_source import SourceRepository

HOST, JIRA = "git.example.org", "jira.example.org"
APP = SourceRepository(host=HOST, path=REPOSITORY)
KNOWN = KnownTrackers(by_host={
    HOST: KnownTracker(shared=True, host=HOST, type="github", reviews=True),
    JIRA: KnownTracker(shared=True, host=JIRA, type="jira-cloud", projects=(PROJECT,)),
})  # fmt: skip
DEPLOYMENTS = 8
STATES: dict[Fate, tuple[str, str | None]] = {
    "open": ("confirmed", None), "missing": ("missing", "missing"), "moved": ("confirmed", "moved"),
    "closed-early": ("contradicted", "closed-before-commit"), "moved-away": ("contradicted", "other-project"),
}  # fmt: skip
"""The state of a ticket, and what is wrong with it, by what happened to it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """The history, and what reads it."""

    history: History
    bare: Bare
    git: GitServerReader
    collectors: dict[str, Collector]


@asynccontextmanager
async def sources(tmp_path: Path, *, commits: int, seed: int) -> AsyncIterator[Sources]:
    """Make a history on a Git server, on GitHub and in Jira."""
    (tmp_path / "acme").mkdir()
    bare = Bare(tmp_path / "acme", "greeter")
    history = seeded_history(bare, commits_min=commits, seed=seed)
    github, jira = github_of(history), jira_of(history)
    async with contextlib.AsyncExitStack() as stack:
        clients = []
        for host, login, kind in ((github, "t1", "github"), (jira, "robot@example.org:t1", "jira-cloud")):
            place = tmp_path / kind
            place.mkdir()
            await stack.enter_async_context(host.serve())
            clients.append(await stack.enter_async_context(
                outside_client(host, place, login=login, kind=kind, at_once=8)  # type: ignore[arg-type]  # two of its kinds
            ))  # fmt: skip
        of_github = GithubReader(clients[0].source, host=HOST)
        of_jira = JiraReader(clients[1].source, host=JIRA, version=3, browse_url=f"https://{JIRA}/")
        yield Sources(
            history=history,
            bare=bare,
            git=GitServerReader(
                runs=GitRuns(), places={HOST: mirror_place(HOST, directory=str(tmp_path))},
                cache=GitCache(tmp_path / "cache", seconds=lambda: 0.0, now=lambda: 1.0),
                bounds=RangeBounds(kept_max=20_000), seconds_max=300.0,
            ),
            collectors={
                "review": ReviewCollector({HOST: of_github}),
                "ticket": TicketCollector({HOST: of_github, JIRA: of_jira}),
            },
        )  # fmt: skip


def answer(found: CollectedFact) -> Answer:
    assert found.outcome in ("found", "missing")
    return Answer(
        outcome=found.outcome, value=found.value, reason=found.reason, observed_at="2026-11-22T12:00:00.000Z",
        ledger_index=5,
    )  # fmt: skip


async def resolved(made: Sources, commit: str, value: dict[str, Any]) -> Facts:
    """Return the facts about an instance that runs a commit: its review and its tickets, as collectors read them."""
    read = Answer(outcome="found", value={"repository": str(APP), "commit": commit, **value},
                  observed_at="2026-11-22T12:00:00.000Z", ledger_index=4)  # fmt: skip
    known = facts(stated={"scm_source": scm(url=f"https://{APP}", revision=commit)}, commit=read, trackers=())
    known = replace(known, trackers=KNOWN, review=answer(await made.collectors["review"].collect(f"{APP}@{commit}")))
    tickets = {one: answer(await made.collectors["ticket"].collect(one)) for one in wanted_tickets(known)}
    return replace(known, tickets=tickets)


def expected_review(commit: str, pulls: list[MadePull]) -> str:
    """Return the state of a commit's review: approvals are of a head that was merged into main, or of its merge."""
    if any(one.base == "main" and commit in (one.merge, one.head) for one in pulls):
        return "confirmed"
    return "asserted" if pulls else "missing"


def expected_tickets(
    one: MadeCommit, pulls: list[MadePull], fates: dict[str, Fate]
) -> dict[str, tuple[str, str, str | None, str | None, int | None]]:
    """Return place, state, problem, new name, and review of each ticket: the message's count before the pull request's."""
    named = dict(one.tickets)
    through = dict.fromkeys(named, pulls[0].number if pulls else None)
    for pull in sorted(pulls, key=lambda pull: pull.number):
        for name, place in pull.tickets:
            if name not in named:
                named[name] = place
                through[name] = pulls[0].number
    return {
        name: (place, *STATES[fates[name]], _new_name(name, fates[name]), through[name])
        for name, place in named.items()
    }


def _new_name(ticket: str, fate: Fate) -> str | None:
    return moved(ticket) if fate == "moved" else AWAY if fate == "moved-away" else None


def shown_tickets(known: Facts) -> dict[str, tuple[str, str, str | None, str | None, int | None]]:
    found = link("ticket", known)
    assert found.value is not None
    return {
        one["id"]: (one["place"], one["state"], one.get("problem"), one.get("moved_to"), one.get("review"))
        for one in found.value["tickets"]
    }


@pytest.mark.timeout(SECONDS_MAX)
@pytest.mark.endurance
async def test_every_commit_leads_to_the_pull_requests_and_tickets_it_was_made_with(tmp_path: Path) -> None:
    async with sources(tmp_path, commits=repeated(sample=250, whole=10_000), seed=21) as made:
        history = made.history
        pulls = history.pulls_by_commit()
        root = next(iter(history.commits))
        whole = await made.git.between(APP, root, made.bare.git("rev-parse", "main"))
        read = {name: commit_value(content) for name, content in whole.objects.items()}
        assert set(read) == history.reached(made.bare.git("rev-parse", "main")) - {root}
        for name in history.commits.keys() - read.keys():  # those of the releases' own lines
            content = await made.git.commit(APP, name)
            assert content is not None
            read[name] = commit_value(content)
        at_once = asyncio.Semaphore(8)

        async def checked(name: str) -> None:
            async with at_once:
                one, came_by = history.commits[name], pulls.get(name, [])
                value = read[name]
                assert (value["parents"], value["message"]) == (list(one.parents), one.message)
                assert one.reverted in value["message"]
                known = await resolved(made, name, value)
                reviews = {review["number"]: review for review in known.review.value["reviews"]}
                assert set(reviews) == {pull.number for pull in came_by}, one
                for pull in came_by:
                    how = "merge_commit" if name == pull.merge else "in_branch"
                    found = reviews[pull.number]
                    assert (found["how"], found["head"], found["base"]) == (how, pull.head, pull.base), one
                assert link("review", known).state == expected_review(name, came_by), one
                assert shown_tickets(known) == expected_tickets(one, came_by, history.fates), one

        names = list(read)
        for start in range(0, len(names), 500):
            await asyncio.gather(*map(checked, names[start : start + 500]))
            print(f"{min(start + 500, len(names))} of {len(names)} commits resolved", flush=True)


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
    arrivals = Arrivals(database=house.database, ranges=ranges, tracked=tracked)
    record = ChangeRecord(database=house.database, arrivals=arrivals)
    changes = ChangeCalls(record=record, moments=house.tracer.moments)
    diffs = DiffCalls(Differ(database=house.database, tracer=house.tracer, ranges=ranges, tracked=tracked))
    application = web.Application(middlewares=[called_by(ROOT)])
    routes = (*changes.routes(), *diffs.routes())
    application.add_routes(web.route(one.method, one.path, guarded(one.handler, None)) for one in routes)
    async with TestServer(application) as server:
        yield str(server.make_url("")).rstrip("/")


async def whence(url: str, *arguments: str) -> Any:
    """Return the JSON that the command `whence` prints."""
    process = await asyncio.create_subprocess_exec(
        Path(sys.executable).parent / "whence", *arguments, stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "WHENCE_URL": url, "WHENCE_TOKEN": "t"},
    )  # fmt: skip
    output, _ = await process.communicate()
    return json.loads(output)


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


@pytest.mark.timeout(SECONDS_MAX)
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
