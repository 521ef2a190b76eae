"""The Docker Engine's API, called in threads. Images are referenced by digest; no shell is involved."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import suppress
from typing import Any, TypeVar

from whence_agent.adapters.engine_archive import read_file
from whence_agent.adapters.engine_client import EngineAway, EngineClient, EngineNotFound, EngineRefusal
from whence_agent.adapters.engine_configuration import configuration, health, health_checks
from whence_agent.adapters.engine_create import FINGERPRINT, create_document
from whence_agent.adapters.engine_errors import away, call_refused
from whence_agent.adapters.engine_life import LifeSigns
from whence_agent.adapters.engine_stream import PULL_STALL_SECONDS_MAX, EngineStream
from whence_agent.adapters.engine_version import NEWEST, choose_version
from whence_agent.ports import ContainerSpec, ContainerState, EngineEvent, EngineFailed, PullProgress
from whence_agent.ports_engine import Remembered
from whence_common.errors import one_line
from whence_common.image_provenance import ImageConfig
from whence_common.registry_sign_in import Login
from whence_common.statement import ContainerFacts

_REQUEST_SECONDS_MAX = 60
"""For one call, well below the deadline of the stage `run`. A slow engine continues after the timeout, so the next try
finds the name in use, or the running container."""
_LOOK_SECONDS_MAX = 5
"""For reads: a thread that waits for a hanging engine is free again before the next periodic read."""
_CONNECT_SECONDS_MAX = 10
_STOP_SECONDS_MAX = 10

_STATES = {"configured": "created", "initialized": "created", "stopped": "exited", "stopping": "running"}
"""Docker's names for Podman's states."""

T = TypeVar("T")


def _ignore(_: PullProgress) -> None:
    """Ignore a pull's progress."""


class DockerEngine:
    """One engine. Clients are created on first use, since they request the version of the API."""

    def __init__(self, *, socket: str, pull_stall_seconds_max: float = PULL_STALL_SECONDS_MAX) -> None:
        self._socket = socket
        self._stream = EngineStream(socket=socket, pull_stall_seconds_max=pull_stall_seconds_max)
        self._life = LifeSigns(socket=socket)
        self._clients: dict[int, EngineClient] = {}
        """Clients by their timeout in seconds."""
        self._making = {seconds: asyncio.Lock() for seconds in (_REQUEST_SECONDS_MAX, _LOOK_SECONDS_MAX)}

    async def close(self) -> None:
        """Close the connections, if there are any."""
        await self._stream.close()
        await self._life.close()

    async def pull(
        self,
        repository: str,
        digest: str,
        login: Login | None,
        *,
        on_progress: Callable[[PullProgress], None] = _ignore,
    ) -> str:
        await self._stream.pull(repository, digest, login, told=on_progress)
        return await self._call(lambda client: _pulled(client, repository, digest))

    async def config(self, image: str) -> ImageConfig:
        return await self._call(lambda client: _config(client, image))

    async def read_file(self, image: str, path: str, bytes_max: int) -> bytes | None:
        return await self._call(lambda client: read_file(client, image, path, bytes_max))

    async def run(self, spec: ContainerSpec) -> ContainerFacts:
        return await self._call(lambda client: _run(client, spec))

    async def inspect(self, name: str) -> ContainerState | None:
        return await self._call(lambda client: _state(client, name), seconds_max=_LOOK_SECONDS_MAX)

    async def start(self, name: str) -> None:
        await self._call(lambda client: client.start(name))

    async def restart(self, name: str) -> None:
        await self._call(lambda client: client.restart(name, timeout=_STOP_SECONDS_MAX))

    async def stop(self, name: str, *, seconds_max: int = _STOP_SECONDS_MAX, remove: bool = True) -> None:
        await self._call(lambda client: _stop(client, name, seconds_max, remove=remove))

    async def running(self) -> list[EngineEvent]:
        return await self._call(_running, seconds_max=_LOOK_SECONDS_MAX)

    def events(self, *, since: float = 0.0) -> AsyncIterator[EngineEvent]:
        return self._stream.events(since=since)

    async def ping(self) -> None:
        await self._life.ping()

    async def remembered(self, container_id: str, *, since: float, until: float) -> Remembered:
        return await self._life.remembered(container_id, since=since, until=until)

    async def _connected(self, seconds_max: int = _REQUEST_SECONDS_MAX) -> EngineClient:
        async with self._making[seconds_max]:
            if seconds_max not in self._clients:
                self._clients[seconds_max] = await asyncio.to_thread(_connect, self._socket, seconds_max)
        return self._clients[seconds_max]

    async def _call(self, work: Callable[[EngineClient], T], *, seconds_max: int = _REQUEST_SECONDS_MAX) -> T:
        try:
            client = await self._connected(seconds_max)
            return await asyncio.to_thread(work, client)
        except EngineRefusal as exc:
            raise call_refused(exc.status_code, exc.explanation) from exc
        except EngineAway as exc:
            raise away(self._socket, exc.__cause__ or exc) from exc


def _connect(socket: str, seconds_max: int) -> EngineClient:
    newest = ".".join(map(str, NEWEST))
    asking = EngineClient(base_url=socket, version=newest, timeout=min(seconds_max, _CONNECT_SECONDS_MAX))
    stated = asking.version()
    version = choose_version(newest=str(stated.get("ApiVersion", "")), oldest=str(stated.get("MinAPIVersion", "")))
    return EngineClient(base_url=socket, version=version, timeout=seconds_max)


def _pulled(client: EngineClient, repository: str, digest: str) -> str:
    """Return the id of the pulled image. Engines may shorten names, so only the digest is compared."""
    try:
        image = client.inspect_image(f"{repository}@{digest}")
    except EngineNotFound as exc:
        raise EngineFailed("engine-pull", f"the engine does not have {repository}@{digest} after the pull") from exc
    if digest not in _digests(image):
        raise EngineFailed(
            "engine-wrong-digest", f"the engine pulled another image than {repository}@{digest}", retryable=False
        )
    return str(image["Id"])


def _digests(image: Mapping[str, Any]) -> list[str]:
    """Return the digests of an image's manifests. With the containerd image store, the image's id is one of them."""
    named = [str(one).partition("@")[2] for one in image.get("RepoDigests") or []]
    descriptor = image.get("Descriptor")
    if isinstance(descriptor, dict):
        named.append(str(descriptor.get("digest", "")))
    return [one for one in (*named, str(image.get("Id", ""))) if one]


def _config(client: EngineClient, image: str) -> ImageConfig:
    """Return an image's labels and time of creation, from the engine's `Config` in place of the configuration blob."""
    inspected = client.inspect_image(image)
    labels = (inspected.get("Config") or {}).get("Labels")
    return ImageConfig(labels=labels if isinstance(labels, dict) else {}, created=str(inspected.get("Created") or ""))


def _run(client: EngineClient, spec: ContainerSpec) -> ContainerFacts:
    existing = _inspect(client, spec.name)
    if existing is not None:
        labels = existing["Config"].get("Labels") or {}
        if existing["State"]["Running"] and labels.get(FINGERPRINT) == spec.fingerprint:
            return _to_facts(client, existing)
        _stop(client, spec.name, _STOP_SECONDS_MAX, remove=True)
    created = client.create_container(create_document(client, spec), name=spec.name)
    try:
        client.start(created["Id"])
    except Exception:
        with suppress(Exception):  # the engine may be down; the next try removes the container of this name
            client.remove_container(created["Id"], force=True, v=True)
        raise
    inspected = _inspect(client, spec.name)
    if inspected is None:
        raise EngineFailed("engine-refused", f"the container {spec.name} does not exist after its start")
    if _bare(inspected["Image"]) != _bare(spec.image_id):
        _stop(client, spec.name, 0, remove=True)
        raise EngineFailed(
            "engine-wrong-image", f"the engine started another image than {spec.image}", retryable=False
        )  # fmt: skip
    return _to_facts(client, inspected)


def _bare(image_id: str) -> str:
    """Return an image's id without its algorithm, which Podman sometimes omits."""
    return image_id.removeprefix("sha256:")


def _inspect(client: EngineClient, name: str) -> dict[str, Any] | None:
    try:
        found: dict[str, Any] = client.inspect_container(name)
    except EngineNotFound:
        return None
    return found


def _state(client: EngineClient, name: str) -> ContainerState | None:
    inspected = _inspect(client, name)
    if inspected is None:
        return None
    return ContainerState(
        facts=_to_facts(client, inspected),
        configuration=configuration(inspected),
        out_of_memory=bool(inspected["State"].get("OOMKilled")),
        checks=health_checks(inspected),
    )


def _to_facts(client: EngineClient, inspected: dict[str, Any]) -> ContainerFacts:
    state = inspected["State"]
    return ContainerFacts(
        name=str(inspected["Name"]).lstrip("/"),
        container_id=str(inspected["Id"]),
        image_digest=_image_digest(client, inspected),
        state=_STATES.get(str(state["Status"]), str(state["Status"])),
        started_at=re.sub(r"(\.\d{3})\d*Z$", r"\1Z", str(state.get("StartedAt", ""))),
        exit_code=state.get("ExitCode") if not state.get("Running") else None,
        engine_health=health(inspected) if state.get("Running") else "",
    )


def _image_digest(client: EngineClient, inspected: dict[str, Any]) -> str:
    """Return the digest that the container was created from: from its image reference, else from the engine's image."""
    _, at, digest = str(inspected["Config"].get("Image", "")).partition("@")
    if at:
        return digest
    try:
        known = client.inspect_image(inspected["Image"]).get("RepoDigests") or []
    except EngineNotFound:
        return ""
    return next((str(one).partition("@")[2] for one in known), "")


def _running(client: EngineClient) -> list[EngineEvent]:
    return [
        EngineEvent(
            action="start",
            container_id=str(found["Id"]),
            name=one_line(str((found.get("Names") or [""])[0]).lstrip("/"), 128),
            image=one_line(str(found.get("Image", "")), 300),
        )
        for found in client.containers()
    ]


def _stop(client: EngineClient, name: str, seconds_max: int, *, remove: bool) -> None:
    try:
        client.stop(name, timeout=seconds_max)
        if remove:
            client.remove_container(name, force=True, v=True)  # with the volumes that the image declares
    except EngineNotFound:
        return
