"""Asks the API for what a text may be the key of."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

from whence_aggregator.console.asking import Ask
from whence_aggregator.console.frame import part
from whence_aggregator.console.search_found import FoundGroup, FoundKind, FoundThing
from whence_aggregator.console.search_keys import KeyKind

_LINEAGES = "10"
"""How many lineages of a commit's beginning are read: each may have another commit."""


async def _instance(ask: Ask, value: str) -> list[FoundGroup]:
    found = await ask.find(f"/v1/instances/{part(value)}")
    lineage = found["lineage"] if found is not None else None
    return _one(
        "instances", value, f"/instances/{part(value)}", _runs(lineage) if lineage else "", there=found is not None
    )


async def _ami(ask: Ask, value: str) -> list[FoundGroup]:
    there = bool(await _lineages(ask, {"ami": value}, "1"))
    return _one("amis", value, f"/amis/{part(value)}", "instances were started from it", there=there)


async def _account(ask: Ask, value: str) -> list[FoundGroup]:
    found = await ask.find(f"/v1/accounts/{part(value)}")
    note = _joined([found["name"], f"owner {found['owner']}" if found["owner"] else None]) if found is not None else ""
    return _one("accounts", value, f"/accounts/{part(value)}", note, there=found is not None)


async def _digest(ask: Ask, value: str) -> list[FoundGroup]:
    """Find what has a digest: an image, user data, a layer, or an entry of the ledger."""
    listed = await ask.find("/v1/images", {"digest": value, "limit": "1"})
    running = await _lineages(ask, {"image": value}, "1")
    note = listed["images"][0]["image"] if listed is not None and listed["images"] else _runs(next(iter(running), None))
    groups = _one("images", value, f"/images/{part(value)}", note, there=bool(running or (listed and listed["images"])))
    if await _lineages(ask, {"user_data": value}, "1"):
        groups += _one(
            "user-data", value, f"/instances?user_data={part(value)}&state=any", "instances were started with it"
        )
    of_layer = {_value(one, "image", "digest") for one in await _lineages(ask, {"layer": value}, _LINEAGES)}
    groups += [
        group
        for image in sorted(one for one in of_layer if one)
        for group in _one("images", image, f"/images/{part(image)}", "has this layer", exact=False)
    ]
    entry = await ask.find(f"/v1/receipts/{part(value)}")
    if entry is not None:
        index = entry["ledger_index"]
        groups += _one("evidence", f"Entry {index}", f"/evidence/{index}", "its bytes have this digest")
    return groups


async def _beginning(ask: Ask, value: str) -> list[FoundGroup]:
    """Find instances and digests that begin so; nothing for those who may not read everything."""
    found = await ask.find("/v1/keys", {"beginning": value, "limit": _LINEAGES})
    groups: list[FoundGroup] = []
    for one in found["keys"] if found is not None else ():
        name = str(one["value"])
        match one["kind"]:
            case "instance":
                groups += _one("instances", name, f"/instances/{part(name)}", exact=False)
            case "image":
                groups += _one("images", name, f"/images/{part(name)}", exact=False)
            case "user_data":
                path = f"/instances?user_data={part(name)}&state=any"
                groups += _one("user-data", name, path, "instances were started with it", exact=False)
            case "layer":
                groups += _one("images", name, f"/search?q={part(name)}", "is a layer of images", exact=False)
            case "entry":
                path = f"/evidence/{one['ledger_index']}"
                groups += _one("evidence", f"Entry {one['ledger_index']}", path, f"its bytes are {name}", exact=False)
    more = found is not None and found["more"]
    return [replace(group, is_cut=more) for group in groups]


async def _commit(ask: Ask, value: str) -> list[FoundGroup]:
    lineages = await _lineages(ask, {"commit": value}, _LINEAGES)
    commits = {_value(one, "commit", "commit"): _value(one, "commit", "subject") for one in lineages}
    pushed = await ask.find("/v1/images", {"commit": value, "limit": _LINEAGES})
    for one in pushed["images"] if pushed is not None else ():
        revision = one["source"]["revision"] if one["source"] is not None else None
        if revision and revision not in commits and revision.startswith(value):
            commits[revision] = f"image {one['image']}"
    named = {commit: note for commit, note in commits.items() if commit and commit.startswith(value)}
    contained = {one: None for lineage in lineages for one in lineage["contains"] if one not in named}
    return [
        FoundGroup(
            kind="commits",
            things=[
                FoundThing(name=one, path=f"/commits/{part(one)}", note=note or "", exact=True)
                for one, note in {**named, **contained}.items()
            ],
        )
    ]


async def _ticket(ask: Ask, value: str) -> list[FoundGroup]:
    lineages = await _lineages(ask, {"ticket": value}, "1")
    note = _runs(next(iter(lineages), None))
    return _one(
        "tickets",
        value,
        f"/tickets/{part(value)}",
        f"asked for what runs as {note}" if note else "",
        there=bool(lineages),
    )


async def _review(ask: Ask, value: str) -> list[FoundGroup]:
    lineages = await _lineages(ask, {"review": value}, _LINEAGES)
    commits = {_value(one, "commit", "commit"): _value(one, "commit", "subject") for one in lineages}
    return [
        group
        for commit, subject in commits.items() if commit
        for group in _one("commits", commit, f"/commits/{part(commit)}", subject or f"came in by review {value}")
    ]  # fmt: skip


async def _version(ask: Ask, value: str) -> list[FoundGroup]:
    application, _, version = value.partition("/")
    address = f"/applications/{part(application)}/versions/{part(version)}"
    found = await ask.find(f"/v1{address}")
    return _one(
        "versions", f"{application} {version}", address, found["digest"] or "" if found else "", there=found is not None
    )


async def _violation(ask: Ask, value: str) -> list[FoundGroup]:
    found = await ask.find(f"/v1/violations/{part(value)}")
    return _one(
        "violations", value, f"/violations/{part(value)}", found["title"] if found else "", there=found is not None
    )


async def _person(ask: Ask, value: str) -> list[FoundGroup]:
    found = await ask.find(f"/v1/people/{part(value)}")
    note = f"of {', '.join(found['teams'])}" if found is not None and found["teams"] else ""
    there = found is not None or bool(await _lineages(ask, {"person": value}, "1"))
    return _one("people", value, f"/people/{part(value)}", note or "is named by what runs", there=there)


async def _team(ask: Ask, value: str) -> list[FoundGroup]:
    found = await ask.find(f"/v1/teams/{part(value)}")
    if found is None:
        return []
    team = found["team_id"]
    note = _joined([found["name"], f"found by the name {value}" if team != value else None])
    return _one("teams", team, f"/teams/{part(team)}", note)


BY_KEY: Mapping[KeyKind, Callable[[Ask, str], Awaitable[list[FoundGroup]]]] = {
    "instance": _instance, "ami": _ami, "account": _account, "digest": _digest, "beginning": _beginning,
    "commit": _commit, "ticket": _ticket, "review": _review, "version": _version, "violation": _violation,
    "person": _person, "team": _team,
}  # fmt: skip


async def _lineages(ask: Ask, subject: Mapping[str, str], limit: str) -> list[Any]:
    """Return lineages of a subject, of instances that run or ran."""
    found = await ask.find("/v1/trace", {**subject, "state": "any", "limit": limit})
    return list(found["lineages"]) if found is not None else []


def _one(
    kind: FoundKind, name: str, path: str, note: str = "", *, there: bool = True, exact: bool = True
) -> list[FoundGroup]:
    return [FoundGroup(kind=kind, things=[FoundThing(name=name, path=path, note=note, exact=exact)])] if there else []


def _runs(lineage: Any) -> str:
    """Return what a lineage's instance runs, as in `greeter 1.0`; empty if that is not known."""
    if lineage is None:
        return ""
    return _joined([_value(lineage, "application", "application_id"), _value(lineage, "version", "version")], " ")


def _value(lineage: Any, link: str, name: str) -> str | None:
    found = next((one["value"] for one in lineage["links"] if one["link"] == link), None)
    value = found.get(name) if found is not None else None
    return str(value) if value is not None else None


def _joined(texts: Iterable[str | None], by: str = ", ") -> str:
    return by.join(one for one in texts if one)
