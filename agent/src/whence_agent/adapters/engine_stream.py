"""The Engine's endless answers, pulls and events, as streams that can be cancelled at any time."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp

from whence_agent.ports import EngineEvent, EngineFailed
from whence_common.errors import one_line
from whence_common.registry_sign_in import Login

ENGINE_AWAY_FIX = "systemctl status docker; where there is no Engine yet: apt-get install docker.io, or docker-ce"
_LINE_BYTES_MAX = 256 * 1024
_CONNECT_SECONDS_MAX = 10.0
_ACTIONS = ("create", "start", "die", "destroy", "exec_start", "update", "rename", "oom", "pause", "unpause")


class EngineStream:
    """Streams over the Engine's socket, a Unix one or TCP."""

    def __init__(self, *, socket: str) -> None:
        self._socket = socket
        self._session: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        """Close the connections, if there are any."""
        if self._session is not None:
            await self._session.close()

    async def pull(self, repository: str, digest: str, login: Login | None) -> None:
        """Pull until the engine says that it is done. Raises EngineFailed with the engine's own reason."""
        parameters = {"fromImage": repository, "tag": digest}
        headers = {"X-Registry-Auth": _auth(login)} if login is not None else {}
        async for event in self._lines("POST", "/images/create", parameters, headers):
            if "error" in event:
                why = one_line(str(event["error"]), 300)
                raise EngineFailed("engine-pull", f"{repository}@{digest} cannot be pulled: {why}")

    async def events(self) -> AsyncIterator[EngineEvent]:
        """Follow what happens to containers. Raises EngineFailed when the stream ends."""
        filters = json.dumps({"type": ["container"], "event": list(_ACTIONS)})
        async for event in self._lines("GET", "/events", {"filters": filters}, {}):
            yield _to_event(event)
        raise EngineFailed("engine-unreachable", "the Docker Engine ended its events")

    async def _lines(
        self, method: str, path: str, parameters: dict[str, str], headers: dict[str, str]
    ) -> AsyncIterator[dict[str, Any]]:
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_SECONDS_MAX)
        session, base = self._connected()
        try:
            async with session.request(
                method, base + path, params=parameters, headers=headers, timeout=timeout
            ) as answer:
                if answer.status >= 400:
                    document = _object(await answer.content.read(_LINE_BYTES_MAX))
                    why = one_line(str(document.get("message", f"HTTP {answer.status}")), 300)
                    raise EngineFailed("engine-refused", f"the Docker Engine refused: {why}")
                while line := await answer.content.readline():
                    yield _object(line)
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as exc:
            raise EngineFailed(
                "engine-unreachable", f"the Docker Engine at {self._socket} does not answer ({type(exc).__name__})",
                fix=ENGINE_AWAY_FIX,
            ) from exc  # fmt: skip

    def _connected(self) -> tuple[aiohttp.ClientSession, str]:
        scheme, _, rest = self._socket.partition("://")
        if self._session is None:
            connector = (
                aiohttp.UnixConnector(path="/" + rest.lstrip("/")) if scheme == "unix" else aiohttp.TCPConnector()
            )
            self._session = aiohttp.ClientSession(connector=connector, read_bufsize=_LINE_BYTES_MAX)
        return self._session, "http://engine" if scheme == "unix" else f"http://{rest}"


def _auth(login: Login) -> str:
    """Encode a login as the Engine's X-Registry-Auth; it stays in this request and the engine's memory."""
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
        action=one_line(action, 40),
        container_id=one_line(str(actor.get("ID", "") if isinstance(actor, dict) else ""), 64),
        name=one_line(str(attributes.get("name", "")), 128),
        image=one_line(str(attributes.get("image", "")), 300),
        detail=one_line(words[0], 80) if words else "",
    )


def _object(line: bytes) -> dict[str, Any]:
    try:
        document = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}
