"""Parameters over HTTP: every path of the contract takes those that it lists, once, with a value, and no other."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator

import aiohttp
import pytest
from yarl import URL

from fakes.clocks import FakeClock
from landscape.contract import contract
from landscape.programs import Aggregator

PLACES = {"digest": "sha256:" + "0" * 64, "id": "i-00000001", "name": "sha256:" + "0" * 64}
TOKENS = "/v2/token"
"""RFC 6749, 3.2: the server ignores parameters that it does not know. Clients send `scope` more than once."""
OF_FULLSTOP = ("/api/violation", "/api/lifecycles", "/api/whitelisting-rules", "/api/instance-logs")
"""The `fullstop` command sends empty parameters, and old dashboards others that did nothing."""
TAKEN = {"/apps": {"search"}, "/v2/{name}/blobs/uploads/{number}": {"digest"}}
"""Kio's search has a refusal of its own; `digest` ends an upload by PUT, and other methods ignore it."""


def operations() -> Iterator[tuple[str, str, set[str]]]:
    """Return path, method and names of query parameters of all operations of the aggregator in the contract."""
    for one in contract().operations:
        if not one.servers:
            yield one.path, one.method, one.names("query")


def ignores(path: str) -> bool:
    """Return whether a path ignores parameters that it does not know."""
    return path == TOKENS or path.startswith(OF_FULLSTOP)


@pytest.fixture
async def known(lone: Aggregator) -> AsyncIterator[aiohttp.ClientSession]:
    async with lone.session() as session:
        yield session


async def asked(session: aiohttp.ClientSession, server: str, method: str, path: str, query: str) -> tuple[int, str]:
    place = re.sub(r"\{(.*?)\}", lambda match: PLACES.get(match[1], "x"), path)
    async with session.request(method, URL(f"{server}{place}?{query}", encoded=True)) as answer:
        return answer.status, await answer.text()


@pytest.mark.parametrize("query", ["unknown=1", "unknown", "unknown=1&unknown=2", "=x"])
async def test_no_path_takes_a_parameter_that_the_contract_does_not_list(
    known: aiohttp.ClientSession, lone: Aggregator, query: str
) -> None:
    for path, method, _ in operations():
        status, text = await asked(known, lone.url, method, path, query)
        if ignores(path):
            assert "unknown parameter" not in text, (method, path, text)
            assert path != TOKENS or status == 200, (method, text)
            continue
        assert status == 400, (method, path, text)
        assert method == "HEAD" or "unknown parameter" in text, (method, path, text)


async def test_every_path_takes_the_parameters_that_the_contract_lists_for_it(
    known: aiohttp.ClientSession, lone: Aggregator
) -> None:
    for path, method, names in operations():
        if not ignores(path) and method != "HEAD":
            _, text = await asked(known, lone.url, method, path, "unknown=1")
            taken = re.search(r"this path takes ([a-zA-Z_, ]+)", text)
            assert taken is not None, (method, path, text)
            more = TAKEN.get(path, set()) - names
            assert {*taken[1].split(", ")} - {"no parameters"} - more == names, (method, path, text)


async def test_no_path_takes_a_parameter_twice_or_without_a_value(
    known: aiohttp.ClientSession, lone: Aggregator
) -> None:
    for path, method, names in operations():
        for name in names if not ignores(path) else ():
            status, text = await asked(known, lone.url, method, path, f"{name}=1&{name}=1")
            assert status == 400, (method, path, name, text)
            assert method == "HEAD" or "more than once" in text, (method, path, name, text)
            if not path.startswith("/v2/"):
                status, text = await asked(known, lone.url, method, path, f"{name}=")
                assert status == 400, (method, path, name, text)
                assert method == "HEAD" or "no value" in text, (method, path, name, text)


async def test_what_oci_clients_add_is_taken(known: aiohttp.ClientSession, lone: Aggregator) -> None:
    """containerd names the registry that it asks a mirror for; docker and others say more at sign-in than we need."""
    for query in ("ns=docker.io", "n=5&last=", "last="):
        status, text = await asked(known, lone.url, "get", "/v2/alpha/app/tags/list", query)
        assert "unknown parameter" not in text, (status, text)
    query = "account=ada&client_id=docker&offline_token=true&service=pierone.example.org&scope=repository:a/b:pull"
    assert (await asked(known, lone.url, "get", "/v2/token", query))[0] == 200
    assert (await asked(known, lone.url, "get", "/teams", "ns=docker.io"))[0] == 400


async def test_head_is_answered_as_get_without_the_body(known: aiohttp.ClientSession, lone: Aggregator) -> None:
    for path in ("/health", "/metrics", "/v1/instances", "/v1/violations", "/v1/log/checkpoint", "/apps", "/teams"):
        async with known.get(lone.url + path) as get, known.head(lone.url + path) as head:
            assert (head.status, head.content_type) == (get.status, get.content_type), path
            assert await head.read() == b""
    now = FakeClock()().strftime("%Y-%m-%dT%H:%M:%SZ")
    async with known.head(f"{lone.url}/v1/bundles?from=2000-01-01T00:00:00Z&to={now}") as head:
        assert (head.status, await head.read()) == (200, b"")


KIO = {"team_id": "hello", "name": "Greeter", "active": True}


@pytest.mark.parametrize(
    "query, found",
    [
        ("", ["kio-one", "kio-two"]),
        ("team_id=hello", ["kio-one"]),
        ("active=false", ["kio-two"]),
        ("incident_contact=%2B49", ["kio-two"]),
        ("modified_after=2000-01-01T00:00:00Z", ["kio-one", "kio-two"]),
        ("modified_after=9000-01-01T00:00:00Z", []),
        ("modified_before=2000-01-01T00:00:00Z", []),
        ("modified_before=9000-01-01T00:00:00%2B02:00&active=true", ["kio-one"]),
    ],
)
async def test_kios_filters_are_answered_as_kio_did(
    known: aiohttp.ClientSession, lone: Aggregator, query: str, found: list[str]
) -> None:
    await lone.put("/apps/kio-one", KIO)
    await lone.put("/apps/kio-two", {**KIO, "team_id": "other", "active": False, "incident_contact": "+49"})
    async with known.get(URL(f"{lone.url}/apps?{query}", encoded=True)) as answer:
        assert [one["id"] for one in await answer.json()] == found


async def test_an_application_is_modified_at_its_moment_inclusively(
    known: aiohttp.ClientSession, lone: Aggregator
) -> None:
    await lone.put("/apps/kio-three", KIO)
    modified = (await lone.get("/apps/kio-three"))["last_modified"]
    for name in ("modified_after", "modified_before"):
        async with known.get(lone.url + "/apps", params={name: modified, "team_id": "hello"}) as answer:
            assert "kio-three" in [one["id"] for one in await answer.json()]


@pytest.mark.parametrize(
    "method, path, status, code",
    [
        ("get", "/apps?search=a b c d e f g h i j k l", 400, "search-too-long"),
        ("get", "/apps?active=yes", 400, "parameter-malformed"),
        ("get", "/apps?active=True", 400, "parameter-malformed"),
        ("get", "/apps?modified_after=yesterday", 400, "parameter-malformed"),
        ("get", "/apps?team=hello", 400, "parameter-unknown"),
        ("get", "/apps/greeter?at=noon", 400, "parameter-malformed"),
        ("get", "/apps/No_Id", 400, "application-id-malformed"),
        ("get", "/apps/unregistered/versions", 404, "application-unknown"),
        ("put", "/apps/unregistered/versions/1.0", 404, "application-unknown"),
    ],
)
async def test_requests_of_kios_clients_are_refused_with_its_keys_and_a_code(
    known: aiohttp.ClientSession, lone: Aggregator, method: str, path: str, status: int, code: str
) -> None:
    async with known.request(method, lone.url + path, json={}) as answer:
        problem = await answer.json(content_type=None)
        assert (answer.status, problem["code"], problem["message"]) == (status, code, problem["detail"])
