"""The Engine's streaming responses, pulls and events, which can be cancelled at any time."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing
from typing import Any

import aiohttp

from whence_agent.adapters.engine_configuration import command_digest
from whence_agent.adapters.engine_errors import away, call_refused, pull_refused, pull_stalled
from whence_agent.adapters.engine_pull import PullWatch
from whence_agent.ports import EngineEvent, EngineFailed, PullProgress
from whence_common.errors import one_line
from whence_common.registry_sign_in import Login

PULL_STALL_SECONDS_MAX = 60.0
"""The ECS agent's and the kubelet's value: half of it ended pulls from slow registries, twice is rarely needed."""
_LINE_BYTES_MAX = 8 * 1024 * 1024
"""An exec's event has its command line twice, and the kernel's limit for command lines is 2 MiB."""
_PIECE_BYTES = 64 * 1024
_REFUSAL_BYTES_MAX = 256 * 1024
_CONNECT_SECONDS_MAX = 10.0
_ACTIONS = (
    "create", "start", "kill", "die", "destroy", "exec_start", "update", "rename", "oom", "pause", "unpause",
    "health_status",
)  # fmt: skip
_OF_PODMAN = {"died": "die", "remove": "destroy", "exec": "exec_start"}
"""Docker's names for Podman's events; Podman filters by its own names."""


class EngineStream:
    """Streams over the Engine's socket, Unix or TCP."""

    def __init__(self, *, socket: str, pull_stall_seconds_max: float = PULL_STALL_SECONDS_MAX) -> None:
        self._socket = socket
        self._pull_stall_seconds_max = pull_stall_seconds_max
        self._session: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        """Close the connections, if there are any."""
        if self._session is not None:
            await self._session.close()

    async def pull(
        self, repository: str, digest: str, login: Login | None, *, told: Callable[[PullProgress], None]
    ) -> None:
        """Pull an image until the engine has finished; leaving this call cancels the pull in the engine.

        Raises EngineFailed with the engine's message, or if there is no progress for too long.
        """
        parameters = {"fromImage": repository, "tag": digest}
        headers = {"X-Registry-Auth": _auth(login)} if login is not None else {}
        watch, now = PullWatch(stall_seconds_max=self._pull_stall_seconds_max), asyncio.get_running_loop().time
        silence_seconds_max = watch.silence_seconds_max()

        def refused(_: int, words: str) -> EngineFailed:
            return pull_refused(repository, digest, words)

        try:
            async with (
                asyncio.timeout(silence_seconds_max) as limit,
                aclosing(self._lines("POST", "/images/create", parameters, headers, refused)) as lines,
            ):
                async for event in lines:
                    if "error" in event:
                        raise refused(200, str(event["error"]))
                    if watch.take(event):
                        silence_seconds_max = watch.silence_seconds_max()
                        limit.reschedule(now() + silence_seconds_max)
                        told(watch.progress())
        except TimeoutError as exc:
            raise pull_stalled(f"{repository}@{digest}", silence_seconds_max, watch.progress().describe()) from exc

    async def events(self, *, since: float = 0.0) -> AsyncIterator[EngineEvent]:
        """Yield the events of containers; first those after `since` that the engine has in memory.

        Raises EngineFailed when the stream ends.
        """
        parameters = {"filters": json.dumps({"type": ["container"], "event": [*_ACTIONS, *_OF_PODMAN]})}
        if since:
            parameters["since"] = f"{since:.6f}"
        async for found in self._lines("GET", "/events", parameters, {}, call_refused):
            event = _to_event(found)
            if event.at > since:
                yield event
        raise EngineFailed("engine-unreachable", "the Docker Engine closed the stream of events")

    async def _lines(
        self,
        method: str,
        path: str,
        parameters: dict[str, str],
        headers: dict[str, str],
        refused: Callable[[int, str], EngineFailed],
    ) -> AsyncGenerator[dict[str, Any]]:
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_SECONDS_MAX)
        session, base = self._connected()
        try:
            async with session.request(
                method, base + path, params=parameters, headers=headers, timeout=timeout
            ) as answer:
                if answer.status >= 400:
                    document = _object(await answer.content.read(_REFUSAL_BYTES_MAX))
                    raise refused(answer.status, str(document.get("message", f"HTTP {answer.status}")))
                async for line in _whole_lines(answer.content):
                    yield _object(line)
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as exc:
            raise away(self._socket, exc) from exc

    def _connected(self) -> tuple[aiohttp.ClientSession, str]:
        scheme, _, rest = self._socket.partition("://")
        if self._session is None:
            connector = (
                aiohttp.UnixConnector(path="/" + rest.lstrip("/")) if scheme == "unix" else aiohttp.TCPConnector()
            )
            self._session = aiohttp.ClientSession(connector=connector, read_bufsize=_PIECE_BYTES)
        return self._session, "http://engine" if scheme == "unix" else f"http://{rest}"


async def _whole_lines(content: aiohttp.StreamReader) -> AsyncGenerator[bytes]:
    """Yield each line. A line longer than the bound is skipped, so that it does not end the stream."""
    line, too_long = bytearray(), False
    while piece := await content.read(_PIECE_BYTES):
        *ends, rest = piece.split(b"\n")
        for end in ends:
            if not too_long:
                yield bytes(line + end)
            line, too_long = bytearray(), False
        too_long = too_long or len(line) + len(rest) > _LINE_BYTES_MAX
        line = bytearray() if too_long else line + rest
    if line:
        yield bytes(line)


def _auth(login: Login) -> str:
    """Return a login as the Engine's X-Registry-Auth header; it is only in this request and the engine's memory."""
    document = {
        "username": login.username,
        "password": login.password,
        "identitytoken": login.identity_token,
        "registrytoken": login.registry_token,
    }
    return base64.urlsafe_b64encode(json.dumps({k: v for k, v in document.items() if v}).encode()).decode("ascii")


def _to_event(event: dict[str, Any]) -> EngineEvent:
    actor = event.get("Actor") if isinstance(event.get("Actor"), dict) else {}
    attributes = actor.get("Attributes") or {} if isinstance(actor, dict) else {}
    action, _, detail = str(event.get("Action", "")).partition(": ")
    words = detail.split()
    return EngineEvent(
        action=_OF_PODMAN.get(action, one_line(action, 40)),
        container_id=one_line(str(actor.get("ID", "") if isinstance(actor, dict) else ""), 64),
        name=one_line(str(attributes.get("name", "")), 128),
        image=one_line(str(attributes.get("image", "")), 300),
        detail=one_line(words[0], 80) if words else "",
        command=command_digest(detail) if words else "",
        at=_seconds(event.get("timeNano")),
    )


def _seconds(nanoseconds: Any) -> float:
    return nanoseconds / 1_000_000_000 if isinstance(nanoseconds, int) else 0.0


def _object(line: bytes) -> dict[str, Any]:
    try:
        document = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}
