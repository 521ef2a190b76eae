"""Clicking through the console in a browser, from the overview on, as one person."""

from __future__ import annotations

import re
from collections import deque
from urllib.parse import urlsplit

from fakes.chromium import Chromium
from whence_aggregator.console.places import PLACES

PAGES_MAX = 80
FILES = re.compile(r"/console/(?:statements|receipts|reports|bundles|files)/|\.csv\b|format=|/console/assets/")
_LINKS = "found => found.map(one => new URL(one.getAttribute('href'), document.baseURI).href)"


async def signed_in(url: str, person: Chromium, token: str) -> None:
    """Sign in with a token."""
    await person.page.goto(f"{url}/console/")
    await person.page.get_by_label("Token of the tokens file").fill(token)
    await person.page.get_by_role("button", name="Sign in").click()
    await person.page.wait_for_url("**/console/")


def address_of(url: str) -> str | None:
    """Return the address, as places state it, that a URL of the console is at; None for files and other sites."""
    path = urlsplit(url).path
    if FILES.search(url) or not path.startswith("/console/"):
        return None
    for place in PLACES:
        pattern = re.sub(r"\\\{\w+(?::([^}]*))?\\\}", "[^/]+", re.escape(place.path))
        if re.fullmatch(pattern, path.removeprefix("/console")):
            return place.path
    return path


async def walked(url: str, person: Chromium) -> dict[str, str]:
    """Click through the console from the overview; return a URL of each kind of page, and fail for one that fails."""
    found = {"/": f"{url}/console/"}
    waiting = deque(found.values())
    while waiting and len(found) < PAGES_MAX:
        here = waiting.popleft()
        answer = await person.page.goto(here)
        assert answer is not None
        assert answer.status == 200, f"{here}: {answer.status}\n{await person.text()}"
        for link in await person.page.eval_on_selector_all("a[href]", _LINKS):
            place = address_of(link) if link.startswith(url) else None
            if place is not None and place not in found:
                found[place] = link
                waiting.append(link)
    return found
