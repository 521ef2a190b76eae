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


class Membership:
    """Decides on permission to write. `teams` is None if no team service is configured."""

    def __init__(self, teams: TeamService | None) -> None:
        self._teams = teams

    async def why_not(self, caller: Caller, team: str) -> str:
        """Return the reason why a caller may not write for a team; empty if it may. Raises SignInUnavailable."""
        if caller.may_write(team):
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
        """Return the caller with those of the teams that the team service confirms. Raises SignInUnavailable."""
        if not caller.asks_with or caller.teams is None:
            return caller
        confirmed, why = set(caller.teams), caller.not_written
        for team in dict.fromkeys(teams):
            reason = await self.why_not(caller, team)
            why = why or reason
            confirmed |= set() if reason else {team}
        return replace(caller, teams=frozenset(confirmed), not_written=why)

    async def assured(self, caller: Caller, team: str) -> Caller:
        """Return the caller with this team in `teams` if the team service confirms it, else with the reason.

        A caller that needs no such check is returned unchanged. Raises SignInUnavailable.
        """
        if not caller.asks_with or caller.may_write(team):
            return caller
        why = await self.why_not(caller, team)
        return replace(caller, not_written=why) if why else replace(caller, teams=frozenset({team}))
