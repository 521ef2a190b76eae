"""The change record of production: each time that what runs changed, page by page, from storage alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from whence_aggregator.changes.arrivals import Arrivals
from whence_aggregator.changes.known_names import check_names
from whence_aggregator.changes.production import Production, ProductionChange
from whence_aggregator.changes.rows import combined, facets_in, instance_numbers, occupants, steps_of
from whence_aggregator.ports import Conflict, Database, NotFound
from whence_aggregator.queries.changes import (
    FACETS_WHOLE,
    INSTANCES_OF_FACETS,
    LIVES_FROM,
    RUNNING_BEFORE,
    STATEMENTS_FROM,
)
from whence_aggregator.queries.query import EVERY_ENTRY, array, together
from whence_aggregator.queries.trace import FACETS_MATCHING, FACETS_OF_APPLICATIONS
from whence_aggregator.trace.found_rows import numbers
from whence_aggregator.trace.owners import owned_by
from whence_common.errors import InputError

INSTANCES_MAX = 50_000
"""The most instances that ever ran what a request asks about."""
STEPS_MAX = 5_000
"""The most statements, and changes of lives, that a request reads."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WantedChanges:
    """The filters of the record; None means any. At least one of them is set."""

    application: str | None = None
    team: str | None = None
    """The team that owns the applications now."""
    team_as_written: bool = False
    """Only applications with this very name of the team count, not with others that lead to it: for callers that may
    read resources of no other team."""
    account: str | None = None
    first: int = 0
    past: int = EVERY_ENTRY
    """Changes recorded by entries in [first, past)."""


class ChangeRecord:
    """Finds changes of what runs."""

    def __init__(self, *, database: Database, arrivals: Arrivals) -> None:
        self._database = database
        self._arrivals = arrivals

    async def page(self, wanted: WantedChanges, *, after: str, limit: int) -> tuple[list[dict[str, Any]], str | None]:
        """Return changes from a cursor on, and the cursor of the next page. Pages may be shorter than the limit.

        Raises InputError, NotFound for a name that nobody knows, and Conflict when there are too many instances.
        """
        first = max(_cursor(after), wanted.first)
        applications = await self.applications(wanted)
        found, following = await self._scan(wanted, applications, first, limit)
        if not found and following is None:
            await self._check_known(wanted, applications)
        shown = await self._arrivals.of(found)
        if len(shown) < len(found):
            following = found[len(shown)].ledger_index
        return shown, str(following) if following is not None else None

    async def scanned(self, wanted: WantedChanges) -> list[ProductionChange]:
        """Return the changes of one application from an entry on, as many as one request reads. Raises Conflict."""
        assert wanted.application is not None
        found, _ = await self._scan(wanted, {wanted.application}, wanted.first, STEPS_MAX)
        return found

    async def shown(self, found: Sequence[ProductionChange]) -> list[dict[str, Any]]:
        """Return changes with what started: its commits, tickets and approvals. There may be fewer than were asked."""
        return await self._arrivals.of(list(found))

    async def applications(self, wanted: WantedChanges) -> set[str] | None:
        """Return the applications that match; None for all."""
        named = {wanted.application} if wanted.application is not None else None
        if wanted.team is None:
            return named
        owned = set(await owned_by(self._database, wanted.team, as_written=wanted.team_as_written, past=EVERY_ENTRY))
        return owned if named is None else owned & named

    async def _check_known(self, wanted: WantedChanges, applications: set[str] | None) -> None:
        """Raise NotFound for a filter that nobody knows. Who reads no other teams learns nothing about their names."""
        if not wanted.team_as_written:
            await check_names(self._database, application=wanted.application, team=wanted.team, account=wanted.account)
        elif wanted.application is not None and not applications:
            raise NotFound("application-unknown", f"application {wanted.application} is not one of team {wanted.team}")

    async def _scan(
        self, wanted: WantedChanges, applications: set[str] | None, first: int, limit: int
    ) -> tuple[list[ProductionChange], int | None]:
        """Return changes from an entry on, and the entry to continue with; None at the end."""
        instances = await self._instances(applications, wanted.account)
        if not instances:
            return [], None
        named = array(instances)
        past, limited = wanted.past, STEPS_MAX + 1
        before, statements, lives = await self._database.fetch_all(
            together(
                RUNNING_BEFORE.bind({"instances": named, "past": first}),
                STATEMENTS_FROM.bind({"instances": named, "first": first, "past": past, "limit": limited}),
                LIVES_FROM.bind({"instances": named, "first": first, "past": past, "limit": limited}),
            )
        )
        known = combined(
            await self._database.fetch(FACETS_WHOLE.bind({"numbers": array(facets_in(before, statements))}))
        )
        entries, following = steps_of(statements, lives, known, STEPS_MAX)
        production = Production(occupants(before, known))
        found: list[ProductionChange] = []
        for steps in entries:
            if len(found) >= limit:
                return found, steps[0].ledger_index
            found += [one for one in production.apply(steps) if _is_wanted(one, applications, wanted.account)]
        return found, following

    async def _instances(self, applications: set[str] | None, account: str | None) -> list[int]:
        """Return the instances that ever ran what matches. Raises Conflict when there are too many."""
        facets: set[int] | None = None
        if applications is not None:
            asked = FACETS_OF_APPLICATIONS.bind({"applications": array(sorted(applications))})
            facets = set(numbers(await self._database.fetch(asked)))
        if account is not None:
            of_account = FACETS_MATCHING.bind(
                {"application": None, "version": None, "account": account, "region": None, "user_data": None}
            )
            there = set(numbers(await self._database.fetch(of_account)))
            facets = there if facets is None else facets & there
        listed = INSTANCES_OF_FACETS.bind({"facets": array(sorted(facets or ())), "limit": INSTANCES_MAX + 1})
        found = instance_numbers(await self._database.fetch(listed))
        if len(found) > INSTANCES_MAX:
            message = f"more than {INSTANCES_MAX} instances ran what is asked about"
            raise Conflict("changes-too-many", message, fix="name an application")
        return found


def _is_wanted(change: ProductionChange, applications: set[str] | None, account: str | None) -> bool:
    """Return whether a change is of what was asked about: an instance may have run other applications before."""
    place = change.place
    return account in (None, place.account_id) and (applications is None or place.application_id in applications)


def _cursor(text: str) -> int:
    if not text:
        return 0
    if not text.isascii() or not text.isdecimal() or len(text) > 18:
        raise InputError("parameter-malformed", "invalid cursor", fix="pass `next` from the previous page")
    return int(text)
