"""The port to one outside source of JSON, and how its answers are read page by page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import quote, urlencode

from whence_aggregator.ports import SourceUnavailable

PAGE_ITEMS = 100
PAGES_MAX = 10
FORBIDDEN = "outside-forbidden"
"""Code of SourceUnavailable for what the login may not read, which may be there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """An answer: 200 with a document, or 403, 404, 410 or 422 without one."""

    status: int
    document: Any = None
    next: str = ""
    """URL of the next page; empty on the last one."""
    moved: bool = False
    """Whether the source redirected the request, on its own host."""


class JsonSource(Protocol):
    async def get(self, path: str) -> Answered:
        """Return the answer to a path below the API's base URL, or to a page's URL.

        Raises SourceUnavailable, also while the source limits requests.
        """


def path_of(*parts: str, query: Mapping[str, str] | Sequence[tuple[str, str]] | None = None) -> str:
    """Return a path of quoted parts, each without a separator of its own."""
    path = "".join(f"/{quote(part, safe='')}" for part in parts)
    return f"{path}?{urlencode(query)}" if query else path


async def all_items(source: JsonSource, path: str, *, member: str = "", pages_max: int = PAGES_MAX) -> list[Any] | None:
    """Return the items of all pages; None if there is no such list. `member` holds the list, if not the document.

    Raises SourceUnavailable when there are more pages than `pages_max`: a part is never taken for the whole.
    """
    found: list[Any] = []
    for _ in range(pages_max):
        answer = await source.get(path)
        if answer.status == 403:
            raise SourceUnavailable(FORBIDDEN, f"{path.partition('?')[0][:120]}: the login may not read this")
        if answer.status != 200 and not found:
            return None
        items = answer.document.get(member) if member and isinstance(answer.document, dict) else answer.document
        if answer.status != 200 or not isinstance(items, list):
            raise SourceUnavailable("outside-malformed", f"{path.partition('?')[0][:120]}: the answer is not a list")
        found += items
        if not answer.next:
            return found
        path = answer.next
    raise SourceUnavailable("outside-too-many", f"the answer has more than {pages_max} pages, and is not read in part")
