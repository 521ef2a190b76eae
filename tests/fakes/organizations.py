"""AWS Organizations where moto is no use: denial, throttling, empty pages with a token, lists without an end.

Speaks the JSON 1.1 protocol of the service. moto answers a member's calls with 200, never throttles, and has no such pages.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from fakes.loopback import loopback

DENIED = "AccessDeniedException"
THROTTLED = "TooManyRequestsException"


@dataclass
class Organizations:
    """`pages` are the answers of each action, one a call; the last one again and again. `refusals` come first."""

    pages: dict[str, list[dict[str, Any]]]
    refusals: dict[str, str] = field(default_factory=dict)
    asked: Counter[str] = field(default_factory=Counter)
    bodies: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    url: str = ""

    @asynccontextmanager
    async def serve(self) -> AsyncIterator[Organizations]:
        """Serve on a loopback port for the block's duration; `url` says which."""
        application = web.Application(client_max_size=1024 * 1024)
        application.router.add_post("/", self._answer)
        async with loopback(application) as host:
            self.url = f"http://{host}"
            yield self

    async def _answer(self, request: web.Request) -> web.Response:
        action = request.headers["X-Amz-Target"].partition(".")[2]
        self.bodies.append((action, json.loads(await request.read())))
        number, self.asked[action] = self.asked[action], self.asked[action] + 1
        if action in self.refusals:
            refused = {"__type": self.refusals[action], "Message": "no"}
            return web.json_response(refused, status=400, content_type="application/x-amz-json-1.1")
        pages = self.pages.get(action, [{}])
        answer = pages[min(number, len(pages) - 1)]
        return web.json_response(answer, content_type="application/x-amz-json-1.1")
