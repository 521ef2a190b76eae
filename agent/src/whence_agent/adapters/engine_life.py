"""The Engine's ping and its recent events: short requests, each over a new connection.

An engine that shuts down refuses new connections, but still responds on open ones.
"""

from __future__ import annotations

import json
from typing import Any

import aiohttp

from whence_agent.adapters.engine_errors import ENGINE_AWAY_FIX
from whence_agent.ports import EngineFailed
from whence_agent.ports_engine import Remembered

ANSWER_SECONDS_MAX = 4.0
_LINE_BYTES_MAX = 256 * 1024
_INFO_BYTES_MAX = 4 * 1024 * 1024


class LifeSigns:
    """Sends requests over the Engine's socket, Unix or TCP."""

    def __init__(self, *, socket: str) -> None:
        self._socket = socket
        self._session: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        """Close the session, if any."""
        if self._session is not None:
            await self._session.close()

    async def ping(self) -> None:
        """Check that the engine responds in time. Raises EngineFailed."""
        await self._ask("/_ping", {})

    async def remembered(self, container_id: str, *, since: float, until: float) -> Remembered:
        """Return the engine's recent events about a container's end. Raises EngineFailed.

        The engine has its last events in memory (256 in Docker), and loses them at a restart.
        """
        filters = json.dumps({"container": [container_id], "event": ["kill", "die"]})
        parameters = {"since": f"{since:.6f}", "until": f"{until:.6f}", "filters": filters}
        events = [_object(line) for line in (await self._ask("/events", parameters)).splitlines()]
        actions = [one.get("Action") for one in events]
        info = _object(await self._ask("/info", {}))
        return Remembered(
            died="die" in actions, killed="kill" in actions, live_restore=info.get("LiveRestoreEnabled") is True
        )

    async def _ask(self, path: str, parameters: dict[str, str]) -> bytes:
        timeout = aiohttp.ClientTimeout(total=ANSWER_SECONDS_MAX)
        session, base = self._connected()
        try:
            async with session.get(base + path, params=parameters, timeout=timeout) as answer:
                content = b""
                while len(content) <= _INFO_BYTES_MAX and (piece := await answer.content.read(_LINE_BYTES_MAX)):
                    content += piece
                if answer.status == 200:
                    return content
                reason = f"HTTP {answer.status}"
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as exc:
            reason = type(exc).__name__
        message = f"the Docker Engine at {self._socket} is unreachable ({reason})"
        raise EngineFailed("engine-unreachable", message, fix=ENGINE_AWAY_FIX)

    def _connected(self) -> tuple[aiohttp.ClientSession, str]:
        scheme, _, rest = self._socket.partition("://")
        if self._session is None:
            connector = (
                aiohttp.UnixConnector(path="/" + rest.lstrip("/"), force_close=True)
                if scheme == "unix"
                else aiohttp.TCPConnector(force_close=True)
            )
            self._session = aiohttp.ClientSession(connector=connector)
        return self._session, "http://engine" if scheme == "unix" else f"http://{rest}"


def _object(content: bytes) -> dict[str, Any]:
    try:
        document = json.loads(content)
    except (ValueError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}
