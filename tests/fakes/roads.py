"""Sessions of registries and readers of Git servers, as the aggregator's wiring makes them, for hosts on loopback."""

from __future__ import annotations

import asyncio
import socket
import time
from typing import Any

import aiohttp

from whence_aggregator.adapters.git_places import http_place
from whence_aggregator.adapters.git_process import GitRuns
from whence_aggregator.adapters.git_server import GitServerReader
from whence_aggregator.adapters.logins import Logins, NoLogin
from whence_aggregator.adapters.registry_session import RegistrySession
from whence_common.registry_address import Lookup, RegistryPlace


async def addresses(host: str) -> list[str]:
    """Look a host up, as the system does."""
    found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return [str(one[4][0]) for one in found]


def road(
    session: aiohttp.ClientSession,
    place: str | RegistryPlace,
    logins: Logins | None = None,
    *,
    lookup: Lookup = addresses,
) -> RegistrySession:
    """Return a session of one registry; nothing is shown to it where no logins are given."""
    if isinstance(place, str):
        place = RegistryPlace(registry=place)
    return RegistrySession(
        session=session, place=place, logins=logins or NoLogin(place.registry), seconds=time.monotonic, lookup=lookup
    )


def git_reader(*hosts: str, logins: Logins | None = None, **more: Any) -> GitServerReader:
    """Give a reader of Git servers without TLS; `more` is for the reader itself."""
    places = {one: http_place(one, plain_http=True, logins=logins) for one in hosts}
    return GitServerReader(runs=GitRuns(), places=places, **more)
