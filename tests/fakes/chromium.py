"""A person at Debian's Chromium: opens pages of the console, reads them, and has axe judge whether they are accessible."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from playwright.async_api import BrowserContext, ConsoleMessage, Page, async_playwright

from landscape.whole import ROOT

_AXE = ROOT / ".venv-clients" / "node_modules" / "axe-core" / "axe.min.js"
_FLAGS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
)  # fmt: skip
"""Root in a container cannot have Chromium's sandbox; without the others it calls its maker's servers."""
_WIDEST = """() => [...document.querySelectorAll("body *")].reverse().find(
    one => one.getBoundingClientRect().right > window.innerWidth + 1)?.outerHTML.slice(0, 300) ?? "" """
Theme = Literal["light", "dark"]


@dataclass
class Chromium:
    """A running browser, and what its pages complained about."""

    context: BrowserContext
    page: Page
    complaints: list[str] = field(default_factory=list)
    """Errors of scripts, and what the Content-Security-Policy refused."""

    async def look(self, url: str, *, width: int = 1400) -> None:
        """Open a page in the light theme and at a width."""
        await self.show(width=width)
        await self.page.goto(url)

    async def show(self, *, theme: Theme = "light", width: int = 1400) -> None:
        """Set the theme and the width of the open page, and of those that are opened later."""
        await self.page.emulate_media(color_scheme=theme)
        await self.page.set_viewport_size({"width": width, "height": 1000})

    async def text(self) -> str:
        return await self.page.inner_text("body")

    async def findings(self) -> list[str]:
        """Return what axe finds on the open page: rule, and the first element that breaks it."""
        await self.page.evaluate(_AXE.read_text(encoding="utf-8"))
        found = await self.page.evaluate("axe.run()")
        return [f"{one['id']}: {one['nodes'][0]['html'][:200]}" for one in found["violations"]]

    async def is_wider_than_screen(self) -> bool:
        """Return whether a person must scroll sideways to read the page."""
        wide: bool = await self.page.evaluate("document.documentElement.scrollWidth > window.innerWidth")
        return wide

    async def widest(self) -> str:
        """Return the innermost element that reaches beyond the screen, as HTML."""
        found: str = await self.page.evaluate(_WIDEST)
        return found

    async def keep(self, directory: Path, name: str) -> Path:
        """Keep a picture of the whole page; return its file."""
        directory.mkdir(parents=True, exist_ok=True)
        await self.page.screenshot(path=directory / f"{name}.png", full_page=True)
        return directory / f"{name}.png"


@asynccontextmanager
async def chromium(
    *, scripts: bool = True, zone: str = "Europe/Berlin", headers: Mapping[str, str] | None = None
) -> AsyncIterator[Chromium]:
    """Start Debian's Chromium for the block's duration, with scripts of pages or without."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path="/usr/bin/chromium", args=list(_FLAGS))
        context = await browser.new_context(
            java_script_enabled=scripts, timezone_id=zone, locale="en-GB", extra_http_headers=dict(headers or {})
        )
        page = await context.new_page()
        one = Chromium(context=context, page=page)

        def heard(message: ConsoleMessage) -> None:
            if message.type in ("error", "warning"):
                one.complaints.append(message.text)

        page.on("console", heard)
        page.on("pageerror", lambda error: one.complaints.append(str(error)))
        try:
            yield one
        finally:
            await browser.close()
