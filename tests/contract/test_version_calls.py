"""Versions and approvals over HTTP: Kio's paths with its answers, and ours."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from fakes.in_process import LIMITLESS, InProcess
from fakes.machine import COMMIT, DIGEST, REPOSITORY, scm
from whence_aggregator.callers.caller import Caller
from whence_aggregator.callers.limits import Limit
from whence_aggregator.callers.membership import Membership
from whence_aggregator.callers.sign_in import NOBODY, Authenticator
from whence_aggregator.callers.tokens import token_hash
from whence_aggregator.http.authentication import authentication
from whence_aggregator.http.errors import guarded
from whence_aggregator.http.slots import Slots
from whence_aggregator.http.versions import VersionCalls
from whence_aggregator.trace.version_authors import VersionAuthors
from whence_common.clock import to_instant
from whence_common.statement import ApplicationFacts, ImageFacts

OTHER = "sha256:" + "e" * 64
HELLO = frozenset({"hello"})
CALLERS = {
    token_hash("ada"): Caller(name="ada", teams=HELLO, realm="people", subject=("https://idp.example.org", "ada")),
    token_hash("bob"): Caller(name="bob", teams=HELLO, realm="people"),
    token_hash("own"): Caller(name="own", teams=HELLO, reads="teams", realm="people"),
    token_hash("eve"): Caller(name="eve", teams=frozenset({"evil"}), reads="teams", realm="people"),
    token_hash("robot"): Caller(name="robot", teams=HELLO, realm="services"),
    token_hash("stups"): Caller(name="stups", teams=frozenset(), realm="people", asks_with="stups"),
    token_hash("root"): Caller(name="root", teams=None),
}
APPROVALS = "/apps/greeter/versions/1.0/approvals"


class TeamService:
    """Knows the owner of one token as a member of team hello."""

    async def may_write(self, token: str, team: str) -> bool:
        return (token, team) == ("stups", "hello")


class Asked:
    def __init__(self, client: Any) -> None:
        self._client = client

    async def ask(self, method: str, path: str, token: str = "ada", body: object = None,
                  content_type: str = "application/json") -> tuple[int, Any]:  # fmt: skip
        headers = {"Authorization": f"Bearer {token}", "Content-Type": content_type}
        data = body if isinstance(body, bytes) else None if body is None else json.dumps(body).encode()
        async with self._client.request(method, path, headers=headers, data=data) as answer:
            content = await answer.read()
            return answer.status, json.loads(content) if content else None

    async def get(self, path: str, token: str = "ada") -> Any:
        status, found = await self.ask("GET", path, token)
        assert status == 200, found
        return found

    async def put(self, artifact: str = f"docker://{REPOSITORY}@{DIGEST}", **written: Any) -> None:
        status, found = await self.ask("PUT", "/apps/greeter/versions/1.0", body={"artifact": artifact, **written})
        assert (status, found) == (200, None)

    async def code(self, method: str, path: str, token: str = "ada", body: object = None, **options: Any) -> Any:
        status, found = await self.ask(method, path, token, body, **options)
        return status, (found or {}).get("code")


@asynccontextmanager
async def served(house: InProcess) -> AsyncIterator[Asked]:
    calls = VersionCalls(
        versions=house.versions, database=house.database, streams=Slots("streams", 8),
        membership=Membership(TeamService()), now=house.clock,
        authors=VersionAuthors(database=house.database, reader=house.tracer.commits, policy=house.versions.policy),
    ).routes()  # fmt: skip
    check = authentication(Authenticator(
        known=CALLERS, sources=NOBODY, sessions=None, attempts=Limit("address", LIMITLESS), now=house.clock
    ))  # fmt: skip
    application = web.Application()
    application.add_routes(web.route(one.method, one.path, guarded(one.handler, check)) for one in calls)
    async with TestClient(TestServer(application)) as client:
        yield Asked(client)


@pytest.fixture
async def asked(house: InProcess) -> AsyncIterator[Asked]:
    await house.register()
    async with served(house) as found:
        yield found


async def test_kios_paths_answer_as_its_clients_expect(asked: Asked) -> None:
    assert await asked.get("/apps/greeter/versions") == []
    assert await asked.get("/apps/greeter/approvals") == []
    await asked.put(notes="")
    at = "2026-11-22T12:00:00.000Z"
    listed = {
        "id": "1.0", "application_id": "greeter", "artifact": f"docker://{REPOSITORY}@{DIGEST}", "last_modified": at,
    }  # fmt: skip
    assert await asked.get("/apps/greeter/versions") == [listed]
    assert await asked.get("/apps/greeter/versions/1.0") == {
        **listed, "notes": "", "created": at, "created_by": "ada", "last_modified_by": "ada",
    }  # fmt: skip
    assert await asked.get(APPROVALS) == []
    for type_ in ("SPECIFICATION", "CODE_CHANGE", "TEST", "DEPLOY"):
        status, _ = await asked.ask("POST", APPROVALS, body={"approval_type": type_, "notes": ""})
        assert status == 200
    assert (await asked.get(APPROVALS))[3] == {
        "application_id": "greeter", "version_id": "1.0", "approval_type": "DEPLOY", "user_id": "ada",
        "approved_at": at, "notes": "",
    }  # fmt: skip
    assert await asked.get("/apps/greeter/approvals") == ["CODE_CHANGE", "DEPLOY", "SPECIFICATION", "TEST"]


async def test_a_repeated_approval_answers_with_the_first(asked: Asked, house: InProcess) -> None:
    await asked.put()
    body = {"approval_type": "DEPLOY", "notes": "first"}
    first = await asked.ask("POST", APPROVALS, body=body)
    house.clock.advance(60)
    again = await asked.ask("POST", APPROVALS, body={**body, "notes": "second"})
    assert first[0] == 200
    assert again == first
    assert len(await house.entries("approval")) == 1


async def test_a_hundred_at_once_over_http_are_one_entry(asked: Asked, house: InProcess) -> None:
    await asked.put()
    body = {"approval_type": "DEPLOY", "digest": DIGEST}
    answers = await asyncio.gather(*(asked.ask("POST", APPROVALS, token, body) for token in ["ada", "bob"] * 50))
    assert {status for status, _ in answers} == {200}
    assert sorted(one["user_id"] for one in await asked.get(APPROVALS)) == ["ada", "bob"]
    assert len(await house.entries("approval")) == 2


@pytest.mark.parametrize(
    ("token", "status", "code"),
    [
        ("robot", 403, "approval-not-a-person"), ("root", 403, "approval-not-a-person"),
        ("eve", 403, "approval-team"), ("nobody", 401, "token-unknown"),
    ],
)  # fmt: skip
async def test_who_may_not_approve(asked: Asked, token: str, status: int, code: str) -> None:
    await asked.put()
    found = await asked.code("POST", APPROVALS, token, {"approval_type": "DEPLOY"})
    assert found[0] == status
    assert status == 401 or found[1] == code


async def test_a_member_that_only_the_team_service_knows_may_approve(asked: Asked) -> None:
    await asked.put()
    assert (await asked.ask("POST", APPROVALS, "stups", {"approval_type": "DEPLOY"}))[0] == 200


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({}, 400, "approval-type"),
        ({"approval_type": "MAGIC"}, 400, "approval-type"),
        ({"approval_type": "DEPLOY", "user_id": "bob"}, 400, "body-key"),
        ({"approval_type": "DEPLOY", "approved_at": "2020-01-01T00:00:00Z"}, 400, "body-key"),
        ({"approval_type": "DEPLOY", "notes": 7}, 400, "notes-malformed"),
        ({"approval_type": "DEPLOY", "notes": "x" * 5000}, 400, "notes-malformed"),
        ({"approval_type": "DEPLOY", "digest": "1.0"}, 400, "approval-digest"),
        ({"approval_type": "DEPLOY", "digest": OTHER}, 409, "approval-other-digest"),
        ({"approval_type": "DEPLOY", "version_id": "2.0"}, 409, "approval-other-version"),
        ({"approval_type": "DEPLOY", "application_id": "other"}, 409, "approval-other-version"),
        ([], 400, "body-not-object"),
        (b"{", 400, "body-not-json"),
        (b"[" * 30_000, 400, "body-not-json"),
    ],
)
async def test_what_is_wrong_with_an_approval_is_named(
    asked: Asked, house: InProcess, body: object, status: int, code: str
) -> None:
    await asked.put()
    assert await asked.code("POST", APPROVALS, body=body) == (status, code)
    assert await house.entries("approval") == []


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/apps/nobody/versions", 404), ("GET", "/apps/nobody/approvals", 404),
        ("GET", "/apps/greeter/versions/9", 404), ("GET", "/apps/greeter/versions/9/approvals", 404),
        ("GET", "/apps/greeter/versions/..%2F..", 400), ("GET", "/apps/greeter/versions?at=2999-01-01T00:00:00Z", 400),
        ("GET", "/apps/greeter/versions?x=1", 400), ("GET", "/v1/applications/greeter/versions?limit=0", 400),
        ("PUT", "/apps/nobody/versions/1.0", 404), ("PUT", "/apps/greeter/versions/-1", 400),
        ("POST", "/apps/nobody/versions/1.0/approvals", 404), ("POST", "/apps/greeter/versions/9/approvals", 404),
    ],
)  # fmt: skip
async def test_what_is_not_there_or_malformed_is_refused(asked: Asked, method: str, path: str, status: int) -> None:
    body = {"PUT": {"artifact": "a"}, "POST": {"approval_type": "DEPLOY"}}.get(method)
    assert (await asked.ask(method, path, body=body))[0] == status


async def test_a_body_of_another_type_is_refused(asked: Asked) -> None:
    found = await asked.code("PUT", "/apps/greeter/versions/1.0", body=b"artifact=a", content_type="text/plain")
    assert found[0] == 406


async def test_who_reads_only_its_own_teams_reads_no_versions_of_others(asked: Asked) -> None:
    await asked.put()
    paths = (
        "/apps/greeter/versions", "/apps/greeter/versions/1.0", APPROVALS, "/apps/greeter/approvals",
        "/v1/applications/greeter/versions", "/v1/applications/greeter/versions/1.0", "/apps/nobody/versions",
    )  # fmt: skip
    for path in paths:
        assert await asked.code("GET", path, "eve") == (403, "read-own-teams")
    for path in paths[:-1]:
        assert (await asked.ask("GET", path, "own"))[0] == 200


async def test_our_own_paths_have_every_digest_and_superseded_approvals_at_any_time(
    asked: Asked, house: InProcess
) -> None:
    await asked.put()
    await asked.ask("POST", APPROVALS, body={"approval_type": "DEPLOY"})
    house.clock.advance(60)
    then = to_instant(house.clock())
    house.clock.advance(60)
    await asked.put(f"docker://{REPOSITORY}@{OTHER}")
    house.clock.advance(5)
    path = "/v1/applications/greeter/versions"
    (found,) = (await asked.get(path))["versions"]
    assert (found["digest"], found["approvals"]) == (OTHER, [])
    assert [(one["user_id"], one["digest"]) for one in found["superseded"]] == [("ada", DIGEST)]
    before = await asked.get(f"{path}/1.0?at={then}")
    assert (before["digest"], len(before["approvals"]), before["superseded"]) == (DIGEST, 1, [])
    assert [len(await asked.get(f"{one}?at={then}")) for one in (APPROVALS, "/apps/greeter/approvals")] == [1, 1]


async def test_a_version_shows_the_commits_that_its_image_was_built_from(asked: Asked, house: InProcess) -> None:
    house.sources.commits[COMMIT] = (
        b"tree " + b"a" * 40 + b"\nauthor Ada <ada@example.org> 1700000000 +0000\n"
        b"committer Ada <ada@example.org> 1700000000 +0000\n\nPAY-7: pay"
    )
    image = ImageFacts(source=f"{REPOSITORY}:1.0", repository=REPOSITORY, digest=DIGEST)
    source = scm(url="https://git.example.org/demo/greeter", revision=COMMIT)
    await house.say(
        await house.machine(), image=image, application=ApplicationFacts(id="greeter", version="1.0"), containers=[],
        scm_source=source,
    )  # fmt: skip
    await house.work()
    found = await asked.get("/v1/applications/greeter/versions/1.0")
    assert found["commits"] == [{
        "commit": COMMIT, "repository": "git.example.org/demo/greeter", "subject": "PAY-7: pay",
        "author": "Ada <ada@example.org>", "tickets": ["PAY-7"],
    }]  # fmt: skip
    assert found["code_change"] is None, "the settings have no `approvals`"


async def test_versions_are_paged(asked: Asked) -> None:
    for number in range(3):
        await asked.ask("PUT", f"/apps/greeter/versions/1.{number}", body={"artifact": "a"})
    path = "/v1/applications/greeter/versions?limit=2"
    first = await asked.get(path)
    rest = await asked.get(f"{path}&cursor={first['next']}")
    assert [one["id"] for one in (*first["versions"], *rest["versions"])] == ["1.0", "1.1", "1.2"]
    assert rest["next"] is None
