"""Applications with an append-only history: every earlier revision stays readable, and is a ledger entry."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any

import msgspec

from whence_aggregator.applications.fields import ApplicationInvalid, check_team, merge, required_approvers
from whence_aggregator.applications.rows import (
    body_of,
    creation,
    last_id,
    listed_application,
    revision,
    shown_application,
)
from whence_aggregator.callers.caller import Caller
from whence_aggregator.callers.limits import Limit
from whence_aggregator.ledger.ledger import Ledger
from whence_aggregator.ledger.writing import NewEntry, Writing
from whence_aggregator.ports import Database, NotFound, Transaction
from whence_aggregator.projections.events import project_application
from whence_aggregator.queries.applications import (
    APPLICATION_AT,
    APPLICATION_FIRST,
    APPLICATIONS_ALL_AT,
    ApplicationAtParameters,
)
from whence_aggregator.trace.moment import EVERY_ENTRY, Moments
from whence_aggregator.trace.tickets import PATTERNS_MAX, check_pattern
from whence_common.clock import Now, to_instant
from whence_common.errors import InputError
from whence_common.identifiers import is_application_id
from whence_common.ledger_entry import event

_URL_CHARACTERS_MAX = 500
PAGE_MAX = 50
"""Size of a list's page: so many of the largest records are read and encoded within 20 ms."""
RECORD_BYTES_MAX = 64 * 1024
"""Size of one revision, which stays in the log for ever."""


class TicketSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The form of tickets in an application's commit messages, and the URL of a ticket."""

    patterns: list[str]
    url: str | None = None
    """Contains `{ticket}`."""


class Applications:
    """Reads and writes applications."""

    def __init__(
        self,
        *,
        database: Database,
        ledger: Ledger,
        caller_bytes: Limit,
        team_bytes: Limit,
        now: Now,
        on_work: Callable[[], None],
    ) -> None:
        self._caller_bytes = caller_bytes
        self._team_bytes = team_bytes
        self._database = database
        self._ledger = ledger
        self._now = now
        self._moments = Moments(database=database, now=now)
        self._on_work = on_work

    async def read(self, application_id: str, *, at: str | None = None) -> dict[str, Any]:
        """Return one application as Kio shows it, now or at an earlier time. Raises NotFound."""
        _check_could_exist(application_id)
        moment = await self._moments.of(at)
        parameters: ApplicationAtParameters = {"application_id": application_id, "past": moment.past}
        rows = await self._database.fetch(APPLICATION_AT.bind(parameters))
        if not rows:
            raise NotFound("application-unknown", f"application not found: {application_id[:100]!r}")
        (first,) = await self._database.fetch(APPLICATION_FIRST.bind({"application_id": application_id}))
        shown = shown_application(rows[0], creation(first))
        return {**shown, "required_approvers": required_approvers(shown)}

    async def pages(self, *, at: str | None = None) -> AsyncIterator[Sequence[dict[str, Any]]]:
        """Yield all applications by id, as Kio lists them, now or at an earlier time: in pages, of one moment."""
        after, moment = "", await self._moments.of(at)
        while True:
            rows = await self._database.fetch(
                APPLICATIONS_ALL_AT.bind({"after": after, "past": moment.past, "limit": PAGE_MAX})
            )
            yield list(map(listed_application, rows))
            if len(rows) < PAGE_MAX:
                return
            after = last_id(rows)

    async def team_of(self, application_id: str) -> str | None:
        """Return the team whose writes are taken now; None where there is no such application."""
        if not is_application_id(application_id):
            return None
        parameters: ApplicationAtParameters = {"application_id": application_id, "past": EVERY_ENTRY}
        rows = await self._database.fetch(APPLICATION_AT.bind(parameters))
        return str(body_of(rows[0])["kio"]["team_id"]) if rows else None

    async def write(self, application_id: str, written: Mapping[str, Any], caller: Caller) -> None:
        """Create or update. Raises ApplicationInvalid, Forbidden or Conflict."""
        if not is_application_id(application_id):
            raise InputError("application-id-malformed", "the id must be lower-case letters, digits and hyphens")
        async with self._ledger.writing() as writing:
            stored = await _newest(writing.transaction, application_id)
            kio = merge(stored["kio"] if stored is not None else None, written)
            check_team(kio)
            team = stored["kio"]["team_id"] if stored is not None else kio["team_id"]
            caller.check_write(team)
            body = {"kio": kio, "tickets": stored.get("tickets") if stored is not None else None}
            await self._append(writing, application_id, body, caller)
        self._on_work()

    async def write_tickets(self, application_id: str, settings: TicketSettings, caller: Caller) -> None:
        """Store the form of the application's tickets. Raises TicketPatternInvalid, Forbidden or NotFound."""
        _check_could_exist(application_id)
        if not 0 < len(settings.patterns) <= PATTERNS_MAX:
            raise InputError("ticket-patterns", f"patterns must have 1 to {PATTERNS_MAX} entries")
        for pattern in settings.patterns:
            check_pattern(pattern)
        if settings.url is not None and not _is_url_template(settings.url):
            raise InputError("ticket-url", "url must be an http or https URL with {ticket} in it")
        async with self._ledger.writing() as writing:
            stored = await _newest(writing.transaction, application_id)
            if stored is None:
                raise NotFound("application-unknown", f"there is no application {application_id[:100]!r}")
            caller.check_write(stored["kio"]["team_id"])
            body = {"kio": stored["kio"], "tickets": msgspec.to_builtins(settings)}
            await self._append(writing, application_id, body, caller)
        self._on_work()

    async def _append(
        self, writing: Writing[Any], application_id: str, body: Mapping[str, Any], caller: Caller
    ) -> None:
        parameters: ApplicationAtParameters = {"application_id": application_id, "past": EVERY_ENTRY}
        rows = await writing.transaction.fetch(APPLICATION_AT.bind(parameters))
        stated = {
            "application_id": application_id,
            "revision": revision(rows) + 1,
            "recorded_at": to_instant(self._now()),
            "recorded_by": caller.name,
            **body,
        }
        content = event("application", stated)
        if len(content) > RECORD_BYTES_MAX:
            raise ApplicationInvalid(
                "application-too-large",
                f"the application's record is too large: {len(content)} bytes, at most {RECORD_BYTES_MAX}",
                fix="store long texts elsewhere, and set documentation_url or specification_url",
            )
        self._team_bytes.take(body["kio"]["team_id"], len(content))
        self._caller_bytes.take(caller.name, len(content))
        ((index, _),) = await writing.append([NewEntry(kind="application", content=content)])
        await project_application(writing.transaction, index, stated)


def _check_could_exist(application_id: str) -> None:
    if not is_application_id(application_id):
        raise NotFound("application-unknown", "application not found: the id is malformed")


async def _newest(transaction: Transaction, application_id: str) -> dict[str, Any] | None:
    rows = await transaction.fetch(APPLICATION_AT.bind({"application_id": application_id, "past": EVERY_ENTRY}))
    return body_of(rows[0]) if rows else None


def _is_url_template(text: str) -> bool:
    return text.startswith(("http://", "https://")) and "{ticket}" in text and len(text) <= _URL_CHARACTERS_MAX
