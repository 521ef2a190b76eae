"""A seeded history on a Git server, on GitHub and in Jira, and what reads it there."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from fakes.outside_client import outside_client
from landscape.bare import Bare
from landscape.hosted_history import github_of, jira_of
from landscape.made_history import PROJECT, REPOSITORY, History
from landscape.seeded_history import seeded_history
from whence_aggregator.adapters.git_cache import GitCache
from whence_aggregator.adapters.git_places import mirror_place
from whence_aggregator.adapters.git_process import GitRuns
from whence_aggregator.adapters.git_range import RangeBounds
from whence_aggregator.adapters.git_server import GitServerReader
from whence_aggregator.collect.collectors import Collector
from whence_aggregator.collect.tracker_collectors import ReviewCollector, TicketCollector
from whence_aggregator.trackers.github import GithubReader
from whence_aggregator.trackers.jira import JiraReader
from whence_aggregator.trackers.places import KnownTracker, KnownTrackers
from whence_common.scm_source import SourceRepository

HOST, JIRA = "git.example.org", "jira.example.org"
APP = SourceRepository(host=HOST, path=REPOSITORY)
KNOWN = KnownTrackers(by_host={
    HOST: KnownTracker(shared=True, host=HOST, type="github", reviews=True),
    JIRA: KnownTracker(shared=True, host=JIRA, type="jira-cloud", projects=(PROJECT,)),
})  # fmt: skip


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
