"""With the policy `retry`, a boot is retried after a transient failure, and not after a permanent one."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from fakes.aws_front import AwsFront
from fakes.guarded_registry import GuardedRegistry
from landscape.programs import Agent, Aggregator
from landscape.stage import Stage, command
from landscape.stage import user_data as user_data_with_health
from landscape.whole import Landscape
from whence_common.runtime.pause import pause

BUSYBOX = "/bin/busybox"
QUICK = {"retry_pause_seconds_max": 0.5}


@pytest.fixture(scope="module")
async def server(shared_server: Aggregator) -> Aggregator:
    return shared_server


@pytest.fixture(scope="module")
async def source(scape: Landscape) -> str:
    return (await scape.build("tries", "1.0", scm=None)).reference


@pytest.fixture
async def front(scape: Landscape) -> AsyncIterator[AwsFront]:
    async with AwsFront(scape.aws.url).serve() as serving:
        yield serving


def user_data(source: str, more: str = "") -> str:
    """Give user data that asks for no health, where the test is not about it."""
    return user_data_with_health(source, more).replace("health_check_path: /health\n", "")


class AwayRegistry(GuardedRegistry):
    """The real registry behind something that answers 503 for it while it is away."""

    away = True

    def _refusal(self, authorization: str) -> web.Response | None:
        return web.Response(status=503) if self.away else super()._refusal(authorization)


async def seen(running: Agent, wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """Give the first status that is wanted."""
    status: dict[str, Any] = {}
    async with asyncio.timeout(60):
        while not status or not wanted(status):
            await pause(0.05)
            status = (await running.get("/status"))[1]
    return status


async def stated(stage: Stage, server: Aggregator) -> list[dict[str, Any]]:
    """Give everything that the instance has stated, oldest first."""
    shown = await server.get(f"/v1/instances/{stage.service.instance_id}")
    predicates = []
    for one in shown["statements"]:
        envelope = await server.get(f"/v1/statements/{one['digest']}")
        predicates.append(json.loads(base64.b64decode(envelope["payload"]))["predicate"])
    return sorted(predicates, key=lambda predicate: int(predicate["sequence"]))


def told(predicates: list[dict[str, Any]]) -> list[str]:
    """Give the causes of statements, but for changes, each with the codes of its problems."""
    return [
        " ".join([one["cause"], *(problem["code"] for problem in one["problems"])])
        for one in predicates
        if one["cause"] != "change"
    ]


async def test_a_boot_succeeds_from_a_registry_that_recovers_after_the_stages_deadline(
    stage: Stage, server: Aggregator, scape: Landscape, source: str, front: AwsFront
) -> None:
    registry = AwayRegistry(backend=scape.registry, kind="open")
    async with registry.serve():
        more = "on_failure: retry\nnotify_cfn: {stack: pay-1, resource: App}\n"
        await stage.instance(user_data(source.replace(scape.registry, registry.host), more))
        async with stage.agent(
            server.url, registries={registry.host: {"immutable_tags": True}}, aws_endpoint_url=front.url,
            stage_seconds_max={"image": 1.0}, **QUICK,
        ) as running:  # fmt: skip
            waiting = asyncio.create_task(command("status", "--wait", "--timeout", "60", "--url", running.url))
            status = await seen(running, lambda one: one["state"] == "failed" and one["tries"] == 3)
            assert [(await running.get(path))[0] for path in ("/ready", "/health")] == [503, 503]
            again = await seen(running, lambda one: one["state"] == "booting" and one["tries"] == 4)
            registry.away = False
            booted = await running.until("ok")
            assert (await running.get("/ready"))[0] == 200
            assert (await waiting)[0] == 0, "status --wait waits for the last try"
            predicates = await stated(stage, server)
    assert status["next_try_at"]
    assert status["reasons"][0].startswith("boot failed at stage image: image: not done within 1 seconds and ")
    assert f"; next try at {status['next_try_at']}, try 4" in status["reasons"][0]
    assert status["what_to_do"].endswith("; the boot is tried again automatically")
    assert (again["problems"], again["reasons"][1].startswith("try 4; the previous one failed at image: ")) == (
        [],
        True,
    )
    assert (booted["problems"], booted["tries"], booted["next_try_at"]) == ([], booted["tries"], None)
    assert told(predicates) == ["failed registry-error", "boot"], "each failure is stated once"
    assert predicates[-1]["problems"] == []
    assert front.signals() == ["SUCCESS"], "a stack would be rolled back by a failure that passes"


async def test_an_unreachable_metadata_service_at_the_sign_in_does_not_end_the_boot(
    stage: Stage, server: Aggregator, scape: Landscape, source: str
) -> None:
    await stage.instance("")
    identity = stage.service.authority.sign(stage.service.document)
    registry = GuardedRegistry(backend=scape.registry, users={"instance-identity-document": identity})
    async with registry.serve():
        stage.service.user_data = user_data(source.replace(scape.registry, registry.host)).encode()
        stage.service.faults = {"pkcs7": [503, 503, 429]}
        registries = {registry.host: {"immutable_tags": True, "sign_in": "identity"}}
        async with stage.agent(server.url, registries=registries) as running:
            assert (await running.until("ok", "failed"))["state"] == "ok"
    assert stage.service.faults == {"pkcs7": []}


async def test_invalid_user_data_is_not_tried_again(
    stage: Stage, server: Aggregator, source: str, front: AwsFront
) -> None:
    text = user_data(source, "on_failure: retry\nnotify_cfn: {stack: pay-1, resource: App}\nmemory: lots\n")
    await stage.instance(text)
    async with stage.agent(server.url, aws_endpoint_url=front.url, **QUICK) as running:
        status = await seen(running, lambda one: one["state"] == "failed" and bool(front.signals()))
        assert (await command("status", "--wait", "--timeout", "60", "--url", running.url))[0] == 1
    assert (status["tries"], status["next_try_at"]) == (1, None)
    assert "not tried again: the error is permanent for this user data" in status["reasons"]
    assert front.signals() == ["FAILURE"]


async def test_a_machine_without_its_metadata_service_is_tried_again_by_the_platforms_policy(
    stage: Stage, server: Aggregator, source: str
) -> None:
    await stage.instance(user_data(source))
    stage.service.faults = {"identity/document": [503] * 100_000}
    async with stage.agent(server.url, on_failure="retry", stage_seconds_max={"identity": 0.5}, **QUICK) as running:
        status = await seen(running, lambda one: one["state"] == "failed" and one["tries"] == 2)
        assert "HTTP 503" in status["reasons"][0]
        stage.service.faults = {}
        assert (await running.until("ok"))["tries"] >= 3


async def test_each_try_reads_the_user_data_again_and_starts_without_containers(
    stage: Stage, server: Aggregator, source: str
) -> None:
    wrong = user_data_with_health(source, "on_failure: retry\nhealth_check_timeout_seconds: 1\n")
    await stage.instance(wrong.replace("/health\n", "/nothing-here\n"))
    async with stage.agent(server.url, **QUICK) as running:
        status = await seen(running, lambda one: one["state"] == "failed" and one["tries"] == 2)
        assert ": HTTP 404 instead of 200" in status["reasons"][0]
        assert (status["container"], await stage.inspect()) == (None, None)
        stage.service.user_data = wrong.encode()
        booted = await running.until("ok")
        predicates = await stated(stage, server)
    assert (booted["problems"], booted["container"]["restarts"], booted["drift"]) == ([], 0, [])
    assert told(predicates) == ["failed container-unhealthy", "boot"]


class Relay:
    """A socket before the engine's, which goes away as an engine does: connections end, and none is taken."""

    def __init__(self, engine: str, directory: Path) -> None:
        self.engine = engine.removeprefix("unix://")
        self.path = directory / "engine.sock"
        self.writers: set[asyncio.StreamWriter] = set()

    @asynccontextmanager
    async def there(self) -> AsyncIterator[None]:
        self.path.unlink(missing_ok=True)
        server = await asyncio.start_unix_server(self._serve, str(self.path))
        try:
            yield
        finally:
            server.close()
            for writer in list(self.writers):
                writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        inside, outside = await asyncio.open_unix_connection(self.engine)
        self.writers |= {writer, outside}
        await asyncio.gather(self._copy(reader, outside), self._copy(inside, writer))
        self.writers -= {writer, outside}

    async def _copy(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while part := await reader.read(65_536):
                writer.write(part)
                await writer.drain()
        except OSError:
            pass
        writer.close()


async def test_an_unreachable_engine_during_the_health_check_does_not_end_the_boot(
    stage: Stage, server: Aggregator, scape: Landscape, tmp_path: Path
) -> None:
    late = f"{BUSYBOX} sleep 5; exec {BUSYBOX} httpd -f -p 8080 -h /www"
    image = await scape.build("late", "1.0", scm=None, command=(BUSYBOX, "sh", "-c", late))
    await stage.instance(user_data_with_health(image.reference))
    relay = Relay(scape.engine, tmp_path)
    async with AsyncExitStack() as stack, AsyncExitStack() as before:
        await before.enter_async_context(relay.there())
        settings = {"engine_socket": f"unix://{relay.path}"}
        running = await stack.enter_async_context(stage.agent(server.url, **settings))
        await seen(running, lambda one: one["stage"] == "health")
        await before.aclose()
        away = await seen(running, lambda one: any("Docker Engine" in said for said in one["reasons"]))
        await stack.enter_async_context(relay.there())
        status = await running.until("ok")
    assert away["reasons"][1].startswith("waiting for the Docker Engine, try 2, ")
    assert (status["tries"], status["container"]["restarts"]) == (1, 0)
