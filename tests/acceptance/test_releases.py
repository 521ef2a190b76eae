"""A fleet is never upgraded in one moment: the previous release's agent and aggregator work with today's."""

from __future__ import annotations

from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from landscape.programs import BIN, Agent, AgentSettings, Aggregator, agent, aggregator
from landscape.releases import Release, previous_release
from landscape.stage import Stage, user_data
from landscape.whole import Landscape

STATES = {
    "account": "confirmed", "team": "missing", "instance": "confirmed", "ami": "confirmed", "user_data": "asserted",
    "application": "missing", "version": "asserted", "image": "confirmed", "source": "asserted", "commit": "asserted",
    "ticket": "asserted", "specification": "missing",
}  # fmt: skip
"""What is known where no application is registered and no builder is trusted, as the release 0.1.0 states it."""
STATES_NOW = {**STATES, "account": "unknown", "approval": "unknown", "review": "unknown"}
"""Who owns the account, who reviewed the commit and who approved is asked for since; none is configured."""


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Release:
    return previous_release(tmp_path_factory.mktemp("release"))


@pytest.fixture(scope="module")
async def source(scape: Landscape) -> str:
    return (await scape.build("releases", "1.0", scm=scape.greeter_scm(0))).reference


class Fleet:
    """One aggregator and one agent, each of a release or of this checkout."""

    def __init__(self, stage: Stage, stack: AsyncExitStack) -> None:
        self.stage = stage
        self._stack = stack

    async def aggregator(self, *program: str) -> Aggregator:
        scape = self.stage.scape
        started = aggregator(
            self.stage.directory, scape.logs, authority_pem=scape.authority_pem,
            registries=(scape.registry,), git_servers=(scape.sources.host,),
            program=program or (BIN / "whence-aggregator",),
        )  # fmt: skip
        return await self._stack.enter_async_context(started)

    async def agent(self, url: str, *program: str) -> Agent:
        scape = self.stage.scape
        settings = AgentSettings(
            metadata_url=self.stage.service.url, aggregator_url=url, engine=scape.engine, aws_url=scape.aws.url,
            immutable_registries=(scape.registry,),
        )  # fmt: skip
        started = agent(
            self.stage.directory,
            scape.logs,
            settings,
            name=self.stage.name,
            program=program or (BIN / "whence-agent",),
        )
        return await self._stack.enter_async_context(started)


async def states(server: Aggregator, instance_id: str) -> dict[str, str]:
    lineage = await server.settled(instance_id)
    return {link["link"]: link["state"] for link in lineage["links"]}


def test_the_previous_release_runs_from_its_own_sources(release: Release) -> None:
    for module in ("whence_common", "whence_agent", "whence_aggregator"):
        assert release.sources in release.origin(module).parents


async def test_the_previous_releases_agent_is_traced_by_this_aggregator(
    stage: Stage, release: Release, source: str
) -> None:
    await stage.instance(user_data(source))
    async with AsyncExitStack() as stack:
        fleet = Fleet(stage, stack)
        server = await fleet.aggregator()
        running = await fleet.agent(server.url, *release.agent)
        await running.until("ok")
        assert await states(server, stage.service.instance_id) == STATES_NOW


async def test_this_agent_is_traced_by_the_previous_releases_aggregator(
    stage: Stage, release: Release, source: str
) -> None:
    await stage.instance(user_data(source))
    async with AsyncExitStack() as stack:
        fleet = Fleet(stage, stack)
        server = await fleet.aggregator(*release.aggregator)
        running = await fleet.agent(server.url)
        await running.until("ok")
        assert await states(server, stage.service.instance_id) == STATES


async def test_what_the_previous_releases_aggregator_kept_is_carried_over(
    stage: Stage, release: Release, source: str
) -> None:
    await stage.instance(user_data(source))
    async with AsyncExitStack() as stack:
        fleet = Fleet(stage, stack)
        old = await fleet.aggregator(*release.aggregator)
        running = await fleet.agent(old.url, *release.agent)
        await running.until("ok")
        assert await states(old, stage.service.instance_id) == STATES
        await running.process.stop()
        await old.process.stop()
        server = await fleet.aggregator()
        assert await states(server, stage.service.instance_id) == STATES_NOW


def test_only_the_newest_releases_are_kept() -> None:
    kept = sorted(Path(__file__).parents[1].joinpath("data", "releases").iterdir())
    assert 1 <= len(kept) <= 2
