"""A house's calls over HTTP, in this process, for callers that a test names by their tokens."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress

from aiohttp import web

from fakes.in_process import LIMITLESS, InProcess
from whence_aggregator.callers.caller import Caller
from whence_aggregator.callers.limits import Limit
from whence_aggregator.callers.membership import Membership
from whence_aggregator.callers.sign_in import NOBODY, Authenticator
from whence_aggregator.callers.tokens import token_hash
from whence_aggregator.http.applications import ApplicationCalls
from whence_aggregator.http.kio import KioCalls
from whence_aggregator.http.server import Server
from whence_aggregator.http.slots import Slots
from whence_common.clock import Now


def application_routes(house: InProcess, membership: Membership | None = None) -> list[web.RouteDef]:
    """Return the routes of the application registry."""
    membership = membership or Membership(None)
    kio = KioCalls(
        applications=house.applications, lists=house.application_lists, streams=Slots("streams", 4),
        membership=membership,
    )  # fmt: skip
    calls = ApplicationCalls(
        applications=house.applications, lists=house.application_lists, history=house.application_history,
        handovers=house.handovers, membership=membership,
    )  # fmt: skip
    return [*kio.routes(), *calls.routes()]


@asynccontextmanager
async def served(house: InProcess, routes: Sequence[web.RouteDef], known: Mapping[str, Caller]) -> AsyncIterator[str]:
    """Serve routes to callers by token; give the URL."""
    async with served_at(house.clock, routes, known) as url:
        yield url


@asynccontextmanager
async def served_at(now: Now, routes: Sequence[web.RouteDef], known: Mapping[str, Caller]) -> AsyncIterator[str]:
    """Serve routes to callers by token, with a clock; give the URL."""
    sign_in = Authenticator(
        known={token_hash(token): caller for token, caller in known.items()}, sources=NOBODY, sessions=None,
        attempts=Limit("address", LIMITLESS), now=now,
    )  # fmt: skip
    listening: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    server = Server(
        routes=routes, sign_in=sign_in, address="127.0.0.1", port=0, tls=None, listening=listening.set_result
    )
    running = asyncio.create_task(server.run())
    try:
        yield f"http://127.0.0.1:{await listening}"
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running
