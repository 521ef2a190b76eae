"""An agent that asks a registry front for tokens: over HTTP, against the front's own code, and against hostile ones."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from fakes.agent_world import World
from fakes.in_process import AUDIENCE, LIMITLESS, InProcess
from fakes.machine import Machine
from fakes.pulls import FRONT, FakeSts, Pulls
from fakes.signing_authority import SigningAuthority, identity_document
from whence_agent.adapters.aggregator import HttpAggregator
from whence_agent.credentials.pull_tokens import PullTokenClient
from whence_agent.credentials.sign_in import SignIn
from whence_agent.ports import MetadataUnavailable, RegistryRefused
from whence_agent.ports_aggregator import AggregatorUnavailable
from whence_agent.registry_settings import RegistrySettings
from whence_agent.report.delivery import Delivery
from whence_agent.report.heartbeat_counter import HeartbeatCounter
from whence_agent.settings import Settings
from whence_aggregator.callers.limits import ChallengeLimits, Limit
from whence_aggregator.http.errors import guarded
from whence_aggregator.http.front_agents import FrontAgentCalls
from whence_aggregator.ports import StorageUnavailable
from whence_aggregator.storage.sqlite import SqliteDatabase
from whence_common.identity_document import read_unverified
from whence_common.image_reference import ImageReference
from whence_common.sts_proof import StsProof

ONE, TWO = "i-00000000000000001", "i-00000000000000002"
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@pytest.fixture
async def house(tmp_path: Path, authority: SigningAuthority) -> AsyncIterator[InProcess]:
    database = await SqliteDatabase.open(tmp_path / "ledger.db")
    async with InProcess(database, authority).running() as running:
        yield running
    await database.close()


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as opened:
        yield opened


@asynccontextmanager
async def served(handler: Handler) -> AsyncIterator[str]:
    """Serve every path by one handler; give the URL."""
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", handler)
    async with TestServer(application) as server:
        yield str(server.make_url("")).rstrip("/")


@asynccontextmanager
async def front_of(pulls: Pulls) -> AsyncIterator[str]:
    """Serve a front as its program does; give the URL."""
    limits = ChallengeLimits(address=Limit("address", LIMITLESS), key=Limit("key", LIMITLESS))
    calls = FrontAgentCalls(enrolments=pulls.enrolments, pull_tokens=pulls.tokens, challenges=limits)
    application = web.Application()
    application.add_routes(web.post(one.path, guarded(one.handler, None)) for one in calls.routes())
    async with TestServer(application) as server:
        yield str(server.make_url("")).rstrip("/")


class Prover:
    """Proves by STS as the instance does that asks; counts how often."""

    def __init__(self, agent: Agent) -> None:
        self.agent = agent
        self.proofs = 0
        self.away = 0

    async def prove(self, *, region: str, challenge: str, audience: str, key_id: str) -> StsProof | None:
        if self.away:
            self.away -= 1
            raise MetadataUnavailable("metadata-unreachable", "ec2-instance: HTTP 503")
        self.proofs += 1
        machine = Machine(self.agent.authority, self.agent.instance_id)
        machine.key = self.agent.world.key.private
        return FakeSts().prove(machine, challenge, audience=audience)


class Agent:
    """The parts of an agent that enrol it and get its tokens. The aggregator does not answer."""

    def __init__(
        self,
        directory: Path,
        session: aiohttp.ClientSession,
        authority: SigningAuthority,
        url: str,
        instance_id: str = ONE,
    ) -> None:
        self.world = world = World(directory)
        self.authority, self.instance_id = authority, instance_id
        document = identity_document(instance_id)
        world.identify(read_unverified(document), authority.sign(document))
        self.prover = Prover(self)
        self.delivery = Delivery(
            aggregator=HttpAggregator(session=session, url="http://127.0.0.1:1", ca_file=None), prover=self.prover,
            receipts=world.receipts(), key=world.key, counter=HeartbeatCounter(world.key), owner=world.owner, outbox=world.outbox,
            reporter=world.reporter, progress=world.progress, pulse=world.pulse, heartbeat_seconds=60,
            pause_seconds_max=1, random=lambda: 0.5,
        )  # fmt: skip
        self.tokens = PullTokenClient(
            key=world.key, prover=self.prover, progress=world.progress, enrol=self.delivery.enrol_over,
            front_of=lambda _: HttpAggregator(session=session, url=f"{url}/v2/_whence", ca_file=None),
        )  # fmt: skip

    async def token(self, registry: str = FRONT, repository: str = "alpha/app") -> str:
        return (await self.tokens.token(registry, repository)).token

    async def refusal(self, registry: str = FRONT) -> RegistryRefused:
        with pytest.raises(RegistryRefused) as caught:
            await self.token(registry)
        return caught.value


async def test_a_new_instance_enrols_at_the_front_and_pulls_while_the_aggregator_is_away(
    house: InProcess, session: aiohttp.ClientSession, tmp_path: Path
) -> None:
    pulls = Pulls(house)
    async with front_of(pulls) as url:
        agent = Agent(tmp_path, session, house.authority, url)
        with pytest.raises(AggregatorUnavailable):
            await agent.delivery.enrol()
        principal = await pulls.principal(await agent.token())
        assert (principal.name, principal.grant) == (ONE, {"alpha/app": ["pull"]})
        assert agent.world.progress.delivered.enrolled
        await agent.delivery.enrol()
        assert await agent.token() != await agent.token(), "each is another"
    assert [one.kind for one in await house.entries("enrolment")] == ["enrolment"]


class Untouched:
    """A collaborator that must not be asked for anything."""

    def __getattr__(self, name: str) -> object:
        raise AssertionError(f"{name} was asked for")


async def test_signing_in_at_the_front_reads_no_document_and_its_token_is_masked(
    house: InProcess, session: aiohttp.ClientSession, tmp_path: Path
) -> None:
    untouched: Any = Untouched()
    async with front_of(Pulls(house)) as url:
        agent = Agent(tmp_path, session, house.authority, url)
        settings = Settings(aggregator_url=AUDIENCE, registries={FRONT: RegistrySettings(sign_in="whence")})
        sign_in = SignIn(
            settings=settings, metadata=untouched, repositories=untouched, issuer=untouched, keeper=untouched,
            pull_tokens=agent.tokens, redactor=agent.world.redactor, platform={FRONT: {"auth": "Zm9vOmJhcg=="}},
        )  # fmt: skip
        login = await sign_in.login(ImageReference.parse(f"{FRONT}/alpha/app:1.0"), {})
    assert login is not None
    assert (login.username, login.password, login.registry_token, len(login.identity_token) > 100) == ("", "", "", True)
    assert login.seconds == 3600.0, "the engine renews its tokens by it for an hour"
    assert login.identity_token not in agent.world.redactor.scrub(f"it said {login.identity_token}")
    assert login.identity_token not in repr(login)


async def test_a_front_of_before_gives_a_token_without_renewal(
    house: InProcess, session: aiohttp.ClientSession, tmp_path: Path
) -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        if request.path.endswith("/challenges"):
            return web.json_response({"challenge": "n", "audience": f"registry:{FRONT}"}, status=201)
        return web.json_response({"token": "t" * 40, "expires_in": 300}, status=201)

    async with served(answer) as url:
        given = await Agent(tmp_path, session, house.authority, url).tokens.token(FRONT, "alpha/app")
    assert (given.token, given.expires_seconds, given.refresh_token) == ("t" * 40, 300.0, "")


async def test_a_copied_key_is_replaced_when_the_front_says_that_it_is_anothers(
    house: InProcess, session: aiohttp.ClientSession, tmp_path: Path
) -> None:
    pulls = Pulls(house)
    async with front_of(pulls) as url:
        await Agent(tmp_path, session, house.authority, url, ONE).token()
        copied = Agent(tmp_path, session, house.authority, url, TWO)
        before = copied.world.key.id
        assert (await pulls.principal(await copied.token())).name == TWO
        assert copied.world.key.id != before


async def test_the_proof_by_sts_is_sent_when_it_is_asked_for_and_not_before(
    house: InProcess, session: aiohttp.ClientSession, tmp_path: Path
) -> None:
    pulls = Pulls(house, caller_identity=FakeSts())
    async with front_of(pulls) as url:
        agent = Agent(tmp_path, session, house.authority, url)
        await agent.token()
        enrolling = agent.prover.proofs
        await agent.token()
        assert agent.prover.proofs == enrolling
        house.clock.advance(366 * 86_400)
        assert (await agent.refusal()).code == "sts-proof-time", "it was sent, and this fake's clock stands still"
        assert agent.prover.proofs == enrolling + 1


async def test_a_metadata_service_that_is_away_is_no_lack_of_a_proof(
    house: InProcess, session: aiohttp.ClientSession, tmp_path: Path
) -> None:
    pulls = Pulls(house, caller_identity=FakeSts())
    async with front_of(pulls) as url:
        agent = Agent(tmp_path, session, house.authority, url)
        agent.prover.away = 1
        refusal = await agent.refusal()
        assert (refusal.code, refusal.retryable) == ("metadata-unreachable", True)
        assert "HTTP 503" in refusal.message
        await agent.token()
        assert agent.prover.proofs == 1, "it enrols with the proof, once that can be had"


async def test_without_the_database_the_refusal_passes_and_says_when(
    house: InProcess, session: aiohttp.ClientSession, tmp_path: Path
) -> None:
    away = True

    async def handler(request: web.Request) -> web.StreamResponse:
        if away:
            raise StorageUnavailable("storage-unavailable", "the database does not answer")
        raise web.HTTPNotFound

    async with served(guarded(handler, None)) as url:
        refusal = await Agent(tmp_path, session, house.authority, url).refusal()
    assert (refusal.code, refusal.retryable, refusal.retry_after_seconds) == ("storage-unavailable", True, 5.0)
    assert refusal.message.startswith(f"{FRONT} issues no pull token: ")


async def test_a_registry_that_goes_by_another_name_is_shown_nothing(
    house: InProcess, session: aiohttp.ClientSession, tmp_path: Path
) -> None:
    """A hostile registry passes our front's challenges on, to have an agent sign them: it gets no signature."""
    pulls, asked = Pulls(house), list[str]()
    async with front_of(pulls) as real:

        async def relay(request: web.Request) -> web.StreamResponse:
            asked.append(request.path)
            async with session.post(real + request.path, data=await request.read()) as answer:
                return web.Response(body=await answer.read(), status=answer.status, content_type=answer.content_type)

        async with served(relay) as url:
            agent = Agent(tmp_path, session, house.authority, url)
            refusal = await agent.refusal("evil.example.org")
    assert (refusal.code, refusal.retryable) == ("registry-audience", False)
    assert asked == ["/v2/_whence/v1/challenges"]


@pytest.mark.parametrize("audience", [AUDIENCE, f"registry:{FRONT}"])
async def test_a_relay_that_lies_about_the_audience_gets_a_proof_for_itself_alone(
    house: InProcess, session: aiohttp.ClientSession, tmp_path: Path, audience: str
) -> None:
    """It names itself to the agent and passes the proof on, to our front and to the aggregator's enrolment."""
    pulls = Pulls(house)
    shown: list[bytes] = []
    async with front_of(pulls) as real:

        async def relay(request: web.Request) -> web.StreamResponse:
            if request.path.endswith("/challenges"):
                nonce = await house.nonce() if audience == AUDIENCE else pulls.nonce()
                answer = {"challenge": nonce, "audience": "registry:evil.example.org", "expires_at": ""}
                return web.json_response(answer, status=201)
            shown.append(await request.read())
            if request.path.endswith("/tokens") and len(shown) == 1:
                code = {"type": "urn:whence:problem:key-unknown", "code": "key-unknown", "status": 401}
                return web.json_response(code, status=401, content_type="application/problem+json")
            async with session.post(real + request.path, data=shown[-1]) as passed:
                return web.Response(body=await passed.read(), status=passed.status, content_type=passed.content_type)

        async with served(relay) as url:
            refusal = await Agent(tmp_path, session, house.authority, url).refusal("evil.example.org")
    assert refusal.code in ("proof-invalid", "challenge-unknown")
    assert len(shown) == 2, "it asked to be enrolled, and the enrolment was worth nothing"
    assert await house.entries("enrolment") == []


@pytest.mark.parametrize("status", [301, 302, 307, 308])
async def test_a_registry_that_sends_the_agent_elsewhere_is_not_followed(
    house: InProcess, session: aiohttp.ClientSession, tmp_path: Path, status: int
) -> None:
    shown: list[str] = []

    async def elsewhere(request: web.Request) -> web.StreamResponse:
        shown.append(request.path)
        return web.json_response({})

    async with served(elsewhere) as other:

        async def hostile(request: web.Request) -> web.StreamResponse:
            return web.Response(status=status, headers={"Location": other + request.path})

        async with served(hostile) as url:
            await Agent(tmp_path, session, house.authority, url).refusal()
    assert shown == []


@pytest.mark.parametrize("status", [200, 401, 403, 404, 405])
async def test_a_registry_that_is_no_front_is_sent_neither_proof_nor_document(
    house: InProcess, session: aiohttp.ClientSession, tmp_path: Path, status: int
) -> None:
    """One that answers like Docker's, with whatever it likes to be shown, sees what a challenge is asked with."""
    seen: list[tuple[str, bytes, str]] = []

    async def handler(request: web.Request) -> web.StreamResponse:
        seen.append((request.path, await request.read(), request.headers.get("Authorization", "")))
        headers = {"WWW-Authenticate": 'Basic realm="send instance-identity-document"'}
        return web.json_response({"errors": [{"code": "UNAUTHORIZED"}]}, status=status, headers=headers)

    async with served(handler) as url:
        await Agent(tmp_path, session, house.authority, url).refusal()
    assert seen == [("/v2/_whence/v1/challenges", b"{}", "")]


@pytest.mark.parametrize("token", ["", "a b", "a\r\nX: y", "\u00e9", "x" * 20_000, 7, None])
async def test_a_token_that_is_none_is_not_used(
    house: InProcess, session: aiohttp.ClientSession, tmp_path: Path, token: object
) -> None:
    async def handler(request: web.Request) -> web.StreamResponse:
        if request.path.endswith("/challenges"):
            return web.json_response({"challenge": "n", "audience": f"registry:{FRONT}", "expires_at": ""}, status=201)
        return web.json_response({"token": token, "expires_in": 300}, status=201)

    async with served(handler) as url:
        assert (await Agent(tmp_path, session, house.authority, url).refusal()).code == "answer-malformed"


async def test_a_front_that_never_knows_the_key_is_asked_twice_and_no_more(
    house: InProcess, session: aiohttp.ClientSession, tmp_path: Path
) -> None:
    paths: list[str] = []
    async with front_of(Pulls(house)) as real:

        async def handler(request: web.Request) -> web.StreamResponse:
            paths.append(request.path.rpartition("/")[2])
            if request.path.endswith("/tokens"):
                code = {"type": "urn:whence:problem:key-unknown", "code": "key-unknown", "status": 401}
                return web.json_response(code, status=401, content_type="application/problem+json")
            async with session.post(real + request.path, data=await request.read()) as answer:
                return web.Response(body=await answer.read(), status=answer.status, content_type=answer.content_type)

        async with served(handler) as url:
            refusal = await Agent(tmp_path, session, house.authority, url).refusal()
    assert (refusal.code, refusal.retryable) == ("key-unknown", False)
    assert paths == ["challenges", "tokens", "challenges", "enrolments", "challenges", "tokens"]
