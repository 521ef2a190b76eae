"""The list of applications, with its filters in the address."""

from __future__ import annotations

from whence_aggregator.console.lineage_rows import counted
from whence_aggregator.console.page import Visit, WebPage, given

_FILTERS = ("q", "team", "active")
_ROWS_MAX = "50"


async def show_applications(visit: Visit) -> WebPage:
    """Show the applications that the visitor may read."""
    chosen, cursor = visit.chosen(*_FILTERS), given(visit.chosen("cursor"))
    chosen["team"] = chosen["team"] or visit.visitor.only_team
    found = await visit.ask.get("/v1/applications", {**given(chosen), **cursor, "limit": _ROWS_MAX})
    number = counted(len(found["applications"]), "application", bool(found["next"]))
    which = " that fit the filters" if given(chosen) else ""
    return WebPage(
        template="applications.html",
        title="Applications",
        section="applications",
        values={
            "heading": f"The next {number}{which}" if cursor else f"{number[0].upper()}{number[1:]}{which}",
            "found": found,
            "chosen": chosen,
            "is_filtered": bool(given(chosen)),
        },
    )
