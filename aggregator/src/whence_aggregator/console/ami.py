"""The page of an AMI: which instances were started from it, and what fails about it."""

from __future__ import annotations

import asyncio
from typing import Any

from whence_aggregator.console.amounts import amount
from whence_aggregator.console.asking import ApiAnswer, ApiRefused
from whence_aggregator.console.page import Visit, WebPage

_PAGE = "50"


async def show_ami(visit: Visit) -> WebPage:
    """Show an AMI with its instances, those that run first asked about."""
    ami, cursor = visit.path["id"], visit.query.get("cursor", "")
    state = "any" if visit.query.get("state") == "any" else "now"
    paged = {"cursor": cursor} if cursor else {}
    traced, listed, violations = await asyncio.gather(
        visit.ask.find("/v1/trace", {"ami": ami, "state": "any", "limit": "1"}),
        visit.ask.find("/v1/instances", {"ami": ami, "state": state, "limit": _PAGE, **paged}),
        visit.ask.find("/v1/violations", {"grouped": "true", "ami": ami, "limit": "10"}),
    )
    lineage = next(iter(traced["lineages"]), None) if traced is not None else None
    if lineage is None and not (listed and listed["instances"]):
        raise ApiRefused(ApiAnswer(status=404, document={"code": "not-found", "detail": "AMI not found"}))
    found = violations["violations"] if violations is not None else []
    link = next((one for one in lineage["links"] if one["link"] == "ami"), None) if lineage is not None else None
    return WebPage(
        template="ami.html",
        title=f"AMI {ami}",
        values={
            "ami": ami, "state": _state(link, found), "sentence": _sentence(ami, listed, state, found), "link": link,
            "facts": _facts(link), "listed": listed, "wanted": state, "violations": found,
        },
    )  # fmt: skip


def _state(link: Any, violations: list[Any]) -> str:
    if violations:
        return "fail"
    return str(link["state"]) if link is not None else "unknown"


def _sentence(ami: str, listed: Any, state: str, violations: list[Any]) -> str:
    run = "run" if state == "now" else "run or ran"
    if listed is None:
        sentence = f"{ami} is used by instances of your teams"
    else:
        number = len(listed["instances"])
        more = "More than " if listed["next"] else ""
        verb = run if number != 1 else run.replace("run", "runs", 1)
        sentence = (
            f"{more}{amount(number, 'instance')} {verb} from {ami}" if number else f"No instance runs from {ami} now"
        )
    return sentence + (
        f"; {amount(len(violations), 'violation')} of it {'is' if len(violations) == 1 else 'are'} open"
        if violations
        else ""
    )


def _facts(link: Any) -> list[tuple[str, str]]:
    """Return what is known of the AMI, as names and texts."""
    value = link["value"] if link is not None and link["value"] is not None else {}
    shown = [
        (name.replace("_", " "), one) for name, one in sorted(value.items()) if isinstance(one, str | int) and one != ""
    ]
    return [(name, ("yes" if one else "no") if isinstance(one, bool) else str(one)) for name, one in shown]
