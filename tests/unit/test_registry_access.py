"""Who may use the registry, and for how long: no granted token outlives its own, and strangers ask for no flood of checks."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from fakes.clocks import FakeClock
from whence_aggregator.callers.caller import Caller
from whence_aggregator.callers.compact_token import CompactToken
from whence_aggregator.callers.issuer import IssuerRules
from whence_aggregator.callers.job_rules import JobRule
from whence_aggregator.callers.jobs import Job
from whence_aggregator.callers.key_cache import FetchedKeys, KeyCache
from whence_aggregator.callers.known import Callers
from whence_aggregator.callers.limits import Limit, Rate
from whence_aggregator.callers.membership import Membership
from whence_aggregator.callers.sealing import Seal
from whence_aggregator.callers.sessions import Sessions
from whence_aggregator.callers.sign_in import NOBODY, Authenticator, IdentitySources, JobIssuer
from whence_aggregator.callers.stups_people import Person
from whence_aggregator.callers.tokens import CallerToken, token_hash
from whence_aggregator.registry.access import GRANT_SECONDS, Access
from whence_aggregator.registry.instances import Instances
from whence_aggregator.registry.names import Repository
from whence_aggregator.registry.pull_rule import EveryTeam
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


class Teams:
    """A team service: its members may write for every team."""

    def __init__(self) -> None:
        self.members = {"adas"}

    async def may_write(self, token: str, team: str) -> bool:
        return token in self.members


class House:
    """Access with one token, `secret`, whose rights a test changes."""

    def __init__(
        self, database: SqliteDatabase, service: TokenService | None = None, teams: Teams | None = None
    ) -> None:
        self.clock = FakeClock()
        self.callers = Callers({}, now=self.clock)
        self.know(frozenset({"alpha"}))
        self.access = Access(
            sign_in=Authenticator(
                known=self.callers, sources=IdentitySources(issuers={}, token_info=service) if service is not None else NOBODY,
                sessions=None, attempts=Limit("address", Rate(per_second=1e9, burst=1e9)), now=self.clock,
            ),
            membership=Membership(teams), documents=None, public_read=False,
            instances=Instances(database=database, accounts=frozenset(), now=self.clock), open_teams=frozenset(),
            pull_rule=EveryTeam(),
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
    await house.access.check_pull(principal, REPOSITORY)
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
    await house.access.check_pull(principal, REPOSITORY)
    with pytest.raises(RegistryRefusal, match="the token is not for this team"):
        await house.access.check_push(principal, REPOSITORY)


async def test_a_removed_member_pushes_with_a_granted_token_for_at_most_five_minutes(database: SqliteDatabase) -> None:
    service, teams = TokenService(), Teams()
    service.answering.set()
    house = House(database, service, teams)
    granted = f"Bearer {await granted_to(house, 'Bearer adas')}"
    teams.members.clear()
    with pytest.raises(RegistryRefusal, match="ada may not push for team alpha: not in the team"):
        await house.access.check_push(await house.access.authenticate("Bearer adas"), REPOSITORY)
    house.clock.advance(299)
    await house.access.check_push(await house.access.authenticate(granted), REPOSITORY)
    principal = await house.access.authenticate(granted)
    with pytest.raises(RegistryRefusal, match="cannot be renewed"):
        await house.access.grant(principal, [(REPOSITORY, ["push"])])
    house.clock.advance(1)
    assert await house.refusal(granted) == "UNAUTHORIZED"
    again = await house.access.authenticate(f"Bearer {await granted_to(house, 'Bearer adas')}")
    with pytest.raises(RegistryRefusal, match="does not permit pushing"):
        await house.access.check_push(again, REPOSITORY)


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


RULE = JobRule(
    team="alpha", project_id="1001", refs=("refs/heads/main",), ref_protected=False, events=frozenset({"push"})
)
JOB = Job(
    provider="github", issuer="https://ci.example.org", project_id="1001", project="hello/greeter",
    ref="refs/heads/main", event="push", commit="a" * 40, run="4711", attempt="1",
)  # fmt: skip


class JobHouse(House):
    """Access with a CI system whose rules a test changes, and people who read their own teams' images alone."""

    def __init__(self, database: SqliteDatabase) -> None:
        super().__init__(database)
        self.rules = [RULE]
        self.sessions = Sessions(
            database=database, seal=Seal(b"s" * 32, purpose="session", random_bytes=lambda size: b"r" * size),
            seconds=900.0, now=self.clock,
        )  # fmt: skip
        keys = KeyCache("https://ci.example.org", NoKeys(), clock=lambda: 0.0)
        ci = JobIssuer(
            rules=IssuerRules(issuer="https://ci.example.org", audiences=frozenset({"us"})), keys=keys, provider="github",
            job_rules=self.rules,
        )  # fmt: skip
        sources = IdentitySources(issuers={"https://ci.example.org": ci}, reads="teams")
        self.access = Access(
            sign_in=Authenticator(
                known=self.callers, sources=sources, sessions=self.sessions,
                attempts=Limit("address", Rate(per_second=1e9, burst=1e9)), now=self.clock,
            ),
            membership=Membership(None), documents=None, public_read=False,
            instances=Instances(database=database, accounts=frozenset(), now=self.clock), open_teams=frozenset(),
            pull_rule=EveryTeam(),
            seal=Seal(b"s" * 32, purpose="token", random_bytes=lambda size: b"r" * size), now=self.clock,
        )  # fmt: skip

    async def session(self) -> str:
        token = CompactToken(text="a.b.c", header={}, claims={"iss": JOB.issuer, "jti": "1"})
        return await self.sessions.begin(token, JOB, token_ends=self.clock().timestamp() + 300)


class NoKeys:
    """An issuer that nobody asks."""

    async def fetch(self) -> FetchedKeys:
        raise AssertionError("a session needs no keys")


async def test_a_job_pushes_and_pulls_for_its_team_and_says_what_it_is(database: SqliteDatabase) -> None:
    house = JobHouse(database)
    session = f"Bearer {await house.session()}"
    for authorization in (session, f"Bearer {await granted_to(house, session)}"):
        principal = await house.access.authenticate(authorization)
        assert (principal.kind, principal.name, principal.job) == ("job", "github:hello/greeter", JOB)
        await house.access.check_push(principal, REPOSITORY)
        await house.access.check_pull(principal, REPOSITORY)


async def granted_to(house: House, authorization: str, repository: Repository = REPOSITORY) -> str:
    principal = await house.access.authenticate(authorization)
    return await house.access.grant(principal, [(repository, ["pull", "push"])])


async def test_a_job_neither_pushes_nor_pulls_for_another_team_nor_lists(database: SqliteDatabase) -> None:
    house, other = JobHouse(database), Repository.parse("beta/app")
    session = f"Bearer {await house.session()}"
    principal = await house.access.authenticate(session)
    with pytest.raises(RegistryRefusal, match="may not read resources of team beta"):
        await house.access.check_pull(principal, other)
    with pytest.raises(RegistryRefusal, match="may not push for team beta: not in the team"):
        await house.access.check_push(principal, other)
    with pytest.raises(RegistryRefusal, match="may not list"):
        house.access.check_list(principal)
    granted = await house.access.authenticate(f"Bearer {await granted_to(house, session, other)}")
    with pytest.raises(RegistryRefusal):
        await house.access.check_pull(granted, other)


async def test_a_rule_that_is_taken_away_ends_sessions_and_what_they_were_granted(database: SqliteDatabase) -> None:
    house = JobHouse(database)
    session = f"Bearer {await house.session()}"
    granted = f"Bearer {await granted_to(house, session)}"
    house.rules.clear()
    assert await house.refusal(session) == "DENIED"
    assert await house.refusal(granted) == "DENIED"


async def test_what_a_session_was_granted_ends_with_it(database: SqliteDatabase) -> None:
    house = JobHouse(database)
    session = f"Bearer {await house.session()}"
    house.clock.advance(890)
    granted = f"Bearer {await granted_to(house, session)}"
    house.clock.advance(10)
    assert await house.refusal(granted) == "UNAUTHORIZED"


async def test_a_token_sealed_before_accounts_were_in_it_is_refused_and_not_an_error(database: SqliteDatabase) -> None:
    house = House(database)
    seal = Seal(b"s" * 32, purpose="token", random_bytes=lambda size: b"r" * size)
    until = (house.clock() + timedelta(seconds=60)).timestamp()
    sealed = {"name": "i-1", "kind": "instance", "enrolment": 1, "grant": {}, "until": until}
    assert await house.refusal(f"Bearer {seal.seal(sealed)}") == "UNAUTHORIZED"
    with pytest.raises(RegistryRefusal, match="an earlier version"):
        await house.access.renewed(seal.seal({**sealed, "renews": True}))
