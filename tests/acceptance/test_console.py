"""The console in a real browser: signed in by a link, accessible in both themes and at every width."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from fakes.chromium import Chromium, Theme, chromium
from fakes.signing_authority import SigningAuthority
from landscape.processes import free_port
from landscape.programs import Aggregator, aggregator


@pytest.fixture(scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Aggregator]:
    home: Path = tmp_path_factory.mktemp("console")
    port = free_port()
    async with aggregator(
        home, home, authority_pem={"eu-central-1": SigningAuthority.make().pem}, port=port,
        console={"url": f"http://127.0.0.1:{port}"},
    ) as one:  # fmt: skip
        yield one


async def signed_in(server: Aggregator, person: Chromium) -> None:
    """Sign in by a link, as the demo offers it."""
    _, output = await server.whence("console")
    await person.page.goto(output.splitlines()[0])
    await person.page.get_by_role("button", name="Open the console").click()
    await person.page.wait_for_url("**/console/")


@pytest.fixture(scope="module")
async def person(server: Aggregator) -> AsyncIterator[Chromium]:
    async with chromium() as one:
        await signed_in(server, one)
        yield one


PLACES = ("/", "/search?q=", "/no-such-page", "/sign-in")


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("place", PLACES)
async def test_every_page_is_accessible(server: Aggregator, person: Chromium, place: str, theme: Theme) -> None:
    await person.look(f"{server.url}/console{place}", theme=theme)
    assert await person.findings() == []


@pytest.mark.parametrize("width", [320, 3840])
@pytest.mark.parametrize("place", PLACES)
async def test_no_page_is_wider_than_the_screen(server: Aggregator, person: Chromium, place: str, width: int) -> None:
    await person.look(f"{server.url}/console{place}", width=width)
    assert not await person.is_wider_than_screen()


async def test_a_person_signs_in_and_out_without_scripts(server: Aggregator) -> None:
    async with chromium(scripts=False) as one:
        await signed_in(server, one)
        await one.page.get_by_role("button", name="Sign out").click()
        await one.page.wait_for_url("**/console/sign-in")
