"""The front's challenges: limited for each client, whatever proxy stands before them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from fakes.guarded_server import guarded_server
from fakes.in_process import InProcess
from fakes.pulls import Pulls
from fakes.signing_authority import SigningAuthority
from whence_aggregator.callers.limits import ChallengeLimits, Limit, Rate
from whence_aggregator.callers.trusted_proxies import TrustedProxies
from whence_aggregator.http.front_agents import FrontAgentCalls
from whence_aggregator.storage.sqlite import SqliteDatabase


@pytest.fixture
async def house(tmp_path: Path, authority: SigningAuthority) -> AsyncIterator[InProcess]:
    database = await SqliteDatabase.open(tmp_path / "ledger.db")
    async with InProcess(database, authority).running() as running:
        yield running
    await database.close()


async def test_the_fronts_challenges_are_limited_for_each_client_behind_a_proxy(house: InProcess) -> None:
    pulls = Pulls(house)
    limit, key = (Limit(what, Rate(per_second=0.001, burst=2.0)) for what in ("address", "key"))
    challenges = ChallengeLimits(address=limit, key=key)
    calls = FrontAgentCalls(enrolments=pulls.enrolments, pull_tokens=pulls.tokens, challenges=challenges)
    async with guarded_server(calls.routes(), proxies=TrustedProxies.parse(["127.0.0.0/24"])) as server:

        async def ask(client: str) -> bytes:
            proxy = await server.connect()
            proxy.send(
                b"POST /v2/_whence/v1/challenges HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n"
                b"X-Forwarded-For: %s\r\n\r\n{}" % client.encode()
            )
            return (await proxy.answered())[0][9:12]

        assert [await ask("192.0.2.66") for _ in range(3)] == [b"201", b"201", b"429"]
        assert await ask("192.0.2.7") == b"201"
        assert [await ask(f"2001:db8::{number}") for number in range(1, 4)] == [b"201", b"201", b"429"]


async def test_who_may_ask_for_no_challenge_is_refused_before_its_body_is_read(house: InProcess) -> None:
    pulls = Pulls(house)
    limit, key = (Limit(what, Rate(per_second=0.001, burst=1.0)) for what in ("address", "key"))
    challenges = ChallengeLimits(address=limit, key=key)
    calls = FrontAgentCalls(enrolments=pulls.enrolments, pull_tokens=pulls.tokens, challenges=challenges)
    limit.take("127.0.0.1")
    async with guarded_server(calls.routes()) as server:
        client = await server.connect()
        client.send(b"POST /v2/_whence/v1/challenges HTTP/1.1\r\nHost: a\r\nContent-Length: 500\r\n\r\n")
        assert (await client.answered())[0].startswith(b"HTTP/1.1 429")
