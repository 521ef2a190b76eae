"""A loopback HTTP server that answers what a test says, wrong on purpose: statuses, lies, bodies that break off."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import web

from fakes.loopback import loopback


@dataclass
class Answer:
    """One answer. `cut_off` sends the whole length in the headers, and half of the bytes."""

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    cut_off: bool = False
    endless: bool = False


@asynccontextmanager
async def misbehaving(answers: Answer | Mapping[str, Answer]) -> AsyncIterator[str]:
    """Give host:port of a server that gives one answer to everything, or one by the end of the path."""

    async def respond(request: web.Request) -> web.StreamResponse:
        answer = answers if isinstance(answers, Answer) else _matching(answers, request.path)
        response = web.StreamResponse(status=answer.status, headers=answer.headers)
        if not answer.endless:
            response.content_length = len(answer.body)
        await response.prepare(request)
        if request.method == "HEAD":
            return response
        if answer.cut_off:
            await response.write(answer.body[: len(answer.body) // 2])
            assert request.transport is not None
            request.transport.close()
        elif answer.endless:
            try:
                while True:
                    await response.write(b"x" * 65_536)
            except ConnectionError:
                return response
        else:
            await response.write(answer.body)
        return response

    application = web.Application()
    application.router.add_route("*", "/{path:.*}", respond)
    async with loopback(application) as host:
        yield host


def _matching(answers: Mapping[str, Answer], path: str) -> Answer:
    return next((answer for end, answer in answers.items() if path.endswith(end)), Answer(status=404))
