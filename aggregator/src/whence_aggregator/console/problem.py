"""Pages for what cannot be shown: what happened, what to do, and what to quote when asking for help."""

from __future__ import annotations

from datetime import datetime

from whence_aggregator.console.asking import ApiAnswer, ApiRefused
from whence_aggregator.console.page import Elsewhere, Visit, Visitor, WebPage
from whence_common.clock import to_instant
from whence_common.errors import WhenceError

_HEADINGS = {
    400: "This address does not fit what the page can show",
    403: "This is not there, or not for you to see",
    404: "This is not there, or not for you to see",
    405: "This page does not take that",
    408: "Not sent: it arrived too slowly",
    409: "Something has changed meanwhile",
    410: "This is not here any more",
    413: "Not sent: it is too large",
    415: "Not sent: it has an encoding that is not accepted",
    429: "Too many requests: wait a moment",
    503: "The answer cannot be read now",
}
_OWN_HEADINGS = {
    "form-foreign": "Not sent", "origin-foreign": "Not sent", "body-not-form": "Not sent", "field-repeated": "Not sent",
    "time-before-log": "Nothing is recorded of that time",
}  # fmt: skip
"""Of errors that reveal nothing about anybody's resources, by code."""
_OPEN_HEADINGS = {403: "This is not for you to see or to do", 404: "This is not there"}
"""For visitors who may read what belongs to every team."""

_SEARCH = "Search for it by its key, or ask the owning team."
_OF_NO_TEAM = "You are in no team: ask the owners of your team to list you, then sign in again."


def problem_page(
    error: WhenceError, status: int, request_id: str, now: datetime, *, visitor: Visitor | None = None
) -> WebPage:
    """Return the page for an error.

    A refusal and an absence read alike, because the difference would reveal what exists. For who may read what belongs
    to every team it reveals nothing.
    """
    own = _OWN_HEADINGS.get(error.code)
    if visitor is not None and visitor.reads_all:
        own = own or _OPEN_HEADINGS.get(status)
    is_of_no_team = visitor is not None and visitor.is_of_no_team
    hidden = status in (403, 404) and own is None
    heading = own or _HEADINGS.get(status, "The server failed")
    further = "Search for it by its key." if status == 404 else ""
    return WebPage(
        template="problem.html",
        title=heading,
        status=404 if hidden else status,
        values={
            "heading": heading,
            "detail": "The address may be mistyped, or belong to a team whose resources you may not read."
            if hidden
            else error.message,
            "fix": _OF_NO_TEAM if hidden and is_of_no_team else _SEARCH if hidden else error.fix or further,
            "code": "not-found" if hidden else error.code,
            "request_id": request_id,
            "now": to_instant(now),
        },
    )


async def unknown_page(visit: Visit) -> WebPage | Elsewhere:
    """Refuse an address that is no page."""
    raise ApiRefused(ApiAnswer(status=404, document={"code": "not-found", "detail": "there is no such page"}))
