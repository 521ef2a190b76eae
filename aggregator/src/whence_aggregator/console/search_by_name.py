"""Asks the API for what has a text as a part of its name."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from whence_aggregator.console.asking import Ask
from whence_aggregator.console.frame import part
from whence_aggregator.console.page import Visitor
from whence_aggregator.console.search_found import FoundGroup, FoundKind, FoundThing

_TEAMS_MAX = 8
"""The teams of a visitor that are asked about one by one."""


async def by_name(
    ask: Ask, visitor: Visitor, name: str, *, limit: int, cursor: str, kinds: Sequence[FoundKind]
) -> list[FoundGroup]:
    """Return what of these kinds has the text in its name; `cursor` continues the list of one kind."""
    every = {
        "applications": lambda: _applications(ask, visitor, name, limit, cursor),
        "images": lambda: _images(ask, visitor, name, limit, cursor),
        "teams": lambda: _teams(ask, visitor, name, limit, cursor),
        "accounts": lambda: _accounts(ask, name, limit, cursor),
        "rules": lambda: _rules(ask, name, limit, cursor),
    }
    return list(await asyncio.gather(*(every[kind]() for kind in kinds if kind in every)))


NAMED_KINDS: tuple[FoundKind, ...] = ("applications", "images", "teams", "accounts", "rules")


async def _applications(ask: Ask, visitor: Visitor, name: str, limit: int, cursor: str) -> FoundGroup:
    found = await _paged(ask, visitor, "/v1/applications", {"q": name}, "applications", limit, cursor)
    things = [
        FoundThing(
            name=one["id"], path=f"/applications/{part(one['id'])}", exact=one["id"] == name,
            note=", ".join(text for text in (one["name"], f"team {one['team_id']}") if text and text != one["id"]),
        )
        for one in found["applications"]
    ]  # fmt: skip
    return FoundGroup(kind="applications", things=things, next=found["next"] or "")


async def _images(ask: Ask, visitor: Visitor, name: str, limit: int, cursor: str) -> FoundGroup:
    found = await _paged(ask, visitor, "/v1/images", {"text": name}, "images", limit, cursor)
    things = [
        FoundThing(
            name=one["image"], path=f"/images/{part(one['digest'])}", note=f"team {one['team']}",
            exact=name in (one["image"], f"{one['repository']}:{one['tag']}"),
        )
        for one in found["images"]
    ]  # fmt: skip
    return FoundGroup(kind="images", things=things, next=found["next"] or "")


async def _paged(
    ask: Ask, visitor: Visitor, path: str, wanted: dict[str, str], named: str, limit: int, cursor: str
) -> Any:
    """Return a page of a list; for who reads own teams only, the first page of each of these teams."""
    page = {"limit": str(limit), **({"cursor": cursor} if cursor else {})}
    found = await ask.find(path, {**wanted, **page})
    if found is not None or not visitor.teams:
        return found or {named: [], "next": None}
    teams = sorted(visitor.teams)[:_TEAMS_MAX]
    pages = await asyncio.gather(*(ask.find(path, {**wanted, "team": one, "limit": str(limit)}) for one in teams))
    return {named: [one for found in pages if found is not None for one in found[named]][:limit], "next": None}


async def _teams(ask: Ask, visitor: Visitor, name: str, limit: int, cursor: str) -> FoundGroup:
    listed = await ask.find("/api/teams")
    if listed is None:
        listed = [{"id": one, "name": "", "alias": []} for one in sorted(visitor.teams or ())]
    things = [
        FoundThing(
            name=one["id"], path=f"/teams/{part(one['id'])}", exact=one["id"] == name,
            note=", ".join(text for text in (one["name"], *one["alias"]) if text),
        )
        for one in listed if _has(name, one["id"], one["name"], *one["alias"])
    ]  # fmt: skip
    return _page_of("teams", things, limit, cursor)


async def _accounts(ask: Ask, name: str, limit: int, cursor: str) -> FoundGroup:
    things = [
        FoundThing(
            name=one["name"] or one["id"], path=f"/accounts/{part(one['id'])}", exact=one["id"] == name,
            note=", ".join([one["id"], *([f"owner {one['owner']}"] if one["owner"] else [])]),
        )
        for one in await ask.find("/api/accounts/aws") or () if _has(name, one["id"], one["name"])
    ]  # fmt: skip
    return _page_of("accounts", things, limit, cursor)


async def _rules(ask: Ask, name: str, limit: int, cursor: str) -> FoundGroup:
    found = await ask.find("/v1/rules")
    things = [
        FoundThing(name=one["id"], path=f"/rules/{part(one['id'])}", note=one["title"], exact=one["id"] == name)
        for one in (found["rules"] if found is not None else ()) if _has(name, one["id"], one["title"])
    ]  # fmt: skip
    return _page_of("rules", things, limit, cursor)


def _page_of(kind: FoundKind, things: list[FoundThing], limit: int, cursor: str) -> FoundGroup:
    """Return a page of a list that is known whole; its cursor is the number of the first thing."""
    first = int(cursor) if cursor.isascii() and cursor.isdecimal() and len(cursor) <= 9 else 0
    following = str(first + limit) if len(things) > first + limit else ""
    return FoundGroup(kind=kind, things=things[first : first + limit], next=following, total=len(things))


def _has(name: str, *texts: str | None) -> bool:
    wanted = name.casefold()
    return any(wanted in text.casefold() for text in texts if text)
