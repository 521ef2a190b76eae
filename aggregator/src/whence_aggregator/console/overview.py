"""The overview: what to look at first."""

from __future__ import annotations

from whence_aggregator.console.page import Visit, WebPage


async def show_overview(visit: Visit) -> WebPage:
    """Show which instances there are."""
    summary = await visit.ask.get("/v1/summary")
    return WebPage(template="overview.html", title="Overview", section="overview", values={"summary": summary})
