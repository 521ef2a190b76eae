"""The list of an image's referrers, joined from the registry's pages. No I/O is done here.

Source: OCI distribution specification 1.1, "Listing Referrers": a Link header with rel="next" (RFC 8288).
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable

import msgspec

from whence_common.loose_json import loose
from whence_common.registry_address import RegistryPlace, redirected, same_origin

PAGES_MAX = 50
Page = tuple[bytes, str]
"""The body of a page, and its Link header."""
ReadPage = Callable[[str, bool], Awaitable[Page | None]]
"""Reads one page, by its URL and whether it is the first; returns None if the registry has no such list."""
_LINK = re.compile(r"""<([^<>\s]{1,4000})>\s*((?:;\s*[a-z*]+\s*=\s*(?:"[^"]*"|[^\s",;]+)\s*)*)""", re.IGNORECASE)
_NEXT = re.compile(r"""rel\s*=\s*(?:"(?:[^"]* )?next(?: [^"]*)?"|next(?![^\s,;]))""", re.IGNORECASE)
_HEADER_CHARACTERS_MAX = 8 * 1024


class ListEndless(Exception):
    """A list has more than PAGES_MAX pages."""


async def whole_list(place: RegistryPlace, url: str, read: ReadPage) -> bytes | None:
    """Return the list of referrers that begins at `url`; None if there is none.

    Raises RedirectRefused, ListEndless, and what `read` raises.
    """
    pages: list[bytes] = []
    for _ in range(PAGES_MAX):
        page = await read(url, not pages)
        if page is None:
            return None
        content, link = page
        pages.append(content)
        url = next_page(place, url, link)
        if not url:
            return _merged(pages)
    raise ListEndless(f"more than {PAGES_MAX} pages")


def next_page(place: RegistryPlace, url: str, link: str) -> str:
    """Return the URL of the page after the one at `url`; empty after the last. Raises RedirectRefused.

    A link to another host is ignored.
    """
    for target, parameters in _LINK.findall(link[:_HEADER_CHARACTERS_MAX]):
        if _NEXT.search(parameters):
            following = redirected(place, url, target)
            return following if same_origin(place, following) and following != url else ""
    return ""


def _merged(pages: list[bytes]) -> bytes:
    """Return the pages joined into one index; a single page is returned verbatim."""
    if len(pages) == 1:
        return pages[0]
    found: list[object] = []
    for page in pages:
        listed = loose(page).get("manifests")
        found += listed if isinstance(listed, list) else []
    return msgspec.json.encode({"schemaVersion": 2, "manifests": found})
