"""Who may write an application's credentials: those of the application's team in Kio, and callers named in a setting.

As in Zalando's mint, the right to write for every team is none here: credentials need a right of their own.
"""

from __future__ import annotations

from dataclasses import replace

from whence_aggregator.callers.caller import WRITE_ALL, WRITE_ALL_SENSITIVE, WRITE_SENSITIVE, Caller
from whence_aggregator.callers.membership import Membership
from whence_aggregator.callers.stups_people import TOKENINFO
from whence_aggregator.http.own_teams import check_reads_team
from whence_aggregator.mint.ports import KnownApplications
from whence_aggregator.mint.state import MintState
from whence_aggregator.mint.values import KioStanding
from whence_aggregator.ports import Forbidden


class MintRights:
    """Checks callers. `write_all` are the names of those that may write every application."""

    def __init__(self, *, kio: KnownApplications, membership: Membership, write_all: frozenset[str]) -> None:
        self._kio = kio
        self._membership = membership
        self._write_all = write_all

    async def standing(self, application_id: str) -> KioStanding | None:
        """Return what Kio states of an application; None: it has none of this id. Raises StorageUnavailable."""
        return await self._kio.standing(application_id)

    async def team_of(self, state: MintState) -> str:
        """Return the team of an application: Kio's, or the last that Kio had if the application is missing there."""
        standing = await self._kio.standing(state.application.application_id)
        return standing.team_id if standing is not None else state.application.team_id

    async def check_reads(self, caller: Caller, state: MintState) -> str:
        """Return the team of an application. Raises Forbidden if the caller may not read it."""
        team = await self.team_of(state)
        check_reads_team(caller, team)
        return team

    async def may_list(self, caller: Caller, state: MintState) -> bool:
        """Return whether an application is listed for a caller."""
        return caller.reads_everything or caller.may_read(await self.team_of(state))

    async def check_writes(self, caller: Caller, team: str) -> None:
        """Raise Forbidden unless a caller may write the credentials of a team; SignInUnavailable if it is unknown."""
        if caller.teams is None or self._writes_all(caller):
            return
        if _is_of_token_service(caller):
            caller = _without_write_all(caller)
        (await self._membership.assured_for(caller, [team])).check_write(team)

    def _writes_all(self, caller: Caller) -> bool:
        """Return whether a caller is one of the setting; a service of STUPS needs the scope as well.

        People are none of them: at some issuers they choose their names.
        """
        is_named = caller.name in self._write_all and caller.realm != "people"
        if not _is_of_token_service(caller):
            return is_named
        return is_named and caller.realm == "services" and WRITE_ALL_SENSITIVE in caller.rights


def _is_of_token_service(caller: Caller) -> bool:
    return caller.subject is not None and caller.subject[0] == TOKENINFO


def _without_write_all(caller: Caller) -> Caller:
    """Return a caller of STUPS's token service with the rights that its scopes give it here. Raises Forbidden."""
    rights = caller.rights - {WRITE_ALL}
    if caller.realm != "services":
        return replace(caller, rights=rights)
    if WRITE_SENSITIVE not in caller.rights:
        message = f"{caller.name} may not write credentials: the scope application.write_sensitive is missing"
        raise Forbidden("team-forbidden", message, fix="request a token with this scope")
    return replace(caller, rights=rights, not_written="")
