"""What an import needs of a Kio: the fake of the tests and an aggregator's own paths respond alike."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from fakes.kio import TOKEN, fake_kio
from fakes.signing_authority import SigningAuthority
from landscape.programs import aggregator
from whence_aggregator.whence.client import Client, Refused
from whence_aggregator.whence.importing.carrying_out import AppsOverHttp
from whence_aggregator.whence.importing.fields import WRITABLE
from whence_aggregator.whence.importing.kio import KioOverHttp
from whence_aggregator.whence.importing.pace import Pace

GREETER = {"team_id": "hello", "name": "Greeter", "active": True, "criticality_level": 2}


class Sides:
    """One Kio, read as a source and written as a registry."""

    def __init__(self, url: str, token: str) -> None:
        client = Client(url=url, token=token)
        pace = Pace(seconds=lambda: 0.0, sleep=lambda _: None)
        self.source = KioOverHttp(client, url=url, pace=pace)
        self.registry = AppsOverHttp(client, pace=pace)


@pytest.fixture(scope="module", params=["fake", "aggregator"])
async def sides(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Sides]:
    if request.param == "fake":
        with fake_kio() as kio:
            yield Sides(kio.url, TOKEN)
        return
    directory: Path = tmp_path_factory.mktemp("kio")
    async with aggregator(directory, directory, authority_pem={"eu-central-1": SigningAuthority.make().pem}) as server:
        yield Sides(server.url, server.token)


async def test_a_kio_lists_what_was_written_with_every_field_and_merges_later_writes(sides: Sides) -> None:
    def story() -> None:
        assert sides.source.listed() == []
        sides.registry.write("greeter", GREETER)
        sides.registry.write("greeter", {**GREETER, "name": "Greeter 2", "criticality_level": None})
        (listed,) = sides.source.listed()
        assert set(WRITABLE) <= listed.keys()
        assert (listed["id"], listed["name"], listed["criticality_level"]) == ("greeter", "Greeter 2", 2)
        assert (listed["scm_url"], listed["publicly_accessible"]) == (None, False)
        assert {key: sides.source.one("greeter")[key] for key in WRITABLE} == {key: listed[key] for key in WRITABLE}

    await asyncio.to_thread(story)


@pytest.mark.parametrize(
    "application_id, document, status",
    [
        ("greeter", {**GREETER, "owner": "hello"}, 400),
        ("greeter", {"name": "x"}, 400),
        ("greeter", {**GREETER, "criticality_level": 5}, 400),
    ],
)
async def test_a_kio_refuses_what_is_no_application(
    sides: Sides, application_id: str, document: dict[str, object], status: int
) -> None:
    with pytest.raises(Refused) as caught:
        await asyncio.to_thread(sides.registry.write, application_id, document)
    assert caught.value.status == status


async def test_a_kio_has_no_application_that_was_not_written(sides: Sides) -> None:
    with pytest.raises(Refused) as caught:
        await asyncio.to_thread(sides.source.one, "nowhere")
    assert caught.value.status == 404
