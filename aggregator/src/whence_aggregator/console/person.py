"""The page of a person: the teams that sources list them in, and what runs that names them."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from whence_aggregator.console.amounts import amount
from whence_aggregator.console.asking import ApiAnswer, ApiRefused
from whence_aggregator.console.frame import part
from whence_aggregator.console.page import Visit, WebPage

_LINEAGES = "20"
_NAMED_IN = ("commit", "review", "approval", "image", "source", "ticket")


async def show_person(visit: Visit) -> WebPage:
    """Show a person by the uid of the organisation, a login, or an e-mail address."""
    uid, cursor = visit.path["uid"], visit.query.get("cursor", "")
    wanted = {"person": uid, "state": "any", "limit": _LINEAGES, **({"cursor": cursor} if cursor else {})}
    known, traced = await asyncio.gather(visit.ask.find(f"/v1/people/{part(uid)}"), visit.ask.find("/v1/trace", wanted))
    lineages = traced["lineages"] if traced is not None else []
    if known is None and not lineages and not cursor:
        raise ApiRefused(ApiAnswer(status=404, document={"code": "not-found", "detail": "person not found"}))
    return WebPage(
        template="person.html",
        title=f"Person {uid}",
        values={
            "uid": uid, "sentence": _sentence(uid, known, len(lineages)), "known": known,
            "lineages": [_line(one, uid) for one in lineages],
            "next": traced["next"] if traced is not None else None, "at": traced["at"] if traced is not None else None,
        },
    )  # fmt: skip


def _sentence(uid: str, known: Any, lineages: int) -> str:
    teams = known["teams"] if known is not None else []
    if teams:
        return f"{uid} is in {amount(len(teams), 'team')}: {', '.join(teams)}"
    if known is not None:
        return (
            f"{uid} was in {amount(len({one['team_id'] for one in known['memberships']}), 'team')}, and is in none now"
        )
    run = "runs" if lineages == 1 else "run"
    return f"{uid} is named by {amount(lineages, 'instance')} that {run} or ran, and listed in no team"


def _line(lineage: Any, uid: str) -> dict[str, Any]:
    """Return one instance, what it runs, and the links that name the person."""
    values = {one["link"]: one["value"] for one in lineage["links"] if one["value"] is not None}
    named = [
        one for one in _NAMED_IN if one in values and uid.lower() in json.dumps(values[one], ensure_ascii=False).lower()
    ]
    return {
        "instance": lineage["subject"]["instance"], "life": lineage["life"], "named": named,
        "application": values.get("application", {}).get("application_id"),
        "version": values.get("version", {}).get("version"), "commit": values.get("commit", {}).get("commit"),
        "subject": values.get("commit", {}).get("subject"),
    }  # fmt: skip
