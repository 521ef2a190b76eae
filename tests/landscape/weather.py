"""Boots of the real agent in bad weather: between it and each part of its world there is a road that fails as forecast."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import docker
from aiohttp import web

from fakes.weather import Exposed, Fault, Forecast, Kind
from fakes.weather_front import Front
from fakes.weather_roads import EngineRoad, NameServer, SmallDisk
from landscape.processes import free_port
from landscape.programs import AgentSettings, Aggregator, agent_config, aggregator
from landscape.supervised import Supervised, small_disk, supervised, with_name_server
from landscape.weather_images import NAME, Images
from landscape.weather_verdict import HEALTH_SECONDS, Seen, Verdict, judge, text_of
from landscape.whole import Landscape
from whence_agent.stage_table import STAGE_SECONDS_MAX

AT_ONCE_MAX = 8
SETTLE_SECONDS_MAX = 60.0
"""So long after the weather everything must be well: the longest pauses and an answer."""
_MARGIN_SECONDS = 60.0
_LOOK_SECONDS = 0.2
_BUCKET = "weather-stups-mint"
_PAIR = {
    "user.json": {"application_username": "u", "application_password": "p"},
    "client.json": {"client_id": "c", "client_secret": "s"},
}
_DISK_KIBIBYTES = 2048
_RETRY_PAUSE_SECONDS_MAX = 10.0
_OF_THE_WEATHER = ("identity", "secrets", "image", "pull", "run")
_LIMITS = {
    "challenges_per_address": 1e6, "enrolments_per_account": 1e6, "statements_per_account": 1e6,
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How one boot went."""

    forecast: Forecast
    verdict: Verdict
    why: str
    seen: Seen


class Sky:
    """The landscape below, and boots in it, at most eight at a time."""

    def __init__(self, scape: Landscape, server: Aggregator, directory: Path, images: Images, secret: str) -> None:
        self._scape = scape
        self._server = server
        self._directory = directory
        self._images = images
        self._secret = secret
        self._places: asyncio.Queue[int] = asyncio.Queue()
        for place in range(1, AT_ONCE_MAX + 1):
            self._places.put_nowait(place)

    async def boot(self, forecast: Forecast) -> Outcome:
        """Boot one machine in this weather, and judge it."""
        place = await self._places.get()
        try:
            seen = await self._seen(forecast, place)
        finally:
            self._places.put_nowait(place)
        verdict, why = judge(forecast, seen)
        return Outcome(forecast=forecast, verdict=verdict, why=why, seen=seen)

    async def _seen(self, forecast: Forecast, place: int) -> Seen:
        home = self._directory / f"boot-{forecast.number}"
        home.mkdir()
        scape, container = self._scape, f"whence-weather-{forecast.number}"
        digest = await self._images.make(str(forecast.number))
        async with AsyncExitStack() as stack:
            registry = await stack.enter_async_context(_front(f"http://{scape.registry}", "registry"))
            user_data = self._user_data(f"localhost:{registry.port}/demo/{NAME}:{forecast.number}")
            service = await stack.enter_async_context(scape.instance(user_data.encode()))
            metadata = await stack.enter_async_context(_front(service.url, "metadata"))
            aws = await stack.enter_async_context(Front(scape.aws.url, _aws_kinds, port=free_port()).serve())
            ingest = await stack.enter_async_context(_front(self._server.url, "aggregator"))
            road = EngineRoad(home / "engine.sock", scape.engine)
            engine = await stack.enter_async_context(road.serve())
            names = NameServer(f"127.53.{os.getpid() % 250}.{place}")
            await stack.enter_async_context(names.serve())
            state = await stack.enter_async_context(small_disk(home / "state", kibibytes=_DISK_KIBIBYTES))
            image = f"localhost:{registry.port}/demo/{NAME}@{digest}"
            stack.push_async_callback(self._clean, container, image)
            settings = AgentSettings(
                metadata_url=f"http://127.0.0.1:{metadata.port}", aggregator_url=f"http://localhost:{ingest.port}",
                engine=engine, aws_url=f"http://localhost:{aws.port}",
                immutable_registries=(f"localhost:{registry.port}",), extra=_extra(forecast, state),
            )  # fmt: skip
            parts: dict[Kind, Exposed] = {
                "metadata": metadata, "registry": registry, "s3": aws, "kms": aws, "clock": aws, "aggregator": ingest,
                "engine": road, "dns": names, "disk": SmallDisk(state),
            }  # fmt: skip
            port = free_port()
            config = agent_config(settings, home=home, name=container, status_port=port)
            async with _blowing(forecast, parts) as calm:
                started_at = datetime.now(UTC)
                within = with_name_server(home / "etc", names.address)
                async with supervised(home, config, port=port, within=within) as agent:
                    end = await _until_ended(agent, forecast)
                    await calm()
                    await _until_told(agent)
                    running = await self._running(container)
                return await self._looked_at(service.instance_id, agent, end, started_at, running)

    def _user_data(self, source: str) -> str:
        return (
            "#taupage-ami-config\napplication_id: weather\napplication_version: '1.0'\nruntime: Docker\n"
            f"source: {source}\nports: {{{free_port()}: 8080}}\nhealth_check_path: /health\n"
            f"health_check_timeout_seconds: {HEALTH_SECONDS:.0f}\nmint_bucket: {_BUCKET}\n"
            f"environment: {{DB: 'aws:kms:{self._secret}'}}\n"
        )

    async def _looked_at(
        self, instance_id: str, agent: Supervised, end: _End, started_at: datetime, running: list[str]
    ) -> Seen:
        shown = await self._server.get(f"/v1/instances/{instance_id}")
        ledger = [(one["sequence"], one["digest"], one["cause"]) for one in shown.get("statements", [])]
        stated = ""
        if digest := next((digest for _, digest, cause in ledger if cause == "failed"), None):
            envelope = await self._server.get(f"/v1/statements/{digest}")
            predicate = json.loads(base64.b64decode(envelope["payload"]))["predicate"]
            stated = text_of([one for one in predicate["problems"] if one["severity"] == "error"])
        kept = [(one["sequence"], one["digest"]) for one in agent.said() if one.get("message") == "statement kept"]
        log = agent.log.read_text(encoding="utf-8", errors="replace")
        return Seen(
            status=end.status, before=end.before, began=end.began, started_at=started_at, seconds=end.seconds, starts=agent.starts,
            kept=kept, ledger=ledger, stated=stated,
            containers=running if end.status.get("state") == "failed" else (), log=log,
        )  # fmt: skip

    async def _running(self, container: str) -> list[str]:
        def running() -> list[str]:
            client = docker.APIClient(base_url=self._scape.engine, version="auto", timeout=60)
            try:
                return [container for found in client.containers() if f"/{container}" in (found.get("Names") or [])]
            finally:
                client.close()

        return await asyncio.to_thread(running)

    async def _clean(self, container: str, image: str) -> None:
        def remove() -> None:
            client = docker.APIClient(base_url=self._scape.engine, version="auto", timeout=60)
            try:
                client.remove_image(image, force=True)
            except docker.errors.APIError:
                pass  # it was never pulled
            finally:
                client.close()

        await self._scape.remove_container(container)
        await asyncio.to_thread(remove)


@asynccontextmanager
async def sky(scape: Landscape, directory: Path) -> AsyncIterator[Sky]:
    """Give what boots need beside the landscape: an aggregator, credentials, a secret, an image."""
    images = Images(scape)
    await images.build()
    await scape.aws.put_credentials(_BUCKET, "weather", _PAIR)
    secret = await scape.aws.encrypt("a secret")
    async with aggregator(
        directory, scape.logs, authority_pem=scape.authority_pem, registries=(scape.registry,), name="weather",
        limits=_LIMITS,
    ) as server:  # fmt: skip
        yield Sky(scape, server, directory, images, secret)


def _front(backend: str, kind: Kind) -> Any:
    return Front(backend, lambda _: (kind,), port=free_port()).serve()


def _aws_kinds(request: web.BaseRequest) -> tuple[Kind, ...]:
    if request.headers.get("X-Amz-Target", "").startswith("TrentService."):
        return "kms", "clock"
    return ("s3", "clock") if "/s3/" in request.headers.get("Authorization", "") else ("clock",)


def _extra(forecast: Forecast, state: Path) -> dict[str, object]:
    return {
        "state_directory": str(state),
        "container_directory": str(state / "container"),
        "stage_seconds_max": dict.fromkeys(_OF_THE_WEATHER, forecast.stage_seconds),
        "credentials_first_seconds_max": forecast.stage_seconds,
        "credentials_poll_seconds": 10.0,
        "on_failure": forecast.on_failure,
        "retry_pause_seconds_max": _RETRY_PAUSE_SECONDS_MAX,
        "watch_seconds": 2.0,
        "heartbeat_seconds": 5.0,
        "platform_containers": ["whence-weather-*"],  # its neighbours on the one engine
    }


@asynccontextmanager
async def _blowing(forecast: Forecast, parts: Mapping[Kind, Exposed]) -> AsyncIterator[Any]:
    """Have the faults begin and end when they should; what is given ends them all at once."""
    begun: list[Fault] = []

    async def blow(fault: Fault) -> None:
        await asyncio.sleep(fault.starts)
        begun.append(fault)
        await parts[fault.kind].begin(fault)
        await asyncio.sleep(fault.lasts)
        begun.remove(fault)
        await parts[fault.kind].end(fault)

    async def calm() -> None:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        while begun:
            fault = begun.pop()
            await parts[fault.kind].end(fault)

    tasks = [asyncio.create_task(blow(fault)) for fault in forecast.faults]
    await asyncio.sleep(0.05)  # those that are there before the agent
    try:
        yield calm
    finally:
        await calm()


@dataclass(slots=True)
class _End:
    """How far a boot came: its last status, those of failures before, and the seconds that it took."""

    status: dict[str, Any] = field(default_factory=dict)
    before: list[dict[str, Any]] = field(default_factory=list)
    began: dict[str, datetime] = field(default_factory=dict)
    seconds: float = 0.0
    _stage_since: str = ""

    def look(self, status: dict[str, Any]) -> None:
        """Note a status, and when the stage began that failed."""
        self.status = status
        if status["state"] == "booting" and status["stage"]:
            self._stage_since = status["since"]
        elif status["state"] == "failed" and self._stage_since:
            self.began.setdefault(status["since"], datetime.fromisoformat(self._stage_since))


async def _until_ended(agent: Supervised, forecast: Forecast) -> _End:
    """Watch a boot until it is ok or failed for good, or until that has taken too long."""
    began = time.monotonic()
    stages = (len(_OF_THE_WEATHER) + 1) * forecast.stage_seconds + HEALTH_SECONDS + STAGE_SECONDS_MAX["enrol"]
    booting_until = began + max(stages, forecast.over + SETTLE_SECONDS_MAX) + _MARGIN_SECONDS
    up_until: float | None = None
    end = _End()
    while True:
        status = await agent.status() or end.status
        if status:
            end.look(status)
        end.seconds = time.monotonic() - began
        state, follows = status.get("state"), status.get("next_try_at")
        if state == "ok" or (state == "failed" and not follows):
            return end
        if follows and follows not in [one["next_try_at"] for one in end.before]:
            end.before.append(status)
        now = began + end.seconds
        if state == "degraded":
            up_until = up_until or max(now, began + forecast.over) + SETTLE_SECONDS_MAX
        if now > booting_until or (up_until is not None and now > up_until):
            return end
        await asyncio.sleep(_LOOK_SECONDS)


async def _until_told(agent: Supervised) -> None:
    """Wait until nothing waits in the outbox any more, or long enough."""
    until = time.monotonic() + SETTLE_SECONDS_MAX
    while time.monotonic() < until:
        status = await agent.status()
        if status is not None and status["instance"] is None and status["state"] == "failed":
            return
        if status is not None and status["statements"]["acknowledged"] and not status["statements"]["waiting"]:
            return
        await asyncio.sleep(_LOOK_SECONDS)
