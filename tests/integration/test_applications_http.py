"""Applications over HTTP: Kio's wire format, what yourturn asks, entity tags, media types, and `whence apps`."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from click.testing import CliRunner

from fakes.in_process import InProcess
from fakes.served_house import application_routes, served
from fakes.signing_authority import SigningAuthority
from landscape.contract import checked_session
from whence_aggregator.callers.caller import Caller
from whence_aggregator.callers.membership import Membership
from whence_aggregator.storage.sqlite import SqliteDatabase
from whence_aggregator.whence.cli import whence

KIO = {"team_id": "hello", "name": "Greeter", "active": True}
KNOWN = {
    "root": Caller(name="root", teams=None),
    "ada": Caller(name="ada", teams=frozenset({"hello"})),
    "bob": Caller(name="bob", teams=frozenset({"other"})),
    "stups": Caller(name="cleo", teams=frozenset(), asks_with="stups"),
}
Ask = Callable[..., Awaitable[tuple[int, Any, str]]]


class Service:
    """A team service that knows the teams of a token."""

    async def may_write(self, token: str, team: str) -> bool:
        return team in ("hello", "third")


@pytest.fixture
async def house(tmp_path: Path, authority: SigningAuthority) -> AsyncIterator[InProcess]:
    database = await SqliteDatabase.open(tmp_path / "ledger.db")
    async with InProcess(database, authority).running() as running:
        yield running
    await database.close()


@pytest.fixture
async def url(house: InProcess) -> AsyncIterator[str]:
    async with served(house, application_routes(house, Membership(Service())), KNOWN) as running:
        yield running


@pytest.fixture
async def ask(url: str) -> AsyncIterator[Ask]:
    async with checked_session(url) as session:

        async def asked(
            method: str, path: str, body: object = None, *, token: str = "ada", **headers: str
        ) -> tuple[int, Any, str]:
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            sent = {"json": body} if body is not None else {}
            known = {"Authorization": f"Bearer {token}", **named}
            async with session.request(method, url + path, headers=known, **sent) as answer:  # type: ignore[arg-type]  # one of aiohttp's arguments
                text = await answer.text()
                return answer.status, json.loads(text) if text else None, answer.headers.get("ETag", "")

        yield asked


async def test_kio_answers_with_an_entity_tag_and_keeps_to_conditions(ask: Ask) -> None:
    assert (await ask("PUT", "/apps/greeter", KIO, If_None_Match="*"))[::2] == (200, '"1"')
    assert (await ask("PUT", "/apps/greeter", KIO, If_None_Match="*"))[0] == 412
    status, found, tag = await ask("GET", "/apps/greeter")
    assert (status, found["name"], tag) == (200, "Greeter", '"1"')
    assert (await ask("PUT", "/apps/greeter", {**KIO, "name": "Two"}, If_Match=tag))[::2] == (200, '"2"')
    status, said, _ = await ask("PUT", "/apps/greeter", {**KIO, "name": "Three"}, If_Match=tag)
    assert (status, said["code"], said["message"]) == (
        412, "precondition-failed", "If-Match does not hold: the application is at revision 2",
    )  # fmt: skip
    assert (await ask("PUT", "/apps/greeter", {**KIO, "name": "Last write wins"}))[::2] == (200, '"3"')


@pytest.mark.parametrize("id_", ["Greeter", "x", "a_b", "-a", "a" * 121])
async def test_a_malformed_id_is_a_400_and_an_unknown_one_a_404_with_an_object(ask: Ask, id_: str) -> None:
    for status, said, _ in (await ask("GET", f"/apps/{id_}"), await ask("PUT", f"/apps/{id_}", KIO)):
        assert (status, said["code"]) == (400, "application-id-malformed")
        assert said["message"] == said["detail"]
    status, said, _ = await ask("GET", "/apps/nobody")
    assert (status, isinstance(said, dict), said["details"]) == (404, True, said["fix"])


async def test_another_media_type_is_a_406_for_kio_and_a_415_else(url: str, ask: Ask) -> None:
    async with aiohttp.ClientSession(headers={"Authorization": "Bearer ada"}) as session:
        for method, path, type_, expected in (
            ("PUT", "/apps/greeter", "text/plain", 406), ("PUT", "/apps/greeter", "application/xml", 406),
            ("PUT", "/apps/greeter", "application/json; charset=utf-8", 200),
            ("PUT", "/v1/applications/greeter", "text/plain", 415),
            ("PATCH", "/v1/applications/greeter", "text/plain", 415),
            ("PATCH", "/v1/applications/greeter", "application/merge-patch+json", 200),
            ("POST", "/v1/applications/greeter/handover", "text/plain", 415),
        ):  # fmt: skip
            data = json.dumps(KIO).encode()
            async with session.request(method, url + path, data=data, headers={"Content-Type": type_}) as answer:
                assert answer.status == expected, (method, path, type_)


async def test_what_yourturn_asks_is_answered(house: InProcess, ask: Ask) -> None:
    """Its list, the search of its header, an application, and the whole object sent back without read-only keys."""
    assert (await ask("GET", "/apps"))[:2] == (200, [])
    await ask("PUT", "/apps/greeter", {**KIO, "description": "Greets <all>"})
    house.clock.advance(60)
    await ask("PUT", "/apps/farewell", {**KIO, "team_id": "other", "active": False}, token="bob")
    for query, ids in (
        ("", ["farewell", "greeter"]), ("?team_id=other", ["farewell"]), ("?active=true", ["greeter"]),
        ("?search=greets", ["greeter"]), ("?search=greet&team_id=other", ["farewell"]), ("?search=nothing", []),
        ("?incident_contact=x", []), ("?modified_after=2026-11-22T12:01:00.000Z", ["farewell"]),
        ("?modified_before=2026-11-22T12:00:00Z", ["greeter"]), ("?modified_after=2026-11-23", []),
        ("?modified_before=2026-11-22T13:00:30+01:00", ["greeter"]), ("?modified_before=2026-11-22T12:00:30", ["greeter"]),
    ):  # fmt: skip
        status, found, _ = await ask("GET", f"/apps{query}")
        assert (status, [one["id"] for one in found]) == (200, ids), query
    ((found,)) = (await ask("GET", "/apps?search=all"))[1]
    assert (found["matched_rank"], found["matched_description"]) == (0.1, "Greets &lt;<b>all</b>&gt;")
    _, whole, _ = await ask("GET", "/apps/greeter")
    sent = {
        key: whole[key]
        for key in whole
        if key not in ("id", "created", "created_by", "last_modified", "last_modified_by")
    }
    assert (await ask("PUT", "/apps/greeter", {**sent, "subtitle": "Hello"}))[0] == 200
    assert (await ask("GET", "/apps/greeter"))[1]["subtitle"] == "Hello"
    for query in ("modified_after=yesterday", "modified_after=0000-00-00", "active=yes", "search=" + "x" * 301):
        assert (await ask("GET", f"/apps?{query}"))[0] == 400, query


async def test_an_application_is_replaced_patched_and_listed_as_a_whole(ask: Ask) -> None:
    more: dict[str, Any] = {
        "repositories": ["https://git.example.org/demo/greeter"],
        "trackers": [{"pattern": "PAY-{number}"}],
    }
    status, found, tag = await ask("PUT", "/v1/applications/greeter", {**KIO, **more})
    assert (status, tag, found["revision"], found["scm_url"]) == (201, '"1"', 1, more["repositories"][0])
    assert (await ask("PUT", "/v1/applications/greeter", {**KIO, **more, "subtitle": "Hi"}))[0] == 200
    status, found, tag = await ask("PATCH", "/v1/applications/greeter", {"subtitle": None}, If_Match='"2"')
    assert (status, found["subtitle"], tag) == (200, None, '"3"')
    assert (await ask("GET", "/v1/applications/greeter"))[1:] == (found, '"3"')
    status, page, _ = await ask("GET", "/v1/applications?q=greeter&limit=1")
    assert [(one["id"], one["trackers"][0]["pattern"]) for one in page["applications"]] == [("greeter", "PAY-{number}")]
    for method, path in (("GET", "nobody"), ("GET", "x"), ("GET", "x/history"), ("GET", "nobody/handover")):
        assert (await ask(method, f"/v1/applications/{path}"))[0] == 404, path
    for cursor in ("x", "1~", "-1~a", "9" * 13 + "~a"):
        assert (await ask("GET", f"/v1/applications?q=greeter&cursor={cursor}"))[0] in (200, 400), cursor


async def test_the_team_service_is_asked_about_both_teams(ask: Ask) -> None:
    await ask("PUT", "/apps/greeter", KIO)
    status, said, _ = await ask("PUT", "/apps/greeter", {**KIO, "team_id": "other"}, token="stups")
    assert (status, said["code"]) == (403, "handover-needs-consent")
    assert (await ask("PUT", "/apps/greeter", {**KIO, "team_id": "third"}, token="stups"))[0] == 200
    status, said, _ = await ask("POST", "/v1/applications/greeter/handover", {"team_id": "other"}, token="stups")
    assert (status, said["state"]) == (201, "offered")
    closed = await ask("POST", "/v1/applications/greeter/handover/accept", {"offer": said["offer"]}, token="bob")
    assert closed[:2] == (200, {"state": "accepted", "offer": said["offer"], "team_id": "other", "revision": 3})


async def test_whence_apps_lists_shows_and_hands_over(url: str, ask: Ask) -> None:
    await ask("PUT", "/v1/applications/greeter", {**KIO, "repositories": ["https://git.example.org/demo/greeter"]})

    async def run(*arguments: str, token: str = "ada") -> tuple[int, str]:
        given = {"WHENCE_URL": url, "WHENCE_TOKEN": token}
        done = await asyncio.to_thread(CliRunner().invoke, whence, ["apps", *arguments], env=given)
        return done.exit_code, done.output

    for arguments in ((), ("list",), ("--search", "greet"), ("list", "--team", "hello", "--active")):
        code, said = await run(*arguments)
        assert (code, "greeter  hello    Greeter" in said, "1 in total" in said) == (0, True, True), said
    assert "0 in total" in (await run("--inactive"))[1]
    assert (await run("--json", "greeter"))[1] == (await run("greeter", "--json"))[1]
    code, said = await run("greeter")
    assert (code, 'repositories         ["https://git.example.org/demo/greeter"]' in said) == (0, True), said
    assert json.loads((await run("show", "greeter", "--json"))[1])["revision"] == 1
    assert await run("accept", "greeter", token="bob") == (4, "whence: not found: no offer of greeter is open\n")
    code, said = await run("offer", "greeter", "other", "--note", "yours")
    assert (code, said.startswith("greeter: offered (offer "), "belongs to team hello" in said) == (0, True, True), said
    code, said = await run("accept", "greeter")
    assert (code, "ada may not write for team other" in said) == (3, True), said
    code, said = await run("decline", "greeter", token="bob")
    assert (code, "greeter: declined" in said) == (0, True), said
    await run("offer", "greeter", "other")
    assert (await run("withdraw", "greeter"))[0] == 0
    await run("offer", "greeter", "other")
    code, said = await run("accept", "greeter", "--json", token="bob")
    assert (code, '"team_id": "other"' in said) == (0, True), said
    code, said = await run("history", "greeter")
    assert (code, ["bob", "team_id", "hello", "other"] in [line.split()[1:5] for line in said.splitlines()]) == (
        0,
        True,
    )
    code, said = await run("history", "greeter", "--json", "--limit", "1")
    assert (code, '"next": "2"' in said) == (0, True), said
