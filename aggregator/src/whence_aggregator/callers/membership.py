"""Decides whether a caller may write for a team, by its token or by the team service. Unknown membership denies."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Protocol

from whence_aggregator.callers.caller import Caller
from whence_aggregator.callers.sign_in_unavailable import SignInUnavailable
from whence_aggregator.ports import SourceUnavailable


class TeamService(Protocol):
    async def may_write(self, token: str, team: str) -> bool:
        """Return whether the token's owner may write for a team. Raises SourceUnavailable."""


class Successors(Protocol):
    async def of(self, team: str) -> str | None:
        """Return the team that took the place of a former one: it was merged, or its id was changed."""


class Membership:
    """Decides on permission to write. `teams` is None if no team service is configured.

    With `successors`, who is in the team that took the place of a former one may write for that too.
    """

    def __init__(self, teams: TeamService | None, successors: Successors | None = None) -> None:
        self._teams = teams
        self._successors = successors

    async def why_not(self, caller: Caller, team: str) -> str:
        """Return the reason why a caller may not write for a team; empty if it may. Raises SignInUnavailable."""
        if caller.may_write(team) or await self._succeeds(caller, team):
            return ""
        if caller.not_written:
            return caller.not_written
        if not caller.asks_with:
            return "the token is not for this team" if caller.subject is None else "not in the team"
        if self._teams is None:
            return "no team service is configured (sign_in.team_url), so the team's members are unknown"
        try:
            return "" if await self._teams.may_write(caller.asks_with, team) else "not in the team"
        except SourceUnavailable as exc:
            raise SignInUnavailable("teams-unavailable", "the team service is unavailable") from exc

    async def assured_for(self, caller: Caller, teams: Iterable[str]) -> Caller:
        """Return the caller with those of the teams that it may write for. Raises SignInUnavailable."""
        if caller.teams is None:
            return caller
        wanted = list(dict.fromkeys(teams))
        confirmed = set(caller.teams) | {team for team in wanted if await self._succeeds(caller, team)}
        why = caller.not_written
        if caller.asks_with:
            for team in wanted:
                reason = await self.why_not(caller, team)
                why = why or reason
                confirmed |= set() if reason else {team}
        return replace(caller, teams=frozenset(confirmed), not_written=why)

    async def assured(self, caller: Caller, team: str) -> Caller:
        """Return the caller with this team in `teams` if the team service confirms it, else with the reason.

        So it is where it is in the team that took the place of this one. A caller that needs no such check is returned
        unchanged. Raises SignInUnavailable.
        """
        if caller.teams is not None and await self._succeeds(caller, team):
            return replace(caller, teams=caller.teams | {team})
        if not caller.asks_with or caller.may_write(team):
            return caller
        why = await self.why_not(caller, team)
        return replace(caller, not_written=why) if why else replace(caller, teams=frozenset({team}))

    async def _succeeds(self, caller: Caller, team: str) -> bool:
        """Return whether the caller is in the team that took the place of this one."""
        if self._successors is None or not caller.teams or team in caller.teams:
            return False
        return await self._successors.of(team) in caller.teams
