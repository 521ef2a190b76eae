"""RFC 6962 Merkle trees over SHA-256: hashes, tiles of 256, proofs and their verification. Pure.

A *node* (height, number) is the root of a complete subtree: it covers the leaves from number·2^height on. Proofs list
hashes from the leaf's sibling upward. Source of the formats: RFC 6962 section 2, C2SP tlog-tiles.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence

from whence_common.errors import InputError

HASH_BYTES = 32
TILE_HEIGHT = 8
TILE_WIDTH = 1 << TILE_HEIGHT
EMPTY_ROOT = hashlib.sha256(b"").digest()
PROOF_HASHES_MAX = 63

NodeReader = Callable[[int, int], bytes]
"""Returns the hash of a complete subtree by (height, number)."""


class ProofInvalid(InputError):
    """A proof is malformed, or does not lead to the expected root."""

    def __init__(self, message: str) -> None:
        super().__init__("proof-invalid", message)


def leaf_hash(data: bytes) -> bytes:
    return hashlib.sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()


class Tile:
    """Up to 256 hashes of one level with the complete subtrees over them, built as hashes are appended."""

    def __init__(self) -> None:
        self._heights: list[list[bytes]] = [[] for _ in range(TILE_HEIGHT + 1)]

    @classmethod
    def from_bytes(cls, content: bytes) -> Tile:
        """Parse concatenated hashes. Raises ProofInvalid unless they are at most 256 whole hashes."""
        if len(content) % HASH_BYTES or len(content) > HASH_BYTES * TILE_WIDTH:
            raise ProofInvalid(f"a tile of {len(content)} bytes is not at most {TILE_WIDTH} whole hashes")
        tile = cls()
        for start in range(0, len(content), HASH_BYTES):
            tile.append(content[start : start + HASH_BYTES])
        return tile

    def __len__(self) -> int:
        return len(self._heights[0])

    def append(self, hash_: bytes) -> None:
        heights = self._heights
        heights[0].append(hash_)
        height = 0
        while not len(heights[height]) & 1:
            hash_ = hashlib.sha256(b"\x01" + heights[height][-2] + hash_).digest()
            height += 1
            heights[height].append(hash_)
            if height == TILE_HEIGHT:
                return

    def node(self, height: int, number: int) -> bytes:
        """Return the root of a complete subtree within the tile."""
        return self._heights[height][number]

    @property
    def root(self) -> bytes | None:
        """The root of a full tile, which is a hash of the level above; None if the tile is not full."""
        top = self._heights[TILE_HEIGHT]
        return top[0] if top else None

    def to_bytes(self, width: int = TILE_WIDTH) -> bytes:
        return b"".join(self._heights[0][:width])


def range_hash(first: int, past: int, node: NodeReader) -> bytes:
    """Return the root of the leaves [first, past); `first` must be aligned as in a larger tree."""
    count = past - first
    if count == 0:
        return EMPTY_ROOT
    height = count.bit_length() - 1
    if count == 1 << height:
        return node(height, first >> height)
    split = first + _split(count)
    return node_hash(range_hash(first, split, node), range_hash(split, past, node))


def inclusion_proof(index: int, size: int, node: NodeReader) -> list[bytes]:
    """Return the proof that leaf `index` is in the tree of `size` leaves. Raises ProofInvalid if `index` is outside."""
    if not 0 <= index < size:
        raise ProofInvalid(f"entry {index} is not in a tree of {size}")
    first, past, proof = 0, size, []
    while past - first > 1:
        split = first + _split(past - first)
        if index < split:
            proof.append(range_hash(split, past, node))
            past = split
        else:
            proof.append(range_hash(first, split, node))
            first = split
    return proof[::-1]


def consistency_proof(old: int, size: int, node: NodeReader) -> list[bytes]:
    """Return the proof that the tree of `old` leaves is a prefix of the one of `size`; empty if none is needed."""
    if not 0 <= old <= size:
        raise ProofInvalid(f"a tree of {old} is not the beginning of one of {size}")
    if old in (0, size):
        return []
    first, past, proof, whole = 0, size, [], True
    while old != past:
        split = first + _split(past - first)
        if old <= split:
            proof.append(range_hash(split, past, node))
            past = split
        else:
            proof.append(range_hash(first, split, node))
            first, whole = split, False
    if not whole:
        proof.append(range_hash(first, past, node))
    return proof[::-1]


def check_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> None:
    """Verify that the leaf's hash is at `index` of the tree with this root. Raises ProofInvalid."""
    if not 0 <= index < size or len(proof) > PROOF_HASHES_MAX:
        raise ProofInvalid(f"entry {index} is not in a tree of {size}")
    number, last, found = index, size - 1, leaf
    for one in proof:
        if last == 0:
            raise ProofInvalid("the inclusion proof is too long")
        if number & 1 or number == last:
            found = node_hash(one, found)
            while not number & 1 and number:
                number, last = number >> 1, last >> 1
        else:
            found = node_hash(found, one)
        number, last = number >> 1, last >> 1
    if last != 0 or found != root:
        raise ProofInvalid(f"the inclusion proof does not lead from entry {index} to the checkpoint's root")


def check_consistency(old: int, size: int, old_root: bytes, root: bytes, proof: Sequence[bytes]) -> None:
    """Verify that the first `old` leaves of the larger tree are the smaller tree. Raises ProofInvalid."""
    if not 0 <= old <= size or len(proof) > PROOF_HASHES_MAX:
        raise ProofInvalid(f"a tree of {old} is not the beginning of one of {size}")
    if old == size or old == 0:
        if proof or (old == size and old_root != root) or (old == 0 and old_root != EMPTY_ROOT):
            raise ProofInvalid("the consistency proof does not fit these sizes and roots")
        return
    path = list(proof)
    if not old & (old - 1):
        path.insert(0, old_root)
    if not path:
        raise ProofInvalid("the consistency proof is empty")
    number, last = old - 1, size - 1
    while number & 1:
        number, last = number >> 1, last >> 1
    older = newer = path[0]
    for one in path[1:]:
        if last == 0:
            raise ProofInvalid("the consistency proof is too long")
        if number & 1 or number == last:
            older, newer = node_hash(one, older), node_hash(one, newer)
            while not number & 1 and number:
                number, last = number >> 1, last >> 1
        else:
            newer = node_hash(newer, one)
        number, last = number >> 1, last >> 1
    if last != 0 or older != old_root or newer != root:
        raise ProofInvalid(f"the tree of {old} entries is not the beginning of the tree of {size}")


def group_digits(number: int) -> str:
    """Return a number in groups of three digits, all but the last prefixed with x (C2SP tlog-tiles)."""
    groups = [f"{number % 1000:03d}"]
    while number := number // 1000:
        groups.append(f"x{number % 1000:03d}")
    return "/".join(reversed(groups))


def _split(count: int) -> int:
    """Return the largest power of two below a count of at least two."""
    return int(1 << ((count - 1).bit_length() - 1))
