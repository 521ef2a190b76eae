"""Instances at a running front: they enrol there, are given tokens there, and pull, also when nothing else runs."""

from __future__ import annotations

import json
import shutil
import uuid
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from fakes.in_process import LIMITLESS, InProcess
from fakes.machine import Machine
from fakes.pulls import FRONT, Pulls, pull_request
from fakes.signing_authority import SigningAuthority, identity_document
from landscape.front import Client, RunningFront, basic_header, digest_of, registry_front
from landscape.postgres import postgres
from whence_aggregator.callers.limits import ChallengeLimits, Limit
from whence_aggregator.http.errors import guarded
from whence_aggregator.http.front_agents import FrontAgentCalls
from whence_aggregator.ports import StorageUnavailable, T
from whence_aggregator.queries.query import BoundQueries
from whence_aggregator.registry.access import GRANT_SECONDS
from whence_aggregator.storage.sqlite import SqliteDatabase

APP, OTHER = "alpha/app", "beta/other"


@pytest.fixture(scope="module")
async def front(authority: SigningAuthority, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RunningFront]:
    directory = tmp_path_factory.mktemp("front")
    async with registry_front(directory, directory, authority_pem={"eu-central-1": authority.pem}) as running:
        for repository in (APP, OTHER):
            await running.client().push(repository, "1.0", b"layer of " + repository.encode())
        yield running


@dataclass
class Instance:
    """An instance that asks a front at a URL; `registry` is the name that it knows it by."""

    session: aiohttp.ClientSession
    url: str
    registry: str
    machine: Machine

    async def post(self, path: str, body: bytes, **headers: str) -> tuple[int, Any, Any]:
        async with self.session.post(
            f"{self.url.rstrip('/')}/v2/_whence/v1/{path}", data=body, headers=headers
        ) as answer:
            return answer.status, await answer.json(content_type=None), answer.headers.copy()

    @property
    def audience(self) -> str:
        return f"registry:{self.registry}"

    async def enrol(self, **headers: str) -> tuple[int, Any]:
        _, challenge, _ = await self.post("challenges", b"{}", **headers)
        self.machine.launch_now()
        request = self.machine.request(challenge["challenge"], self.audience)
        status, answer, _ = await self.post("enrolments", msgspec.json.encode(request), **headers)
        return status, answer

    async def token(self, repository: str = APP, **headers: str) -> tuple[int, Any]:
        _, challenge, _ = await self.post("challenges", b"{}", **headers)
        request = pull_request(self.machine, challenge["challenge"], self.audience, repository)
        status, answer, _ = await self.post("tokens", msgspec.json.encode(request), **headers)
        return status, answer


def instance(front: RunningFront, authority: SigningAuthority, number: int, url: str = "") -> Instance:
    return Instance(front.session, url or front.url, front.host, Machine(authority, f"i-{number:017x}"))


async def test_an_instance_that_is_new_enrols_and_pulls_at_the_front_alone(
    front: RunningFront, authority: SigningAuthority
) -> None:
    one = instance(front, authority, 1)
    status, answer = await one.token()
    assert (status, answer["code"]) == (401, "key-unknown")
    assert (await one.enrol())[0] == 201
    status, answer = await one.token()
    assert (status, answer["expires_in"]) == (201, GRANT_SECONDS)
    client = front.client(answer["token"])
    manifest = (await client.ask("GET", f"/v2/{APP}/manifests/1.0")).json
    layer = manifest["layers"][0]["digest"]
    assert (await client.ask("GET", f"/v2/{APP}/blobs/{layer}")).body == b"layer of alpha/app"
    for method, path in (
        ("GET", f"/v2/{OTHER}/manifests/1.0"), ("GET", "/v2/_catalog"), ("GET", "/teams"), ("GET", "/stats"),
        ("POST", f"/v2/{APP}/blobs/uploads/"), ("PUT", f"/v2/{APP}/manifests/2.0"), ("GET", "/v2/token?scope=x"),
    ):  # fmt: skip
        assert (await client.ask(method, path)).status == 401, path
    form = {
        "grant_type": "refresh_token", "refresh_token": answer["refresh_token"], "service": front.host,
        "scope": f"repository:{APP}:pull", "client_id": "docker",
    }  # fmt: skip
    async with front.session.post(f"{front.url}/v2/token", data=form) as said:
        renewed = await said.json()
        assert (said.status, renewed["expires_in"]) == (200, GRANT_SECONDS)
    blob = await front.client(renewed["access_token"]).ask("GET", f"/v2/{APP}/blobs/{layer}")
    assert blob.body == b"layer of alpha/app", "as the engine asks during a long pull"
    log = front.aggregator.process.log.read_text(encoding="utf-8")
    assert answer["token"] not in log
    assert answer["refresh_token"] not in log
    assert "pull token given" in log


async def test_a_document_of_2019_pulls_no_image(front: RunningFront, authority: SigningAuthority) -> None:
    for pending in ("2019-03-01T12:00:00Z", "2026-11-22T12:00:00Z"):
        blob = authority.sign(identity_document("i-0123456789abcdef0", pendingTime=pending))
        header = {"Authorization": basic_header("instance-identity-document", blob)}
        for path in (f"/v2/{APP}/manifests/1.0", f"/v2/{APP}/blobs/{digest_of(b'{}')}", "/v2/",
                     f"/v2/token?scope=repository:{APP}:pull"):  # fmt: skip
            said = await front.nobody().ask("GET", path, headers=header)
            assert (said.status, said.code) == (401, "UNAUTHORIZED")
            assert "sign_in: whence" in said.json["errors"][0]["message"]


async def test_what_an_aggregators_enrolment_bound_pulls_without_another(
    front: RunningFront, authority: SigningAuthority
) -> None:
    one = instance(front, authority, 2)
    one.machine.launch_now()
    async with front.session.post(f"{front.url}/v1/challenges", data=b"{}") as said:
        challenge = await said.json(content_type=None)
    request = one.machine.request(challenge["challenge"], challenge["audience"])
    async with front.session.post(f"{front.url}/v1/enrolments", data=msgspec.json.encode(request)) as said:
        assert said.status == 201
    assert (await one.token())[0] == 201


async def test_a_foreign_host_header_changes_no_audience(front: RunningFront, authority: SigningAuthority) -> None:
    one = instance(front, authority, 3)
    await one.enrol()
    _, challenge, _ = await one.post("challenges", b"{}", Host="evil.example.org")
    assert challenge["audience"] == f"registry:{front.host}"
    evil = Instance(one.session, one.url, "evil.example.org", one.machine)
    assert (await evil.token(Host="evil.example.org"))[1]["code"] == "proof-invalid"
    assert (await one.token(Host="evil.example.org"))[0] == 201
    said = await front.nobody().ask("GET", f"/v2/{APP}/manifests/1.0", headers={"Host": "evil.example.org"})
    assert (said.status, said.headers["Cache-Control"]) == (401, "no-store"), "no cache hands it to others"


async def test_what_is_no_request_is_refused_before_it_costs_anything(
    front: RunningFront, authority: SigningAuthority
) -> None:
    one = instance(front, authority, 4)
    for body in (b"", b"[]", b"{}", b'{"public_key": 7}', b"\xff", b"[" * 5_000):
        status, answer, _ = await one.post("tokens", body)
        assert (status, answer["code"]) == (400, "pull-token-malformed")
    status, answer, _ = await one.post("tokens", b"x" * 10_000)
    assert (status, answer["code"]) == (413, "body-too-large")
    unknown = {"instance_id": "", "public_key": "", "challenge": "", "proof": "", "repository": APP, "colour": "blue"}
    assert (await one.post("tokens", json.dumps(unknown).encode()))[0] == 400
    del unknown["colour"]
    assert (await one.post("tokens", json.dumps(unknown).encode()))[1]["code"] == "challenge-unknown"


async def test_a_boot_pulls_while_the_aggregators_process_is_away(authority: SigningAuthority, tmp_path: Path) -> None:
    pem = {"eu-central-1": authority.pem}
    async with (
        registry_front(tmp_path, tmp_path, authority_pem=pem, alone=True, listen_port=0) as both,
        both.alone(tmp_path) as url,
    ):
        await Client(both.session, url, both.client().authorization).push(APP, "1.0", b"layer")
        await both.aggregator.process.kill()
        one = instance(both, authority, 5, url)
        assert (await one.token())[1]["code"] == "key-unknown"
        assert (await one.enrol())[0] == 201
        _, answer = await one.token()
        client = Client(both.session, url, f"Bearer {answer['token']}")
        assert (await client.ask("GET", f"/v2/{APP}/manifests/1.0")).status == 200
        assert (await client.ask("GET", "/v1/summary")).status == 401


class Away:
    """A database that answers nothing."""

    async def fetch_all(self, asked: BoundQueries[T], *, brief: bool = False) -> T:
        raise StorageUnavailable("storage-unavailable", "the database does not answer")


async def test_without_the_database_the_front_answers_with_retry_after(
    authority: SigningAuthority, tmp_path: Path
) -> None:
    database = await SqliteDatabase.open(tmp_path / "ledger.db")
    async with InProcess(database, authority).running() as house, aiohttp.ClientSession() as session:
        pulls = Pulls(house, database=Away())  # type: ignore[arg-type]  # only what is asked here
        limits = ChallengeLimits(address=Limit("address", LIMITLESS), key=Limit("key", LIMITLESS))
        calls = FrontAgentCalls(enrolments=pulls.enrolments, pull_tokens=pulls.tokens, challenges=limits)
        application = web.Application()
        application.add_routes(web.post(one.path, guarded(one.handler, None)) for one in calls.routes())
        async with TestServer(application) as server:
            one = Instance(session, str(server.make_url("")), FRONT, await house.machine())
            _, challenge, _ = await one.post("challenges", b"{}")
            body = msgspec.json.encode(pull_request(one.machine, challenge["challenge"], one.audience))
            status, answer, headers = await one.post("tokens", body)
    await database.close()
    assert (status, answer["code"], headers["Retry-After"]) == (503, "storage-unavailable", "5")


async def test_a_front_without_its_postgresql_answers_503_with_retry_after_and_admits_no_caller(
    authority: SigningAuthority, tmp_path: Path
) -> None:
    cluster = Path("/tmp") / f"whence-pulls-{uuid.uuid4().hex[:8]}"
    cluster.mkdir(mode=0o755)
    pem = {"eu-central-1": authority.pem}
    try:
        async with AsyncExitStack() as running:
            dsn = await running.enter_async_context(postgres(cluster, tmp_path))
            async with registry_front(tmp_path, tmp_path, authority_pem=pem, database=dsn) as own:
                await own.client().push(APP, "1.0", b"layer")
                one, two = instance(own, authority, 6), instance(own, authority, 7)
                for each in (one, two):
                    assert (await each.enrol())[0] == 201
                _, challenge, _ = await one.post("challenges", b"{}")
                token = (await two.token())[1]["token"]
                await running.aclose()
                body = msgspec.json.encode(pull_request(one.machine, challenge["challenge"], one.audience))
                status, answer, headers = await one.post("tokens", body)
                assert (status, headers.get("Retry-After")) == (503, "5"), answer
                for path in (f"/v2/{APP}/manifests/1.0", f"/v2/{APP}/tags/list"):
                    said = await own.client(token).ask("GET", path)
                    assert (said.status, said.code, said.headers["Retry-After"]) == (503, "UNAVAILABLE", "5")
    finally:
        shutil.rmtree(cluster)
