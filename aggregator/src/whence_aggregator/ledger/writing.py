"""One write transaction of the log: entries are packed, hashed and added to the tree, to be written together."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol

from whence_aggregator.ledger.tree import Tree
from whence_aggregator.ports import Transaction
from whence_aggregator.queries.ledger import ADD_CLOCK, APPEND_ENTRY, PUT_TILE, AppendEntryParameters, PutTileParameters
from whence_aggregator.queries.query import BoundCommand, T_co
from whence_common.ledger_entry import event, leaf_data
from whence_common.merkle import leaf_hash

CLOCK_MILLIS = 100
"""Resolution of the time of recording: a `clock` entry is appended at most once in this many milliseconds."""
APPENDED_AT_ONCE_MAX = 250
"""Fewer than a tile's width, so that a batch touches at most two tiles of a level."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewEntry:
    """An entry to append, verbatim. `packed_with`: the number of the instance whose base it is packed against."""

    kind: str
    content: bytes
    packed_with: int | None = None
    checked: Prepared | None = None
    """Digest, leaf hash and layout of the content, where they were computed already."""
    base: bytes | None = None
    """The layout that `checked` was packed against."""


class _Appended(AppendEntryParameters):
    """The row of an entry, with its leaf hash."""

    leaf: bytes


class Prepared(Protocol):
    """Digest and leaf hash of an entry's content, and its layout: packed against a base as `delta`, or as it is."""

    @property
    def layout(self) -> bytes: ...
    @property
    def delta(self) -> bytes | None: ...
    @property
    def digest(self) -> bytes: ...
    @property
    def leaf(self) -> bytes: ...


class PackingLedger(Protocol):
    """What a write transaction needs of its log."""

    @property
    def kinds(self) -> Collection[str]:
        """Kinds of entries that may be appended."""
        ...

    @property
    def edition(self) -> int | None: ...

    def pack(self, entry: NewEntry, index: int) -> tuple[bytes, int | None, int]:
        """Return an entry packed, the index of its base, and the base that the instance has from now on."""
        ...


class Writing(Generic[T_co]):
    """One write transaction of the log, with the rows that were read first.

    `recorded_at` is the time of recording of its entries, in milliseconds.
    """

    def __init__(
        self,
        ledger: PackingLedger,
        transaction: Transaction,
        tree: Tree,
        now: int,
        clock: int,
        latest: int,
        found: T_co,
    ) -> None:
        self.edition = ledger.edition
        self.transaction = transaction
        self.found = found
        """The rows of the queries that were to be read first."""
        self._ledger = ledger
        self._tree = tree
        self._now = now
        self.recorded_at = clock
        self.latest = latest
        """The latest clock of the log: an aggregator's clock may be set back."""
        self.appended = False
        self.moved: set[str] = set()
        """Ids of instances whose rows this transaction changes by more than statements."""
        self.writes: list[BoundCommand] = []
        """Writes that may wait until the transaction ends; together they are one round trip."""

    async def append(self, entries: Sequence[NewEntry]) -> list[tuple[int, int]]:
        """Append entries in order; return the index of each, and that of its base (-1: none)."""
        if not entries:
            return []
        if len(entries) > APPENDED_AT_ONCE_MAX:
            half = len(entries) // 2
            return await self.append(entries[:half]) + await self.append(entries[half:])
        self.appended = True
        rows: list[_Appended] = []
        if not 0 <= self._now - self.recorded_at < CLOCK_MILLIS:
            self._set_clock(rows)
        places = [self._add(rows, entry) for entry in entries]
        self._tree.append(row["leaf"] for row in rows)
        tiles: list[PutTileParameters] = [
            {"level": level, "number": number, "hashes": hashes}
            for (level, number), hashes in self._tree.changed().items()
        ]
        self.writes += [APPEND_ENTRY.bind(rows), PUT_TILE.bind(tiles)]
        return places

    async def flush(self) -> None:
        """Execute the writes that wait."""
        writes, self.writes = self.writes, []
        await self.transaction.execute(*writes)

    def _set_clock(self, rows: list[_Appended]) -> None:
        self.recorded_at = self._now
        self.latest = max(self.latest, self._now)
        content = event("clock", {"recorded_at": self._now})
        (index, _) = self._add(rows, NewEntry(kind="clock", content=content))
        self.writes.append(ADD_CLOCK.bind([{"ledger_index": index, "recorded_at": self._now, "latest": self.latest}]))

    def _add(self, rows: list[_Appended], entry: NewEntry) -> tuple[int, int]:
        assert entry.kind in self._ledger.kinds, f"entries of kind {entry.kind} are not in the table of kinds"
        index = self._tree.size + len(rows)
        body, base, next_base = self._ledger.pack(entry, index)
        known = entry.checked
        rows.append(
            {
                "ledger_index": index,
                "kind": entry.kind,
                "base": base,
                "body": body,
                "digest_head": digest_head(
                    known.digest if known is not None else hashlib.sha256(entry.content).digest()
                ),
                "leaf": known.leaf if known is not None else leaf_hash(leaf_data(entry.content)),
            }
        )
        return index, next_base


def digest_head(digest: bytes) -> int:
    """Return the first eight bytes of a digest as the signed number that is stored."""
    return int.from_bytes(digest[:8], "big", signed=True)
