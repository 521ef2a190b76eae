"""The page of a team: how what it owns stands, its applications, members, changes, and what became of it."""

from __future__ import annotations

import asyncio
from typing import Any

from whence_aggregator.console.asking import ApiAnswer, ApiRefused
from whence_aggregator.console.change_lines import change_lines
from whence_aggregator.console.frame import here, part
from whence_aggregator.console.page import Elsewhere, Visit, WebPage
from whence_aggregator.console.standing import standing_of

_LISTED = "10"
_APPLICATIONS = "50"
_STATUS = {"active": "active", "gone": "no source states it any more", "merged": "merged into another team",
           "id-changed": "its id has changed"}  # fmt: skip


async def show_team(visit: Visit) -> WebPage | Elsewhere:
    """Show a team by its id; by another of its names, send on."""
    name, cursor = visit.path["id"], visit.query.get("cursor", "")
    stated = await visit.ask.find(f"/v1/teams/{part(name)}")
    team = str(stated["team_id"]) if stated is not None else name
    if team != name:
        return Elsewhere(path=f"{here('/teams/')}{part(team)}")
    paged = {"cursor": cursor} if cursor else {}
    summary, violations, changes, applications = await asyncio.gather(
        visit.ask.find("/v1/summary", {"by": "rule", "team": team}),
        visit.ask.find("/v1/violations", {"grouped": "true", "team": team, "limit": _LISTED}),
        visit.ask.find("/v1/changes", {"newest": "true", "team": team, "limit": _LISTED}),
        visit.ask.find("/v1/applications", {"team": team, "limit": _APPLICATIONS, **paged}),
    )
    owns = bool(applications and applications["applications"]) or bool(summary and summary["groups"])
    if stated is None and not owns and team not in (visit.visitor.teams or ()):
        raise ApiRefused(ApiAnswer(status=404, document={"code": "not-found", "detail": "team not found"}))
    return WebPage(
        template="team.html",
        title=f"Team {team}",
        values={
            "team": team, "stated": stated,
            "status": _STATUS.get(stated["status"], stated["status"]) if stated is not None else None,
            "standing": standing_of(summary, f"of team {team}"), "summary": summary,
            "violations": violations["violations"] if violations is not None else [],
            "further": bool(violations and violations["next"]),
            "changes": change_lines(changes["changes"]) if changes is not None else [],
            "applications": applications["applications"] if applications is not None else [],
            "next": applications["next"] if applications is not None else None, "history": _history(stated),
        },
    )  # fmt: skip


def _history(stated: Any) -> list[dict[str, Any]]:
    """Return what became of a team, the newest first."""
    return [
        {
            "at": one.get("observed_at"), "change": one.get("change"), "source": one.get("source"),
            "into": one.get("into"), "name": one.get("name"), "ledger_index": one.get("ledger_index"),
        }
        for one in (stated["history"] if stated is not None else ())
    ]  # fmt: skip
