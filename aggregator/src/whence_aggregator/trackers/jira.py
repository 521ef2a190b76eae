"""Jira's issues by its REST API: version 3 of Cloud, version 2 of Server and Data Center.

An issue that the login may not see is 404, as is one that does not exist, and there are reports of 404 for a wrong
login: so the login and the project are read too. Cloud returns a moved issue under its new key, without a redirect.
"""

from __future__ import annotations

import re
from typing import Any, Literal

from whence_aggregator.ports import SourceUnavailable
from whence_aggregator.trackers.loose import instant, line, member
from whence_aggregator.trackers.numbered import TicketIdInvalid
from whence_aggregator.trackers.readers import TicketFinding
from whence_aggregator.trackers.source import JsonSource, path_of
from whence_aggregator.trackers.ticket import Ticket
from whence_common.errors import one_line

KEY = re.compile(r"(?P<project>[A-Za-z][A-Za-z0-9_]{1,29})-(?P<number>[1-9][0-9]{0,11})\Z")
_FIELDS = "summary,status,resolution,resolutiondate,issuetype,parent,assignee,created,updated,project"


class JiraReader:
    """Reads one Jira. `browse_url` is the place of its pages."""

    def __init__(self, source: JsonSource, *, host: str, version: Literal[2, 3], browse_url: str) -> None:
        self._source = source
        self._host = host
        self._base = ("rest", "api", str(version))
        self._browse_url = browse_url.rstrip("/")

    async def ticket(self, ticket_id: str) -> TicketFinding:
        key = KEY.match(ticket_id)
        if key is None:
            raise TicketIdInvalid("ticket-id", f"{one_line(ticket_id, 80)!r} is not the key of an issue: write PAY-7")
        answer = await self._source.get(path_of(*self._base, "issue", ticket_id, query={"fields": _FIELDS}))
        if answer.status == 200:
            return TicketFinding(ticket=self._ticket(answer.document))
        await self._check_login()
        project = await self._source.get(path_of(*self._base, "project", key["project"]))
        if answer.status in (404, 410) and project.status == 200:
            reason = f"{self._host} has no issue {ticket_id} that this login may read"
            return TicketFinding(problem="missing", reason=reason)
        reason = f"{self._host} does not let this login read the project {key['project']}, or it does not exist"
        return TicketFinding(problem="forbidden", reason=reason)

    async def _check_login(self) -> None:
        """Raise SourceUnavailable if Jira does not know who asks: then its 404 means nothing."""
        myself = await self._source.get(path_of(*self._base, "myself"))
        if myself.status != 200 or not (line(myself.document, "accountId") or line(myself.document, "name")):
            raise SourceUnavailable(
                "sign-in-refused", f"{self._host} does not accept the login: its answer to /myself names nobody",
                fix=f"write a valid login for {self._host} to its login_file",
            )  # fmt: skip

    def _ticket(self, issue: Any) -> Ticket:
        key, found = line(issue, "key"), member(issue, "fields")
        if KEY.match(key) is None or not isinstance(found, dict):
            raise SourceUnavailable("outside-malformed", f"{self._host}: the answer is not an issue of Jira")
        category = line(found, "status", "statusCategory", "key")
        closed = category == "done" if category in ("new", "indeterminate", "done") else None
        return Ticket(
            id=key, project=line(found, "project", "key") or key.rpartition("-")[0], title=line(found, "summary"),
            status=line(found, "status", "name"), closed=closed,
            assignee=line(found, "assignee", "displayName") or line(found, "assignee", "name"),
            type=line(found, "issuetype", "name"), parent=line(found, "parent", "key"),
            closed_at=instant(found, "resolutiondate") if closed is not False else "",
            created_at=instant(found, "created"), outcome=line(found, "resolution", "name"),
            url=f"{self._browse_url}/browse/{key}", internal=line(issue, "id"),
        )  # fmt: skip
