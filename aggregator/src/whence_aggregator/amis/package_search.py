"""Search for running instances by a package, over the statements about their AMIs and what their agents state."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

from whence_aggregator.amis.package_query import PackageQuery
from whence_aggregator.amis.package_rows import coverage, with_package, without_package
from whence_aggregator.amis.rows import versions
from whence_aggregator.ports import Conflict, Database
from whence_aggregator.queries.amis import (
    COUNT_PACKAGES_KNOWN,
    INSTANCES_WITH_PACKAGE,
    INSTANCES_WITHOUT_PACKAGE,
    VERSIONS_OF_PACKAGE,
)
from whence_aggregator.queries.query import EVERY_ENTRY, array
from whence_aggregator.trace.found_rows import Found
from whence_aggregator.trace.listening import Listening
from whence_aggregator.trace.owners import owned_by
from whence_aggregator.trace.search import Search, page_cursor
from whence_common.clock import to_millis

VERSIONS_MAX = 5_000


@dataclass(frozen=True, slots=True, kw_only=True)
class WantedPackage:
    """The filters of a search by package; None means any. `unknown`: instances of which the version is not known."""

    package: PackageQuery
    unknown: bool = False
    application: str | None = None
    team: str | None = None
    team_as_written: bool = False
    """As in `Wanted`."""
    account: str | None = None
    region: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PackagePage:
    """A page of instances; `known` counts all running instances that the filters match, on the first page."""

    instances: list[dict[str, Any]]
    following: str | None
    known: dict[str, object] | None


class PackageSearch:
    """Finds instances. Packages are stored once for each statement, so the answer depends on few rows an image.

    `trusted`: builders whose statements count, each with the id of its key. The key decides here.
    """

    def __init__(
        self, *, database: Database, listening: Listening, search: Search, trusted: frozenset[tuple[str, str]]
    ) -> None:
        self._database = database
        self._listening = listening
        self._search = search
        self._trusted = array(sorted({key for _, key in trusted}))

    async def instances(self, wanted: WantedPackage, *, after: str, limit: int) -> PackagePage:
        """Return instances after a cursor. Raises Conflict if the package has too many versions to compare."""
        package, silent_before = wanted.package, to_millis(self._listening.silent_before)
        stored = await self._database.fetch(
            VERSIONS_OF_PACKAGE.bind({"name": package.name, "system": package.system, "limit": VERSIONS_MAX + 1})
        )
        if len(stored) > VERSIONS_MAX:
            raise Conflict("package-versions", f"{package.name} has more than {VERSIONS_MAX} different versions")
        # thousands of versions that a machine made long take a second
        matching, incomparable = await asyncio.to_thread(package.matching, versions(stored))
        applications = await self._applications(wanted)
        every = int(applications is None)
        named, page = array(applications or []), page_cursor(after)
        if wanted.unknown:
            asked = INSTANCES_WITHOUT_PACKAGE.bind(
                {
                    "name": package.name, "system": package.system, "incomparable": array(incomparable), "after": page,
                    "trusted": self._trusted,
                    "silent_before": silent_before, "in_account": wanted.account, "in_region": wanted.region,
                    "every": every, "applications": named, "limit": limit + 1,
                }
            )  # fmt: skip
            found = [without_package(row, silent_before) for row in await self._database.fetch(asked)]
        else:
            asked_for = INSTANCES_WITH_PACKAGE.bind(
                {
                    "name": package.name, "system": package.system, "versions": array(matching), "after": page,
                    "silent_before": silent_before, "in_account": wanted.account, "in_region": wanted.region,
                    "every": every, "applications": named, "limit": limit + 1,
                }
            )  # fmt: skip
            found = [with_package(row, silent_before) for row in await self._database.fetch(asked_for)]
        counted = COUNT_PACKAGES_KNOWN.bind(
            {
                "after": 0, "name": package.name, "system": package.system, "incomparable": array(incomparable),
                "trusted": self._trusted, "silent_before": silent_before,
                "in_account": wanted.account, "in_region": wanted.region,
                "every": every, "applications": named,
            }
        )  # fmt: skip
        known = coverage(await self._database.fetch(counted), versions=len(stored)) if not page else None
        return await self._page(found, limit, known)

    async def _page(self, found: list[Found], limit: int, known: dict[str, object] | None) -> PackagePage:
        shown = await self._search.with_facets(found[:limit])
        following = str(found[limit - 1].number) if len(found) > limit else None
        return PackagePage(instances=shown, following=following, known=known)

    async def _applications(self, wanted: WantedPackage) -> list[str] | None:
        """Return the applications whose instances count; None for all."""
        if wanted.team is None:
            return [wanted.application] if wanted.application is not None else None
        owned = await owned_by(self._database, wanted.team, as_written=wanted.team_as_written, past=EVERY_ENTRY)
        return [one for one in owned if wanted.application in (None, one)]
