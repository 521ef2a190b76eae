"""Hand-over of an application to another team: the owner offers it, and the receiving team accepts or declines.

A caller who may write for both teams needs no offer. At most one offer of an application is open; a change of the team
by another way supersedes it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

from whence_aggregator.applications.entries import ApplicationEntries, ApplicationRows, newest
from whence_aggregator.applications.fields import ApplicationInvalid
from whence_aggregator.applications.rows import Newest, Offer, open_offer, shown_handover
from whence_aggregator.applications.teams import TeamLookup
from whence_aggregator.callers.caller import Caller
from whence_aggregator.ledger.ledger import Ledger
from whence_aggregator.ledger.writing import Writing
from whence_aggregator.ports import Conflict, Database, Forbidden, NotFound
from whence_aggregator.queries.applications import APPLICATION_HANDOVERS
from whence_aggregator.queries.query import EVERY_ENTRY
from whence_aggregator.trace.moment import Moments
from whence_common.clock import Now
from whence_common.errors import InputError, one_line

Closing = Literal["accepted", "declined", "withdrawn"]
LISTED_MAX = 100
"""The newest of an application that are listed."""
NOTE_CHARACTERS_MAX = 500
TEAM_CHARACTERS_MAX = 200


class Handovers:
    """Reads and writes hand-overs."""

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

    async def listed(self, application_id: str, *, at: str | None = None) -> list[dict[str, Any]]:
        """Return what became of the offers of an application, newest first."""
        past = (await self._moments.of(at)).past
        rows = await self._database.fetch(
            APPLICATION_HANDOVERS.bind({"application_id": application_id, "past": past, "limit": LISTED_MAX})
        )
        return list(map(shown_handover, rows))

    async def open_offer(self, application_id: str) -> Offer | None:
        """Return the open offer of an application."""
        return await _open(self._database, application_id)

    async def offer(self, application_id: str, to_team: str, note: str, caller: Caller) -> dict[str, Any]:
        """Offer an application to a team, or hand it over if the caller may write for both; return what was done.

        Raises InputError, Forbidden, NotFound or Conflict.
        """
        if not to_team or len(to_team) > TEAM_CHARACTERS_MAX:
            raise InputError("handover-team", f"team_id must have 1 to {TEAM_CHARACTERS_MAX} characters")
        if len(note) > NOTE_CHARACTERS_MAX:
            raise InputError("handover-note", f"note must have at most {NOTE_CHARACTERS_MAX} characters")
        _check_owner(await newest(self._database, application_id), application_id, caller)
        if not await self._teams.exists(to_team):
            raise ApplicationInvalid("application-team", f"no source states a team {one_line(to_team, 100)!r}")
        async with self._ledger.writing() as writing:
            stored = await newest(writing.transaction, application_id)
            owner = _check_owner(stored, application_id, caller)
            if owner == to_team:
                raise Conflict(
                    "handover-same-team", f"the application belongs to team {one_line(to_team, 100)} already"
                )
            if caller.may_write(to_team):
                await supersede(self._entries, writing, application_id, caller)
                done = await self._move(writing, application_id, stored, to_team, caller)
            else:
                done = await self._offer(writing, application_id, (owner, to_team), note, caller)
        self._on_work()
        return done

    async def close(self, application_id: str, number: int, closing: Closing, caller: Caller) -> dict[str, Any]:
        """Accept, decline or withdraw the open offer with this number; return what was done.

        Raises Forbidden, or Conflict if another offer or none is open, or the receiving team is there no more.
        """
        if closing == "accepted":
            await self._check_still_there(application_id, number, caller)
        async with self._ledger.writing() as writing:
            offer = await _open(writing.transaction, application_id)
            if offer is None or offer.number != number:
                fix = f"GET /v1/applications/{application_id[:120]}/handover shows the open offer"
                raise Conflict("handover-not-open", f"offer {number} is not open", fix=fix)
            caller.check_write(offer.from_team if closing == "withdrawn" else offer.to_team)
            stated = _stated(application_id, offer, closing, "")
            await self._entries.hand_over(writing, stated, caller)
            done: dict[str, Any] = {"state": closing, "offer": number, "team_id": offer.from_team}
            if closing == "accepted":
                stored = await newest(writing.transaction, application_id)
                done |= await self._move(writing, application_id, stored, offer.to_team, caller)
        self._on_work()
        return done

    async def _check_still_there(self, application_id: str, number: int, caller: Caller) -> None:
        """Raise Conflict if the team that an offer is for has been merged, or is gone, since it was made."""
        offer = await _open(self._database, application_id)
        if offer is None or offer.number != number:
            return  # refused with the write
        caller.check_write(offer.to_team)
        if not await self._teams.exists(offer.to_team):
            fix = "decline it, and have the application offered to the team that took its place"
            raise Conflict("handover-team-gone", f"there is no team {one_line(offer.to_team, 100)!r} any more", fix=fix)

    async def _offer(
        self, writing: Writing[Any], application_id: str, teams: tuple[str, str], note: str, caller: Caller
    ) -> dict[str, Any]:
        if await _open(writing.transaction, application_id) is not None:
            fix = f"withdraw it: POST /v1/applications/{application_id}/handover/withdraw"
            raise Conflict("handover-open", "another offer of the application is open", fix=fix)
        stated = {
            "application_id": application_id, "number": None, "action": "offered", "from_team": teams[0],
            "to_team": teams[1], "note": note,
        }  # fmt: skip
        index, _ = await self._entries.hand_over(writing, stated, caller)
        return {"state": "offered", "offer": index, "team_id": teams[0]}

    async def _move(
        self, writing: Writing[Any], application_id: str, stored: Newest, to_team: str, caller: Caller
    ) -> dict[str, Any]:
        assert stored.draft is not None
        revision = await self._entries.revise(writing, application_id, stored, stored.draft.to_team(to_team), caller)
        return {"state": "accepted", "team_id": to_team, "revision": revision}


async def supersede(entries: ApplicationEntries, writing: Writing[Any], application_id: str, caller: Caller) -> None:
    """Close an open offer, because the application changes its team without it."""
    offer = await _open(writing.transaction, application_id)
    if offer is not None:
        await entries.hand_over(writing, _stated(application_id, offer, "superseded", ""), caller)


def check_receiver(application_id: str, team: str, caller: Caller) -> None:
    """Raise Forbidden unless the caller may give an application to a team without its consent."""
    if not caller.may_write(team):
        raise Forbidden(
            "handover-needs-consent",
            f"{caller.name} may not write for team {one_line(team, 100)}, which must accept the application",
            fix=f"offer it: POST /v1/applications/{application_id}/handover, or `whence apps offer`",
        )


def _check_owner(stored: Newest, application_id: str, caller: Caller) -> str:
    """Return the owner. Raises NotFound, and Forbidden unless the caller may write for it."""
    if stored.draft is None:
        raise NotFound("application-unknown", f"application not found: {application_id[:100]!r}")
    caller.check_write(stored.draft.team)
    return stored.draft.team


async def _open(reads: ApplicationRows, application_id: str) -> Offer | None:
    return open_offer(
        await reads.fetch(
            APPLICATION_HANDOVERS.bind({"application_id": application_id, "past": EVERY_ENTRY, "limit": 1})
        )
    )


def _stated(application_id: str, offer: Offer, action: str, note: str) -> dict[str, Any]:
    return {
        "application_id": application_id, "number": offer.number, "action": action, "from_team": offer.from_team,
        "to_team": offer.to_team, "note": note,
    }  # fmt: skip
