"""The console in a real browser, over the demo's four instances: what each person reaches by clicking, and can read."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import timedelta

import aiohttp
import pytest

from fakes.chromium import Chromium, Theme, chromium
from landscape.console_walk import FILES, signed_in, walked
from landscape.demo import Shown, set_up
from landscape.programs import Aggregator
from landscape.whole import ROOT, Landscape
from whence_aggregator.callers.tokens import new_token
from whence_aggregator.console.places import PLACES
from whence_common.clock import utc_now
from whence_common.runtime.pause import pause

PICTURES = ROOT / "build" / "console"
"""Pictures of the pages, for a person to look at."""
THEMES: tuple[Theme, ...] = ("light", "dark")


@dataclass
class House:
    """The demo, kept running, and tokens of people."""

    server: Aggregator
    shown: list[Shown]
    tokens: dict[str, str] = field(default_factory=dict)

    async def token_of(self, name: str, *, teams: tuple[str, ...] = (), rights: tuple[str, ...] = ()) -> str:
        """Add a person to the file of tokens; return the token once the server knows it."""
        now = utc_now()
        token, line = new_token(name, teams, admin=False, made=now, until=now + timedelta(hours=1), rights=rights)
        with (self.server.config.parent / "tokens").open("a", encoding="ascii") as stream:
            stream.write(f"{line.to_line()}\n")
        async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {token}"}) as session:
            while True:
                async with session.get(f"{self.server.url}/v1/whoami") as answer:
                    if answer.status == 200:
                        return token
                await pause(0.2)

    def instance(self, title: str) -> str:
        """Return the id of an instance of the demo by a part of its title."""
        return next(one.instance_id for one in self.shown if title in one.title)


@pytest.fixture(scope="module")
async def house(scape: Landscape) -> AsyncIterator[House]:
    async with AsyncExitStack() as stack:
        server, shown = await set_up(scape, stack)
        assert [one.wrong for one in shown] == [[], [], [], []]
        one = House(server, shown)
        one.tokens["auditor"] = await one.token_of("ada", rights=("audit",))
        one.tokens["member"] = await one.token_of("mia", teams=("hello",), rights=("person",))
        one.tokens["on-call"] = await one.token_of("otto", teams=("platform",), rights=("operate", "person"))
        yield one


@pytest.fixture(scope="module")
async def auditor(house: House) -> AsyncIterator[Chromium]:
    async with chromium() as one:
        await signed_in(house.server.url, one, house.tokens["auditor"])
        yield one


@pytest.fixture(scope="module")
async def places(house: House, auditor: Chromium) -> dict[str, str]:
    return await walked(house.server.url, auditor)


async def test_an_auditor_reaches_every_page_by_clicking(places: dict[str, str]) -> None:
    files = {one.path for one in PLACES if FILES.search(f"/console{one.path}")}
    by_form = {"/search", "/acknowledge"}
    assert {one.path for one in PLACES} - files - by_form - set(places) == set()


@pytest.mark.parametrize("who", ["member", "on-call"])
async def test_others_reach_their_pages_by_clicking(house: House, who: str) -> None:
    async with chromium() as person:
        await signed_in(house.server.url, person, house.tokens[who])
        found = await walked(house.server.url, person)
        assert {"/", "/instances/{id}", "/applications/{id}", "/violations/{id}"} <= set(found)
        assert person.complaints == []


async def test_every_page_keeps_its_policy_is_accessible_in_both_themes_and_fits_every_screen(
    auditor: Chromium, places: dict[str, str]
) -> None:
    """Each is opened once: the themes and the widths differ by its style sheet alone."""
    wrong: dict[str, object] = {}
    for place, url in places.items():
        auditor.complaints.clear()
        await auditor.look(url)
        found: list[str] = []
        for theme in THEMES:
            await auditor.show(theme=theme)
            picture = await auditor.keep(PICTURES, f"{theme}{re.sub('[^a-z]+', '-', place)}")
            assert picture.stat().st_size > 0
            found += await auditor.findings()
        for width in (320, 3840):
            await auditor.show(width=width)
            if await auditor.is_wider_than_screen():
                found.append(f"{width}: {await auditor.widest()}")
        if found := found + auditor.complaints:
            wrong[url] = found
    assert wrong == {}


async def test_the_four_instances_are_told_apart_at_a_glance(house: House, auditor: Chromium) -> None:
    await auditor.look(f"{house.server.url}/console/")
    headings = {}
    for one in house.shown:
        await auditor.look(f"{house.server.url}/console/instances/{one.instance_id}")
        headings[one.title] = await auditor.page.inner_text("h1")
    assert len(set(headings.values())) == 4
    assert headings["built from a dirty tree"].startswith("Contradicted")
    assert headings["five mistakes in its user data"].startswith("Failed boot")


async def test_the_ticket_of_what_runs_is_three_clicks_away(house: House, auditor: Chromium) -> None:
    page = auditor.page
    await auditor.look(f"{house.server.url}/console/")
    await page.get_by_role("link", name="Instances", exact=True).click()
    await page.get_by_role("link", name=house.instance("dirty tree")).first.click()
    await page.locator("#link-ticket summary").click()
    await page.get_by_role("link", name="DEMO-2").first.click()
    assert (await page.inner_text("h1")).startswith("Ticket DEMO-2 asked for code that runs on 1 instance")


async def test_the_overview_follows_what_is_recorded_without_being_loaded_again(
    house: House, auditor: Chromium
) -> None:
    await auditor.look(f"{house.server.url}/console/")
    counted = auditor.page.locator('[data-live="as-of"]')
    before = await counted.inner_text()
    assert await house.server.put("/apps/newcomer", {"team_id": "hello", "name": "Newcomer", "active": True}) == 200
    await auditor.page.wait_for_function(
        "before => document.querySelector('[data-live=\"as-of\"]').innerText !== before", arg=before
    )
    assert "entries in the published ledger" in await counted.inner_text()


async def test_every_page_is_complete_without_scripts(house: House, places: dict[str, str]) -> None:
    async with chromium(scripts=False) as person:
        await signed_in(house.server.url, person, house.tokens["auditor"])
        for url in places.values():
            answer = await person.page.goto(url)
            assert answer is not None
            assert answer.status == 200
            assert len(await person.page.locator("h1").all_inner_texts()) == 1, url


async def test_a_person_signs_in_by_a_link_and_out_again(house: House) -> None:
    async with chromium(scripts=False) as person:
        _, output = await house.server.whence("console")
        await person.page.goto(output.splitlines()[0])
        await person.page.get_by_role("button", name="Open the console").click()
        await person.page.wait_for_url("**/console/")
        await person.page.get_by_role("button", name="Sign out").click()
        await person.page.wait_for_url("**/console/sign-in")
