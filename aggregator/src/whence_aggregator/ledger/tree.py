"""The log's tree in memory: its right edge, where entries are appended and from where the newest proofs are given."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from whence_common.merkle import EMPTY_ROOT, TILE_HEIGHT, TILE_WIDTH, Tile, inclusion_proof, range_hash

TileId = tuple[int, int]
"""(level, number) of a tile."""


class Tree:
    """A tree of `size` leaves of which the last two tiles of each level are at hand."""

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
        assert len(tile) == position & (TILE_WIDTH - 1), "a tile is at hand as it is stored"
        tile.append(hash_)
        self._changed[level, number] = None
        if tile.root is not None:
            self._append(level + 1, number, tile.root)

    def changed(self) -> dict[TileId, bytes]:
        """Give the tiles that appending changed, and forget that it did."""
        found = {tile: self._tiles[tile].to_bytes() for tile in self._changed if tile in self._tiles}
        assert len(found) == len(self._changed), "a batch is smaller than two tiles"
        self._changed = {}
        return found

    def node(self, height: int, number: int) -> bytes:
        """Give the hash of a complete subtree; its tile must be at hand."""
        return node_of(self._tiles, height, number)

    def root(self) -> bytes:
        return range_hash(0, self.size, self.node) if self.size else EMPTY_ROOT

    def proof_within(self, index: int) -> list[bytes]:
        """Give the part of an inclusion proof below the root of the entry's tile; it must be one of the last two."""
        first = index >> TILE_HEIGHT << TILE_HEIGHT
        width = min(self.size - first, TILE_WIDTH)
        tile = self._tiles[0, first >> TILE_HEIGHT]
        return inclusion_proof(index - first, width, tile.node)

    def proof_above(self, tile: int) -> list[bytes]:
        """Give the rest of the inclusion proofs of a tile's entries: it is the same for all of them."""
        first, past, low, high = tile << TILE_HEIGHT, min((tile + 1) << TILE_HEIGHT, self.size), 0, self.size
        proof = []
        while (low, high) != (first, past):
            split = low + (1 << ((high - low - 1).bit_length() - 1))
            if first < split:
                proof.append(range_hash(split, high, self.node))
                high = split
            else:
                proof.append(range_hash(low, split, self.node))
                low = split
        return proof[::-1]


def node_of(tiles: Mapping[TileId, Tile], height: int, number: int) -> bytes:
    """Find the hash of a complete subtree in the tiles. Raises KeyError when its tile is not among them."""
    level, within = divmod(height, TILE_HEIGHT)
    first = number << within
    return tiles[level, first >> TILE_HEIGHT].node(within, (first & (TILE_WIDTH - 1)) >> within)


def edge_tiles(size: int) -> set[TileId]:
    """Name the last two tiles of each level of a tree."""
    found: set[TileId] = set()
    level = 0
    while size:
        last = (size - 1) >> TILE_HEIGHT
        found |= {(level, number) for number in (last - 1, last) if number >= 0}
        size >>= TILE_HEIGHT
        level += 1
    return found


def path_tiles(positions: Iterable[int], size: int) -> set[TileId]:
    """Name the tiles that hold every node of the proofs about these leaves or smaller sizes in a tree of `size`."""
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
