"""Groups that verified tokens of people name, as teams. Who was in them is not kept.

Every process that verifies tokens writes what it saw into one table, and the readings of the source record what is new.
A group that was not seen stays a team, unless the operator sets after how many days it is gone.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from datetime import timedelta

from whence_aggregator.organisation.names import folded, is_team_id
from whence_aggregator.organisation.resolving import FoundTeam, TeamNames
from whence_aggregator.organisation.rows import SeenGroup, held_names, seen_groups
from whence_aggregator.organisation.snapshots import StatedTeam, snapshot
from whence_aggregator.organisation.values import Snapshot
from whence_aggregator.ports import Database, SourceUnavailable, StorageUnavailable
from whence_aggregator.queries.organisation import DROP_GROUPS, GROUPS_SEEN, KEEP_GROUP, TEAMS_NAMED_AT
from whence_aggregator.queries.query import EVERY_ENTRY, array
from whence_common.clock import Now, to_millis
from whence_common.runtime.logs import fields
from whence_common.runtime.pause import pause

log = logging.getLogger(__name__)

GROUPS_MAX = 5_000
"""Kept in all: tokens with ever new groups fill neither memory nor the log."""
_READ_MAX = 2 * GROUPS_MAX
"""More than is kept: replicas that write at once may pass the bound by what each of them saw."""
KEEP_SECONDS = 15.0
"""How long a group that was seen waits before it is in the table."""
KEPT_AGAIN_SECONDS = 3600.0
"""How often a process writes a group again that it sees all the time."""


class GroupsSeen:
    """Groups seen by this process. Whoever verifies tokens calls `saw`, which only remembers."""

    def __init__(self, *, database: Database, now: Now) -> None:
        self._database = database
        self._now = now
        self._waiting: dict[str, str] = {}
        self._kept_at: dict[str, int] = {}

    def saw(self, teams: Iterable[str]) -> None:
        """Remember the teams that the groups of a verified token name."""
        now = to_millis(self._now())
        for one in teams:
            team_id = folded(one)
            kept_at = self._kept_at.get(team_id)
            due = kept_at is None or now - kept_at >= KEPT_AGAIN_SECONDS * 1000
            if due and len(self._waiting) < GROUPS_MAX and is_team_id(one):
                self._waiting.setdefault(team_id, one)

    async def keep(self) -> None:
        """Write what was seen. Raises StorageUnavailable; then it is written the next time."""
        if not self._waiting:
            return
        seen, now = dict(self._waiting), to_millis(self._now())
        known = {one.team_id for one in seen_groups(await self._database.fetch(GROUPS_SEEN.bind({"limit": _READ_MAX})))}
        new = sorted(seen.keys() - known)
        room = max(0, GROUPS_MAX - len(known))
        left_out = new[room:]
        kept = sorted(seen.keys() - set(left_out))
        await self._database.write(
            KEEP_GROUP.bind([{"team_id": one, "spelled": seen[one], "seen_at": now} for one in kept])
        )
        if left_out:
            log.warning("groups of tokens are not kept", extra=fields(left_out=len(left_out), most=GROUPS_MAX))
        if len(self._kept_at) + len(seen) > _READ_MAX:
            self._kept_at.clear()
        self._kept_at |= dict.fromkeys(seen, now)
        self._waiting = {one: spelled for one, spelled in self._waiting.items() if one not in seen}

    async def run(self) -> None:
        """Write what was seen now and then, until cancelled."""
        while True:
            await pause(KEEP_SECONDS)
            try:
                await self.keep()
            except StorageUnavailable as exc:
                log.error("groups of tokens wait", extra=fields(code=exc.code, message=exc.message))


class GroupsSource:
    """The groups that any process saw. `days`: after how many without a token that names it a team is gone."""

    def __init__(self, *, database: Database, days: int | None, now: Now) -> None:
        self._database = database
        self._days = days
        self._now = now

    async def read(self) -> Snapshot:
        """Return the teams seen. Raises SourceUnavailable where none was: that is no sign that all are gone."""
        if self._days is not None:
            before = to_millis(self._now() - timedelta(days=self._days))
            await self._database.write(DROP_GROUPS.bind([{"before": before}]))
        seen = seen_groups(await self._database.fetch(GROUPS_SEEN.bind({"limit": _READ_MAX})))
        if not seen:
            when = f"within {self._days} days" if self._days is not None else "yet"
            raise SourceUnavailable("groups-unseen", f"no verified token of a person named a group {when}")
        full = len(seen) >= GROUPS_MAX
        notes = [f"{len(seen)} groups were seen: further ones are not kept"] if full else []
        return snapshot("groups", teams=[StatedTeam(id=one) for one in await self._own(seen)], notes=notes)

    async def _own(self, seen: Sequence[SeenGroup]) -> list[str]:
        """Return the groups that no other source has as the alias of a team: those are that team."""
        wanted = array([one.team_id for one in seen])
        rows = held_names(await self._database.fetch(TEAMS_NAMED_AT.bind({"names": wanted, "past": EVERY_ENTRY})))
        others = TeamNames(row for row in rows if row.source != "groups")
        return [one.spelled for one in seen if not _is_alias(others, one.team_id)]


def _is_alias(names: TeamNames, team_id: str) -> bool:
    found = names.resolve(team_id)
    return isinstance(found, FoundTeam) and not found.over and found.team_id != team_id
