"""In a real browser: the slider over the life of an instance, by pointer, by keyboard, and without scripts."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest
from playwright.async_api import Locator, expect

from fakes.agent_client import AgentClient
from fakes.chromium import Chromium, chromium
from fakes.machine import Machine
from fakes.signing_authority import SigningAuthority
from landscape.console_walk import signed_in
from landscape.processes import free_port
from landscape.programs import Aggregator, aggregator
from whence_common.runtime.pause import pause

_THEN = re.compile(r"\?at=")


@dataclass
class Lived:
    """An instance that booted some seconds ago."""

    server: Aggregator
    url: str


@pytest.fixture(scope="module")
async def lived(authority: SigningAuthority, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Lived]:
    home: Path = tmp_path_factory.mktemp("life")
    port = free_port()
    async with (
        aggregator(
            home, home, authority_pem={"eu-central-1": authority.pem}, port=port,
            console={"url": f"http://127.0.0.1:{port}"},
        ) as server,
        aiohttp.ClientSession() as session,
    ):  # fmt: skip
        client, machine = AgentClient(session, server.url), Machine(authority, "i-00000000000000001")
        await client.enrol(machine)
        assert (await client.say(machine))[0] == 201
        yield Lived(server, f"{server.url}/console/instances/{machine.instance_id}")


async def _slider(lived: Lived, person: Chromium, *, width: int = 1400) -> tuple[Locator, int, int]:
    """Open the page, once the boot is well before now; return the slider, the step of the boot, and the last step."""
    slider, mark = person.page.locator("#step"), person.page.locator('#life-marks option[label="boot"]')
    while True:
        await person.look(lived.url, width=width)
        last = int(await slider.get_attribute("max") or 0)
        if await mark.count() and (boot := int(await mark.get_attribute("value") or 0)) + 2 <= last:
            return slider, boot, last
        await pause(0.3)


async def _choose(slider: Locator, step: int) -> None:
    """Choose a step by keyboard."""
    await slider.press("Home")
    for _ in range(step):
        await slider.press("ArrowRight")


async def test_it_shows_the_moment_while_it_is_dragged_and_opens_it_when_it_is_let_go(lived: Lived) -> None:
    async with chromium() as person:
        await signed_in(lived.server.url, person, lived.server.token)
        slider, boot, last = await _slider(lived, person)
        box = await slider.bounding_box()
        assert box is not None
        middle = box["y"] + box["height"] / 2
        await person.page.mouse.move(box["x"] + box["width"] - 8, middle)
        await person.page.mouse.down()
        await person.page.mouse.move(box["x"] + box["width"] * boot / last, middle, steps=5)
        await expect(person.page.locator("output")).to_have_text(re.compile(r"20\d\d \d\d:\d\d:\d\d, boot"))
        await expect(person.page.locator(".flagtext")).to_have_text(re.compile("choosing: .* UTC"))
        assert person.page.url == lived.url
        await person.page.mouse.up()
        await person.page.wait_for_url(_THEN)
        assert "As of " in await person.text()
        assert person.complaints == []


async def test_by_keyboard_the_arrows_choose_and_enter_opens(lived: Lived) -> None:
    async with chromium() as person:
        await signed_in(lived.server.url, person, lived.server.token)
        slider, boot, _ = await _slider(lived, person, width=320)
        await expect(slider).to_have_attribute("aria-valuetext", "now")
        await slider.focus()
        await _choose(slider, boot)
        await expect(slider).to_have_attribute("aria-valuetext", re.compile(", boot$"))
        assert person.page.url == lived.url
        assert not await person.is_wider_than_screen()
        assert await person.findings() == []
        await slider.press("Enter")
        await person.page.wait_for_url(_THEN)


async def test_without_scripts_a_button_opens_the_moment_and_the_right_end_is_now(lived: Lived) -> None:
    async with chromium(scripts=False) as person:
        await signed_in(lived.server.url, person, lived.server.token)
        slider, boot, _ = await _slider(lived, person)
        show = person.page.get_by_role("button", name="Show the moment of the slider")
        await _choose(slider, boot)
        await show.click()
        await person.page.wait_for_url(_THEN)
        await person.page.locator("#step").press("End")
        await show.click()
        await person.page.wait_for_url(lived.url)
