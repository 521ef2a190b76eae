"""Tickets of any tracker with an API of JSON: a URL with `{ticket}`, and the path of each member in the answer."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from whence_aggregator.trackers.loose import as_instant, line
from whence_aggregator.trackers.numbered import TicketIdInvalid
from whence_aggregator.trackers.readers import TicketFinding
from whence_aggregator.trackers.source import JsonSource
from whence_aggregator.trackers.ticket import Ticket
from whence_common.errors import one_line

FIELDS = ("id", "title", "status", "assignee", "type", "parent", "project", "closed_at", "created_at", "outcome")
PLACES = ("{ticket}", "{number}", "{project}")
_PATH = re.compile(r"[A-Za-z0-9_@:-]{1,100}(?:\.[A-Za-z0-9_@:-]{1,100}){0,11}\Z")
_ID = re.compile(r"(?P<project>[A-Za-z0-9_./#:-]*?)(?P<number>[0-9]{1,12})\Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class TicketTemplate:
    """Where a tracker's tickets are, and where their members are. `path` contains one or more of PLACES."""

    path: str
    page_url: str
    """URL of a ticket's page, with PLACES; empty if there is none."""
    fields: Mapping[str, str]
    closed_states: Sequence[str]


def wrong_path(path: str) -> bool:
    """Return whether a text is not a path of members: names and positions in lists, separated by full stops."""
    return _PATH.match(path) is None


class TemplateReader:
    """Reads one tracker by its template."""

    def __init__(self, source: JsonSource, *, host: str, template: TicketTemplate) -> None:
        self._source = source
        self._host = host
        self._template = template

    async def ticket(self, ticket_id: str) -> TicketFinding:
        found = _ID.match(ticket_id)
        if found is None or len(ticket_id) > 150:
            raise TicketIdInvalid(
                "ticket-id", f"{one_line(ticket_id, 80)!r} is not the id of a ticket: it has no number"
            )
        if {".", ".."} & set(ticket_id.split("/")):  # many servers and proxies read %2F as a separator
            reason = f"{one_line(ticket_id, 80)!r} is not the id of a ticket, but a way to one"
            raise TicketIdInvalid("ticket-id", reason)
        answer = await self._source.get(_filled(self._template.path, ticket_id))
        if answer.status in (401, 403):
            reason = f"{self._host} does not let this login read {ticket_id}"
            return TicketFinding(problem="forbidden", reason=reason)
        if answer.status != 200:
            return TicketFinding(problem="missing", reason=f"{self._host} has no ticket {ticket_id}")
        return self._ticket(answer.document, ticket_id, found["project"].rstrip("-#/:."))

    def _ticket(self, document: Any, ticket_id: str, prefix: str) -> TicketFinding:
        found = {name: at_path(document, path) for name, path in self._template.fields.items()}
        if not found.get("title") and not found.get("status"):
            reason = f"{self._host}: the answer for {ticket_id} has neither the title nor the status at its path"
            return TicketFinding(problem="missing", reason=reason)
        status = found.get("status", "")
        states = {one.lower() for one in self._template.closed_states}
        closed = (status.lower() in states) if states else None
        closed_at = as_instant(found.get("closed_at", ""))
        # NOTE: the tracker's own id is compared only where it is of the same form: many have a bare number
        named = found.get("id", "")
        return TicketFinding(ticket=Ticket(
            id=named if named and prefix and named.startswith(prefix[:1]) else ticket_id,
            project=found.get("project") or prefix, title=found.get("title", ""), status=status, closed=closed,
            assignee=found.get("assignee", ""), type=found.get("type", ""), parent=found.get("parent", ""),
            closed_at=closed_at if closed is not False else "", created_at=as_instant(found.get("created_at", "")),
            outcome=found.get("outcome", ""), internal=named,
            url=_filled(self._template.page_url, ticket_id) if self._template.page_url else "",
        ))  # fmt: skip


def at_path(document: Any, path: str) -> str:
    """Return the text at a path; empty when there is none."""
    *parents, last = path.split(".")
    for name in parents:
        document = _step(document, name)
    return line({"found": _step(document, last)}, "found")


def _step(document: Any, name: str) -> Any:
    if isinstance(document, list):
        place = int(name) if name.isascii() and name.isdigit() and len(name) < 6 else -1
        return document[place] if 0 <= place < len(document) else None
    return document.get(name) if isinstance(document, dict) else None


def _filled(template: str, ticket_id: str) -> str:
    """Return a template with the ticket in it, quoted: it can neither end the path nor add a query."""
    found = _ID.match(ticket_id)
    number, project = (found["number"], found["project"].rstrip("-#/:.")) if found is not None else ("", "")
    for place, value in zip(PLACES, (ticket_id, number, project), strict=True):
        template = template.replace(place, quote(value, safe=""))
    return template
