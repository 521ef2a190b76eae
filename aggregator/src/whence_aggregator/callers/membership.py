"""Who may write for a team: by what the caller's token says, or by the team service. What is not known is no."""

from __future__ import annotations

from dataclasses import replace
from typing import Protocol

from whence_aggregator.callers.caller import Caller
from whence_aggregator.callers.sign_in_unavailable import SignInUnavailable
from whence_aggregator.ports import SourceUnavailable


class TeamService(Protocol):
    async def may_write(self, token: str, team: str) -> bool:
        """Ask whether the token's owner may write for a team. Raises SourceUnavailable."""


class Membership:
    """Decides; `teams` None: no team service is configured."""

    def __init__(self, teams: TeamService | None) -> None:
        self._teams = teams

    async def why_not(self, caller: Caller, team: str) -> str:
        """Return why a caller may not write for a team; empty when it may. Raises SignInUnavailable."""
        if caller.may_write(team):
            return ""
        if caller.not_written:
            return caller.not_written
        if not caller.asks_with:
            return "the token is not for this team" if caller.subject is None else "not in the team"
        if self._teams is None:
            return "no team service is configured, so the team's members are unknown"
        try:
            return "" if await self._teams.may_write(caller.asks_with, team) else "not in the team"
        except SourceUnavailable as exc:
            raise SignInUnavailable("teams-unavailable", "teams cannot be checked now") from exc

    async def assured(self, caller: Caller, team: str) -> Caller:
        """Return the caller with this team among its own, where it is; or with the reason. Raises SignInUnavailable."""
        if not caller.asks_with or caller.may_write(team):
            return caller
        why = await self.why_not(caller, team)
        return replace(caller, not_written=why) if why else replace(caller, teams=frozenset({team}))
