"""The cost of verifying a JSON Web Token beside the time of queries, in the same run: at most 5 % in the median.

The issuer's keys are cached, as in operation. A client presents one token many times, which is the first figure; the
second is for new tokens, of which no check is cached.
"""

from __future__ import annotations

import statistics
import time
from contextlib import AsyncExitStack
from pathlib import Path

import aiohttp

from fakes.agent_client import AgentClient
from fakes.issuer import AUDIENCE, Issuer, issuer
from fakes.machine import Machine
from fakes.sign_in_house import sign_in_house
from fakes.signing_authority import SigningAuthority
from landscape.programs import Aggregator, aggregator

_INSTANCES = 100
"""Few, so queries are fast and the share of the verification is large."""
_ASKED = 300
_QUERIES = {
    "trace by instance": "/v1/trace?instance=i-{:017x}", "all instances": "/v1/instances?limit=100",
    "summary": "/v1/summary", "violations": "/v1/violations",
}  # fmt: skip
_CLAIMS = {
    "uid": "preferred_username", "groups": "groups", "group_prefix": "team-", "rights": [{"right": "read"}],
}  # fmt: skip


async def measure(directory: Path, *, rounds: int, limit: Path) -> None:
    """Print the medians of queries with a static token and with new tokens, and of the verification alone."""
    authority = SigningAuthority.make()
    async with AsyncExitStack() as stack:
        people = await stack.enter_async_context(issuer(time.time))
        sign_in = {"issuers": [{"issuer": people.url, "audiences": [AUDIENCE], "claims": _CLAIMS}]}
        server = await stack.enter_async_context(
            aggregator(directory, directory, authority_pem={"eu-central-1": authority.pem}, sign_in=sign_in)
        )
        session = await stack.enter_async_context(aiohttp.ClientSession())
        client = AgentClient(session, server.url)
        for number in range(_INSTANCES):
            machine = Machine(authority, f"i-{number:017x}")
            await client.enrol(machine)
            await client.say(machine)
        first, again = await _verified(directory)
        print(f"a new token: p50 {first * 1e3:.0f} µs; the same within a minute: p50 {again * 1e3:.1f} µs")
        for _ in range(rounds):
            await _round(server, session, people, first, again)


async def _round(
    server: Aggregator, session: aiohttp.ClientSession, people: Issuer, first: float, again: float
) -> None:
    """Ask with each kind of token in turns, so that whatever else the machine does costs all the same."""
    once = _minted(people, _ASKED)
    for name, path in _QUERIES.items():
        static, same, new = [], [], []
        for number in range(_ASKED):
            static.append(await _asked(server, session, server.token, path, number))
            same.append(await _asked(server, session, once, path, number))
            new.append(await _asked(server, session, _minted(people, number), path, number))
        query = statistics.median(static)
        print(
            f"{name}: p50 {query:.2f} ms with a static token, {statistics.median(same):.2f} ms with one token, "
            f"{statistics.median(new):.2f} ms with new tokens; verifying is {again / query:.1%} of the query, "
            f"{first / query:.1%} with new tokens",
            flush=True,
        )


async def _asked(server: Aggregator, session: aiohttp.ClientSession, token: str, path: str, number: int) -> float:
    """Return the milliseconds of one query."""
    url = server.url + path.format(number % _INSTANCES)
    began = time.perf_counter()
    async with session.get(url, headers={"Authorization": f"Bearer {token}"}) as answer:
        assert answer.status == 200
        await answer.read()
    return (time.perf_counter() - began) * 1e3


async def _verified(directory: Path) -> tuple[float, float]:
    """Return the median milliseconds of the check of a new token and of one that was just checked, in this process."""
    place = directory / "house"
    place.mkdir()
    taken: tuple[list[float], list[float]] = [], []
    async with sign_in_house(place) as house:
        sign_in = house.signing_in.sign_in
        await sign_in.caller(_minted(house.issuer, _ASKED), address="192.0.2.1")
        for number in range(_ASKED):
            token = _minted(house.issuer, number)
            for times in taken:
                began = time.perf_counter()
                await sign_in.caller(token, address="192.0.2.1")
                times.append((time.perf_counter() - began) * 1e3)
        assert house.issuer.fetched == 1
    return statistics.median(taken[0]), statistics.median(taken[1])


def _minted(people: Issuer, number: int) -> str:
    """Return an access token as large as providers make them."""
    groups = [f"team-{one}-of-the-organisation" for one in range(20)]
    return people.mint(
        jti=f"token-{number}-{people.now()}", groups=groups, email="ada@example.org", scope="openid profile"
    )
