"""Pages of an image, a commit and a ticket: where it runs, by the lineages of the instances that do."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from whence_aggregator.console.image_facts import image_in_registry, pushes_of
from whence_aggregator.console.lineage_rows import LineageRow, counted, lineage_rows
from whence_aggregator.console.link_words import by_name, value_of
from whence_aggregator.console.page import Visit, WebPage, given

_ROWS_MAX = "25"
_NEXT = {
    "image": "No instance that is known runs it, now or at the moment asked about.",
    "commit": "No instance that is known runs an image with it. Images are found once their source was read.",
    "ticket": "No instance that is known runs a commit that names it, in its message or in the title of its review.",
}


async def show_image(visit: Visit) -> WebPage:
    """Show where an image runs, what its registry states of it, and who pushed it."""
    digest = visit.path["digest"]
    page = await _show(visit, "image", digest, f"Image {digest[:19]}…")
    registry, pushes = await asyncio.gather(
        image_in_registry(visit, page.values["found"]["lineages"]), pushes_of(visit, digest)
    )
    return replace(page, values={**page.values, "registry": registry, "pushes": pushes})


async def show_commit(visit: Visit) -> WebPage:
    """Show where a commit runs."""
    return await _show(visit, "commit", visit.path["commit"], f"Commit {visit.path['commit'][:8]}")


async def show_ticket(visit: Visit) -> WebPage:
    """Show what runs because of a ticket."""
    return await _show(visit, "ticket", visit.path["ticket"], f"Ticket {visit.path['ticket']}")


async def _show(visit: Visit, kind: str, key: str, name: str) -> WebPage:
    chosen = visit.chosen("at", "cursor")
    traced = await visit.ask.get("/v1/trace", {kind: key, "limit": _ROWS_MAX, **given(chosen)})
    rows = lineage_rows(traced["lineages"])
    return WebPage(
        template="traced_subject.html",
        title=name,
        section="applications",
        values={
            "kind": kind, "key": key, "name": name, "rows": rows, "found": traced, "chosen": chosen,
            "state": rows[0].state if rows else "quiet", "sentence": _sentence(kind, name, rows, bool(traced["next"])),
            "why": _why(kind, rows, traced), "facts": _facts(kind, key, traced["lineages"]),
            "registry": None, "pushes": (),
        },
    )  # fmt: skip


def _sentence(kind: str, name: str, rows: Sequence[LineageRow], more: bool) -> str:
    if not rows:
        return f"{name} runs nowhere that is known"
    number, applications = counted(len(rows), "instance", more), sorted({row.application for row in rows} - {""})
    verb = {"image": "runs on", "commit": "runs on", "ticket": "asked for code that runs on"}[kind]
    named = f" as {', '.join(applications[:3])}{' and others' if len(applications) > 3 else ''}" if applications else ""
    return f"{name} {verb} {number}{named}"


def _why(kind: str, rows: Sequence[LineageRow], traced: Mapping[str, Any]) -> str:
    waiting = traced["ranges_waiting"]
    later = f" {counted(waiting, 'range')} of commits are still to be read, which may add instances." if waiting else ""
    if not rows:
        return _NEXT[kind] + later
    broken = [row for row in rows if row.state != "confirmed"]
    if broken:
        return f"{len(broken)} of {len(rows)} cannot be traced back whole: {broken[0].gap}.{later}"
    return f"Each is traced back whole.{later}"


def _facts(kind: str, key: str, lineages: Sequence[Mapping[str, Any]]) -> Sequence[tuple[str, str, str]]:
    """Return what the newest lineage states about the subject: name, value, and where it leads outside."""
    found = by_name(lineages[0]) if lineages else {}
    if kind == "image":
        image, source = value_of(found, "image"), value_of(found, "source")
        rows = [
            ("Digest", key, ""), ("Reference", str(image.get("reference") or ""), ""),
            ("Source", str(source.get("url") or ""), str(source.get("url") or "")),
            ("Revision", str(source.get("revision") or ""), ""), ("Builder", str(source.get("builder") or ""), ""),
        ]  # fmt: skip
    elif kind == "commit":
        commit = value_of(found, "commit")
        is_it = str(commit.get("commit") or "").startswith(key)
        names = (("Subject", "subject"), ("Author", "author"), ("Repository", "repository"), ("Time", "committed_at"))
        rows = [("Commit", str(commit["commit"]) if is_it else key, "")]
        rows += [(name, str(commit.get(field) or ""), "") for name, field in names] if is_it else []
    else:
        tickets = [one for one in value_of(found, "ticket").get("tickets", ()) if one["id"] == key]
        stated: Mapping[str, Any] = tickets[0] if tickets else {}
        rows = [("Ticket", key, str(stated.get("url") or ""))]
        rows += [(name, str(stated.get(field) or ""), "") for name, field in (("Title", "title"), ("Status", "status"))]
    return [row for row in rows if row[1]]
