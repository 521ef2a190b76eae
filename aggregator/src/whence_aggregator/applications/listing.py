"""Lists of applications, now or at an earlier time: all by id, or what a search finds by rank."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypedDict

from whence_aggregator.applications.present import PresentWords
from whence_aggregator.applications.rows import (
    Hit,
    Indexable,
    ListedRow,
    hits,
    last_id,
    listed_application,
    listed_whole,
)
from whence_aggregator.applications.search import Sought, shown_rank
from whence_aggregator.organisation.directory import OrganisationDirectory
from whence_aggregator.ports import Database
from whence_aggregator.queries.applications import APPLICATIONS_LISTED, APPLICATIONS_NAMED, APPLICATIONS_RANKED
from whence_aggregator.queries.query import array
from whence_aggregator.trace.moment import Moments
from whence_common.clock import Now
from whence_common.errors import InputError

PAGE_MAX = 50
"""Size of a list's page: so many of the largest records are read and encoded within 20 ms."""
_RANKED_MAX = 1_000
"""Hits that are ranked at once for a long answer: each time costs a pass over all hits."""
_HIGHEST = 2**62
Show = Callable[[ListedRow], dict[str, Any]]


class _Filters(TypedDict):
    team: str | None
    teams: str
    incident_contact: str | None
    active: int | None
    modified_after: str | None
    modified_before: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class WantedApplications:
    """The filters of applications; None means any. Both times are inclusive."""

    sought: Sought | None = None
    team: str | None = None
    team_as_written: bool = False
    """Only applications with this very name of the team count, not with others that lead to it: for callers that may
    read resources of no other team."""
    teams: frozenset[str] = frozenset()
    """The names that the team has in the registry, which the lists look up."""
    incident_contact: str | None = None
    active: bool | None = None
    modified_after: str | None = None
    modified_before: str | None = None
    at: str | None = None

    @property
    def filters(self) -> _Filters:
        return {
            "team": self.team,
            "teams": array(sorted(self.teams)),
            "incident_contact": self.incident_contact,
            "active": int(self.active) if self.active is not None else None,
            "modified_after": self.modified_after,
            "modified_before": self.modified_before,
        }

    @property
    def test(self) -> Callable[[Indexable], bool] | None:
        """Return the test of an indexed application; None if there are no filters."""
        return (
            self.matches if any(value is not None for name, value in self.filters.items() if name != "teams") else None
        )

    def matches(self, one: Indexable) -> bool:
        """Return whether an indexed application passes the filters."""
        return (
            (self.team is None or one.team in self.teams)
            and (self.incident_contact is None or one.incident_contact == self.incident_contact)
            and (self.active is None or one.active is self.active)
            and (self.modified_after is None or one.recorded_at >= self.modified_after)
            and (self.modified_before is None or one.recorded_at <= self.modified_before)
        )


class ApplicationLists:
    """Lists applications."""

    def __init__(self, *, database: Database, now: Now) -> None:
        self._database = database
        self._present = PresentWords(database)
        self._directory = OrganisationDirectory(database)
        self._moments = Moments(database=database, now=now)

    async def pages(self, wanted: WantedApplications) -> AsyncIterator[Sequence[dict[str, Any]]]:
        """Yield all applications as Kio lists them, by id or by rank: in pages, of one moment."""
        past = (await self._moments.of(wanted.at)).past
        wanted = await self._named(wanted, past)
        if wanted.sought is None:
            after = ""
            while rows := await self._rows(wanted, past, after, PAGE_MAX):
                yield [listed_application(row) for row in rows]
                after = last_id(rows)
            return
        hit: Hit | None = None
        while some := await self._hits(wanted, wanted.sought, past, hit, _RANKED_MAX):
            for start in range(0, len(some), PAGE_MAX):
                yield await self._found(wanted.sought, some[start : start + PAGE_MAX], past, listed_application)
            hit = some[-1]

    async def page(
        self, wanted: WantedApplications, *, after: str, limit: int
    ) -> tuple[list[dict[str, Any]], str | None]:
        """Return a page of applications with all that is stored, and the cursor of the next page. Raises InputError."""
        past = (await self._moments.of(wanted.at)).past
        wanted = await self._named(wanted, past)
        if wanted.sought is None:
            rows = await self._rows(wanted, past, after, limit + 1)
            return list(map(listed_whole, rows[:limit])), last_id(rows[:limit]) if len(rows) > limit else None
        some = await self._hits(wanted, wanted.sought, past, _parse_cursor(after) if after else None, limit + 1)
        found = await self._found(wanted.sought, some[:limit], past, listed_whole)
        return found, some[limit - 1].cursor if len(some) > limit else None

    async def _named(self, wanted: WantedApplications, past: int) -> WantedApplications:
        """Return the filters with all names that lead to the team."""
        if wanted.team is None:
            return wanted
        if wanted.team_as_written:
            return replace(wanted, teams=frozenset({wanted.team}))
        return replace(wanted, teams=await self._directory.names_of(wanted.team, past=past))

    async def _rows(self, wanted: WantedApplications, past: int, after: str, limit: int) -> Sequence[ListedRow]:
        return await self._database.fetch(
            APPLICATIONS_LISTED.bind({"after": after, "past": past, "limit": limit, **wanted.filters})
        )

    async def _hits(
        self, wanted: WantedApplications, sought: Sought, past: int, after: Hit | None, limit: int
    ) -> list[Hit]:
        """Return hits by rank, after another: of the present from memory, of the past from the database."""
        if not sought.words:
            return []
        if wanted.at is None:
            return (await self._present.current()).find(sought, wanted.test, after=after, limit=limit)
        rows = await self._database.fetch(
            APPLICATIONS_RANKED.bind(
                {
                    "terms": sought.terms,
                    "wanted": len(sought.words),
                    "whole": sought.whole,
                    "score": after.rank if after is not None else _HIGHEST,
                    "after": after.application_id if after is not None else "",
                    "past": past,
                    "limit": limit,
                    **wanted.filters,
                }
            )
        )
        return hits(rows)

    async def _found(self, sought: Sought, some: Sequence[Hit], past: int, show: Show) -> list[dict[str, Any]]:
        """Return the applications of hits, in their order."""
        rows = await self._database.fetch(
            APPLICATIONS_NAMED.bind({"application_ids": array([one.application_id for one in some]), "past": past})
        )
        by_id = {one["id"]: one for one in map(show, rows)}
        return [
            {
                **by_id[one.application_id],
                "matched_rank": shown_rank(one.rank),
                "matched_description": sought.excerpt(by_id[one.application_id]["description"]),
            }
            for one in some
            if one.application_id in by_id
        ]


def _parse_cursor(text: str) -> Hit:
    rank, separator, application_id = text.partition("~")
    if not separator or not rank.isascii() or not rank.isdecimal() or len(rank) > 12:
        raise InputError("parameter-malformed", "invalid cursor", fix="pass `next` from the previous page")
    return Hit(application_id=application_id, rank=int(rank))
