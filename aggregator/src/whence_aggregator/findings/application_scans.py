"""What scanners state of an image that an application is to run: those of its accounts, and of none in particular."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from datetime import datetime

from whence_aggregator.findings.images import ImageScans, ScannedImages
from whence_aggregator.findings.rows import accounts_by_application
from whence_aggregator.findings.violations import NOT_SCANNED, ImageOutcome
from whence_aggregator.organisation.directory import OrganisationDirectory
from whence_aggregator.organisation.listing import owned
from whence_aggregator.ports import Database
from whence_aggregator.queries.findings import ACCOUNTS_OF_APPLICATIONS
from whence_aggregator.queries.query import array

_NOT_SCANNED_THERE = "no scanner of an account of the application or of its team has reported about this image"


class ApplicationScans:
    """Reads findings about an image for one application, which need not run it yet.

    Accounts count in which the application was seen, and those that its team owns. Scanners of others state nothing
    about it: they could pass what its own did not scan, and fail what they do not answer for.
    """

    def __init__(self, *, images: ScannedImages, database: Database, directory: OrganisationDirectory) -> None:
        self._images = images
        self._database = database
        self._directory = directory

    async def of(
        self, application_id: str, team: str | None, digests: Collection[str], *, now: datetime
    ) -> ImageScans:  # fmt: skip
        """Return what counting scanners state of the digests of one image. `team`: the application's, if it has one."""

        async def counting(account_ids: Collection[str]) -> frozenset[str]:
            return await self._own(application_id, team, account_ids)

        scans = await self._images.of_digests(digests, now=now, counting=counting)
        return replace(
            scans, vulnerabilities=_named(scans.vulnerabilities), base_image=_named(scans.base_image)
        )  # fmt: skip

    async def _own(self, application_id: str, team: str | None, account_ids: Collection[str]) -> frozenset[str]:
        """Return those of the accounts that are the application's or its team's."""
        rows = await self._database.fetch(ACCOUNTS_OF_APPLICATIONS.bind({"application_ids": array([application_id])}))
        found = accounts_by_application(rows).get(application_id, frozenset()).intersection(account_ids)
        if team is None:
            return found
        names = await self._directory.names_of(team)
        accounts = await owned(self._directory, sorted(account_ids))
        return found | {one.account.account_id for one in accounts if one.owner in names}


def _named(stated: tuple[ImageOutcome, str]) -> tuple[ImageOutcome, str]:
    return ("unknown", _NOT_SCANNED_THERE) if stated == ("unknown", NOT_SCANNED) else stated
