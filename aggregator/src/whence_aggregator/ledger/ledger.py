"""The log: entries, tree and projections change in one transaction; then the checkpoint and receipts are signed.

The write transaction is the only sequencer of all replicas. A checkpoint is published only after its tree is durable,
and never contradicts the last one signed, which is also stored outside the database.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from typing import Any, overload

from whence_aggregator.ledger.bases import BaseLayouts
from whence_aggregator.ledger.log_reader import LogReader
from whence_aggregator.ledger.packing import EntryDamaged, Packer, to_layout
from whence_aggregator.ledger.rows import clock_state, last_index, layouts
from whence_aggregator.ledger.tree import Tree
from whence_aggregator.ledger.writing import NewEntry, Writing
from whence_aggregator.ports import CheckpointKeeper, Database, StorageUnavailable, T, Transaction, WriteConflict
from whence_aggregator.queries.ledger import (
    ENTRIES_AT,
    LAST_CLOCK,
    LAST_INDEX,
)
from whence_aggregator.queries.query import NOTHING, BoundQueries, array
from whence_common.clock import Now, to_millis
from whence_common.ledger_entry import event
from whence_common.log_policy import RevokedKey, revoked_of
from whence_common.merkle import ProofInvalid, check_consistency
from whence_common.note import Checkpoint, Note, NoteInvalid, Signer
from whence_common.receipt import HEADER, receipt_text

log = logging.getLogger(__name__)

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
                f"the log has {tree.size} entries, but a checkpoint over {signed.size} was signed:"
                " the database is older"
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
