"""What the agent may rely on in an engine: the same tests on Docker's, on Podman's and on the fake of other tests."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from typing import Protocol

import pytest

from fakes.agent_world import DIGEST, FakeEngine
from landscape.engine import podman
from landscape.processes import free_port
from landscape.whole import Landscape
from whence_agent.adapters.docker_engine import DockerEngine
from whence_agent.ports import ContainerSpec, ContainerWatch, Engine, EngineFailed, LogDriver
from whence_common.user_data.options import ContainerOptions

NAME = "whence-test-contract"


class Both(Engine, ContainerWatch, Protocol):
    """The engine as the agent's two ports see it."""


@dataclass
class House:
    engine: Both
    spec: ContainerSpec
    digest: str
    away: Both


def specified(image: str, image_id: str) -> ContainerSpec:
    return ContainerSpec(
        name=NAME, image=image, image_id=image_id, environment={}, options=ContainerOptions(), network="bridge",
        publish_address="127.0.0.1", user=None, mounts=(), log=LogDriver(name="json-file", options={}), pids_max=100,
        stop_seconds=1, fingerprint="f",
    )  # fmt: skip


@pytest.fixture(scope="module")
async def podman_socket(scape: Landscape) -> AsyncIterator[str]:
    async with podman(scape.directory, scape.logs, registry=scape.registry) as socket:
        yield socket


@pytest.fixture(params=["docker", "podman", "fake"])
async def house(request: pytest.FixtureRequest, scape: Landscape, podman_socket: str) -> AsyncIterator[House]:
    if request.param == "fake":
        away = FakeEngine()
        away.down = True
        yield House(engine=FakeEngine(), spec=specified(f"r/a@{DIGEST}", ""), digest=DIGEST, away=away)
        return
    image = await scape.build("contract", "1.0", scm=None)
    repository = f"{scape.registry}/demo/contract"
    engine = DockerEngine(socket=scape.engine if request.param == "docker" else podman_socket)
    image_id = await engine.pull(repository, image.digest, None)
    network = "bridge" if request.param == "docker" else "none"  # Podman's bridge would stay on this machine
    spec = replace(specified(f"{repository}@{image.digest}", image_id), network=network)
    nobody = DockerEngine(socket="unix:///nonexistent.sock")
    yield House(engine=engine, spec=spec, digest=image.digest, away=nobody)
    await engine.stop(NAME)
    await engine.close()
    await nobody.close()


async def test_a_container_lives_stops_starts_and_is_removed(house: House) -> None:
    engine = house.engine
    assert await engine.inspect(NAME) is None
    facts = await engine.run(house.spec)
    assert (facts.name, facts.state, facts.image_digest) == (NAME, "running", house.digest)
    again = await engine.run(house.spec)
    assert again.container_id == facts.container_id
    assert NAME in [event.name for event in await engine.running()]
    await engine.stop(NAME, seconds_max=0, remove=False)
    stopped = await engine.inspect(NAME)
    assert stopped is not None
    assert (stopped.facts.state, stopped.facts.exit_code in (137, 143)) == ("exited", True)
    assert NAME not in [event.name for event in await engine.running()]
    await engine.start(NAME)
    started = await engine.inspect(NAME)
    assert started is not None
    assert (started.facts.state, started.facts.container_id) == ("running", facts.container_id)
    assert started.configuration == stopped.configuration
    await engine.restart(NAME)
    restarted = await engine.inspect(NAME)
    assert restarted is not None
    assert (restarted.facts.state, restarted.facts.container_id) == ("running", facts.container_id)
    await engine.stop(NAME, seconds_max=0)
    assert await engine.inspect(NAME) is None
    await engine.stop(NAME)


async def test_a_file_of_an_image_is_read_without_running_it(house: House) -> None:
    if not isinstance(house.engine, DockerEngine):
        assert await house.engine.read_file("i", "/www/index.html", 100) is None
        return
    engine, image = house.engine, house.spec.image_id
    assert await engine.read_file(image, "/www/index.html", 100) == b"hello\n"
    assert await engine.read_file(image, "/nothing", 100) is None
    with pytest.raises(EngineFailed, match="larger than 3 bytes"):
        await engine.read_file(image, "/www/index.html", 3)


async def test_an_image_that_is_nowhere_is_told_from_a_registry_that_is_away(house: House) -> None:
    if not isinstance(house.engine, DockerEngine):
        return
    repository = house.spec.image.partition("@")[0]
    with pytest.raises(EngineFailed) as unknown:
        await house.engine.pull(repository, "sha256:" + "0" * 64, None)
    assert (unknown.value.code, unknown.value.retryable) == ("image-unknown", False)
    with pytest.raises(EngineFailed) as away:
        await house.engine.pull(f"127.0.0.1:{free_port()}/a/b", "sha256:" + "0" * 64, None)
    assert away.value.retryable


async def test_a_command_that_is_not_in_the_image_is_not_tried_again(house: House) -> None:
    if not isinstance(house.engine, DockerEngine):
        return
    with pytest.raises(EngineFailed) as refused:
        await house.engine.run(replace(house.spec, options=ContainerOptions(command=("/nothing",))))
    assert not refused.value.retryable
    assert await house.engine.inspect(NAME) is None


async def test_what_happens_to_a_container_is_an_event(house: House) -> None:
    seen: list[str] = []
    started = asyncio.Event()
    last = "die" if isinstance(house.engine, FakeEngine) else "destroy"

    async def follow() -> None:
        async for event in house.engine.events():
            if event.name == NAME:
                seen.append(event.action)
            if event.name == NAME and event.action == last:
                started.set()

    following = asyncio.create_task(follow())
    try:
        async with asyncio.timeout(30):
            while not started.is_set():
                await house.engine.run(house.spec)
                await house.engine.stop(NAME, seconds_max=0)
                await asyncio.wait([asyncio.create_task(started.wait())], timeout=1)
    finally:
        following.cancel()
    assert {"start", "die", last} <= set(seen)


async def test_an_engine_that_is_away_is_an_error_for_every_call(house: House) -> None:
    away = house.away
    for call in (
        away.inspect(NAME),
        away.start(NAME),
        away.restart(NAME),
        away.stop(NAME),
        away.running(),
        away.run(house.spec),
    ):
        with pytest.raises(EngineFailed):
            await call
