"""Stages retry transient errors: of the metadata service, secrets, credentials, volumes, the helper, the engine."""

from __future__ import annotations

import asyncio
import itertools
import os
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, nullcontext
from dataclasses import replace
from pathlib import Path

import aiohttp
import msgspec
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from fakes.agent_world import FakeEngine, World
from fakes.clocks import a_day
from fakes.metadata_service import MetadataService
from fakes.misbehaving import Answer as Answered
from fakes.misbehaving import misbehaving
from fakes.object_store import FakeObjectStore
from fakes.signing_authority import SigningAuthority
from landscape.processes import free_port
from whence_agent.adapters.aws_http import AwsSecrets, SignedHttp
from whence_agent.adapters.http_probe import HttpProbe
from whence_agent.adapters.identity_prover import IdentityProver
from whence_agent.adapters.imds import ImdsMetadata
from whence_agent.adapters.machine import MachineSocket
from whence_agent.adapters.oauth import OAuthIssuer
from whence_agent.adapters.role import GivenKeys
from whence_agent.adapters.sigv4 import AwsKeys
from whence_agent.boot.bring_up import record
from whence_agent.boot.health import CheckedContainer, until_healthy, until_in_service
from whence_agent.boot.identity import IdentityStage
from whence_agent.boot.run import Runner
from whence_agent.boot.secrets import SecretResolver
from whence_agent.boot.stage import ObservedSoFar, StageHandle
from whence_agent.boot.storage import VolumeAttacher
from whence_agent.credentials.generations import Generations
from whence_agent.credentials.keeper import CredentialKeeper, Revocation
from whence_agent.machine.protocol import Failure, HelperReply, HostRequest, MachineFailed
from whence_agent.patience import Patience
from whence_agent.ports import ContainerState, EngineFailed, InstanceMetadata, MetadataUnavailable, SecretUnavailable
from whence_agent.ports_cloud import CloudRefused, Volume
from whence_agent.progress.stage import StageFailed
from whence_agent.settings import parse_settings
from whence_agent.status.document import status_document
from whence_common.backoff import Backoff
from whence_common.clock import utc_now
from whence_common.runtime.pause import pause
from whence_common.user_data.judge import UserData, judge
from whence_common.user_data.lifecycle import HealthCheck, LoadBalancer
from whence_common.user_data.platform import PlatformRules
from whence_common.user_data.storage import Storage

PATIENCE = Patience(backoff=Backoff(first_seconds=0.01, longest_seconds=0.02, random=lambda: 0.5))
USER_DATA = b"#taupage-ami-config\napplication_id: greeter\n"
INSTANCE = "i-0123456789abcdef0"


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(auto_decompress=False) as opened:
        yield opened


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path, monotonic=time.monotonic)


@pytest.fixture
async def service(authority: SigningAuthority) -> AsyncIterator[MetadataService]:
    async with MetadataService(INSTANCE, USER_DATA, authority).serve() as serving:
        yield serving


async def third_try(world: World, stage: str) -> None:
    async with asyncio.timeout(30):
        while world.progress.boot.stages[stage].attempt < 3:
            await pause(0.005)


async def identified(world: World, metadata: ImdsMetadata, *, seconds_max: float = 30.0) -> bytes:
    monotonic = world.progress.monotonic
    reading = IdentityStage(metadata=metadata, patience=PATIENCE, monotonic=monotonic, check=lambda _: None)
    async with world.progress.boot.stage("identity", seconds_max=seconds_max) as stage:
        found = await reading.run(
            ObservedSoFar(), StageHandle(stage=stage, observed=lambda _: None, part=lambda _: nullcontext())
        )
        record(found, world.progress)
        world.progress.boot.record_outcome(stage, note=found.note, deferred=found.deferred)
    return found.user_data


# --- identity and user data


@pytest.mark.parametrize(
    "faults",
    [
        {"user-data": [404]},
        {"user-data": [404, 503, 404]},
        {"user-data": [503] * 12},
        {"api/token": [503] * 12},
        {"identity/document": [404, 500, 429]},
        {"rsa2048": [401] * 12},
    ],
)
async def test_a_metadata_service_that_is_not_ready_is_retried(
    world: World, session: aiohttp.ClientSession, service: MetadataService, faults: dict[str, list[int]]
) -> None:
    service.faults = faults
    found = await identified(world, ImdsMetadata(session=session, url=service.url))
    assert found == USER_DATA
    assert (world.progress.boot.stages["identity"].outcome, world.progress.boot.stages["identity"].reason) == (
        "done",
        "",
    )


@pytest.mark.parametrize("page", [b"<html>\n<body>\nsign in here\n</body>\n</html>\n", b"<p>" * 2000, b"", b"a b"])
async def test_an_html_page_instead_of_a_session_token_is_retried_and_named(
    world: World, session: aiohttp.ClientSession, page: bytes
) -> None:
    async with misbehaving(Answered(body=page)) as host:
        metadata = ImdsMetadata(session=session, url=f"http://{host}")
        with pytest.raises(MetadataUnavailable) as caught:
            await metadata.read()
    assert (caught.value.code, caught.value.retryable) == ("metadata-no-token", True)
    assert caught.value.message.endswith("is malformed: something else may respond in its place")


@pytest.mark.parametrize("path", ["api/token", "identity/document", "user-data"])
async def test_the_error_for_an_unreachable_metadata_service_has_a_fix(
    session: aiohttp.ClientSession, service: MetadataService, path: str
) -> None:
    service.faults = {path: [503]}
    with pytest.raises(MetadataUnavailable) as caught:
        await ImdsMetadata(session=session, url=service.url).read()
    assert caught.value.fix == "check the metadata service from this machine, and the routes and firewalls to it"


async def test_absent_user_data_is_accepted_after_a_bounded_time_and_noted(
    world: World, session: aiohttp.ClientSession, service: MetadataService
) -> None:
    service.user_data = None
    began = world.progress.monotonic()
    assert await identified(world, ImdsMetadata(session=session, url=service.url), seconds_max=2.0) == b""
    assert 0.5 <= world.progress.monotonic() - began < 2.0
    asked = sum(path.endswith("/user-data") for path in service.requests)
    stage = world.progress.boot.stages["identity"]
    assert asked >= 4
    assert (stage.outcome, stage.reason) == (
        "done", f"the metadata service answered {asked} times that there is no user data",
    )  # fmt: skip
    judgement = judge(b"", PlatformRules())
    assert judgement.problems[0].code == "user-data-empty"


async def test_a_metadata_service_that_starts_late_is_waited_for(
    world: World, session: aiohttp.ClientSession, authority: SigningAuthority
) -> None:
    port = free_port()
    metadata = ImdsMetadata(session=session, url=f"http://127.0.0.1:{port}")
    reading = asyncio.create_task(identified(world, metadata))
    await third_try(world, "identity")
    reasons = status_document(world.progress)["reasons"]
    async with MetadataService(INSTANCE, USER_DATA, authority).serve(port=port):
        assert await reading == USER_DATA
    assert reasons[1].startswith("waiting for the metadata service, try 3, ")
    assert " s left: the metadata service at " in reasons[1]


class HalfWritten(ImdsMetadata):
    """A service that has written a part of the document only, the first two times."""

    reads = 0

    async def read(self) -> InstanceMetadata:
        found = await super().read()
        self.reads += 1
        return replace(found, document=found.document[:40]) if self.reads < 3 else found


async def test_a_half_written_identity_document_is_read_again(
    world: World, session: aiohttp.ClientSession, service: MetadataService
) -> None:
    assert await identified(world, HalfWritten(session=session, url=service.url)) == USER_DATA
    assert world.progress.instance_id() == INSTANCE


async def test_an_invalid_session_token_is_replaced_within_the_same_try(
    session: aiohttp.ClientSession, service: MetadataService
) -> None:
    metadata = ImdsMetadata(session=session, url=service.url)
    await metadata.read()
    service.forget_tokens()
    assert (await metadata.read()).user_data == USER_DATA
    assert service.requests.count("/latest/api/token") == 2


async def test_a_stage_that_ends_without_the_metadata_service_states_its_last_answer(
    world: World, session: aiohttp.ClientSession, service: MetadataService
) -> None:
    service.faults = {"user-data": [503] * 10_000}
    with pytest.raises(StageFailed) as failure:
        await identified(world, ImdsMetadata(session=session, url=service.url), seconds_max=0.3)
    (problem,) = failure.value.problems
    assert (problem.code, failure.value.transient) == ("metadata-unreachable", True)
    assert problem.message.endswith(" tries: the metadata service returned HTTP 503 for user-data")


# --- sign-in


async def test_one_503_at_sign_in_is_a_transient_error(
    session: aiohttp.ClientSession, service: MetadataService, world: World
) -> None:
    service.faults = {"pkcs7": [503, 503, 503], "ec2-instance": [503]}
    metadata = ImdsMetadata(session=session, url=service.url)
    async with world.progress.boot.stage("image", seconds_max=30) as stage:
        signed = await PATIENCE.keep_trying(
            lambda: metadata.signed_identity("pkcs7"), stage, waiting_for="the metadata service"
        )
    assert signed == service.authority.sign(service.document)


@pytest.mark.parametrize(("status", "proved"), [(503, "later"), (429, "later"), (403, "never"), (404, "never")])
async def test_an_unreachable_metadata_service_is_not_a_missing_proof_of_identity(
    session: aiohttp.ClientSession, service: MetadataService, status: int, proved: str
) -> None:
    service.faults = {"ec2-instance": [status]}
    prover = IdentityProver(metadata=ImdsMetadata(session=session, url=service.url), now=utc_now)

    async def prove() -> object:
        return await prover.prove(region="eu-central-1", challenge="c", audience="a", key_id="k")

    if proved == "never":
        assert await prove() is None
        return
    with pytest.raises(MetadataUnavailable) as caught:
        await prove()
    assert caught.value.retryable
    assert await prove() is not None


# --- secrets


@asynccontextmanager
async def systems_manager(statuses: list[int], asked: list[str]) -> AsyncIterator[str]:
    """Serve a parameter after answers with these statuses."""

    async def answer(request: web.Request) -> web.Response:
        asked.append(request.headers["X-Amz-Target"])
        if statuses:
            return web.json_response({"__type": "InternalServerError"}, status=statuses.pop(0))
        return web.json_response({"Parameter": {"Value": "hunter2hunter2"}})

    application = web.Application()
    application.router.add_post("/", answer)
    async with TestServer(application) as server:
        yield str(server.make_url("")).rstrip("/")


def with_secret() -> UserData:
    text = (
        "#taupage-ami-config\napplication_id: greeter\napplication_version: '1'\nruntime: Docker\n"
        f"source: registry.example.org/hello/greeter@sha256:{'d' * 64}\nenvironment: {{A: 'aws:ssm:/whole/db'}}\n"
    )
    found = judge(text.encode(), PlatformRules()).user_data
    assert found is not None
    return found


def resolver(world: World, session: aiohttp.ClientSession, url: str) -> SecretResolver:
    http = SignedHttp(
        session=session, keys=GivenKeys(AwsKeys("AKIA", "secret", "")), region=lambda: "eu-central-1",
        endpoint_url=url, now=utc_now, up_seconds=a_day,
    )  # fmt: skip
    return SecretResolver(secrets=AwsSecrets(http), redactor=world.redactor, patience=PATIENCE)


async def test_a_secret_is_requested_until_its_service_has_recovered(
    world: World, session: aiohttp.ClientSession
) -> None:
    asked: list[str] = []
    async with systems_manager([500] * 15, asked) as url, world.progress.boot.stage("secrets", seconds_max=60) as stage:
        resolved = await resolver(world, session, url).resolve(with_secret(), stage)
    assert (resolved.environment["A"], len(asked)) == ("hunter2hunter2", 16)
    assert world.redactor.scrub("hunter2hunter2") == "MASKED"


async def test_the_deadline_of_secrets_names_the_place_and_the_last_answer(
    world: World, session: aiohttp.ClientSession
) -> None:
    async with systems_manager([500] * 10_000, []) as url:
        with pytest.raises(StageFailed) as failure:
            async with world.progress.boot.stage("secrets", seconds_max=1.5) as stage:
                await resolver(world, session, url).resolve(with_secret(), stage)
    (problem,) = failure.value.problems
    assert (problem.code, failure.value.transient) == ("secret-unreachable", True)
    assert problem.message.startswith("secrets: not done within 1.5 seconds and ")
    assert "environment.A: ssm: InternalServerError" in problem.message


# --- the helper


@asynccontextmanager
async def helper(path: Path, *answers: HelperReply | None) -> AsyncIterator[list[bytes]]:
    """Serve these answers, one a connection and the last one for ever; None breaks off. Gives what was asked."""
    asked: list[bytes] = []
    following = itertools.chain(answers, itertools.repeat(answers[-1]))

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.readline())
        answer = next(following)
        if answer is not None:
            writer.write(msgspec.json.encode(answer) + b"\n")
        writer.close()

    async with await asyncio.start_unix_server(serve, str(path)):
        yield asked


async def prepared(world: World, path: Path) -> list[str]:
    machine = MachineSocket(path=str(path), disks_path=str(path))
    request = HostRequest(sysctl={"vm.swappiness": "1"})
    async with world.progress.boot.stage("host", seconds_max=30) as stage:
        return await PATIENCE.keep_trying(lambda: machine.prepare(request), stage, waiting_for="the machine helper")


async def test_a_helper_without_a_socket_yet_is_waited_for(world: World, tmp_path: Path) -> None:
    path = tmp_path / "machine.sock"
    preparing = asyncio.create_task(prepared(world, path))
    await third_try(world, "host")
    assert world.progress.boot.stages["host"].waiting_for == "the machine helper"
    async with helper(path, HelperReply(done=["set vm.swappiness"])):
        assert await preparing == ["set vm.swappiness"]


async def test_a_broken_connection_to_the_helper_is_retried(world: World, tmp_path: Path) -> None:
    async with helper(tmp_path / "machine.sock", None, None, HelperReply(done=["done"])) as asked:
        assert await prepared(world, tmp_path / "machine.sock") == ["done"]
    assert len(asked) == 3


async def test_a_refusal_of_the_helper_ends_the_stage_at_once(world: World, tmp_path: Path) -> None:
    refusal = HelperReply(failed=Failure(code="sysctl-forbidden", message="vm.swappiness is not allowed"))
    async with helper(tmp_path / "machine.sock", refusal) as asked:
        with pytest.raises(StageFailed) as failure:
            await prepared(world, tmp_path / "machine.sock")
    assert (len(asked), failure.value.problems[0].code, failure.value.transient) == (1, "sysctl-forbidden", False)


def test_a_failure_of_the_helper_is_final_unless_it_is_marked_as_transient() -> None:
    assert not MachineFailed("device-in-use", "it is").retryable


# --- volumes


class Account:
    """EC2's answers about volumes, first to last; the last one stands."""

    def __init__(self, *found: list[Volume] | CloudRefused, untag: int = 0) -> None:
        self.found, self.untag, self.attached, self.untagged = list(found), untag, 0, 0

    async def by_name(self, name: str, *, zone: str, instance_id: str) -> list[Volume]:
        answer = self.found.pop(0) if len(self.found) > 1 else self.found[0]
        if isinstance(answer, CloudRefused):
            raise answer
        return answer

    async def attach(self, volume_id: str, *, instance_id: str, device: str) -> None:
        self.attached += 1

    async def forget_erase_tag(self, volume_id: str) -> None:
        self.untagged += 1
        if self.untagged <= self.untag:
            raise CloudRefused("cloud-refused", "EC2 answers RequestLimitExceeded")


THROTTLED = CloudRefused("cloud-refused", "EC2 answers RequestLimitExceeded")


def attacher(account: Account, metadata: ImdsMetadata) -> VolumeAttacher:
    return VolumeAttacher(volumes=account, metadata=metadata, patience=PATIENCE)


async def test_volumes_are_waited_for_through_throttling_and_absence(
    world: World, session: aiohttp.ClientSession, service: MetadataService
) -> None:
    service.faults = {"local-ipv4": [503]}
    account = Account(THROTTLED, [], [], [Volume(volume_id="vol-1", device=None, erase_tag=True)], untag=3)
    made = attacher(account, ImdsMetadata(session=session, url=service.url))
    async with world.progress.boot.stage("storage", seconds_max=30) as stage:
        (found,) = await made.attach(
            Storage(volumes=(("/dev/sdf", "data-${local_ipv4}"),)), stage, identity=world.identity
        )
        await made.forget_erase_tag(found.volume.volume_id, stage)
    assert (found.volume.volume_id, account.attached, account.untagged) == ("vol-1", 1, 4)


async def test_the_status_shows_the_time_left_of_a_part_of_a_stage(
    tmp_path: Path, session: aiohttp.ClientSession, service: MetadataService
) -> None:
    made = attacher(Account([]), ImdsMetadata(session=session, url=service.url))
    world = World(tmp_path, monotonic=lambda: 100.0)
    async with world.progress.boot.stage("storage", seconds_max=2100) as stage:
        with pytest.raises(TimeoutError):
            async with world.progress.boot.part(stage, seconds_max=0.2):
                await made.attach(Storage(volumes=(("/dev/sdf", "data"),)), stage, identity=world.identity)
        assert "volume data" in stage.waiting(100.0)
        assert stage.deadline == 2200.0
        async with world.progress.boot.part(stage, seconds_max=300):
            assert stage.waiting(110.0).endswith(", 290 s left")


# --- health


class Down(FakeEngine):
    """An engine that is away for so many calls from the second on, and took its containers with it."""

    def __init__(self, calls: int, *, took: bool = True) -> None:
        super().__init__()
        self.add("app")
        self.left, self.took, self.seen = calls, took, 0

    async def inspect(self, name: str) -> ContainerState | None:
        self.seen += 1
        if self.seen > 1 and self.left:
            self.left -= 1
            if self.took and not self.left:
                self.end("app", 137)
            raise EngineFailed("engine-unreachable", "the Docker Engine does not answer")
        return await super().inspect(name)


@asynccontextmanager
async def application(engine: FakeEngine, is_up: Callable[[], bool]) -> AsyncIterator[int]:
    """Serve an application that is healthy when it says so and its container runs."""

    async def health(_: web.Request) -> web.Response:
        running = engine.containers["app"].facts.state == "running"
        return web.Response(status=200 if running and is_up() else 503)

    made = web.Application()
    made.router.add_get("/health", health)
    async with TestServer(made) as server:
        assert server.port is not None
        yield server.port


async def healthy(
    world: World, session: aiohttp.ClientSession, engine: Down, is_up: Callable[[], bool], *, seconds_max: float = 30
) -> None:
    async def revive() -> None:
        await engine.start("app")

    async with application(engine, is_up) as port:
        check = HealthCheck(path="/health", port=port, timeout_seconds=30)
        checked = CheckedContainer(name="app", address="127.0.0.1", revive=revive)
        async with world.progress.boot.stage("health", seconds_max=seconds_max) as stage:
            await until_healthy(check, checked, probe=HttpProbe(session=session), engine=engine, stage=stage)


async def test_an_unreachable_engine_during_the_health_check_is_waited_for(
    world: World, session: aiohttp.ClientSession
) -> None:
    engine = Down(2, took=False)
    await healthy(world, session, engine, is_up=lambda: engine.seen > 3)
    assert (engine.left, engine.calls, world.progress.boot.stages["health"].reason) == (0, [], "")


async def test_containers_that_stopped_with_the_engine_are_restarted_during_the_health_check(
    world: World, session: aiohttp.ClientSession
) -> None:
    engine = Down(2)
    await healthy(world, session, engine, is_up=lambda: engine.seen > 3)
    assert engine.calls == ["start app"]


async def test_a_container_that_ends_while_its_engine_runs_has_failed(
    world: World, session: aiohttp.ClientSession
) -> None:
    engine = Down(0)
    engine.end("app", 3)
    with pytest.raises(StageFailed) as failure:
        await healthy(world, session, engine, is_up=lambda: True)
    assert (failure.value.problems[0].code, failure.value.transient) == ("container-ended", True)


async def test_the_deadline_of_the_health_check_names_the_unreachable_engine(
    world: World, session: aiohttp.ClientSession
) -> None:
    with pytest.raises(StageFailed) as failure:
        await healthy(world, session, Down(10_000), is_up=lambda: False, seconds_max=0.5)
    assert failure.value.problems[0].code == "engine-unreachable"


class Balancers:
    """A load balancer that is throttled once, then serves."""

    def __init__(self) -> None:
        self.answers: list[str | CloudRefused] = [THROTTLED, ""]

    async def in_service(self, kind: str, name: str, *, instance_id: str) -> str:
        answer = self.answers.pop(0)
        if isinstance(answer, CloudRefused):
            raise answer
        return answer

    async def deregister(self, kind: str, name: str, *, instance_id: str) -> None: ...


async def test_a_load_balancers_throttling_is_shown_and_retried(world: World) -> None:
    async with world.progress.boot.stage("load-balancer", seconds_max=30) as stage:
        asking = asyncio.create_task(
            until_in_service(
                LoadBalancer(kind="classic", name="web"), Balancers(), instance_id=INSTANCE, stage=stage,
                pause_seconds=0.05,
            )
        )  # fmt: skip
        await pause(0.01)
        assert stage.waiting(world.progress.monotonic()).startswith("waiting for an answer about web, try 2, ")
        await asking
    assert (stage.outcome, stage.reason) == ("done", "")


# --- the engine at the end of a failed boot


def runner(world: World, *, run_seconds: float = 30.0) -> Runner:
    settings = msgspec.structs.replace(
        parse_settings(b"aggregator_url: https://whence.example.org\n", name="agent.yaml"),
        stage_seconds_max={"run": run_seconds},
    )
    return Runner(
        settings=settings, gid=999, engine=world.engine, containers=world.engine,
        patience=PATIENCE,
    )  # fmt: skip


async def test_a_failed_boot_waits_for_its_engine_to_stop_the_containers(world: World) -> None:
    world.engine.add("taupageapp")
    world.engine.add("taupageapp-proxy")
    world.engine.add("somebody-elses")
    world.engine.down = True
    tearing = asyncio.create_task(runner(world).tear_down())
    await pause(0.05)
    world.engine.down = False
    assert await tearing == ""
    assert list(world.engine.containers) == ["somebody-elses"]


async def test_a_container_that_may_still_run_after_a_failed_boot_is_on_the_status(world: World) -> None:
    world.engine.add("taupageapp")
    world.engine.down = True
    world.progress.watched.record_engine_error(await runner(world, run_seconds=0.1).tear_down())
    world.progress.boot.state = "failed"
    reasons = status_document(world.progress)["reasons"]
    assert "a container may still run: the Docker Engine does not answer" in reasons


# --- tokens and credentials


@pytest.mark.parametrize(
    ("answer", "retryable", "after_seconds"),
    [
        (Answered(status=400, body=b'{"error": "temporarily_unavailable"}'), True, None),
        (Answered(status=429, body=b'{"error": "slow_down"}', headers={"Retry-After": "7"}), True, 7.0),
        (Answered(status=503, headers={"Retry-After": "3"}), True, 3.0),
        (Answered(status=400, body=b'{"error": "invalid_scope"}'), False, None),
    ],
)
async def test_a_busy_token_endpoint_is_retried_after_its_stated_time(
    session: aiohttp.ClientSession, answer: Answered, retryable: bool, after_seconds: float | None
) -> None:
    async with misbehaving(answer) as host:
        with pytest.raises(SecretUnavailable) as caught:
            await OAuthIssuer(session=session, url=f"http://{host}/token").client_credentials({"client_id": "c"}, ())
    assert (caught.value.retryable, caught.value.retry_after_seconds) == (retryable, after_seconds)


async def test_the_first_credentials_are_waited_for_and_the_status_names_the_file(world: World, tmp_path: Path) -> None:
    store = FakeObjectStore()
    store.buckets["mint"] = {}
    keeper = CredentialKeeper(
        store=store, generations=Generations(tmp_path / "meta", link="credentials", group=os.getegid()),
        progress=world.progress, redactor=world.redactor, revocation=Revocation(), poll_seconds=60.0,
        random=lambda: 0.5,
    )  # fmt: skip
    keeper.configure("mint", "app")
    async with world.progress.boot.stage("credentials", seconds_max=30) as stage:
        waiting = asyncio.create_task(keeper.first(stage, PATIENCE))
        await third_try(world, "credentials")
        assert "waiting for the credentials of the mint bucket, try " in stage.waiting(world.progress.monotonic())
        assert stage.reason.startswith("client.json: s3://mint/app/client.json: ")
        store.buckets["mint"] = {
            "app/user.json": b'{"application_username": "u", "application_password": "hunter2"}',
            "app/client.json": b'{"client_id": "c", "client_secret": "s"}',
        }
        await waiting
    assert keeper.complete
    keeper.close()
