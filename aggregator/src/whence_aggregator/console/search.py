"""Search: one field for any key, or a part of a name. What is unique is opened; otherwise a list, grouped by kind."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Sequence

from whence_aggregator.console.asking import ApiRefused
from whence_aggregator.console.frame import here
from whence_aggregator.console.page import Elsewhere, Visit, WebPage
from whence_aggregator.console.search_by_key import BY_KEY
from whence_aggregator.console.search_by_name import NAMED_KINDS, by_name
from whence_aggregator.console.search_found import KIND_NAMES, FoundGroup, FoundKind, merged, only_one
from whence_aggregator.console.search_keys import SearchKeys, recognised

_SHOWN_MAX = 10
"""Things of a kind that are shown beside other kinds."""
_PAGE = 50
_NOT_SEARCHED = (400, 409)
_KEY_NAMES = {
    "instance": "an instance", "ami": "an AMI", "account": "an account", "commit": "a commit", "ticket": "a ticket",
    "digest": "a digest of an image, of user data, of a layer or of an entry",
    "beginning": "the beginning of an instance id or of a digest", "review": "a review",
    "version": "a version", "violation": "a violation", "person": "a person", "team": "a team",
}  # fmt: skip


async def search(visit: Visit) -> WebPage | Elsewhere:
    """Find what a query means, and open it if it is one thing."""
    keys = recognised(visit.query.get("q", ""))
    kind, cursor = _kind(visit.query.get("kind", "")), visit.query.get("cursor", "")[:500]
    if not keys.query:
        return _page(keys, [], [], None)
    if kind is not None and keys.name:
        groups = await by_name(visit.ask, visit.visitor, keys.name, limit=_PAGE, cursor=cursor, kinds=[kind])
        return _page(keys, merged(groups), [], kind)
    groups, failed = await _everything(visit, keys)
    one = only_one(groups) if not failed else None
    if one is not None:
        path, question, query = one.path.partition("?")
        return Elsewhere(path=f"{here('/')}{path[1:]}{question}{query}")
    return _page(keys, groups, failed, None)


async def _everything(visit: Visit, keys: SearchKeys) -> tuple[list[FoundGroup], list[str]]:
    """Return what was found by key and by name, and what could not be searched, with the reason."""
    asked: list[tuple[str, Awaitable[list[FoundGroup]]]] = [
        (_KEY_NAMES[one.kind], BY_KEY[one.kind](visit.ask, one.value)) for one in keys.keys
    ]
    if keys.name:
        named = by_name(visit.ask, visit.visitor, keys.name, limit=_SHOWN_MAX, cursor="", kinds=NAMED_KINDS)
        asked.append(("a part of a name", named))
    found = await asyncio.gather(*(one for _, one in asked), return_exceptions=True)
    groups, failed = list[FoundGroup](), list[str]()
    for (what, _), answer in zip(asked, found, strict=True):
        if isinstance(answer, ApiRefused) and answer.answer.status in _NOT_SEARCHED:
            if answer.answer.status != 400:  # a form that the API does not take is the key of nothing
                failed.append(f"As {what}: {answer.message}.")
        elif isinstance(answer, BaseException):
            raise answer
        else:
            groups += answer
    return merged(groups), failed


def _kind(text: str) -> FoundKind | None:
    return next((one for one in NAMED_KINDS if one == text), None)


def _page(keys: SearchKeys, groups: Sequence[FoundGroup], failed: Sequence[str], kind: FoundKind | None) -> WebPage:
    searched = [_KEY_NAMES[one.kind] for one in keys.keys]
    if keys.name:
        names = [KIND_NAMES[one].lower().replace("amis", "AMIs") for one in ([kind] if kind else NAMED_KINDS)]
        searched.append(f"a part of the name of {', '.join(names)}")
    return WebPage(
        template="search.html",
        title=f"Search: {keys.query}" if keys.query else "Search",
        values={
            "query": keys.query, "groups": groups, "failed": failed, "notes": keys.notes, "searched": searched,
            "kind": kind, "pageable": NAMED_KINDS,
            "total": sum(one.total or len(one.things) for one in groups),
            "more": any(one.total is None for one in groups),
        },
    )  # fmt: skip
