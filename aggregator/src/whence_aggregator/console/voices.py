"""What each side of a contradiction states, to be read side by side, and what follows for the links beyond it. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from whence_aggregator.console.link_words import (
    LinkDocument,
    is_held,
    link_name,
    listed,
    short_commit,
    source_name,
    value_of,
)

_BEYOND: Mapping[str, Sequence[str]] = {
    "user_data": ("application", "version", "approval"),
    "image": ("source", "commit", "review", "ticket", "specification"),
    "source": ("commit", "review", "ticket", "specification"),
    "commit": ("review", "ticket", "specification"),
}
"""By a link that is contradicted, the links that are true of what it names and not proved for what runs."""
_VOICES_MAX = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Voice:
    """One side. `code` are lines as a machine wrote them; `is_odd` marks the side that differs."""

    heading: str
    text: str
    code: Sequence[str] = ()
    is_odd: bool = False


def beyond(links: Mapping[str, LinkDocument]) -> frozenset[str]:
    """Return the links that hold, but only of what a contradicted link before them names."""
    found: set[str] = set()
    for name, following in _BEYOND.items():
        link = links.get(name)
        if link is not None and link["state"] == "contradicted":
            found.update(one for one in following if is_held(links.get(one)))
    return frozenset(found)


def voices(name: str, links: Mapping[str, LinkDocument]) -> list[Voice]:
    """Return what the sides of a contradicted link state, and what follows; empty for any other link."""
    link = links[name]
    if link["state"] != "contradicted":
        return []
    found = _sides(name, links, value_of(links, name))
    if len(found) < 2:
        found = _by_evidence(link)
    return [*found[:_VOICES_MAX], *_what_follows(name, links)]


def _sides(name: str, links: Mapping[str, LinkDocument], value: Mapping[str, Any]) -> list[Voice]:
    match name:
        case "commit":
            return _dirty(links, value)
        case "source":
            return _sources(value)
        case "image":
            return _images(links, value)
        case "account":
            owners = value.get("owners") or {}
            team = value_of(links, "team").get("team_id")
            stated = [
                (f"{source_name(f'organisation:{source}')} states", str(owner)) for source, owner in owners.items()
            ]
            stated += [("The application registry states", str(team))] if team else []
            return _marked([Voice(heading=heading, text=f"Team {owner}") for heading, owner in stated])
        case _:
            return []


def _dirty(links: Mapping[str, LinkDocument], value: Mapping[str, Any]) -> list[Voice]:
    """Return the commit as Git has it, and the tree as the image states it."""
    source = value_of(links, "source")
    if source.get("dirty") is not True:
        return []
    short = short_commit(value.get("commit"))
    subject = f" “{value['subject']}”" if value.get("subject") else ""
    author = f", by {value['author']}" if value.get("author") else ""
    branch = value.get("branch") or {}
    reached = f" is on {branch['branch']}" if branch.get("reachable") is True else " exists"
    return [
        Voice(heading="Git states", text=f"Commit {short}{subject}{reached}{author}."),
        Voice(
            heading="The image states", text=f"It was built from {short} with local changes:",
            code=str(source.get("status") or "").splitlines()[:20], is_odd=True,
        ),
    ]  # fmt: skip


def _sources(value: Mapping[str, Any]) -> list[Voice]:
    claims = value.get("claims")
    if isinstance(claims, list) and claims:
        return _marked([_claim(f"{one.get('kind')}{_of(one.get('by'))} states", one) for one in claims])
    if "registry" in value:
        other = value["registry"]
        registry = (
            _claim("The registry states", other)
            if other
            else Voice(heading="The registry states", text="The image names no source.")
        )
        return _marked([_claim("The agent states", value), registry])
    if value.get("registered_url"):
        registered = Voice(heading="The application registry states", text=str(value["registered_url"]))
        return _marked([registered, _claim("The image states", value)])
    return []


def _claim(heading: str, claim: Mapping[str, Any]) -> Voice:
    revision, url = (str(claim.get(name) or "") for name in ("revision", "url"))
    return Voice(heading=heading, text=f"{revision or 'No commit'} of {url or 'no repository'}")


def _of(by: object) -> str:
    return f" of {by}" if by else ""


def _images(links: Mapping[str, LinkDocument], value: Mapping[str, Any]) -> list[Voice]:
    declared = str(value.get("digest") or "")
    booted = Voice(heading="The agent booted", text=str(value.get("reference") or ""), code=(declared,))
    others = [
        Voice(heading=f"Container {one.get('name')} runs", text="", code=(str(one["digest"]),), is_odd=True)
        for one in value.get("containers") or ()
        if one.get("digest") and one["digest"] != declared
    ]
    tags = [
        Voice(heading="The tag named", text="", code=(str(one),), is_odd=True)
        for one in value.get("tag_digests") or ()
        if one != declared
    ]
    if value.get("registry_signed_by"):
        tags.append(Voice(heading="The registry states", text=f"Signed by {value['registry_signed_by']}", is_odd=True))
    found = [*others, *tags]
    if not found:
        found = [
            Voice(heading="The registry states", text=f"{links['image']['reason']}", is_odd=True)
            for one in links["image"]["evidence"]
            if one["source"] == "registry"
        ]
    return [booted, *found]


def _by_evidence(link: LinkDocument) -> list[Voice]:
    """Return what each source saw, by digest."""
    seen = [
        Voice(heading=f"{source_name(str(one['source']))} saw", text="", code=(str(one["digest"]),))
        for one in link["evidence"]
        if one["digest"]
    ]
    return _marked(seen) if len(seen) > 1 else []


def _marked(found: list[Voice]) -> list[Voice]:
    """Mark the last side: which of them is right is not known."""
    return [*found[:-1], Voice(heading=found[-1].heading, text=found[-1].text, code=found[-1].code, is_odd=True)] if (
        found
    ) else []  # fmt: skip


def _what_follows(name: str, links: Mapping[str, LinkDocument]) -> list[Voice]:
    held = [link_name(one) for one in _BEYOND.get(name, ()) if is_held(links.get(one))]
    if not held:
        return []
    verb, pronoun = ("are", "they are") if len(held) > 1 else ("is", "it is")
    text = f"{listed(held)} {verb} stated for what the {link_name(name)} names; {pronoun} not proved for what runs."
    return [Voice(heading="What follows", text=f"{text[0].upper()}{text[1:]}")]
