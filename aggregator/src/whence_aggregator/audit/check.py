"""The check of a database: every entry, every hash, every signature, every derived row.

Only the log's keys and AWS's certificates are trusted: leaves are hashed from the entries, tiles from the leaves, roots
are compared with the signed ones, and every table is derived again in a scratch database and compared.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field

from whence_aggregator.agents.rows import sighting
from whence_aggregator.agents.sightings import Sightings
from whence_aggregator.audit.replay import Replay
from whence_aggregator.audit.rows import checkpoint as checkpoint_row
from whence_aggregator.audit.rows import stored_tile, unseen
from whence_aggregator.ledger.kinds import TablePage
from whence_aggregator.ledger.log_reader import LogReader, Stored
from whence_aggregator.ledger.rows import EntryRecord, record
from whence_aggregator.ledger.writing import digest_head
from whence_aggregator.ports import Database, R, StorageUnavailable
from whence_aggregator.projections.derived_tables import TABLES
from whence_aggregator.projections.kinds import KINDS
from whence_aggregator.queries.audit import DUMP_CHECKPOINT, DUMP_LAST_SEEN, DUMP_TILE, DUMP_UNSEEN
from whence_aggregator.queries.ledger import ENTRIES_FROM
from whence_aggregator.queries.query import NamedQuery
from whence_common.digest import sha256_digest
from whence_common.envelope import Envelope
from whence_common.errors import InputError
from whence_common.evidence_bundle import check_enrolment
from whence_common.identity_document import Authorities
from whence_common.keys import public_key_from_wire
from whence_common.ledger_entry import kind_of, leaf_data
from whence_common.log_policy import Policy
from whence_common.merkle import TILE_WIDTH, Tile, leaf_hash, range_hash
from whence_common.note import Note, VerifierKey
from whence_common.visible import printable

PAGE_ROWS = 5_000
PROGRESS_ENTRIES = 20_000
_FINDINGS_MAX = 100


@dataclass(frozen=True, slots=True)
class Discrepancy:
    """A finding: the table, the row or entry, and what is wrong with it."""

    table: str
    place: str
    message: str

    def __str__(self) -> str:
        return printable(f"{self.table} {self.place}: {self.message}")  # a changed row may contain any text


@dataclass(slots=True)
class AuditOutcome:
    """The result of a check. `entries` is the number of entries that were read."""

    entries: int = 0
    findings: list[Discrepancy] = field(default_factory=list)
    pruned: dict[str, int] = field(default_factory=dict)

    def find(self, table: str, place: object, message: str) -> None:
        if len(self.findings) < _FINDINGS_MAX:
            self.findings.append(Discrepancy(table, str(place), message))


class Check:
    """Checks one database. `scratch` is an empty database for the derived tables."""

    def __init__(
        self,
        *,
        database: Database,
        reader: LogReader,
        scratch: Database,
        policy: Policy,
        authorities: Authorities,
        sightings: Sightings | None,
        kept_note: str | None,
        progress: Callable[[str], None],
    ) -> None:
        self._database = database
        self._reader = reader
        self._scratch = scratch
        self._authorities = authorities
        self._sightings = sightings
        self._kept_note = kept_note
        self._progress = progress
        self._outcome = AuditOutcome()
        self._tree: list[list[Tile]] = [[Tile()]]
        self._missing: list[tuple[int, str]] = []
        self._taken: list[tuple[str, int, int]] = []
        self._removed: dict[int, str] = {}
        """Kinds of entries whose bodies were removed one by one."""
        self._named = set(policy.log_keys)
        """All keys that have signed the log. Revoked ones are safe here: roots are compared with the entries."""

    async def run(self) -> AuditOutcome:
        """Check everything, and return the findings; wrong data raises nothing."""
        outcome, size = self._outcome, await self._reader.size()
        async with self._scratch.transaction() as transaction:
            replay = Replay(
                transaction, kinds=KINDS, on_error=lambda index, message: outcome.find("entry", index, message)
            )
            outcome.entries = await replay.apply(self._entries(size, replay))
        outcome.pruned = replay.skipped
        self._check_pruned()
        if outcome.entries != size:
            outcome.find("entry", outcome.entries, f"{size - outcome.entries} entries are missing")
        for step in (
            self._check_tiles(),
            self._check_checkpoints(outcome.entries),
            self._check_tables(skipped=replay.broken, lossy=replay.lossy > 0),
            self._check_sightings(),
        ):
            try:
                await step
            except StorageUnavailable as exc:
                outcome.find("database", "", exc.message)
        return outcome

    def _check_pruned(self) -> None:
        """Report missing bodies for which there is no entry that records the pruning."""
        for index, kind in self._missing:
            if self._removed.get(index) == kind:
                continue
            if not any(one == kind and first <= index < past for one, first, past in self._taken):
                self._outcome.find("entry", index, f"its body is missing, and no entry records that {kind} was pruned")

    async def _entries(self, size: int, replay: Replay) -> AsyncIterator[Stored]:
        """Yield the entries, each checked and hashed."""
        following = 0
        for first in range(0, size, PROGRESS_ENTRIES):
            async for one in self._records_from(first, min(size, first + PROGRESS_ENTRIES)):
                index = one.ledger_index
                if index != following:
                    self._outcome.find("entry", following, f"it is missing; the next one is {index}")
                    return
                following += 1
                stored = await self._stored(one)
                self._append(await self._leaf(stored))
                if stored.content is not None:
                    self._check_entry(stored, one, replay)
                else:
                    self._missing.append((index, stored.kind))
                yield stored
            self._progress(f"{following} of {size} entries")

    async def _records_from(self, first: int, past: int) -> AsyncIterator[EntryRecord]:
        while first < past:
            rows = await self._database.fetch(ENTRIES_FROM.bind({"first": first, "past": past, "limit": 1000}))
            for one in map(record, rows):
                yield one
                first = one.ledger_index + 1
            if not rows:
                return

    async def _stored(self, one: EntryRecord) -> Stored:
        try:
            return Stored(one.ledger_index, one.kind, await self._reader.content_of(one.packed))
        except InputError as exc:
            self._outcome.find("entry", one.ledger_index, exc.message)
            return Stored(one.ledger_index, one.kind, None)

    async def _leaf(self, stored: Stored) -> bytes:
        if stored.content is not None:
            return leaf_hash(leaf_data(stored.content))
        try:
            return await self._reader.node(0, stored.ledger_index)
        except InputError:
            return bytes(32)

    def _check_entry(self, stored: Stored, one: EntryRecord, replay: Replay) -> None:
        content, index = stored.content or b"", stored.ledger_index
        try:
            kind, event = kind_of(content)
            if kind != stored.kind:
                self._outcome.find("entry", index, f"it is a {kind}, but its row states {stored.kind}")
            if digest_head(bytes.fromhex(sha256_digest(content)[7:])) != one.digest_head:
                self._outcome.find("entry", index, "the digest in its row is not that of its bytes")
            if kind == "log-key":
                self._named |= {VerifierKey.parse(one) for one in event["keys"]}
            elif kind == "pruned" and "indexes" in event:
                self._removed |= dict.fromkeys(event["indexes"], event["kind"])
            elif kind == "pruned":
                self._taken.append((event["kind"], event["first"], event["past"]))
            elif kind == "enrolment":
                check_enrolment(event, self._authorities)
            elif kind == "statement":
                envelope = Envelope.parse(content)
                bound = next((replay.bound[key] for key, _ in envelope.signatures if key in replay.bound), None)
                if bound is not None:
                    envelope.verify(public_key_from_wire(bound[2]))
        except InputError as exc:
            self._outcome.find("entry", index, exc.message)
        except (KeyError, TypeError, ValueError, AttributeError) as exc:
            self._outcome.find("entry", index, f"it is malformed: {type(exc).__name__}")

    def _append(self, leaf: bytes) -> None:
        hash_: bytes | None = leaf
        for level in range(64):
            if hash_ is None:
                return
            if level == len(self._tree):
                self._tree.append([Tile()])
            tiles = self._tree[level]
            if len(tiles[-1]) == TILE_WIDTH:
                tiles.append(Tile())
            tiles[-1].append(hash_)
            hash_ = tiles[-1].root

    async def _check_tiles(self) -> None:
        """Compare every stored tile with the one derived from the entries."""
        seen = 0
        async for row in _pages(self._database, DUMP_TILE):
            level, number, stored = stored_tile(row)
            seen += 1
            ours = self._tree[level] if level < len(self._tree) else []
            if number >= len(ours) or not len(ours[number]):
                self._outcome.find("tile", f"{level}/{number}", "the log is too short for it")
            elif stored != ours[number].to_bytes():
                first = _first_difference(stored, ours[number].to_bytes())
                entry = (number * TILE_WIDTH + first) * TILE_WIDTH**level
                self._outcome.find("tile", f"{level}/{number}", f"it differs from the entries, from entry {entry} on")
        wanted = sum(1 for tiles in self._tree for tile in tiles if len(tile))
        if seen < wanted:
            self._outcome.find("tile", "", f"{wanted - seen} tiles are missing")

    async def _check_checkpoints(self, size: int) -> None:
        found: list[tuple[int | None, str]] = [
            checkpoint_row(row) async for row in _pages(self._database, DUMP_CHECKPOINT)
        ]
        if self._kept_note is not None:
            found.append((None, self._kept_note))
        policy = Policy(log_keys=list(self._named))
        for stated, note in found:
            place = stated if stated is not None else "file"
            try:
                checkpoint, _ = policy.check(Note.parse(note.encode()))
            except InputError as exc:
                self._outcome.find("checkpoint", place, exc.message)
                continue
            if stated not in (None, checkpoint.size):
                self._outcome.find("checkpoint", place, f"it is over {checkpoint.size} entries")
            elif checkpoint.size > size:
                self._outcome.find("checkpoint", place, f"it is over {checkpoint.size} entries, but there are {size}")
            elif checkpoint.size and range_hash(0, checkpoint.size, self._node) != checkpoint.root:
                self._outcome.find("checkpoint", place, f"the first {checkpoint.size} entries are not the signed ones")

    def _node(self, height: int, number: int) -> bytes:
        level, within = divmod(height, 8)
        first = number << within
        return self._tree[level][first >> 8].node(within, (first & 255) >> within)

    async def _check_tables(self, *, skipped: bool, lossy: bool) -> None:
        if skipped:
            return  # the derived tables are incomplete, as entries are wrong, which is reported already
        for table in TABLES:
            for dump in table.dumps if not (lossy and table.lossy) else ():
                await self._compare(dump)
            self._progress(f"table {table.name}")

    async def _compare(self, dump: NamedQuery[TablePage, Mapping[str, object]]) -> None:
        """Compare a table with the derived one, row by row in the order of its key."""
        theirs, ours = _pages(self._database, dump), _pages(self._scratch, dump)
        table = dump.name.removeprefix("dump_")
        while True:
            stored, derived = await anext(theirs, None), await anext(ours, None)
            if stored is None and derived is None:
                return
            one, other = _values(stored), _values(derived)
            if one != other:
                self._outcome.find(table, _place(stored, derived), _difference(one, other))
                if one is None or other is None or _key(one) != _key(other):
                    return  # from here on every row would differ

    async def _check_sightings(self) -> None:
        """Check the seals of `last_seen`, and that each instance with a statement has a row."""
        if self._sightings is None:
            return
        async for row in _pages(self._database, DUMP_LAST_SEEN):
            seen = sighting(row)
            if not self._sightings.holds(seen):
                self._outcome.find("last_seen", seen.instance_id, "its seal is not valid")
        async for one in _pages(self._database, DUMP_UNSEEN):
            self._outcome.find("last_seen", unseen(one), "the instance has statements but no row")


async def _pages(database: Database, dump: NamedQuery[TablePage, R]) -> AsyncIterator[R]:
    offset = 0
    while True:
        rows = await database.fetch(dump.bind({"limit": PAGE_ROWS, "offset": offset}))
        for row in rows:
            yield row
        if len(rows) < PAGE_ROWS:
            return
        offset += PAGE_ROWS


def _values(row: Mapping[str, object] | None) -> dict[str, object] | None:
    if row is None:
        return None
    found = dict(row)
    return {name: bytes(value) if isinstance(value, memoryview) else value for name, value in found.items()}


def _key(row: dict[str, object]) -> object:
    return next(iter(row.values()))


def _place(stored: Mapping[str, object] | None, derived: Mapping[str, object] | None) -> str:
    row = _values(stored) or _values(derived) or {}
    shown = [f"{name} {value}" for name, value in list(row.items())[:3] if not isinstance(value, bytes)]
    index = row.get("ledger_index")
    return ", ".join(shown) + (f", entry {index}" if index is not None and "ledger_index" not in list(row)[:3] else "")


def _difference(stored: dict[str, object] | None, derived: dict[str, object] | None) -> str:
    if stored is None:
        return "the row is missing"
    if derived is None:
        return "no entry results in this row"
    names = [name for name in derived if stored.get(name) != derived[name]]
    return f"the row differs from the entries: {', '.join(names)}"


def _first_difference(one: bytes, other: bytes) -> int:
    for start in range(0, max(len(one), len(other)), 32):
        if one[start : start + 32] != other[start : start + 32]:
            return start // 32
    return 0
