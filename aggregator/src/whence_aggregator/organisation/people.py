"""In which teams somebody is, by which source and since when, from the lists of members that sources stated.

There is no list of people: who asks must know the uid. Lists whose bodies were removed are not there any more, so a
time is that of the oldest list left.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import msgspec

from whence_aggregator.organisation.names import is_member
from whence_aggregator.organisation.rows import ListedMember, listed_members
from whence_aggregator.ports import Conflict, Database, NotFound
from whence_aggregator.queries.organisation import LISTS_WITH_MEMBER
from whence_aggregator.queries.query import EVERY_ENTRY

_LISTS_MAX = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class StatedMembership:
    """That a source listed somebody in a team, from one entry until another; `until_index` None: it still does."""

    team_id: str
    source: str
    since: str
    since_index: int
    until: str | None
    until_index: int | None

    def to_wire(self) -> dict[str, object]:
        return {
            "team_id": self.team_id, "source": self.source, "since": self.since, "since_index": self.since_index,
            "until": self.until, "until_index": self.until_index,
        }  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class TeamMember:
    """Somebody by uid, with every time that a source had them in a team."""

    uid: str = field(repr=False)
    memberships: tuple[StatedMembership, ...] = field(repr=False)

    def to_wire(self, *, sees: Callable[[str], bool]) -> dict[str, object]:
        """Return the person with those teams that the asker sees. Raises NotFound where that is none of them."""
        seen = [one for one in self.memberships if sees(one.team_id)]
        if not seen:
            raise _unknown()
        newest_first = sorted(seen, key=lambda one: one.since_index, reverse=True)
        teams = sorted({one.team_id for one in seen if one.until_index is None})
        return {"uid": self.uid, "teams": teams, "memberships": [one.to_wire() for one in newest_first]}


class People:
    """Looks people up. `past` bounds the entries that count."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def person(self, uid: str, *, past: int = EVERY_ENTRY) -> TeamMember:
        """Return somebody whom a source has listed. Raises NotFound, or Conflict for too many lists."""
        if not is_member(uid):
            raise _unknown()
        rows = listed_members(
            await self._database.fetch(
                LISTS_WITH_MEMBER.bind({"pattern": _pattern(uid), "past": past, "limit": _LISTS_MAX + 1})
            )
        )
        if len(rows) > _LISTS_MAX:
            fix = "set retention.member_days, so that replaced lists are removed"
            raise Conflict("person-too-large", f"over {_LISTS_MAX} lists of members have this uid", fix=fix)
        memberships = memberships_of(uid, rows)
        if not memberships:
            raise _unknown()
        return TeamMember(uid=uid, memberships=memberships)


def memberships_of(uid: str, rows: Sequence[ListedMember]) -> tuple[StatedMembership, ...]:
    """Join lists that follow one another. `rows` are by source, team and entry; some may have a similar uid only."""
    found: list[StatedMembership] = []
    for row in rows:
        if uid not in row.members:
            continue
        before = found[-1] if found else None
        if before is not None and before.until_index == row.ledger_index and (before.source, before.team_id) == (
            row.source, row.team_id,
        ):  # fmt: skip
            since, since_index = before.since, before.since_index
            found.pop()
        else:
            since, since_index = row.recorded_at, row.ledger_index
        found.append(
            StatedMembership(
                team_id=row.team_id,
                source=row.source,
                since=since,
                since_index=since_index,
                until=row.next_at,
                until_index=row.next_index,
            )
        )
    return tuple(found)


def _pattern(uid: str) -> str:
    """Return a pattern of SQL for JSON arrays with this uid; `!` escapes."""
    written = msgspec.json.encode(uid).decode()
    for one in "!%_":
        written = written.replace(one, f"!{one}")
    return f"%{written}%"


def _unknown() -> NotFound:
    return NotFound("person-unknown", "no source lists anybody of this uid in a team that you may read")
