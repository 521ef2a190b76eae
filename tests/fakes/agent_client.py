"""An agent's side of the aggregator's HTTP API, for machines that tests make up."""

from __future__ import annotations

from typing import Any

import aiohttp
import msgspec

from fakes.machine import Machine
from landscape.contract import checked


class AgentClient:
    """Calls one aggregator; gives status and JSON value."""

    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self._session = session
        self._url = url

    async def post(self, path: str, body: bytes, **headers: str) -> tuple[int, Any]:
        async with self._session.post(
            self._url + path, data=body, headers=headers, middlewares=(checked(self._url),)
        ) as answer:
            return answer.status, await answer.json(content_type=None)

    async def enrol(self, machine: Machine) -> tuple[int, Any]:
        _, challenge = await self.post("/v1/challenges", b"{}")
        machine.launch_now()
        request = machine.request(challenge["challenge"], challenge["audience"])
        return await self.post("/v1/enrolments", msgspec.json.encode(request))

    async def say(self, machine: Machine, **changes: Any) -> tuple[int, Any]:
        return await self.post("/v1/statements", machine.statement(**changes))
