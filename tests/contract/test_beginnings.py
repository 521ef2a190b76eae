"""Keys by their beginnings, on SQLite and PostgreSQL: what begins so is found by an index, and no list is unbounded."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from fakes.in_process import ROOT, InProcess
from fakes.known_caller import called_by
from fakes.machine import Machine
from whence_aggregator.http.errors import guarded
from whence_aggregator.http.keys import KeyCalls
from whence_aggregator.ledger.log_reader import LogReader
from whence_aggregator.trace.beginnings import Beginnings
from whence_aggregator.trace.search import Wanted

ONE, TWO, OTHER = "i-0123aaaaaaaaaaaa1", "i-0123aaaaaaaaaaaa2", "i-0456aaaaaaaaaaaa1"


@pytest.fixture
async def ask(house: InProcess) -> AsyncIterator[Any]:
    calls = KeyCalls(Beginnings(database=house.database, log=LogReader(house.database))).routes()
    application = web.Application(middlewares=[called_by(ROOT)])
    application.add_routes(web.route(one.method, one.path, guarded(one.handler, None)) for one in calls)
    async with TestClient(TestServer(application)) as client:

        async def asked(beginning: str, **query: str) -> tuple[int, Any]:
            async with client.get("/v1/keys", params={"beginning": beginning, **query}) as answer:
                return answer.status, await answer.json(content_type=None)

        yield asked


async def _speaking(house: InProcess) -> str:
    """Have three instances speak; return the digest of a statement."""
    digest = ""
    for name in (ONE, TWO, OTHER):
        machine = Machine(house.authority, name)
        await house.enrol(machine)
        digest = (await house.say(machine)).digest
    return digest


def found(answer: tuple[int, Any], kind: str) -> list[str]:
    status, document = answer
    assert status == 200, document
    return [one["value"] for one in document["keys"] if one["kind"] == kind]


async def test_instances_are_found_by_the_beginning_of_their_ids(house: InProcess, ask: Any) -> None:
    await _speaking(house)
    assert found(await ask("i-0123"), "instance") == [ONE, TWO]
    assert found(await ask(ONE), "instance") == [ONE]
    assert found(await ask("i-0456aaaaaaaaaaaa"), "instance") == [OTHER]
    assert (await ask("i-0789"))[1]["keys"] == []
    cut = await ask("i-0123", limit="1")
    assert (found(cut, "instance"), cut[1]["more"], (await ask("i-0123"))[1]["more"]) == ([ONE], True, False)


async def test_images_and_user_data_of_what_runs_are_found_once_each(house: InProcess, ask: Any) -> None:
    await _speaking(house)
    (row,) = {
        (one["image_digest"], one["user_data_digest"])
        for one in (await house.search.instances(Wanted(), after="", limit=10))[0]
    }
    image, user_data = row
    for length in (15, 16, 40, 71):
        assert found(await ask(image[:length]), "image") == [image]
        assert found(await ask(user_data[:length]), "user_data") == [user_data]


async def test_an_entry_is_found_by_the_beginning_of_its_digest(house: InProcess, ask: Any) -> None:
    digest = await _speaking(house)
    for length in (15, 22, 23, 24, 71):
        assert found(await ask(digest[:length]), "entry") == [digest], length
    last = "0" if digest[-1] != "0" else "1"
    assert found(await ask(digest[:-1] + last), "entry") == []


@pytest.mark.parametrize(
    "beginning",
    ["", "i-", "i-01", "sha256:", "sha256:0123456", "0123abcd", "i-012%", "sha256:0123456_", "I-0123", "i-" + "0" * 18],
)
async def test_what_is_too_short_or_no_beginning_is_refused(ask: Any, beginning: str) -> None:
    assert (await ask(beginning))[0] == 400
