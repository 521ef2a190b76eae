"""One application: who answers for it, its versions, where each runs, and how it came to be so."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from whence_aggregator.console.frame import part
from whence_aggregator.console.instance_facts import on_call_missing
from whence_aggregator.console.lineage_rows import LineageRow, counted, lineage_rows
from whence_aggregator.console.page import Visit, WebPage, given

_VERSIONS_MAX = _HISTORY_MAX = _INSTANCES_MAX = "20"
_ORDER = ("contradicted", "missing", "unknown", "confirmed")
_LINKS = ("service_url", "documentation_url", "support_url", "scm_url", "specification_url")


async def show_application(visit: Visit) -> WebPage:
    """Show an application; for one that is not registered, what runs under its name."""
    name, at = visit.path["id"], _moment(visit)
    path = f"/v1/applications/{part(name)}"
    stated = await visit.ask.find(path, at)
    team = given({"team": visit.visitor.team_to_name(stated["team_id"] if stated is not None else None)})
    versions, history, traced, open_ = await asyncio.gather(
        visit.ask.find(f"{path}/versions", {**at, "limit": _VERSIONS_MAX}),
        visit.ask.find(f"{path}/history", {**at, "limit": _HISTORY_MAX}),
        visit.ask.get("/v1/trace", {**at, "application": name, "limit": _INSTANCES_MAX}),
        visit.ask.get("/v1/violations", {**at, **team, "grouped": "true", "application": name, "limit": "10"}),
    )
    rows = lineage_rows(traced["lineages"])
    state, sentence = verdict_of(name, stated, rows, open_, more=bool(traced["next"]))
    return WebPage(
        template="application.html",
        title=f"{name}, application",
        section="applications",
        values={
            "name": name, "stated": stated, "state": state, "sentence": sentence, "why": _why(stated),
            "versions": (versions or {"versions": [], "next": None}), "history": (history or {"revisions": []}),
            "runs": _runs(rows), "rows": rows, "more": traced["next"], "violations": open_, "links": _LINKS,
            "at": visit.query.get("at", ""), "asked_at": traced["at"], "on_call_missing": on_call_missing,
        },
    )  # fmt: skip


def verdict_of(
    name: str, stated: Mapping[str, Any] | None, rows: Sequence[LineageRow], open_: Mapping[str, Any], *, more: bool
) -> tuple[str, str]:
    """Return the state of an application and its sentence."""
    number = counted(len(rows), "instance", more)
    if stated is None:
        where = f"{number} run it" if rows else "no instance runs it"
        return "missing", f"{name} is not registered, and {where}"
    broken = [row for row in rows if row.state != "confirmed"]
    if broken:
        worst = min(broken, key=lambda row: _ORDER.index(row.state))
        return worst.state, f"{name}: {len(broken)} of {number} cannot be traced back whole: {worst.gap}"
    violations = counted(len(open_["violations"]), "violation", bool(open_["next"]))
    if not rows:
        return "quiet", f"{name} runs nowhere that is known; {violations} open"
    return "confirmed", f"{name} runs on {number}, each traced back whole; {violations} open"


def _why(stated: Mapping[str, Any] | None) -> str:
    if stated is None:
        return "The application registry does not know it, or you may not read it."
    state = "" if stated["active"] else " It is not active."
    return f"Team {stated['team_id']} answers for it.{state}"


def _runs(rows: Sequence[LineageRow]) -> Mapping[str, Sequence[LineageRow]]:
    """Return the instances by version."""
    found: dict[str, list[LineageRow]] = {}
    for row in rows:
        found.setdefault(row.version, []).append(row)
    return found


def _moment(visit: Visit) -> dict[str, str]:
    return {"at": visit.query["at"]} if visit.query.get("at") else {}
