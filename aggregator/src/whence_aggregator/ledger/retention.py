"""Retention: old bodies are pruned, and archived first where there is an archive; hashes stay, and the log records it.

Bodies that current answers need are never pruned: the newest statement of an instance, and bases of younger entries.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Protocol

from whence_aggregator.ledger.ledger import Ledger
from whence_aggregator.ledger.log_reader import Archive
from whence_aggregator.ledger.rows import bases, period, prunable, removed_entries
from whence_aggregator.ledger.writing import NewEntry
from whence_aggregator.ports import Database, StorageUnavailable
from whence_aggregator.queries.ledger import BASES_NEEDED, CLOCK_RANGE, PRUNABLE, PRUNE_ENTRY, REMOVED_AMONG
from whence_aggregator.queries.query import BoundCommand, array
from whence_common.clock import Now, to_instant, to_millis
from whence_common.ledger_entry import event
from whence_common.merkle import TILE_HEIGHT, TILE_WIDTH
from whence_common.runtime.logs import fields
from whence_common.runtime.pause import pause

log = logging.getLogger(__name__)

ROUND_SECONDS = 3600.0
_PRUNED_AT_ONCE_MAX = 5_000


class Derived(Protocol):
    """The rows of a kind of entry that are removed with the entry's body."""

    async def needed(self, indexes: Sequence[int]) -> set[int]:
        """Return those of the entries, which are the next ones of their kind, that an answer of today needs."""

    async def is_stale(self, past: int) -> bool:
        """Return whether rows of entries before `past` can go although their bodies stay."""

    def removes(self, indexes: Sequence[int], past: int) -> Sequence[BoundCommand]:
        """Return what removes the rows of entries whose bodies go, or which are all before `past`."""


class Retention:
    """Prunes by a policy: days by kind of entry. `derived`: kinds whose rows go with the bodies."""

    def __init__(
        self,
        *,
        database: Database,
        ledger: Ledger,
        archive: Archive | None,
        days: Mapping[str, int],
        now: Now,
        derived: Mapping[str, Derived] | None = None,
    ) -> None:
        self._derived = derived or {}
        self._database = database
        self._ledger = ledger
        self._archive = archive
        self._days = days
        self._now = now
        self._first = dict.fromkeys(days, 0)

    async def run(self) -> None:
        """Prune every `ROUND_SECONDS` until cancelled."""
        while True:
            try:
                for kind in self._days:
                    while await self.prune(kind):
                        pass
            except StorageUnavailable as exc:
                log.error("cannot prune old entries", extra=fields(code=exc.code, message=exc.message))
            await pause(ROUND_SECONDS)

    async def prune(self, kind: str) -> int:
        """Prune the bodies of old entries of a kind, a bounded number; return how many old entries were read."""
        past = await self._past(kind)
        first = self._first[kind]
        if past <= first:
            return 0
        rows = await self._database.fetch(
            PRUNABLE.bind({"first": first, "past": past, "kinds": array([kind]), "limit": _PRUNED_AT_ONCE_MAX})
        )
        old = prunable(rows)
        needed = bases(await self._database.fetch(BASES_NEEDED.bind({"past": past})))
        if kind in self._derived:
            needed |= await self._derived[kind].needed(old)
        indexes = [index for index in old if index not in needed]
        self._first[kind] = old[-1] + 1 if old else past
        until = old[-1] + 1 if old else past
        if indexes:
            await self._archive_bundles(indexes)
        if indexes or (kind in self._derived and await self._derived[kind].is_stale(until)):
            await self._take(kind, indexes, until)
        return len(old)

    async def _past(self, kind: str) -> int:
        """Return the index before which entries are old; whole bundles only, so that an archived one is complete."""
        until = to_millis(self._now() - timedelta(days=self._days[kind]))
        found = await self._database.fetch(CLOCK_RANGE.bind({"since": -(10**17), "until": until}))
        clocks = period(found)
        return (clocks[1] >> TILE_HEIGHT) << TILE_HEIGHT if clocks is not None else 0

    async def _archive_bundles(self, indexes: list[int]) -> None:
        if self._archive is None:
            return
        for number in sorted({index >> TILE_HEIGHT for index in indexes}):
            if await self._archive.load(number) is not None:
                continue
            first = number << TILE_HEIGHT
            entries = [one async for one in self._ledger.reader.entries(first, first + TILE_WIDTH)]
            missing = [one.ledger_index for one in entries if one.content is None]
            removed = removed_entries(await self._database.fetch(REMOVED_AMONG.bind({"indexes": array(missing)})))
            contents = [one.content or b"" for one in entries if one.content or one.ledger_index in removed]
            if len(contents) != TILE_WIDTH:
                raise StorageUnavailable(
                    "archive-incomplete", f"bundle {number} is not archived: some of its bodies were pruned already"
                )
            await self._archive.store(number, contents)

    async def _take(self, kind: str, indexes: list[int], until: int) -> None:
        stated = {
            "kind": kind,
            "first": indexes[0] if indexes else until,
            "past": until if kind in self._derived else indexes[-1] + 1,
            "bodies": len(indexes),
            "days": self._days[kind],
            "archived": self._archive is not None,
            "at": to_instant(self._now()),
        }
        async with self._ledger.writing() as writing:
            await writing.append([NewEntry(kind="pruned", content=event("pruned", stated))])
            writing.writes.append(PRUNE_ENTRY.bind([{"ledger_index": index} for index in indexes]))
            if kind in self._derived:
                writing.writes += self._derived[kind].removes(indexes, until)
        log.info("bodies pruned", extra=fields(**stated))
