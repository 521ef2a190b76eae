"""The log: entries, tree and projections change in one transaction; then the checkpoint and receipts are signed.

The write transaction is the only sequencer of all replicas. A checkpoint is published only after its tree is durable,
and never contradicts the last one signed, which is also stored outside the database.
"""

from __future__ import annotations

import hashlib
import logging
from collections import deque
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any, Generic, Protocol, overload

from whence_aggregator.ledger.bases import BaseLayouts
from whence_aggregator.ledger.log_reader import LogReader
from whence_aggregator.ledger.packing import EntryDamaged, Packer, to_layout
from whence_aggregator.ledger.rows import clock_state, last_index, layouts
from whence_aggregator.ledger.tree import Tree
from whence_aggregator.ports import CheckpointKeeper, Database, StorageUnavailable, T, Transaction, WriteConflict
from whence_aggregator.queries.ledger import (
    ADD_CLOCK,
    APPEND_ENTRY,
    ENTRIES_AT,
    LAST_CLOCK,
    LAST_INDEX,
    PUT_TILE,
    AppendEntryParameters,
    PutTileParameters,
)
from whence_aggregator.queries.query import NOTHING, BoundCommand, BoundQueries, T_co, array
from whence_common.clock import Now, to_millis
from whence_common.ledger_entry import event, leaf_data
from whence_common.log_policy import RevokedKey, revoked_of
from whence_common.merkle import ProofInvalid, check_consistency, leaf_hash
from whence_common.note import Checkpoint, Note, NoteInvalid, Signer
from whence_common.receipt import HEADER, receipt_text

log = logging.getLogger(__name__)

CLOCK_MILLIS = 100
"""Resolution of the time of recording: a `clock` entry is appended at most once in this many milliseconds."""
APPENDED_AT_ONCE_MAX = 250
"""Fewer than a tile's width, so that a batch touches at most two tiles of a level."""
_MOVES_KEPT_MAX = 64


class LedgerInconsistent(StorageUnavailable):
    """The database is not the one whose checkpoints were signed: it is older, or it was changed."""

    def __init__(self, message: str) -> None:
        fix = "restore the newer database; if it is lost, run whence-aggregator ledger continue (aggregator/README.md)"
        super().__init__("ledger-inconsistent", message, fix=fix, retryable=False)


class LogKeyRevoked(StorageUnavailable):
    """A key that this process signs with was revoked, here or by another replica."""

    def __init__(self, key: str) -> None:
        fix = "remove its line from log_key_file on every replica, and restart"
        super().__init__("log-key-revoked", f"the log's key {key} was revoked", fix=fix, retryable=False)


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


class Ledger:
    """Appends to the log and signs its checkpoints. Call `start` before anything else."""

    def __init__(
        self,
        *,
        database: Database,
        reader: LogReader,
        kinds: Collection[str],
        signers: Sequence[Signer],
        keeper: CheckpointKeeper,
        now: Now,
    ) -> None:
        self._database = database
        self.reader = reader
        self.kinds = kinds
        """Kinds of entries that may be appended."""
        self._signers = signers
        self._keeper = keeper
        self._now = now
        self._packer = Packer()
        self._tree: Tree | None = None
        self._clock = self._latest = -(10**18)
        self._signed: Checkpoint | None = None
        self._key_index: int | None = None
        self.revoked: tuple[RevokedKey, ...] = ()
        """Keys of the log that were revoked."""
        self.note = ""
        """The newest signed checkpoint, without cosignatures."""
        self.bases = BaseLayouts()
        self._edition = 0
        self._moves: deque[tuple[int, frozenset[str]]] = deque(maxlen=_MOVES_KEPT_MAX)

    def moved_since(self, edition: int) -> frozenset[str] | None:
        """Return the instances whose rows other writers of this process changed since an edition.

        Returns None when that is not known: the log was read again since, or the edition is too old.
        """
        moves = [one for one in self._moves if one[0] > edition]
        if [number for number, _ in moves] != list(range(edition + 1, self._edition + 1)):
            return None
        return frozenset[str]().union(*(names for _, names in moves))

    @property
    def edition(self) -> int | None:
        """Return how often the log was read from the database; None when it must be read again.

        While the number stays the same, no other replica appended and no other writer of this process changed an
        instance's row.
        """
        return self._edition if self._tree is not None else None

    @property
    def origin(self) -> str:
        return self._signers[0].verifier.name

    @property
    def keys(self) -> tuple[str, ...]:
        """Return the log's verifier keys."""
        return tuple(str(one.verifier) for one in self._signers)

    async def start(self, *, decided: Mapping[str, Any] | None = None) -> None:
        """Compare the database with the last signed checkpoint, and sign. Raises LedgerInconsistent or NoteInvalid.

        `decided`: an operator's decision about the log, recorded in its entry `log-key`.
        """
        kept = self._keeper.load()
        if kept is not None:
            checkpoint = Checkpoint.parse(Note.parse(kept.encode()).text)
            if checkpoint.origin != self.origin:
                raise NoteInvalid(
                    "checkpoint-origin", f"the last checkpoint is of the log {checkpoint.origin}, not {self.origin}"
                )
            self._signed = checkpoint
        await self.refresh()  # so that an empty log has a signed checkpoint before its first entry
        stated = await self.reader.newest_event("log-key") or {}
        keys = list(self.keys)
        if stated.get("keys") != keys or decided:
            revoked = {"revoked": stated["revoked"]} if stated.get("revoked") else {}
            content = event("log-key", {"keys": keys, **revoked, **(decided or {})})
            async with self.writing() as writing:
                await writing.append([NewEntry(kind="log-key", content=content)])
            await self._read_keys()

    @overload
    def writing(self, *, edition: int | None = None) -> AbstractAsyncContextManager[Writing[tuple[()]]]: ...
    @overload
    def writing(self, first: BoundQueries[T], *, sized: bool = False) -> AbstractAsyncContextManager[Writing[T]]: ...
    def writing(
        self, first: BoundQueries[Any] = NOTHING, *, sized: bool = False, edition: int | None = None
    ) -> AbstractAsyncContextManager[Writing[Any]]:
        """Open the write transaction; on exit, entries and tree are durable and the checkpoint is signed.

        `first` is read at once. `sized`: its rows contain the log's last index too, which saves a round trip.
        `edition`: nothing is read, and the appended entries must follow the last one of that edition. Raises
        WriteConflict when they do not: each index is assigned once.
        """
        return self._writing(first, sized=sized, edition=edition)

    @asynccontextmanager
    async def _writing(
        self, first: BoundQueries[Any], *, sized: bool, edition: int | None
    ) -> AsyncIterator[Writing[Any]]:
        writing: Writing[Any] | None = None
        try:
            async with self._database.transaction() as transaction:
                found = await self._read(transaction, first, sized=sized) if edition is None else ()
                if edition is not None and edition != self.edition:
                    raise WriteConflict("log-moved", "another replica has appended since")
                assert self._tree is not None
                writing = Writing(
                    self, transaction, self._tree, to_millis(self._now()), self._clock, self._latest, found
                )
                yield writing
                if writing.moved:
                    self._edition += 1
                    self._moves.append((self._edition, frozenset(writing.moved)))
                await transaction.finish(*writing.writes)
        except BaseException:
            if writing is None or writing.appended:
                self._tree = None  # what was appended in memory is not in the database
                self.bases.clear()
            raise
        self._clock, self._latest = writing.recorded_at, writing.latest
        self._sign()

    def receipts(self, indexes: Sequence[int]) -> list[str]:
        """Return receipts for entries that were appended just now. Call it before anything is awaited."""
        assert self._tree is not None
        if not indexes:
            return []
        proofs = self._tree.proofs(min(indexes), max(indexes) + 1)
        return [f"{HEADER}\nindex {index}\n{proofs[index]}\n{self.note}" for index in indexes]

    async def refresh(self) -> None:
        """Read the entries that other replicas appended, and sign. Raises LedgerInconsistent."""
        async with self.writing():
            pass

    async def receipt(self, index: int) -> str:
        """Return a receipt for any entry, under the newest checkpoint."""
        assert self._signed is not None
        if index >= self._signed.size:  # another replica appended it
            await self.refresh()
        note, size = self.note, self._signed.size
        return receipt_text(index, await self.reader.inclusion(index, size), note)

    @property
    def signed(self) -> Checkpoint:
        """Return the newest signed checkpoint."""
        assert self._signed is not None, "`start` was not called"
        return self._signed

    def pack(self, entry: NewEntry, index: int) -> tuple[bytes, int | None, int]:
        """Return an entry packed, the index of its base, and the base that the instance has from now on."""
        checked = entry.checked
        known = self.bases.get(entry.packed_with) if entry.packed_with is not None else None
        if known is not None and known[1] is entry.base and checked is not None and checked.delta is not None:
            return checked.delta, known[0], known[0]
        layout = (checked.layout if checked is not None else b"") or to_layout(entry.content)
        if entry.packed_with is None:
            return self._packer.pack(layout), None, -1
        delta = self._packer.delta(layout, known[1]) if known is not None else None
        if known is not None and delta is not None:
            return delta, known[0], known[0]
        self.bases.put(entry.packed_with, index, layout)
        return self._packer.pack(layout), None, index

    async def load_bases(self, transaction: Transaction, wanted: dict[int, int]) -> None:
        """Load the bases of instances into the cache; `wanted` maps instance numbers to indexes of bases."""
        missing = {number: index for number, index in wanted.items() if index >= 0 and number not in self.bases}
        if not missing:
            return
        rows = await transaction.fetch(ENTRIES_AT.bind({"indexes": array(list(missing.values()))}))
        bodies = layouts(rows)
        for number, index in missing.items():
            if index in bodies:
                with suppress(EntryDamaged):  # without this base, the next statement becomes the base
                    self.bases.put(number, index, self._packer.layout(bodies[index]))

    async def _read(self, transaction: Transaction, first: BoundQueries[Any], *, sized: bool) -> tuple[Any, ...]:
        """Return the rows of `first`; read the log too, when another replica appended."""
        if sized:
            found = await transaction.fetch_all(first)
            last = found[0] or await transaction.fetch(LAST_INDEX.bind({}))
        else:
            last, *found = await transaction.fetch_all(BoundQueries([LAST_INDEX.bind({}), *first.queries]))
        size = last_index(last) + 1
        if self._tree is None or size != self._tree.size:
            await self._load(transaction, size)
        return tuple(found)

    async def _load(self, transaction: Transaction, size: int) -> None:
        self._edition += 1
        clock = clock_state(await transaction.fetch(LAST_CLOCK.bind({})))
        self._clock, self._latest = clock.recorded_at, clock.latest
        if clock.key_index != self._key_index:
            await self._read_keys()
            self._key_index = clock.key_index
        self._tree = await self.reader.edge(size)
        if self._signed is not None:
            await self._check_continues(self._tree)

    async def _read_keys(self) -> None:
        """Read which keys were revoked. Raises LogKeyRevoked when this process signs with one of them."""
        self.revoked = revoked_of(await self.reader.newest_event("log-key") or {})
        own = {str(one.key) for one in self.revoked} & set(self.keys)
        if own:
            raise LogKeyRevoked(min(own))

    async def _check_continues(self, tree: Tree) -> None:
        assert self._signed is not None
        signed = self._signed
        if tree.size < signed.size:
            raise LedgerInconsistent(
                f"the log has {tree.size} entries, but a checkpoint over {signed.size} was signed: an older database"
            )
        proof = await self.reader.consistency(signed.size, tree.size)
        try:
            check_consistency(signed.size, tree.size, signed.root, tree.root(), proof)
        except ProofInvalid as exc:
            raise LedgerInconsistent(f"the log's first {signed.size} entries are not those that were signed") from exc

    def _sign(self) -> None:
        assert self._tree is not None
        tree = self._tree
        if self._signed is not None and tree.size == self._signed.size and self.note:
            return
        checkpoint = Checkpoint(origin=self.origin, size=tree.size, root=tree.root())
        text = str(checkpoint)
        self.note = text + "\n" + "".join(str(one.sign(text)) for one in self._signers)
        self._signed = checkpoint
        self._keeper.keep(self.note)


class Writing(Generic[T_co]):
    """One write transaction of the log, with the rows that were read first.

    `recorded_at` is the time of recording of its entries, in milliseconds.
    """

    def __init__(
        self,
        ledger: Ledger,
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
