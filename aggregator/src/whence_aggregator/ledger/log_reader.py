"""Reading the log: entries as they were appended, tiles, and proofs about any of them at any size."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from whence_aggregator.ledger.packing import EntryDamaged, Packer
from whence_aggregator.ledger.rows import PackedEntry, last_index, packed, record, recorded_at, stored_tiles
from whence_aggregator.ledger.tree import TileId, Tree, edge_tiles, node_of, path_tiles
from whence_aggregator.ports import Database, NotFound
from whence_aggregator.queries.ledger import (
    CLOCK_AT,
    ENTRIES_AT,
    ENTRIES_BEGINNING,
    ENTRIES_BY_DIGEST,
    ENTRIES_FROM,
    ENTRIES_OF_KIND,
    LAST_INDEX,
    NEWEST_OF_KIND,
    TILES_OF_LEVEL,
)
from whence_aggregator.queries.query import array, each
from whence_common.digest import sha256_digest
from whence_common.ledger_entry import kind_of, leaf_data
from whence_common.merkle import TILE_HEIGHT, TILE_WIDTH, Tile, consistency_proof, inclusion_proof, range_hash

PAGE_ENTRIES = 1_000
_TILES_KEPT_MAX = 256


class Archive(Protocol):
    """Where bundles of old entries are kept: 256 entries each, verbatim; one that was removed is empty."""

    async def load(self, number: int) -> Sequence[bytes] | None: ...

    async def store(self, number: int, entries: Sequence[bytes]) -> None: ...


@dataclass(frozen=True, slots=True)
class Stored:
    """An entry as it was appended; `content` is None when its body was pruned and is not archived."""

    ledger_index: int
    kind: str
    content: bytes | None


class LogReader:
    """Reads the log while other processes append."""

    def __init__(self, database: Database, archive: Archive | None = None) -> None:
        self._database = database
        self.archive = archive
        self._packer = Packer()
        self._full: dict[TileId, Tile] = {}

    async def size(self) -> int:
        return await size_of(self._database)

    def content(self, entry: PackedEntry) -> bytes:
        """Return an entry's bytes, unpacked. Raises NotFound when they were pruned."""
        if entry.body is None:
            raise NotFound("entry-pruned", f"the body of entry {entry.ledger_index} was pruned; its hash remains")
        return self._packer.unpack(entry.body, entry.base_body)

    async def entries(self, first: int, past: int) -> AsyncIterator[Stored]:
        """Yield the entries [first, past) in order."""
        while first < past:
            rows = await self._database.fetch(
                ENTRIES_FROM.bind({"first": first, "past": past, "limit": min(PAGE_ENTRIES, past - first)})
            )
            for one in map(record, rows):
                yield Stored(one.ledger_index, one.kind, await self.content_of(one.packed))
                first = one.ledger_index + 1
            if not rows:
                return

    async def entries_of(self, kind: str, first: int, past: int) -> list[Stored]:
        """Return the entries of a kind among [first, past), in order; a damaged one has no content.

        Raises StorageUnavailable.
        """
        rows = await self._database.fetch(ENTRIES_OF_KIND.bind({"kind": kind, "first": first, "past": past}))
        found = []
        for one in map(record, rows):
            try:
                content = await self.content_of(one.packed)
            except EntryDamaged:
                content = None  # the check of the log names it
            found.append(Stored(one.ledger_index, one.kind, content))
        return found

    async def entry(self, index: int) -> Stored:
        """Return one entry. Raises NotFound."""
        rows = await self._database.fetch(ENTRIES_AT.bind({"indexes": f"[{index}]"}))
        if not rows:
            raise NotFound("entry-unknown", f"the log has no entry {index}")
        found = record(rows[0])
        return Stored(index, found.kind, await self.content_of(found.packed))

    async def find(self, digest: str) -> Stored | None:
        """Return the entry with this digest of its bytes; None when there is no such entry."""
        head = _head(digest.removeprefix("sha256:"))
        for one in map(record, await self._database.fetch(ENTRIES_BY_DIGEST.bind({"digest_head": head}))):
            content = await self.content_of(one.packed)
            if content is None or sha256_digest(content) == digest:
                return Stored(one.ledger_index, one.kind, content)
        return None

    async def beginning(self, prefix: str, *, limit: int) -> list[tuple[int, str]]:
        """Return index and digest of entries whose digest begins so, after `sha256:` at least one hex digit.

        The digest of an entry whose body was pruned is not known: it is left out.
        """
        digits = prefix.removeprefix("sha256:")[:16]
        heads = (_head(digits.ljust(16, fill)) for fill in "0f")
        asked = ENTRIES_BEGINNING.bind({"head_least": next(heads), "head_most": next(heads), "limit": limit})
        found = []
        for one in map(record, await self._database.fetch(asked)):
            content = await self.content_of(one.packed)
            if content is not None and (digest := sha256_digest(content)).startswith(prefix):
                found.append((one.ledger_index, digest))
        return found

    async def recorded_at(self, index: int) -> str:
        """Return when an entry was recorded, to the second."""
        return recorded_at(await self._database.fetch(CLOCK_AT.bind({"ledger_index": index})))

    async def newest_event(self, kind: str) -> dict[str, Any] | None:
        """Return the newest event of a rare kind; None when there is no such entry."""
        rows = await self._database.fetch(NEWEST_OF_KIND.bind({"kind": kind}))
        return kind_of(self.content(packed(rows[0])))[1] if rows else None

    async def edge(self, size: int) -> Tree:
        """Return the right edge of the tree, which appending needs."""
        tiles = await self._tiles(edge_tiles(size))
        return Tree(size, {tile: _narrowed(hashes, tile, size) for tile, hashes in tiles.items()})

    async def inclusion(self, index: int, size: int) -> list[bytes]:
        """Return the inclusion proof of an entry in the tree of `size`."""
        tiles = await self._tiles(path_tiles([index], size))
        return inclusion_proof(index, size, lambda height, number: node_of(tiles, height, number))

    async def consistency(self, old: int, size: int) -> list[bytes]:
        """Return the consistency proof between the trees of `old` and of `size` entries."""
        tiles = await self._tiles(path_tiles([max(old - 1, 0), old], size))
        return consistency_proof(old, size, lambda height, number: node_of(tiles, height, number))

    async def root(self, size: int) -> bytes:
        """Return the root over the first `size` entries, from the stored tiles."""
        tiles = await self._tiles(path_tiles([], size))
        return range_hash(0, size, lambda height, number: node_of(tiles, height, number))

    async def node(self, height: int, number: int) -> bytes:
        """Return the hash of a complete subtree. Raises NotFound."""
        level, within = divmod(height, TILE_HEIGHT)
        place = level, (number << within) >> TILE_HEIGHT
        tiles = await self._tiles({place})
        try:
            return node_of(tiles, height, number)
        except (KeyError, IndexError) as exc:
            raise NotFound("tile-unknown", "the log has no such subtree yet") from exc

    async def leaves(self, indexes: Iterable[int]) -> dict[int, bytes]:
        """Return the leaf hashes of entries, in one round trip; those that the log does not have are left out."""
        wanted = sorted(set(indexes))
        tiles = await self._tiles({(0, index // TILE_WIDTH) for index in wanted})
        found = {}
        for index in wanted:
            tile = tiles.get((0, index // TILE_WIDTH))
            if tile is not None and index % TILE_WIDTH < len(tile):
                found[index] = tile.node(0, index % TILE_WIDTH)
        return found

    async def tile(self, level: int, number: int, width: int) -> bytes:
        """Return the first `width` hashes of a tile. Raises NotFound when there are fewer."""
        tile = (await self._tiles({(level, number)})).get((level, number))
        if tile is None or len(tile) < width:
            raise NotFound("tile-unknown", "the log has no such tile yet")
        return tile.to_bytes(width)

    async def bundle(self, number: int, width: int) -> bytes:
        """Return an entry bundle of `width` entries. Raises NotFound."""
        first = number * TILE_WIDTH
        parts = []
        async for stored in self.entries(first, first + width):
            if stored.content is None:
                raise NotFound("entry-pruned", f"the body of entry {stored.ledger_index} was pruned; its hash remains")
            data = leaf_data(stored.content)
            parts.append(len(data).to_bytes(2, "big") + data)
        if len(parts) < width:
            raise NotFound("tile-unknown", "the log has no such entries yet")
        return b"".join(parts)

    async def content_of(self, entry: PackedEntry) -> bytes | None:
        """Return an entry's bytes, from the archive when they were moved there; None when they are in neither place."""
        if entry.body is not None:
            return self._packer.unpack(entry.body, entry.base_body)
        if self.archive is None:
            return None
        entries = await self.archive.load(entry.ledger_index // TILE_WIDTH)
        return (entries[entry.ledger_index % TILE_WIDTH] or None) if entries is not None else None

    async def _tiles(self, wanted: Iterable[TileId]) -> dict[TileId, Tile]:
        found = {tile: self._full[tile] for tile in wanted if tile in self._full}
        by_level: dict[int, list[int]] = {}
        for level, number in wanted:
            if (level, number) not in found:
                by_level.setdefault(level, []).append(number)
        asked = [
            TILES_OF_LEVEL.bind({"level": level, "numbers": array(numbers)})
            for level, numbers in sorted(by_level.items())
        ]
        for rows in await self._database.fetch_all(each(asked)) if asked else ():
            for place, tile in stored_tiles(rows):
                found[place] = tile
                if tile.root is not None:
                    if len(self._full) >= _TILES_KEPT_MAX:
                        self._full.clear()
                    self._full[place] = tile
        return found


def _head(digits: str) -> int:
    """Return the first eight bytes of a digest in hex, as entries are indexed by them."""
    return int.from_bytes(bytes.fromhex(digits)[:8], "big", signed=True)


async def size_of(database: Database) -> int:
    """Return how many entries the log has."""
    return last_index(await database.fetch(LAST_INDEX.bind({}))) + 1


def _narrowed(tile: Tile, place: TileId, size: int) -> Tile:
    """Return a copy of a tile, as wide as it is in a tree of `size`."""
    level, number = place
    width = min((size >> (TILE_HEIGHT * level)) - number * TILE_WIDTH, TILE_WIDTH)
    return Tile.from_bytes(tile.to_bytes(width))
