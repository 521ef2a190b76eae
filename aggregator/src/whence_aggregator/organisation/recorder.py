"""Readings of sources become entries: what changed, and that the source was read whole."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from itertools import groupby

import msgspec

from whence_aggregator.ledger.ledger import Ledger
from whence_aggregator.ledger.writing import APPENDED_AT_ONCE_MAX, NewEntry
from whence_aggregator.organisation.changes import Change, differences
from whence_aggregator.organisation.projection import writes
from whence_aggregator.organisation.rows import begun_at
from whence_aggregator.organisation.rows import known as known_rows
from whence_aggregator.organisation.snapshots import SnapshotTooLarge
from whence_aggregator.organisation.source import OrganisationSource
from whence_aggregator.organisation.values import Known, Snapshot, SourceName
from whence_aggregator.ports import Database, SourceUnavailable
from whence_aggregator.queries.organisation import (
    ACCOUNTS_OF_SOURCE,
    BEGIN_ORGANISATION_READ,
    END_ORGANISATION_READ,
    FAIL_ORGANISATION_READ,
    MEMBERS_OF_SOURCE,
    NAMES_OF_SOURCE,
    ORGANISATION_READ_BEGUN,
    ORGANISATION_READS_AT,
    TEAMS_OF_SOURCE,
    TeamsOfSourceParameters,
)
from whence_aggregator.queries.query import EVERY_ENTRY, together
from whence_common.clock import Now, to_instant, to_millis
from whence_common.ledger_entry import event
from whence_common.runtime.logs import fields

log = logging.getLogger(__name__)

READ_SECONDS_MAX = 600.0
"""For one reading of one source, whatever number of questions it takes. Less than the worker's lease."""


class OrganisationRecorder:
    """Reads sources, one at a time each, and records what changed."""

    def __init__(
        self,
        *,
        database: Database,
        ledger: Ledger,
        sources: Mapping[SourceName, OrganisationSource],
        now: Now,
        read_seconds_max: float = READ_SECONDS_MAX,
    ) -> None:
        self._database = database
        self._ledger = ledger
        self.sources = sources
        self._now = now
        self._read_seconds_max = read_seconds_max

    async def read(self, source: SourceName) -> str:
        """Read a source; return a sentence about it. Raises SourceUnavailable, with the failure kept for all to see.

        A failure takes nothing away: what the source stated last stands, and is shown with its age.
        """
        begun = to_millis(self._now())
        await self._database.write(BEGIN_ORGANISATION_READ.bind([{"source": source, "begun_at": begun}]))
        try:
            snapshot = await self._snapshot(source)
            known = await known_of(self._database, source)
            _check_not_emptied(known, snapshot)
        except SourceUnavailable as exc:
            await self._failed(source, begun, exc.message, ())
            raise
        changes = differences(known, snapshot)
        if not await self._append(source, changes, begun):
            return "a later reading overtook this one: it is not kept"
        counted = f"{len(snapshot.teams)} teams and {len(snapshot.accounts)} accounts read"
        if not snapshot.complete:
            reason = "; ".join(snapshot.notes) or "the source was not read whole"
            await self._failed(source, begun, reason, snapshot.notes)
            return f"{counted}, not all of the source: {reason}"
        notes = msgspec.json.encode(snapshot.notes).decode()
        await self._database.write(END_ORGANISATION_READ.bind([{"source": source, "begun_at": begun, "notes": notes}]))
        if changes:
            log.info("organisation changed", extra=fields(source=source, changes=len(changes)))
        return f"{counted}, {len(changes)} changes"

    async def _snapshot(self, source: SourceName) -> Snapshot:
        try:
            async with asyncio.timeout(self._read_seconds_max):
                return await self.sources[source].read()
        except TimeoutError as exc:
            message = f"the source was not read whole within {self._read_seconds_max:g} seconds"
            raise SourceUnavailable("organisation-too-slow", message) from exc
        except SnapshotTooLarge as exc:
            raise SourceUnavailable(exc.code, exc.message) from exc

    async def _failed(self, source: SourceName, begun: int, reason: str, notes: Sequence[str]) -> None:
        row = FAIL_ORGANISATION_READ.bind(
            [{"source": source, "begun_at": begun, "failure": reason, "notes": msgspec.json.encode(notes).decode()}]
        )
        await self._database.write(row)

    async def _append(self, source: SourceName, changes: Sequence[Change], begun: int) -> bool:
        """Append changes; return False, with the rest not appended, when a later reading has begun meanwhile."""
        observed_at = to_instant(self._now())
        for start in range(0, len(changes), APPENDED_AT_ONCE_MAX):
            stated = [
                (one.kind, {**one.stated, "observed_at": observed_at})
                for one in changes[start : start + APPENDED_AT_ONCE_MAX]
            ]
            async with self._ledger.writing() as writing:
                (newest,) = await writing.transaction.fetch(ORGANISATION_READ_BEGUN.bind({"source": source}))
                if begun_at(newest) > begun:
                    return False
                places = await writing.append([NewEntry(kind=kind, content=event(kind, one)) for kind, one in stated])
                indexed = [(kind, index, one) for (kind, one), (index, _) in zip(stated, places, strict=True)]
                for kind, group in groupby(indexed, key=lambda one: one[0]):
                    writing.writes += writes(kind, [(index, one) for _, index, one in group])
        return True


def _check_not_emptied(known: Known, snapshot: Snapshot) -> None:
    """Raise SourceUnavailable if a service lists nothing any more: that is a fault of its more often than the truth.

    A file is what its operator wrote, and groups may all become aliases: these may be emptied.
    """
    if snapshot.source in ("file", "groups") or not snapshot.complete:
        return
    for what, before, now in (("team", known.teams, snapshot.teams), ("account", known.accounts, snapshot.accounts)):
        if before and not now:
            message = f"the source lists no {what} any more, of {len(before)} before: nothing is taken away"
            raise SourceUnavailable("organisation-emptied", message)


async def known_of(database: Database, source: SourceName) -> Known:
    """Read what is known from a source."""
    named: TeamsOfSourceParameters = {"source": source}
    teams, names, members, accounts, reads = await database.fetch_all(
        together(
            TEAMS_OF_SOURCE.bind(named), NAMES_OF_SOURCE.bind(named), MEMBERS_OF_SOURCE.bind(named),
            ACCOUNTS_OF_SOURCE.bind(named), ORGANISATION_READS_AT.bind({"past": EVERY_ENTRY}),
        )
    )  # fmt: skip
    return known_rows(source, teams, names, members, accounts, reads)
