"""Supervision on the real engine: health checks of images, refused starts, engines that restart, freeze and forget."""

from __future__ import annotations

import asyncio
import io
import json
import socket
import tarfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import docker
import pytest

from fakes.agent_world import World
from landscape.engine import OwnEngine, bridge, own_engine
from landscape.processes import free_port
from landscape.whole import Landscape
from whence_agent.adapters.docker_engine import DockerEngine
from whence_agent.ports import ContainerSpec, LogDriver, MountPoint
from whence_agent.watch.supervision import Supervision
from whence_common.clock import utc_now
from whence_common.runtime.pause import pause
from whence_common.user_data.container import PortMapping
from whence_common.user_data.options import ContainerOptions

NAME = "whence-test-watching"
BUSYBOX = "/bin/busybox"
CHECK = [BUSYBOX, "test", "!", "-e", "/tmp/sick"]
ENDS_WELL = (BUSYBOX, "sh", "-c", "trap 'exit 0' TERM; while :; do /bin/busybox sleep 0.05; done")


class Watching:
    """Containers on an engine under a supervision that runs."""

    def __init__(self, world: World, engine: DockerEngine, url: str) -> None:
        self.world, self.engine, self.url = world, engine, url
        self.ends: list[int | None] = []
        self.failures: list[str] = []
        self.supervision = Supervision(
            engine=engine, life=engine, progress=world.progress, reporter=world.reporter, pulse=world.pulse,
            watch_seconds=1.0, platform_containers=["*"], on_end=self._end, on_failure=self._failure,
        )  # fmt: skip

    async def _end(self, exit_code: int | None) -> None:
        self.ends.append(exit_code)

    async def _failure(self, reason: str) -> None:
        self.failures.append(reason)

    async def pulled(self, scape: Landscape, name: str, **build: Any) -> tuple[str, str]:
        """Build an image, and pull it by digest; give its name and id."""
        image = await scape.build(name, "1.0", scm=None, **build)
        repository = f"{scape.registry}/demo/{name}"
        return f"{repository}@{image.digest}", await self.engine.pull(repository, image.digest, None)

    def specified(self, image: tuple[str, str], **more: Any) -> ContainerSpec:
        values: dict[str, Any] = {
            "name": NAME, "image": image[0], "image_id": image[1], "environment": {}, "options": ContainerOptions(),
            "network": "none", "publish_address": "127.0.0.1", "user": None, "mounts": (), "fingerprint": "f",
            "log": LogDriver(name="json-file", options={}), "pids_max": 100, "stop_seconds": 1,
        }  # fmt: skip
        return ContainerSpec(**{**values, **more})

    async def run(self, spec: ContainerSpec, *, joins: str = "") -> None:
        """Run a container as the boot does, the application first."""
        facts = await self.engine.run(spec)
        main = spec.name == NAME
        self.world.progress.watched.record_container(facts, main=main)
        self.supervision.watch(spec.name, digest=facts.image_digest, main=main, joins=joins)

    async def until(self, wanted: Callable[[], object], *, seconds_max: float = 40.0) -> None:
        async with asyncio.timeout(seconds_max):
            while not wanted():
                await pause(0.05)

    @property
    def facts(self) -> Any:
        return self.world.progress.observed.container

    @property
    def drift(self) -> list[tuple[str, str]]:
        return [(one.kind, one.detail) for one in self.world.progress.observed.drift]

    def names(self, parts: set[str]) -> bool:
        """Return whether a finding names all these parts of the configuration."""
        return any(parts <= set(detail.partition(" (")[0].split(", ")) for _, detail in self.drift)

    async def on_engine(self, work: Callable[[Any], Any]) -> Any:
        def act() -> Any:
            client = docker.APIClient(base_url=self.url, version="auto", timeout=60)
            try:
                return work(client)
            finally:
                client.close()

        return await asyncio.to_thread(act)


@asynccontextmanager
async def watching(url: str, directory: Path) -> AsyncIterator[Watching]:
    """Supervise what the test runs; the containers are removed at the end."""
    engine = DockerEngine(socket=url)
    watch = Watching(World(directory, now=utc_now, monotonic=time.monotonic), engine, url)
    running = asyncio.create_task(watch.supervision.run())
    try:
        yield watch
    finally:
        running.cancel()
        await asyncio.wait([running])
        for name in (f"{NAME}-inside", NAME):
            await engine.stop(name, seconds_max=0)
        await engine.close()


@asynccontextmanager
async def engine_of_our_own(scape: Landscape, directory: Path, *options: str) -> AsyncIterator[OwnEngine]:
    """Start an engine beside the tests' own one; containers with a network are for that one alone."""
    async with (
        bridge() as name,
        own_engine(directory, scape.logs, "--bridge", name, "--iptables=false", *options) as own,
        own.running(),
    ):
        yield own


@pytest.fixture
async def watched(scape: Landscape, tmp_path: Path) -> AsyncIterator[Watching]:
    async with watching(scape.engine, tmp_path) as watch:
        yield watch


# --- the image's own health check


async def test_an_images_health_check_is_not_drift_and_its_result_is_shown(scape: Landscape, watched: Watching) -> None:
    lines = (f"HEALTHCHECK --interval=200ms --retries=2 CMD {json.dumps(CHECK)}",)
    await watched.run(watched.specified(await watched.pulled(scape, "checked", lines=lines)))
    watched.world.progress.boot.booted.set()
    await watched.until(lambda: watched.facts.engine_health == "healthy")

    def log(client: Any) -> list[Any]:
        return list(client.inspect_container(NAME)["State"]["Health"]["Log"])

    first = (await watched.on_engine(log))[-1]
    while first in await watched.on_engine(log):  # five checks more
        await pause(0.1)
    assert watched.drift == []

    def spoil(client: Any) -> None:
        sink = io.BytesIO()
        with tarfile.open(fileobj=sink, mode="w") as tar:
            tar.addfile(tarfile.TarInfo("tmp/sick"))
        client.put_archive(NAME, "/", sink.getvalue())

    await watched.on_engine(spoil)
    await watched.until(lambda: watched.facts.engine_health == "unhealthy")
    assert watched.drift == []
    assert [one.containers[0].engine_health for one in watched.world.statements()] == ["unhealthy"]


@pytest.mark.parametrize("command", [CHECK, [BUSYBOX, "true"]])
async def test_an_exec_with_the_command_of_the_check_is_reported(
    scape: Landscape, watched: Watching, command: list[str]
) -> None:
    lines = (f"HEALTHCHECK --interval=1s --timeout=1s CMD {json.dumps(CHECK)}",)
    await watched.run(watched.specified(await watched.pulled(scape, "checked-1s", lines=lines)))
    watched.world.progress.boot.booted.set()
    await watched.until(lambda: watched.facts.engine_health == "healthy")
    await watched.on_engine(lambda client: client.exec_start(client.exec_create(NAME, command)["Id"]))
    await watched.until(lambda: watched.drift)
    assert watched.drift == [("exec", BUSYBOX)]


async def test_a_command_line_of_nearly_a_megabyte_is_reported_and_hides_nothing(
    scape: Landscape, watched: Watching
) -> None:
    await watched.run(watched.specified(await watched.pulled(scape, "watching", command=ENDS_WELL)))
    watched.world.progress.boot.booted.set()
    await watched.supervision.look()

    def execute(command: list[str], client: Any) -> None:
        client.exec_start(client.exec_create(NAME, command)["Id"])

    for command in ([BUSYBOX, "true", *(["x" * 100_000] * 8)], ["/bin/../bin/busybox", "true"]):
        await watched.on_engine(partial(execute, command))
    await watched.until(lambda: len(watched.drift) == 2)
    assert watched.drift == [("exec", BUSYBOX), ("exec", "/bin/../bin/busybox")]


# --- restarts by hand


async def test_a_restart_by_hand_is_not_an_end_of_the_application(scape: Landscape, watched: Watching) -> None:
    await watched.run(watched.specified(await watched.pulled(scape, "watching", command=ENDS_WELL)))
    watched.world.progress.boot.booted.set()
    await watched.supervision.look()
    for _ in range(3):
        started = watched.facts.started_at
        await watched.on_engine(lambda client: client.restart(NAME, timeout=2))
        await watched.until(lambda: watched.facts.state == "running" and watched.facts.started_at != started)  # noqa: B023 - awaited at once
    assert (watched.ends, watched.failures, watched.drift) == ([], [], [])
    await watched.on_engine(lambda client: client.stop(NAME, timeout=2))
    await watched.until(lambda: watched.ends == [0])


# --- starts that are refused


async def test_a_port_in_use_is_a_failure_with_its_reason_until_it_is_free(scape: Landscape, watched: Watching) -> None:
    port = free_port()
    options = ContainerOptions(ports=(PortMapping(host=port, container=8080, protocol="tcp"),))
    image = await watched.pulled(scape, "watching", command=ENDS_WELL)
    await watched.run(watched.specified(image, network="bridge", options=options))
    watched.world.progress.boot.booted.set()
    await watched.on_engine(lambda client: client.kill(NAME))
    with socket.create_server(("127.0.0.1", port)):
        await watched.until(lambda: watched.facts.error)
        assert "address already in use" in watched.facts.error or "port is already allocated" in watched.facts.error
        assert watched.world.progress.watched.engine_error == ""
    await watched.until(lambda: watched.facts.state == "running")
    assert watched.facts.error == ""


async def test_a_sidecar_rejoins_the_network_of_an_application_restarted_by_hand(
    scape: Landscape, watched: Watching
) -> None:
    image = await watched.pulled(scape, "watching", command=ENDS_WELL)
    await watched.run(watched.specified(image))
    await watched.run(watched.specified(image, name=f"{NAME}-inside", network=f"container:{NAME}"), joins=NAME)
    watched.world.progress.boot.booted.set()

    async def network(name: str) -> str:
        """Return the network of a container's process; empty while it has none, between an end and a start."""
        process = await watched.on_engine(lambda client: client.inspect_container(name)["State"]["Pid"])
        try:
            return Path(f"/proc/{process}/ns/net").readlink().name if process else ""
        except FileNotFoundError:
            return ""

    await watched.on_engine(lambda client: client.restart(NAME, timeout=1))
    async with asyncio.timeout(40):
        while not (main := await network(NAME)) or main != await network(f"{NAME}-inside"):
            await pause(0.1)


# --- configuration and volumes


async def test_changed_limits_are_reported_by_name(scape: Landscape, watched: Watching) -> None:
    image = await watched.pulled(scape, "watching", command=ENDS_WELL)
    await watched.run(watched.specified(image, options=ContainerOptions(memory_bytes=64 << 20)))
    watched.world.progress.boot.booted.set()
    await watched.supervision.look()

    def update(**limits: int) -> Callable[[Any], None]:
        return lambda client: client._raise_for_status(
            client._post_json(client._url("/containers/{0}/update", NAME), data=limits)
        )

    for change in ({"Memory": 128 << 20, "MemorySwap": 128 << 20}, {"NanoCpus": 500_000_000}, {"PidsLimit": 7}):
        await watched.on_engine(update(**change))
        await watched.until(partial(watched.names, set(change)))
    assert {kind for kind, _ in watched.drift} == {"configuration-changed"}


async def test_only_volumes_that_the_image_declares_are_removed_with_its_container(
    scape: Landscape, watched: Watching, tmp_path: Path
) -> None:
    image = await watched.pulled(scape, "volumes", command=ENDS_WELL, lines=("VOLUME /data /more",))
    (tmp_path / "host").mkdir()
    (tmp_path / "host" / "file").write_text("kept", encoding="ascii")
    mounts = (
        MountPoint(source=str(tmp_path / "host"), inside="/host", read_only=False),
        MountPoint(source=f"{NAME}-named", inside="/named", read_only=False),
    )

    def volumes(client: Any) -> set[str]:
        return {one["Name"] for one in client.volumes()["Volumes"] or []}

    before = await watched.on_engine(volumes)
    try:
        await watched.run(watched.specified(image, mounts=mounts))
        assert len(await watched.on_engine(volumes) - before) == 3
        await watched.engine.stop(NAME, seconds_max=1)
        assert await watched.on_engine(volumes) - before == {f"{NAME}-named"}
        assert (tmp_path / "host" / "file").read_text(encoding="ascii") == "kept"
    finally:
        await watched.on_engine(lambda client: client.remove_volume(f"{NAME}-named", force=True))


# --- an engine that goes away


async def test_containers_that_stopped_with_the_engine_are_restarted_and_those_that_ended_by_themselves_are_not(
    scape: Landscape, tmp_path: Path
) -> None:
    async with engine_of_our_own(scape, tmp_path) as engine, watching(engine.socket, tmp_path) as watched:
        image = await watched.pulled(scape, "watching", command=ENDS_WELL)
        await watched.run(watched.specified(image))
        await watched.run(watched.specified(image, name=f"{NAME}-inside", network=f"container:{NAME}"), joins=NAME)
        watched.world.progress.boot.booted.set()
        await watched.until(lambda: watched.world.pulse.silent() == [])
        started = watched.facts.started_at
        await engine.stop()
        await engine.start()
        await watched.until(lambda: watched.facts.state == "running" and watched.facts.started_at != started)
        sidecars = watched.world.progress.watched.sidecars
        await watched.until(lambda: sidecars[f"{NAME}-inside"].state == "running")
        assert (watched.ends, watched.failures, watched.drift) == ([], [], [])
        await watched.on_engine(lambda client: client.stop(NAME, timeout=5))
        await watched.until(lambda: watched.ends == [0])
        await engine.stop()
        await engine.start()
        await watched.until(lambda: watched.world.progress.watched.engine_error == "")
        await watched.supervision.look()
        assert (watched.facts.state, watched.ends) == ("exited", [0])


async def test_an_engine_that_restarts_under_running_containers_changes_nothing(
    scape: Landscape, tmp_path: Path
) -> None:
    async with (
        engine_of_our_own(scape, tmp_path, "--live-restore") as engine,
        watching(engine.socket, tmp_path) as watched,
    ):
        lines = (f"HEALTHCHECK --interval=300ms CMD {json.dumps(CHECK)}",)
        image = await watched.pulled(scape, "restored", command=ENDS_WELL, lines=lines)
        options = ContainerOptions(memory_bytes=64 << 20, capabilities_drop=("ALL",), read_only=True)
        await watched.run(watched.specified(image, options=options))
        watched.world.progress.boot.booted.set()
        await watched.until(lambda: watched.facts.engine_health == "healthy")
        before = await watched.engine.inspect(NAME)
        await engine.stop()
        await watched.until(lambda: watched.world.progress.watched.engine_error)
        await engine.start()
        await watched.until(lambda: watched.world.progress.watched.engine_error == "")
        await watched.until(lambda: watched.facts.engine_health == "healthy")
        after = await watched.engine.inspect(NAME)
        assert before is not None
        assert after is not None
        assert after.facts.started_at == before.facts.started_at
        assert after.configuration == before.configuration
        assert watched.drift == []


async def test_a_frozen_engine_is_on_the_status_within_ten_seconds_and_blocks_nothing(
    scape: Landscape, tmp_path: Path
) -> None:
    async with engine_of_our_own(scape, tmp_path) as engine, watching(engine.socket, tmp_path) as watched:
        await watched.run(watched.specified(await watched.pulled(scape, "watching", command=ENDS_WELL)))
        watched.world.progress.boot.booted.set()
        await watched.supervision.look()
        engine.freeze()
        try:
            began = time.monotonic()
            await watched.until(lambda: watched.world.progress.watched.engine_error, seconds_max=10)
            assert "is unreachable" in watched.world.progress.watched.engine_error
            await asyncio.gather(*(asyncio.to_thread(time.monotonic) for _ in range(20)))
            assert time.monotonic() - began < 10
        finally:
            engine.thaw()
        await watched.until(lambda: watched.world.progress.watched.engine_error == "")
        assert (watched.ends, watched.drift, watched.world.causes()) == ([], [], [])
