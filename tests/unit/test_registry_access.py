"""Who may use the registry, and for how long: no granted token outlives its own, and strangers ask for no flood of checks."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from fakes.clocks import FakeClock
from whence_aggregator.callers.caller import Caller
from whence_aggregator.callers.known import Callers
from whence_aggregator.callers.limits import Limit, Rate
from whence_aggregator.callers.membership import Membership
from whence_aggregator.callers.sealing import Seal
from whence_aggregator.callers.sign_in import NOBODY, SignIn, Vouching
from whence_aggregator.callers.stups_people import Person
from whence_aggregator.callers.tokens import CallerToken, token_hash
from whence_aggregator.registry.access import GRANT_SECONDS, Access
from whence_aggregator.registry.instances import Instances
from whence_aggregator.registry.names import Repository
from whence_aggregator.registry.refusals import RegistryRefusal
from whence_aggregator.storage.sqlite import SqliteDatabase

REPOSITORY = Repository.parse("alpha/app")


class TokenService:
    """Knows one token; waits with each answer until `answering` is set."""

    def __init__(self) -> None:
        self.answering = asyncio.Event()
        self.under_way = self.most = 0

    async def person(self, token: str) -> Person | None:
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        await self.answering.wait()
        self.under_way -= 1
        return Person(uid="ada", realm="/employees", scopes=frozenset()) if token == "adas" else None


class House:
    """Access with one token, `secret`, whose rights a test changes."""

    def __init__(self, database: SqliteDatabase, service: TokenService | None = None) -> None:
        self.clock = FakeClock()
        self.callers = Callers({}, now=self.clock)
        self.know(frozenset({"alpha"}))
        self.access = Access(
            sign_in=SignIn(
                known=self.callers, vouching=Vouching(issuers={}, token_info=service) if service is not None else NOBODY,
                sessions=None, attempts=Limit("address", Rate(per_second=1e9, burst=1e9)), now=self.clock,
            ),
            membership=Membership(None), documents=None, public_read=False,
            instances=Instances(database=database, accounts=frozenset(), now=self.clock), open_teams=frozenset(),
            seal=Seal(b"s" * 32, purpose="token", random_bytes=lambda size: b"r" * size), now=self.clock,
        )  # fmt: skip

    def know(self, teams: frozenset[str], *, seconds: float = 3600.0) -> None:
        until = self.clock() + timedelta(seconds=seconds)
        token = CallerToken(hash=token_hash("secret"), caller=Caller(name="ci", teams=teams), until=until)
        self.callers.replace({token.hash: token})

    async def granted(self) -> str:
        principal = await self.access.authenticate("Bearer secret")
        return f"Bearer {await self.access.grant(principal, [(REPOSITORY, ['pull', 'push'])])}"

    async def refusal(self, authorization: str, *, client: str = "") -> str:
        with pytest.raises(RegistryRefusal) as caught:
            await self.access.authenticate(authorization, client=client)
        return caught.value.code


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[SqliteDatabase]:
    opened = await SqliteDatabase.open(tmp_path / "ledger.db")
    yield opened
    await opened.close()


async def test_a_granted_token_serves_its_caller_for_its_time(database: SqliteDatabase) -> None:
    house = House(database)
    granted = await house.granted()
    principal = await house.access.authenticate(granted)
    house.access.check_pull(principal, REPOSITORY)
    await house.access.check_push(principal, REPOSITORY)
    house.clock.advance(GRANT_SECONDS)
    assert await house.refusal(granted) == "UNAUTHORIZED"


async def test_a_granted_token_ends_with_the_one_that_is_revoked(database: SqliteDatabase) -> None:
    house = House(database)
    granted = await house.granted()
    house.callers.replace({})
    assert await house.refusal(granted) == "UNAUTHORIZED"


async def test_a_granted_token_ends_when_its_callers_expires(database: SqliteDatabase) -> None:
    house = House(database)
    house.know(frozenset({"alpha"}), seconds=10.0)
    granted = await house.granted()
    house.clock.advance(10.0)
    assert await house.refusal(granted) == "UNAUTHORIZED"


async def test_a_granted_token_pushes_no_more_for_a_team_that_was_taken_away(database: SqliteDatabase) -> None:
    house = House(database)
    granted = await house.granted()
    house.know(frozenset())
    principal = await house.access.authenticate(granted)
    house.access.check_pull(principal, REPOSITORY)
    with pytest.raises(RegistryRefusal, match="the token is not for this team"):
        await house.access.check_push(principal, REPOSITORY)


async def test_strangers_tokens_are_checked_so_many_at_once_and_neighbours_still_are(database: SqliteDatabase) -> None:
    service = TokenService()
    house = House(database, service)
    flood = [
        asyncio.ensure_future(house.access.authenticate(f"Bearer made-up-{number}", client="192.0.2.66"))
        for number in range(1_000)
    ]
    await asyncio.sleep(0)
    neighbour = asyncio.ensure_future(house.access.authenticate("Bearer adas", client="192.0.2.7"))
    await asyncio.sleep(0)
    assert service.most == 129
    service.answering.set()
    assert (await neighbour).name == "ada"
    refused = await asyncio.gather(*flood, return_exceptions=True)
    codes = [one.code for one in refused if isinstance(one, RegistryRefusal)]
    assert (codes.count("UNAUTHORIZED"), codes.count("TOOMANYREQUESTS")) == (128, 872)
