"""What changed in production: each change with what ran before and after, down to commits and tickets."""

from __future__ import annotations

from collections.abc import Mapping

from whence_aggregator.console.form_times import to_api_instant
from whence_aggregator.console.lineage_rows import counted
from whence_aggregator.console.page import Visit, WebPage, given

_FILTERS = ("application", "team", "account", "from", "to")
_SUBJECTS = ("application", "team", "account")
_MOMENTS = ("from", "to", "at", "and_at")
_ROWS_MAX = "20"


async def show_changes(visit: Visit) -> WebPage:
    """Show the changes of an application, a team or an account between two moments."""
    chosen, cursor = moments_of(visit.chosen(*_FILTERS)), given(visit.chosen("cursor"))
    subjects = [found for name in _SUBJECTS if (found := chosen[name]) is not None]
    if not subjects:
        return await _newest(visit, chosen)
    chosen["team"] = chosen["team"] or visit.visitor.only_team
    found = await visit.ask.get("/v1/changes", {**given(chosen), **cursor, "limit": _ROWS_MAX})
    number = counted(len(found["changes"]), "change", bool(found["next"]))
    heading = f"{number[0].upper()}{number[1:]} of {', '.join(subjects)}"
    if not found["changes"]:
        heading = f"Nothing changed for {', '.join(subjects)}"
    return WebPage(
        template="changes.html",
        title="Changes",
        section="changes",
        values={"heading": heading, "found": found, "chosen": chosen},
    )


async def _newest(visit: Visit, chosen: Mapping[str, str | None]) -> WebPage:
    """Show the newest changes; times need an application, a team or an account."""
    team = given({"team": visit.visitor.only_team})
    found = await visit.ask.get("/v1/changes", {"newest": "true", "limit": _ROWS_MAX, **team})
    heading = (
        f"The newest {counted(len(found['changes']), 'change')}" if found["changes"] else "Nothing has changed yet"
    )
    if chosen["from"] or chosen["to"]:
        heading += "; for a period, name an application, a team or an account"
    values = {"heading": heading, "found": found, "chosen": chosen}
    return WebPage(template="changes.html", title="Changes", section="changes", values=values)


def moments_of(chosen: Mapping[str, str | None]) -> dict[str, str | None]:
    """Return the parameters with their moments as the API takes them."""
    return {
        name: to_api_instant(value) if value is not None and name in _MOMENTS else value
        for name, value in chosen.items()
    }
