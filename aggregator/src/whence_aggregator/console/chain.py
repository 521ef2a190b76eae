"""The lineage as a picture: five stages of links, each with its line, its state, and its evidence. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from markupsafe import Markup

from whence_aggregator.console.headline import Headline
from whence_aggregator.console.link_pairs import LinkPair, pairs
from whence_aggregator.console.link_words import (
    GAPS,
    HELD,
    STAGES,
    by_name,
    link_name,
    short_value,
    source_name,
    stated,
)
from whence_aggregator.console.voices import Voice, beyond, voices

_STATES = frozenset((*HELD, *GAPS))


@dataclass(frozen=True, slots=True, kw_only=True)
class Sighting:
    """One piece of evidence. `statement` is the digest of the agent's statement that it is in; empty for others."""

    source: str
    observed_at: str
    recorded_at: str
    digest: str
    ledger_index: int | None
    statement: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownLink:
    """One link of the picture. `is_beyond`: it holds, but only of what a contradicted link before it names."""

    link: str
    name: str
    state: str
    value: str
    sentence: str
    is_open: bool
    is_broken: bool
    is_beyond: bool
    note: str
    pairs: Sequence[LinkPair]
    voices: Sequence[Voice]
    evidence: Sequence[Sighting]


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainStage:
    name: str
    links: Sequence[ShownLink]


def stages(
    lineage: Mapping[str, Any], found: Headline, statements: Sequence[Mapping[str, Any]]
) -> Sequence[ChainStage]:
    """Return the picture. The link that decides the verdict is open; in a whole chain the ticket."""
    links = by_name(lineage)
    far, opened = beyond(links), found.link or "ticket"
    digests = {one["ledger_index"]: str(one["digest"] or "") for one in statements}
    required = frozenset(lineage["required"])
    unchecked = {str(one["link"]): str(one["reason"]) for one in lineage["not_checked"]}

    def shown(name: str) -> ShownLink:
        link = links[name]
        return ShownLink(
            link=name,
            name=link_name(name),
            state=str(link["state"]),
            value=short_value(link),
            sentence=stated(link),
            is_open=name == opened,
            is_broken=link["state"] in GAPS,
            is_beyond=name in far,
            note=_note(name, link, required, unchecked),
            pairs=pairs(name, links),
            voices=voices(name, links),
            evidence=[_sighting(one, digests) for one in link["evidence"]],
        )

    return [ChainStage(name=title, links=[shown(name) for name in names]) for title, names in STAGES]


def _note(name: str, link: Mapping[str, Any], required: frozenset[str], unchecked: Mapping[str, str]) -> str:
    """Return what a chain needs of the link beyond its state."""
    if name not in required and link["state"] in GAPS:
        return "This server does not require this link."
    if link["lacking"] and name in required:
        return "A whole chain needs more than this."
    reason = unchecked.get(name, "")
    return f"Not checked: {reason}" if reason and link["state"] not in GAPS else ""


def _sighting(evidence: Mapping[str, Any], digests: Mapping[int | None, str]) -> Sighting:
    index = evidence["ledger_index"]
    return Sighting(
        source=source_name(str(evidence["source"])),
        observed_at=str(evidence["observed_at"] or ""),
        recorded_at=str(evidence["recorded_at"] or ""),
        digest=str(evidence["digest"] or ""),
        ledger_index=index,
        statement=digests.get(index, "") if evidence["source"] == "agent" and index is not None else "",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkStrip:
    """The links of a lineage in one line of a list: a picture, and a text that names the gaps."""

    glyphs: Sequence[tuple[str, float]]
    """The state of each link in order, and where it stands."""
    text: str
    svg: Markup


def mini(links: Sequence[Mapping[str, Any]]) -> LinkStrip:
    """Return the strip of links, of which `link` and `state` are read. A state that is not known is `unknown`."""
    stated = {str(one["link"]): str(one["state"]) for one in links}
    names = [name for _, names in STAGES for name in names]
    return _strip(tuple(stated[name] if stated.get(name) in _STATES else "unknown" for name in names))


@lru_cache(maxsize=4096)
def _strip(states: tuple[str, ...]) -> LinkStrip:
    """Return the strip of states, all known ones: most lines of a list have one that another line has too."""
    glyphs: list[tuple[str, float]] = []
    gaps: list[str] = []
    at = 0.0
    for _, names in STAGES:
        for number, name in enumerate(names):
            state = states[len(glyphs)]
            glyphs.append((state, round(at + number * 11.5, 1)))
            gaps += [f"{link_name(name)} {state}"] if state in GAPS else []
        at += len(names) * 11.5 + 2.5
    text = f"Gaps: {', '.join(gaps)}" if gaps else f"No gaps in {len(states)} links"
    uses = Markup("").join(
        Markup('<use href="#m-{0}" class="is-{0}" x="{1}" y="1" width="10" height="10"/>').format(state, x)
        for state, x in glyphs
    )
    picture = Markup('<svg class="mini" viewBox="0 0 172 12" role="img" aria-label="{}">{}</svg>').format(text, uses)
    return LinkStrip(glyphs=glyphs, text=text, svg=picture)
