"""Lineages in a list: what runs where, how far it is traced, and what is wrong with it. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from whence_aggregator.console.amounts import amount
from whence_aggregator.console.chain import LinkStrip, mini
from whence_aggregator.console.link_words import GAPS, LinkDocument, by_name, link_name, value_of

_NOT_NOW = {"silent": "silent", "never": "never heard"}


@dataclass(frozen=True, slots=True, kw_only=True)
class LineageRow:
    """One instance of a list. `gap` names the worst gap; empty if there is none."""

    instance_id: str
    application: str
    version: str
    account: str
    team: str
    state: str
    gap: str
    strip: LinkStrip
    life: str
    last_seen: str
    by_range: bool
    """Whether the image contains the commit, or what asked for it, without being built from it."""


def lineage_row(lineage: Mapping[str, Any]) -> LineageRow:
    links = by_name(lineage)
    state, gap = worst_of(links, frozenset(lineage["required"]))
    heard = str(lineage["heard"] or "")
    if state == "confirmed" and not lineage["complete"]:
        state, gap = "unknown", "not all of it was checked"
    life = _NOT_NOW.get(heard, "") or (str(lineage["life"]) if lineage["life"] != "unknown" else heard)
    return LineageRow(
        instance_id=str(lineage["subject"]["instance"]),
        application=str(value_of(links, "application").get("application_id") or ""),
        version=str(value_of(links, "version").get("application_version") or ""),
        account=str(value_of(links, "account").get("account_id") or ""),
        team=str(value_of(links, "team").get("resolved") or value_of(links, "team").get("team_id") or ""),
        state=state,
        gap=gap,
        strip=mini(lineage["links"]),
        life=life,
        last_seen=str(lineage["last_seen"] or ""),
        by_range=bool(lineage["contains"]),
    )


def worst_of(links: Mapping[str, LinkDocument], required: frozenset[str]) -> tuple[str, str]:
    """Return the worst state of the required links, and what it is about; `confirmed` if none of them is a gap."""
    for state in GAPS:
        for name, link in links.items():
            if name in required and link["state"] == state:
                return state, f"{state} at {link_name(name)}"
    lacking = [link_name(name) for name, link in links.items() if name in required and link["lacking"]]
    return ("missing", f"{lacking[0]} lacks something") if lacking else ("confirmed", "")


def lineage_rows(lineages: Sequence[Mapping[str, Any]]) -> Sequence[LineageRow]:
    """Return the rows of a list, worst first."""
    order = (*GAPS, "confirmed")
    return sorted(map(lineage_row, lineages), key=lambda row: (order.index(row.state), row.instance_id))


def counted(number: int, noun: str, more: bool = False) -> str:
    """Return an amount; `more` states that there are more than were read: `more than 50 instances`."""
    return f"{'more than ' if more else ''}{amount(number, noun)}"
