"""The log's tree in memory: its right edge, to which leaves are appended and which proves the newest entries."""

from __future__ import annotations

from binascii import b2a_base64
from collections.abc import Iterable, Mapping

from whence_common.merkle import EMPTY_ROOT, TILE_HEIGHT, TILE_WIDTH, Tile, range_hash

TileId = tuple[int, int]
"""(level, number) of a tile."""


class Tree:
    """A tree of `size` leaves, of which the last two tiles of each level are in memory."""

    def __init__(self, size: int = 0, tiles: Mapping[TileId, Tile] | None = None) -> None:
        self.size = size
        self._tiles = dict(tiles or {})
        self._changed: dict[TileId, None] = {}

    def append(self, leaves: Iterable[bytes]) -> None:
        """Append leaf hashes."""
        for hash_ in leaves:
            self._append(0, self.size, hash_)
            self.size += 1

    def _append(self, level: int, position: int, hash_: bytes) -> None:
        number = position >> TILE_HEIGHT
        tile = self._tiles.get((level, number))
        if tile is None:
            tile = self._tiles[level, number] = Tile()
            self._tiles.pop((level, number - 2), None)
        assert len(tile) == position & (TILE_WIDTH - 1), "a tile in memory differs from the stored one"
        tile.append(hash_)
        self._changed[level, number] = None
        if tile.root is not None:
            self._append(level + 1, number, tile.root)

    def changed(self) -> dict[TileId, bytes]:
        """Return the tiles that were changed since the last call."""
        found = {tile: self._tiles[tile].to_bytes() for tile in self._changed if tile in self._tiles}
        assert len(found) == len(self._changed), "a batch is smaller than two tiles"
        self._changed = {}
        return found

    def node(self, height: int, number: int) -> bytes:
        """Return the hash of a complete subtree; its tile must be in memory."""
        return node_of(self._tiles, height, number)

    def root(self) -> bytes:
        return range_hash(0, self.size, self.node) if self.size else EMPTY_ROOT

    def proofs(self, low: int, end: int) -> dict[int, str]:
        """Return the inclusion proofs of the entries [low, end), each with one line of base64 for a hash.

        The entries must be in the last two tiles. Neighbours share most of their proofs: each hash is made once.
        """
        found: dict[int, str] = {}
        ranges = [(0, self.size, "")]
        while ranges:
            first, past, above = ranges.pop()
            if past - first == 1:
                found[first] = above
                continue
            split = first + (1 << ((past - first - 1).bit_length() - 1))
            if low < split:
                ranges.append((first, split, self._line(split, past) + above))
            if split < end:
                ranges.append((split, past, self._line(first, split) + above))
        return found

    def _line(self, first: int, past: int) -> str:
        return b2a_base64(range_hash(first, past, self.node)).decode("ascii")


def node_of(tiles: Mapping[TileId, Tile], height: int, number: int) -> bytes:
    """Return the hash of a complete subtree from the tiles. Raises KeyError when its tile is not among them."""
    level, within = divmod(height, TILE_HEIGHT)
    first = number << within
    return tiles[level, first >> TILE_HEIGHT].node(within, (first & (TILE_WIDTH - 1)) >> within)


def edge_tiles(size: int) -> set[TileId]:
    """Return the places of the last two tiles of each level of a tree."""
    found: set[TileId] = set()
    level = 0
    while size:
        last = (size - 1) >> TILE_HEIGHT
        found |= {(level, number) for number in (last - 1, last) if number >= 0}
        size >>= TILE_HEIGHT
        level += 1
    return found


def path_tiles(positions: Iterable[int], size: int) -> set[TileId]:
    """Return the places of the tiles with every node of the proofs about these leaves, or smaller sizes, in a tree."""
    found: set[TileId] = set()
    for position in (*positions, size):
        level = 0
        while size >> (TILE_HEIGHT * level):
            count = size >> (TILE_HEIGHT * level)
            number = position >> (TILE_HEIGHT * (level + 1))
            if number << TILE_HEIGHT < count:
                found.add((level, number))
            level += 1
    return found
