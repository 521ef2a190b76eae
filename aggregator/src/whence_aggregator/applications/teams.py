"""The teams that applications may belong to."""

from __future__ import annotations

from typing import Protocol


class TeamLookup(Protocol):
    """The organisation's directory of teams."""

    async def exists(self, team_id: str) -> bool:
        """Return whether there is such a team. Raises SourceUnavailable."""


class AnyTeam:
    """The lookup where no source of teams is configured: every team exists."""

    async def exists(self, team_id: str) -> bool:
        return True
