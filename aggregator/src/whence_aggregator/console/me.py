"""The page about the visitor: who is signed in, with which rights, and until when."""

from __future__ import annotations

from whence_aggregator.console.page import Visit, WebPage
from whence_common.clock import to_instant

_READS = {"organisation": "what belongs to every team", "teams": "what belongs to your own teams", "nothing": "nothing"}
_REALMS = {"people": "a person", "services": "a service", "unknown": None}
_RIGHTS = {
    "user-data": "read user data, masked as it is stored", "operate": "change how the server runs",
    "audit": "read everything, with user data and bundles", "person": "approve versions as a person",
    "findings": "record findings of scanners", "write-all": "write for every team",
    "report-violations": "report violations of any account",
}  # fmt: skip


async def show_me(visit: Visit) -> WebPage:
    """Show who is signed in."""
    stated = await visit.ask.get("/v1/whoami")
    every = stated["teams"] is None
    return WebPage(
        template="me.html",
        title=f"Signed in as {stated['name']}",
        values={
            "until": to_instant(visit.until) if visit.until is not None else None,
            "stated": stated, "reads": _READS.get(stated["reads"], stated["reads"]),
            "realm": _REALMS.get(stated["realm"], stated["realm"]), "every": every,
            "rights": [(one, _RIGHTS.get(one, "")) for one in stated["rights"]],
        },
    )  # fmt: skip
