"""Members' names leave with the bodies of their entries: those that a newer entry of the team has replaced."""

from __future__ import annotations

from collections.abc import Sequence

from whence_aggregator.organisation.rows import newest_members
from whence_aggregator.ports import Database
from whence_aggregator.queries.organisation import REMOVE_TEAM_MEMBERS, TEAM_MEMBERS_REPLACED
from whence_aggregator.queries.query import BoundCommand, array


class MembersRemoved:
    """What the removal of old bodies means for the rows that are derived from them."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def needed(self, indexes: Sequence[int]) -> set[int]:
        """Return those that state who is a member now."""
        rows = await self._database.fetch(TEAM_MEMBERS_REPLACED.bind({"indexes": array(list(indexes))}))
        return newest_members(rows)

    async def is_stale(self, past: int) -> bool:
        return False

    def removes(self, indexes: Sequence[int], past: int) -> Sequence[BoundCommand]:
        return [REMOVE_TEAM_MEMBERS.bind([{"ledger_index": index} for index in indexes])]
