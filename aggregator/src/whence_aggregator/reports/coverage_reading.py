"""Reads how far each source was read, and which accounts a team or an application has to do with."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from whence_aggregator.findings.coverage import ScannerState
from whence_aggregator.organisation.directory import OrganisationDirectory
from whence_aggregator.organisation.listing import every_account, owned
from whence_aggregator.ports import Database, NotFound
from whence_aggregator.queries.changes import TEAM_KNOWN
from whence_aggregator.queries.collect import LISTINGS
from whence_aggregator.queries.events import TRAIL_COVERAGES
from whence_aggregator.queries.query import EVERY_ENTRY, array, together
from whence_aggregator.queries.reports import (
    COUNTED_ACCOUNTS,
    FAILING_QUESTIONS,
    PLACES_OF_INSTANCE,
    USER_DATA_UNREAD,
)
from whence_aggregator.reports.coverage import AskedAbout, Covered, Places
from whence_aggregator.reports.coverage_rows import (
    ExpectedSources,
    of_inventory,
    of_organisation,
    of_questions,
    of_scanners,
    of_trails,
    of_user_data,
)
from whence_aggregator.reports.coverage_totals import totals_of
from whence_aggregator.reports.rows import accounts_counted, places_named
from whence_aggregator.trace.owners import owned_by
from whence_common.clock import Now, to_instant


class ReportingScanners(Protocol):
    """How scanners report."""

    async def states(self, *, now: datetime, past: int) -> Sequence[ScannerState]:
        """Return the state of each scanner and account."""


class CoverageReader:
    """Reads how far each source was read. `scanners`: None where the settings name none.

    What was read is kept for `kept_seconds`, for a crowd of requests.
    """

    def __init__(
        self,
        *,
        database: Database,
        expected: ExpectedSources,
        now: Now,
        scanners: ReportingScanners | None = None,
        kept_seconds: float = 0.0,
    ) -> None:
        self._database = database
        self._expected = expected
        self._scanners = scanners
        self._now = now
        self._kept_seconds = kept_seconds
        self._kept: Covered | None = None
        self._summed: tuple[Covered, list[dict[str, object]]] | None = None
        self._reading = asyncio.Lock()
        self._directory = OrganisationDirectory(database)

    async def read(self) -> Covered:
        """Return the coverage of all sources, as of now or of at most `kept_seconds` ago. Raises StorageUnavailable."""
        async with self._reading:
            kept = self._kept
            if kept is None or (self._now() - kept.now).total_seconds() >= self._kept_seconds:
                kept = self._kept = await self._read()
            return kept

    async def _read(self) -> Covered:
        listings, unread, trails, failing = await self._database.fetch_all(
            together(LISTINGS.bind({}), USER_DATA_UNREAD.bind({}), TRAIL_COVERAGES.bind({}), FAILING_QUESTIONS.bind({}))
        )
        now, expected = self._now(), self._expected
        accounts = sorted(expected.accounts())
        scanners: Sequence[ScannerState] = ()
        if self._scanners is not None and expected.scanners:
            scanners = await self._scanners.states(now=now, past=EVERY_ENTRY)
        found = [
            *of_inventory(listings, accounts, expected, now),
            *of_user_data(unread),
            *(of_trails(trails, accounts) if expected.trail else ()),
            *of_organisation(await self._directory.sources(), expected.organisation),
            *of_questions(failing),
            *of_scanners(scanners, expected.scanners),
        ]
        return Covered(sources=found, now=now)

    async def by_source(self) -> dict[str, object]:
        """Return the coverage summed over accounts and regions. Raises StorageUnavailable."""
        covered = await self.read()
        if self._summed is None or self._summed[0] is not covered:
            self._summed = covered, totals_of(covered)
        complete = all(one.state == "read" for one in covered.sources)
        return {"complete": complete, "at": to_instant(covered.now), "groups": self._summed[1]}

    async def of(self, about: AskedAbout, *, named: bool) -> dict[str, object]:
        """Return what an answer states of the sources that could deny it. Raises StorageUnavailable.

        `named`: whether the caller may see which sources there are, which are everybody's.
        """
        covered = await self.read()
        return covered.shown(about, await self._places(about, covered), named=named)

    async def check_team(self, about: AskedAbout) -> None:
        """Raise NotFound if no application and no source of teams has the team: an empty list would be a pass.

        For answers that found nothing. Callers that may read their own teams only are not checked.
        """
        if about.team is None or about.team_as_written:
            return
        for name in sorted({about.team, about.team.lower()}):
            if await self._database.fetch(TEAM_KNOWN.bind({"name": name})):
                return
        async for page in every_account(self._directory):
            if any(about.team in (one.owner, *one.account.owners.values()) for one in page):
                return
        why = "it owns and owned no application, and no source of teams and accounts has it"
        raise NotFound("team-unknown", f"team {about.team} is not known: {why}", fix="check the spelling")

    async def _places(self, about: AskedAbout, covered: Covered) -> Places:
        """Return the places that an answer is about, among those whose sources were not read."""
        accounts = None if about.account is None else {about.account}
        regions = None if about.region is None else {about.region}
        if about.instance is not None:
            rows = await self._database.fetch(PLACES_OF_INSTANCE.bind({"instance_id": about.instance}))
            of_instance, in_regions = places_named(rows)
            if of_instance:  # nobody knows where any other one is
                accounts = of_instance if accounts is None else accounts & of_instance
                regions = in_regions if regions is None else regions & in_regions
        if about.team is not None or about.application is not None:
            doubtful = {one.account_id for one in covered.unread(about, Places(accounts=accounts, regions=regions))}
            accounts = await self._accounts(about, sorted(doubtful - {""}))
        return Places(accounts=accounts, regions=regions)

    async def _accounts(self, about: AskedAbout, doubtful: Sequence[str]) -> set[str]:
        """Return those accounts in which the team or application has anything, or that the team owns."""
        if not doubtful:
            return set()
        applications = [] if about.application is None else [about.application]
        found = set[str]()
        if about.team is not None and about.application is None:
            as_written, team = about.team_as_written, about.team
            applications = await owned_by(self._database, team, as_written=as_written, past=EVERY_ENTRY)
            names = {team} if as_written else await self._directory.names_of(team)
            found = {one.account.account_id for one in await owned(self._directory, doubtful) if one.owner in names}
        if applications:
            rows = await self._database.fetch(COUNTED_ACCOUNTS.bind({"applications": array(applications)}))
            found |= accounts_counted(rows).intersection(doubtful)
        return found
