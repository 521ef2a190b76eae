"""Applications with an append-only history: every earlier revision stays readable, and is a ledger entry."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import msgspec

from whence_aggregator.applications.conditions import UNCONDITIONAL, Conditions
from whence_aggregator.applications.draft import Draft, is_url_template
from whence_aggregator.applications.entries import ApplicationEntries, newest
from whence_aggregator.applications.fields import ApplicationInvalid, check_team
from whence_aggregator.applications.handovers import check_receiver, supersede
from whence_aggregator.applications.rows import Newest, Read, read_kio, read_whole
from whence_aggregator.applications.teams import TeamLookup
from whence_aggregator.callers.caller import Caller
from whence_aggregator.ledger.ledger import Ledger
from whence_aggregator.ports import Conflict, Database, NotFound
from whence_aggregator.queries.applications import APPLICATION_AT, APPLICATION_FIRST
from whence_aggregator.trace.moment import Moments
from whence_aggregator.trace.registered import Tracker
from whence_aggregator.trace.tickets import PATTERNS_MAX, check_pattern
from whence_common.clock import Now
from whence_common.errors import InputError, one_line
from whence_common.identifiers import is_application_id

_Change = Callable[[Draft | None], Draft]
_Show = Callable[[Any, Any], Read]


class TicketSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The form of tickets in an application's commit messages, and the URL of a ticket."""

    patterns: list[str]
    url: str | None = None
    """Contains `{ticket}`."""


class Applications:
    """Reads and writes single applications."""

    def __init__(
        self,
        *,
        database: Database,
        ledger: Ledger,
        entries: ApplicationEntries,
        teams: TeamLookup,
        now: Now,
        on_work: Callable[[], None],
    ) -> None:
        self._database = database
        self._ledger = ledger
        self._entries = entries
        self._teams = teams
        self._moments = Moments(database=database, now=now)
        self._on_work = on_work

    async def read(self, application_id: str, *, at: str | None = None) -> dict[str, Any]:
        """Return one application as Kio shows it, now or at an earlier time. Raises NotFound."""
        return (await self.read_kio(application_id, at=at)).shown

    async def read_kio(self, application_id: str, *, at: str | None = None) -> Read:
        """Return one application as Kio shows it, with its revision. Raises NotFound."""
        return await self._read(application_id, at, read_kio)

    async def read_whole(self, application_id: str, *, at: str | None = None) -> Read:
        """Return one application with its repositories and trackers. Raises NotFound."""
        return await self._read(application_id, at, read_whole)

    async def team_of(self, application_id: str) -> str | None:
        """Return the team whose writes are taken now; None where there is no such application."""
        if not is_application_id(application_id):
            return None
        found = await newest(self._database, application_id)
        return found.draft.team if found.draft is not None else None

    async def write(
        self,
        application_id: str,
        written: Mapping[str, Any],
        caller: Caller,
        *,
        conditions: Conditions = UNCONDITIONAL,
    ) -> int:
        """Create or update as Kio does; return the revision. Raises ApplicationInvalid, Forbidden or Conflict."""
        _check_id(application_id)
        return await self._change(application_id, lambda stored: Draft.merged(stored, written), caller, conditions)

    async def replace(
        self, application_id: str, written: Mapping[str, Any], caller: Caller, *, conditions: Conditions
    ) -> int:
        """Create, or replace as a whole; return the revision. Raises InputError, Forbidden or Conflict."""
        _check_id(application_id)
        return await self._change(
            application_id, lambda stored: Draft.replaced(written), caller, conditions, repeats=False
        )

    async def patch(
        self, application_id: str, written: Mapping[str, Any], caller: Caller, *, conditions: Conditions
    ) -> int:
        """Change an application by a merge patch; return the revision. Raises InputError, Forbidden or NotFound."""

        def change(stored: Draft | None) -> Draft:
            return _existing(stored, application_id).patched(written)

        return await self._change(application_id, change, caller, conditions, repeats=False)

    async def write_tickets(self, application_id: str, settings: TicketSettings, caller: Caller) -> None:
        """Replace the trackers by patterns with one URL. Raises TicketPatternInvalid, Forbidden or NotFound."""
        if not 0 < len(settings.patterns) <= PATTERNS_MAX:
            raise InputError("ticket-patterns", f"patterns must have 1 to {PATTERNS_MAX} entries")
        for pattern in settings.patterns:
            check_pattern(pattern)
        if settings.url is not None and not is_url_template(settings.url):
            raise InputError("ticket-url", "url must be an http or https URL with {ticket} in it")
        trackers = tuple(Tracker(pattern=one, url=settings.url) for one in dict.fromkeys(settings.patterns))

        def change(stored: Draft | None) -> Draft:
            return replace(_existing(stored, application_id), trackers=trackers)

        await self._change(application_id, change, caller, UNCONDITIONAL)

    async def _change(
        self,
        application_id: str,
        change: _Change,
        caller: Caller,
        conditions: Conditions,
        *,
        repeats: bool = True,
    ) -> int:
        """Store the changed revision; return its number. `repeats`: also if nothing has changed, as Kio does."""
        known = await self._known_team(application_id, change, caller)
        async with self._ledger.writing() as writing:
            stored = await newest(writing.transaction, application_id)
            draft = change(stored.draft)
            _check_writes(stored, draft, caller)
            conditions.check(stored.revision)
            moved = stored.draft is not None and stored.draft.team != draft.team
            if draft.team != known and (moved or stored.draft is None):
                raise Conflict("application-changed", "the application was changed meanwhile", fix="try again")
            if draft == stored.draft and not repeats:
                return stored.revision
            if moved and stored.draft is not None:
                check_receiver(application_id, draft.team, caller)
                await supersede(self._entries, writing, application_id, caller)
            revision = await self._entries.revise(writing, application_id, stored, draft, caller)
        self._on_work()
        return revision

    async def _known_team(self, application_id: str, change: _Change, caller: Caller) -> str:
        """Return the team that the application will have: a new or changed one exists. Raises ApplicationInvalid."""
        stored = await newest(self._database, application_id)
        draft = change(stored.draft)
        _check_writes(stored, draft, caller)
        if (stored.draft is None or stored.draft.team != draft.team) and not await self._teams.exists(draft.team):
            raise ApplicationInvalid("application-team", f"no source states a team {one_line(draft.team, 100)!r}")
        return draft.team

    async def _read(self, application_id: str, at: str | None, show: _Show) -> Read:
        check_could_exist(application_id)
        past = (await self._moments.of(at)).past
        rows = await self._database.fetch(APPLICATION_AT.bind({"application_id": application_id, "past": past}))
        if not rows:
            raise NotFound("application-unknown", f"application not found: {application_id[:100]!r}")
        (first,) = await self._database.fetch(APPLICATION_FIRST.bind({"application_id": application_id}))
        return show(rows[0], first)


def check_could_exist(application_id: str) -> None:
    """Raise NotFound for a text that is no application's id."""
    if not is_application_id(application_id):
        raise NotFound("application-unknown", "application not found: the id is malformed")


def _check_id(application_id: str) -> None:
    if not is_application_id(application_id):
        raise InputError("application-id-malformed", "the id must be lower-case letters, digits and hyphens")


def _existing(stored: Draft | None, application_id: str) -> Draft:
    if stored is None:
        raise NotFound("application-unknown", f"there is no application {application_id[:100]!r}")
    return stored


def _check_writes(stored: Newest, draft: Draft, caller: Caller) -> None:
    """Raise ApplicationInvalid without a team, and Forbidden unless the caller may write for the owner."""
    check_team(draft.kio)
    caller.check_write(stored.draft.team if stored.draft is not None else draft.team)
