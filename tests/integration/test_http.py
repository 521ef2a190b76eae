"""The aggregator over HTTP: the contract holds, callers are known first, bodies are bounded, errors say what to do."""

from __future__ import annotations

import asyncio
import re
import zlib
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
import yaml
from yarl import URL

from fakes.agent_client import AgentClient
from fakes.machine import FAILED, Machine
from fakes.signing_authority import SigningAuthority
from landscape.contract import checked_session, contract
from landscape.programs import Aggregator

KIO = {"team_id": "hello", "name": "Greeter", "active": True}


@pytest.fixture
async def session(lone: Aggregator) -> AsyncIterator[aiohttp.ClientSession]:
    async with checked_session(lone.url) as opened:
        yield opened


@pytest.fixture
def client(session: aiohttp.ClientSession, lone: Aggregator) -> AgentClient:
    return AgentClient(session, lone.url)


async def refused(answer: aiohttp.ClientResponse) -> tuple[int, str]:
    assert answer.content_type == "application/problem+json"
    return answer.status, (await answer.json(content_type=None))["code"]


async def test_the_contract_is_served_as_it_is_in_the_source(session: aiohttp.ClientSession, lone: Aggregator) -> None:
    async with session.get(lone.url + "/openapi.yaml") as answer:
        assert yaml.load(await answer.text(), Loader=yaml.CSafeLoader) == contract().document


async def test_other_paths_are_not_found_and_other_methods_not_allowed(
    session: aiohttp.ClientSession, lone: Aggregator
) -> None:
    known = {"Authorization": f"Bearer {lone.token}"}
    async with session.get(lone.url + "/nowhere", headers=known) as answer:
        assert await refused(answer) == (404, "http-404")
    async with session.delete(lone.url + "/apps/greeter", headers=known) as answer:
        assert await refused(answer) == (405, "http-405")
        assert answer.headers["Allow"] == "GET,HEAD,PUT"


@pytest.mark.parametrize(
    "path, token, status", [("/no%0Awhere", False, 401), ("/no%0Awhere", True, 404), ("/v2/a%0Ab/tags/list", True, 400)]
)
async def test_a_line_break_in_a_path_is_answered_as_any_other_character(
    session: aiohttp.ClientSession, lone: Aggregator, path: str, token: bool, status: int
) -> None:
    known = {"Authorization": f"Bearer {lone.token}"} if token else {}
    async with session.get(URL(lone.url + path, encoded=True), headers=known) as answer:
        assert answer.status == status
        assert answer.headers["X-Request-Id"]


async def test_an_agent_enrols_speaks_and_is_traced(
    client: AgentClient, lone: Aggregator, authority: SigningAuthority
) -> None:
    machine = Machine(authority, "i-00000000000000101")
    assert (await client.enrol(machine))[0] == 201
    content = machine.statement()
    assert [(await client.post("/v1/statements", content))[0] for _ in range(2)] == [201, 200]
    lineage = await lone.get("/v1/trace", instance=machine.instance_id)
    assert lineage["subject"] == {"instance": machine.instance_id}
    back = await lone.get("/v1/trace", application="greeter")
    assert back["subject"] == {"application": "greeter"}
    _, accepted = await client.post("/v1/statements", content)
    receipt = await lone.get(f"/v1/receipts/{accepted['digest']}")
    assert receipt["ledger_index"] == accepted["ledger_index"]
    async with (
        lone.session() as reader,
        reader.get(f"{lone.url}/v1/statements/{accepted['digest']}") as answer,
    ):
        assert await answer.read() == content
    shown = await lone.get(f"/v1/instances/{machine.instance_id}")
    assert [one["sequence"] for one in shown["statements"]] == [1]
    states = {one["link"]: one["state"] for one in lineage["links"]}
    [row] = (await lone.get("/v1/instances", application="greeter", links="true"))["instances"]
    assert (row["lineage"]["complete"], row["lineage"]["links"]) == (False, states)
    assert row["lineage"]["gaps"][0] == next(
        name for name in lineage["required"] if states[name] not in ("confirmed", "asserted")
    )
    [plain] = (await lone.get("/v1/instances", application="greeter"))["instances"]
    assert "lineage" not in plain


@pytest.mark.parametrize(
    "body, status, code",
    [
        (b"", 400, "envelope-malformed"),
        (b"{}", 400, "envelope-malformed"),
        (b"[" * 200_000, 400, "envelope-malformed"),
        (b"\xff" * 100, 400, "envelope-malformed"),
        (b"x" * 300_000, 413, "body-too-large"),
        (b'{"payload":"e30=","payloadType":"application/vnd.in-toto+json","signatures":[{"sig":"AAAA"}]}', 401, "key-unknown"),
    ],
)  # fmt: skip
async def test_a_bad_statement_is_refused_with_a_code(client: AgentClient, body: bytes, status: int, code: str) -> None:
    got, problem = await client.post("/v1/statements", body)
    assert (got, problem["code"]) == (status, code)


@pytest.mark.parametrize(
    "path, body, status, code",
    [
        ("/v1/enrolments", b"", 400, "enrolment-malformed"),
        ("/v1/enrolments", b'{"identity":"","public_key":"","challenge":"","proof":"","more":1}', 400, "enrolment-malformed"),
        ("/v1/enrolments", b'{"identity":"","public_key":"","challenge":"no","proof":""}', 401, "challenge-unknown"),
        ("/v1/enrolments", b"x" * 20_000, 413, "body-too-large"),
        ("/v1/heartbeats", b"{}", 400, "heartbeat-malformed"),
        ("/v1/heartbeats", b"x" * 2_000, 413, "body-too-large"),
        ("/v1/challenges", b"x" * 2_000, 413, "body-too-large"),
    ],
)  # fmt: skip
async def test_a_bad_call_of_an_agent_is_refused(
    client: AgentClient, path: str, body: bytes, status: int, code: str
) -> None:
    got, problem = await client.post(path, body)
    assert (got, problem["code"]) == (status, code)


async def test_a_body_without_length_is_bounded_too(session: aiohttp.ClientSession, lone: Aggregator) -> None:
    async def endless() -> AsyncIterator[bytes]:
        for _ in range(64):
            yield b"x" * 16_384

    async with session.post(lone.url + "/v1/statements", data=endless()) as answer:
        assert answer.status == 413


async def test_a_second_key_for_an_instance_is_a_conflict(client: AgentClient, authority: SigningAuthority) -> None:
    assert (await client.enrol(Machine(authority, "i-00000000000000102")))[0] == 201
    status, problem = await client.enrol(Machine(authority, "i-00000000000000102"))
    assert (status, problem["code"]) == (409, "instance-bound")
    assert problem["fix"]


async def test_a_document_of_another_authority_or_account_is_forbidden(
    client: AgentClient, authority: SigningAuthority
) -> None:
    status, problem = await client.enrol(Machine(SigningAuthority.make()))
    assert (status, problem["code"]) == (403, "identity-signature")
    status, problem = await client.enrol(Machine(authority, accountId="999999999999"))
    assert (status, problem["code"]) == (403, "account-not-allowed")


@pytest.mark.parametrize("header", [None, "Bearer", "Bearer wrong", "Basic !", "Basic b2F1dGgyOndyb25n", "Digest x"])
async def test_reading_requires_a_known_token(
    session: aiohttp.ClientSession, lone: Aggregator, header: str | None
) -> None:
    headers = {} if header is None else {"Authorization": header}
    for path in ("/v1/instances", "/apps", "/v1/trace?instance=i-00000001"):
        async with session.get(lone.url + path, headers=headers) as answer:
            assert await refused(answer) == (401, "token-unknown")
            assert answer.headers["WWW-Authenticate"].startswith("Bearer")


async def test_an_anonymous_body_is_not_read(session: aiohttp.ClientSession, lone: Aggregator) -> None:
    """Send the headers of a huge PUT; the answer comes although the body never does."""
    host, port = lone.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(b"PUT /apps/greeter HTTP/1.1\r\nHost: x\r\nContent-Length: 200000\r\n\r\n")
    async with asyncio.timeout(10):
        assert b" 401 " in await reader.readline()
    writer.close()


async def test_stups_clients_ways_to_send_a_token_all_work(session: aiohttp.ClientSession, lone: Aggregator) -> None:
    basic = aiohttp.encode_basic_auth("oauth2", lone.token) if hasattr(aiohttp, "encode_basic_auth") else None
    for header in (f"Bearer {lone.token}", f"Token {lone.token}", basic):
        if header is not None:
            async with session.get(lone.url + "/apps", headers={"Authorization": header}) as answer:
                assert answer.status == 200


@pytest.mark.parametrize(
    "query, code",
    [
        ("", "subject-count"),
        ("instance=i-00000001&commit=0123456", "subject-count"),
        ("instance=x", "instance-malformed"),
        ("image=latest", "parameter-malformed"),
        ("commit=xyz", "parameter-malformed"),
        ("commit=012345", "parameter-malformed"),
        ("ticket=a%20b", "parameter-malformed"),
        ("application=A", "parameter-malformed"),
        ("commit=0123456&version=1", "parameter-malformed"),
        ("instance=i-00000001&at=yesterday", "parameter-malformed"),
        ("instance=i-00000001&at=2026-11-22T12:00:00", "parameter-malformed"),
        ("application=aa&limit=0", "parameter-malformed"),
        ("application=aa&limit=9999", "parameter-malformed"),
        ("application=aa&what=1", "parameter-unknown"),
        ("application=aa&application=bb", "parameter-repeated"),
        ("application=", "parameter-malformed"),
        ("ticket=%00", "text-unstorable"),
        ("application=aa&cursor=%c2%b2", "parameter-malformed"),
        ("application=aa&at=0001-01-01T00:00:00%2B23:59", "parameter-malformed"),
        ("application=aa&at=9999-12-31T23:59:59.999Z", "time-in-future"),
        ("application=aa&known_at=2999-01-01T00:00:00Z", "time-in-future"),
        ("application=aa&at=2026-11-22T12:00:00Z&known_at=2026-11-22T11:59:59.999Z", "time-not-known"),
        ("application=aa&known_at=now", "parameter-malformed"),
    ],
)
async def test_a_wrong_question_is_refused_with_a_code(
    session: aiohttp.ClientSession, lone: Aggregator, query: str, code: str
) -> None:
    headers = {"Authorization": f"Bearer {lone.token}"}
    async with session.get(f"{lone.url}/v1/trace?{query}", headers=headers) as answer:
        assert await refused(answer) == (400, code)


@pytest.mark.parametrize(
    "path",
    ["/v1/trace?instance=i-0fffffff", "/v1/instances/i-0fffffff", "/apps/nobody", "/v1/receipts/sha256:" + "0" * 64],
)
async def test_what_is_not_there_is_404(session: aiohttp.ClientSession, lone: Aggregator, path: str) -> None:
    async with session.get(lone.url + path, headers={"Authorization": f"Bearer {lone.token}"}) as answer:
        status, code = await refused(answer)
        assert status == 404
        assert code.endswith("-unknown")


async def test_kio_put_and_get_speak_kios_way(session: aiohttp.ClientSession, lone: Aggregator) -> None:
    headers = {"Authorization": f"Bearer {lone.token}"}
    async with session.put(lone.url + "/apps/greeter", json=KIO, headers=headers) as answer:
        assert (answer.status, await answer.read()) == (200, b"")
    async with session.get(lone.url + "/apps/greeter", headers=headers) as answer:
        assert (await answer.json())["required_approvers"] == 2
    async with session.get(lone.url + "/apps?team_id=nobody", headers=headers) as answer:
        assert await answer.json() == []
    async with session.put(lone.url + "/apps/greeter", data=b"{}", headers=headers) as answer:
        assert answer.status == 406
    async with session.put(lone.url + "/apps/greeter", json={"id": "x"}, headers=headers) as answer:
        assert (answer.status, "message" in await answer.json(content_type=None)) == (400, True)


async def test_violations_say_rule_reason_and_remedy(
    client: AgentClient, lone: Aggregator, authority: SigningAuthority
) -> None:
    machine = Machine(authority, "i-00000000000000103")
    await client.enrol(machine)
    await client.say(machine, **FAILED)
    async with asyncio.timeout(20):
        found: list[dict[str, Any]] = []
        while not found:
            answer = await lone.get("/v1/violations", instance=machine.instance_id, rule="boot-failed")
            found = answer["violations"]
    assert (found[0]["verdict"], found[0]["reason"], found[0]["severity"]) == ("fail", "it moves", 2)
    assert found[0]["remedy"]
    first = await lone.get("/v1/violations", instance=machine.instance_id, limit="1")
    second = await lone.get("/v1/violations", instance=machine.instance_id, limit="1", cursor=first["next"])
    assert first["violations"][0]["rule"] < second["violations"][0]["rule"]


async def test_every_answer_has_a_request_id_and_ours_is_kept(session: aiohttp.ClientSession, lone: Aggregator) -> None:
    async with session.get(lone.url + "/health", headers={"X-Request-Id": "abc-1"}) as answer:
        assert answer.headers["X-Request-Id"] == "abc-1"
    async with session.get(lone.url + "/health", headers={"X-Request-Id": "<script>"}) as answer:
        assert re.fullmatch(r"[0-9a-f]{12}-[0-9]+", answer.headers["X-Request-Id"])


BEAT = b'{"instance_id":"i-00000001","enrolment":1,"counter":1,"sequence":1,"state_digest":"sha256:%s","sent_at":"%s"}' % (
    b"0" * 64, b"2026-11-22T12:00:00Z",
)  # fmt: skip


@pytest.mark.parametrize(
    "asked, headers, body, status",
    [
        ("POST /v1/heartbeats", b"Whence-MAC: \xc3\xa9", BEAT, 401),
        ("POST /v1/heartbeats", b"Whence-MAC: \xff", BEAT, 401),
        ("POST /v1/heartbeats", b"Content-Encoding: gzip", BEAT, 415),
        ("POST /v1/statements", b"Content-Encoding: deflate", b"x", 415),
        ("POST /v1/challenges", b"Content-Encoding: br", b"x", 415),
        ("GET /v1/instances", b"Authorization: Bearer \xff\xfe", b"", 401),
        ("GET /v1/instances", b"Authorization: Basic \xff\xfe", b"", 401),
        ("GET /health", b"X-Request-Id: \xff", b"", 200),
    ],
)
async def test_bytes_that_are_no_text_break_nothing(
    lone: Aggregator, asked: str, headers: bytes, body: bytes, status: int
) -> None:
    host, _, port = lone.url.removeprefix("http://").partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    head = f"{asked} HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: {len(body)}\r\n"
    writer.write(head.encode() + headers + b"\r\n\r\n" + body)
    answered = await asyncio.wait_for(reader.read(), 10.0)
    writer.close()
    assert answered.startswith(f"HTTP/1.1 {status} ".encode()), answered


@pytest.mark.parametrize("sent", [b"\x16\x03\x01 hello\r\n\r\n", b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"])
async def test_what_is_no_http_is_one_line_of_the_log(lone: Aggregator, sent: bytes) -> None:
    host, _, port = lone.url.removeprefix("http://").partition(":")
    before = len(lone.process.log.read_text(encoding="utf-8"))
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(sent)
    assert b" 400 " in await asyncio.wait_for(reader.read(), 10.0)
    writer.close()
    said = lone.process.log.read_text(encoding="utf-8")[before:]
    assert "Traceback" not in said
    assert "error" not in said


async def test_a_few_bytes_that_unfold_to_many_are_not_unfolded(
    session: aiohttp.ClientSession, lone: Aggregator
) -> None:
    """The length in the headers is that of the encoded body: it says nothing of what would be held in memory."""
    bomb = zlib.compress(b" " * 64 * 1024 * 1024)
    async with session.post(lone.url + "/v1/statements", data=bomb, headers={"Content-Encoding": "deflate"}) as answer:
        assert (answer.status, (await answer.json(content_type=None))["code"]) == (415, "body-encoded")


@pytest.mark.parametrize("last", ["GET /health HTTP/1.0", "GET /health HTTP/1.1\r\nHost: a\r\nConnection: close"])
async def test_questions_in_one_go_are_answered_in_order_until_the_last(lone: Aggregator, last: str) -> None:
    host, _, port = lone.url.removeprefix("http://").partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    asked = ["GET /health HTTP/1.1\r\nHost: a", "GET /nowhere HTTP/1.1\r\nHost: a", last]
    writer.write("".join(f"{one}\r\n\r\n" for one in asked).encode())
    answered = await asyncio.wait_for(reader.read(), 10.0)
    writer.close()
    statuses, answers = [], answered.split(b"HTTP/1.1 ")[1:]
    for one in answers:
        head, _, body = one.partition(b"\r\n\r\n")
        headers = {
            name.lower(): value for name, _, value in (line.partition(": ") for line in head.decode().split("\r\n"))
        }
        assert int(headers["content-length"]) == len(body)
        assert "gmt" in headers["date"].lower()
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-request-id"]
        statuses.append(head[:3])
    assert statuses == [b"200", b"401", b"200"]
    assert b"Connection: close" in answers[-1]


async def test_operators_see_health_metrics_and_a_page_without_a_token(
    session: aiohttp.ClientSession, lone: Aggregator
) -> None:
    for path in ("/", "/health", "/ready", "/metrics", "/.well-known/health"):
        async with session.get(lone.url + path) as answer:
            assert answer.status == 200
            text = await answer.text()
            if path == "/metrics":
                assert text.endswith("# EOF\n")
                assert "whence_ledger_entries" in text


async def test_the_command_exits_as_scripts_expect(
    lone: Aggregator, client: AgentClient, authority: SigningAuthority
) -> None:
    machine = Machine(authority, "i-00000000000000104")
    await client.enrol(machine)
    await client.say(machine)
    assert (await lone.whence("trace", machine.instance_id))[0] == 1
    assert (await lone.whence("trace", "i-0fffffff"))[0] == 4
    assert (await lone.whence("trace", "--ticket", "NOPE-1"))[0] == 4
    assert (await lone.whence("--url", "http://127.0.0.1:1", "instances"))[0] == 3
    assert (await lone.whence("--url", "nonsense", "instances"))[0] == 2
    assert (await lone.whence("trace"))[0] == 2
    code, listed = await lone.whence("instances")
    assert (code, machine.instance_id in listed) == (0, True)
    code, shown = await lone.whence("trace", machine.instance_id, "--json")
    assert (code, '"links"' in shown) == (1, True)
    assert (await lone.whence("apps"))[0] == 0


@pytest.mark.parametrize(
    "path",
    [
        "/apps/a%00b",
        "/v1/instances/i-%00",
        "/v1/instances?application=a%00b",
        "/v1/accounts/1%00/silent",
        "/v1/lineages?ticket=%00",
        "/v1/violations?cursor=%00",
        "/apps?a%00=b",
    ],
)
async def test_nul_in_a_path_or_query_is_a_refusal_everywhere(
    session: aiohttp.ClientSession, lone: Aggregator, path: str
) -> None:
    url = URL(lone.url + path, encoded=True)
    async with session.get(url, headers={"Authorization": f"Bearer {lone.token}"}) as answer:
        assert await refused(answer) == (400, "text-unstorable")


@pytest.mark.parametrize("body", [b'{"team_id":"hello","name":"a\\u0000b","active":true}', b'{"a\\u0000":1}'])
async def test_nul_in_a_body_is_a_refusal(session: aiohttp.ClientSession, lone: Aggregator, body: bytes) -> None:
    known = {"Authorization": f"Bearer {lone.token}", "Content-Type": "application/json"}
    async with session.put(lone.url + "/apps/strangers", data=body, headers=known) as answer:
        assert await refused(answer) == (400, "text-unstorable")
