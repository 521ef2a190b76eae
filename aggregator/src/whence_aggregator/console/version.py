"""One version of an application: its image, its commits and their tickets, its approvals, and where it runs."""

from __future__ import annotations

import asyncio

from whence_aggregator.console.frame import part
from whence_aggregator.console.lineage_rows import counted, lineage_rows
from whence_aggregator.console.page import Visit, WebPage

_INSTANCES_MAX = "20"


async def show_version(visit: Visit) -> WebPage:
    """Show a version."""
    name, version = visit.path["id"], visit.path["version"]
    stated, traced = await asyncio.gather(
        visit.ask.get(f"/v1/applications/{part(name)}/versions/{part(version)}"),
        visit.ask.get("/v1/trace", {"application": name, "version": version, "limit": _INSTANCES_MAX}),
    )
    rows = lineage_rows(traced["lineages"])
    where = f"runs on {counted(len(rows), 'instance', bool(traced['next']))}" if rows else "runs nowhere now"
    approvals = counted(len(stated["approvals"]), "approval")
    return WebPage(
        template="version.html",
        title=f"{name} {version}",
        section="applications",
        values={
            "name": name, "version": version, "stated": stated, "rows": rows, "more": traced["next"],
            "sentence": f"{name} {version} {where}, with {approvals} of its image",
            "why": stated["reason"] or "", "asked_at": traced["at"],
        },
    )  # fmt: skip
