"""Groups that sign-in saw in tokens: names of teams, and who was in them. What was not seen is not gone."""

from __future__ import annotations

from collections.abc import Iterable

from whence_aggregator.organisation.names import folded, is_team_id
from whence_aggregator.organisation.snapshots import StatedTeam, snapshot
from whence_aggregator.organisation.values import Snapshot

GROUPS_MAX = 5_000
"""Kept between two readings: a token with thousands of groups fills no memory."""


class GroupsSeen:
    """Whoever verifies tokens calls `saw`; the readings of the source record what is new."""

    def __init__(self) -> None:
        self._seen: dict[str, str] = {}

    def saw(self, teams: Iterable[str]) -> None:
        """Keep the teams that the groups of a verified token name."""
        for one in teams:
            if len(self._seen) < GROUPS_MAX and is_team_id(one):
                self._seen.setdefault(folded(one), one)

    async def read(self) -> Snapshot:
        """Return what was seen: never whole, so that nothing is taken away."""
        return snapshot("groups", teams=[StatedTeam(id=one) for one in self._seen.values()], complete=False)
