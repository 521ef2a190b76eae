"""Merkle trees, held to RFC 6962's vectors and to the naive recursive definition."""

from __future__ import annotations

import hashlib
import random
from binascii import b2a_base64

import pytest

from whence_aggregator.ledger.tree import Tree
from whence_common.merkle import (
    EMPTY_ROOT,
    TILE_WIDTH,
    ProofInvalid,
    Tile,
    check_consistency,
    check_inclusion,
    consistency_proof,
    group_digits,
    inclusion_proof,
    leaf_hash,
    range_hash,
)

LEAVES = [leaf_hash(str(number).encode()) for number in range(1, 700)]
LEAVES.insert(0, leaf_hash(b"0"))


def naive_root(leaves: list[bytes]) -> bytes:
    """The definition of RFC 6962, word by word."""
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return leaves[0]
    split = 1
    while split * 2 < len(leaves):
        split *= 2
    return hashlib.sha256(b"\x01" + naive_root(leaves[:split]) + naive_root(leaves[split:])).digest()


def naive_inclusion(index: int, leaves: list[bytes]) -> list[bytes]:
    if len(leaves) == 1:
        return []
    split = 1
    while split * 2 < len(leaves):
        split *= 2
    if index < split:
        return [*naive_inclusion(index, leaves[:split]), naive_root(leaves[split:])]
    return [*naive_inclusion(index - split, leaves[split:]), naive_root(leaves[:split])]


def naive_consistency(old: int, leaves: list[bytes], whole: bool = True) -> list[bytes]:
    if old == len(leaves):
        return [] if whole else [naive_root(leaves)]
    split = 1
    while split * 2 < len(leaves):
        split *= 2
    if old <= split:
        return [*naive_consistency(old, leaves[:split], whole), naive_root(leaves[split:])]
    return [*naive_consistency(old - split, leaves[split:], False), naive_root(leaves[:split])]


def node(height: int, number: int) -> bytes:
    return naive_root(LEAVES[number << height : (number + 1) << height])


def test_the_vectors_of_the_rfc_hold() -> None:
    assert EMPTY_ROOT.hex().startswith("e3b0c442")
    assert leaf_hash(b"").hex() == "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"
    roots = {size: range_hash(0, size, node).hex() for size in (3, 7, 8)}
    assert roots[3] == "725d5230db68f557470dc35f1d8865813acd7ebb07ad152774141decbae71327"
    assert roots[7] == "a3e23b32ccb6bf96d092d165d8aa546e09829de8f03b0e8957581d1e16b92bdf"
    assert roots[8] == "3b85a9626c1ccb64c6b95ec7fa64888defe2cf12e39e77e10812ce5fcb9cb58e"


@pytest.mark.parametrize("size", range(65))
def test_every_root_and_proof_up_to_64_equals_the_naive_one_and_holds(size: int) -> None:
    root = naive_root(LEAVES[:size])
    assert range_hash(0, size, node) == root
    for index in range(size):
        proof = inclusion_proof(index, size, node)
        assert proof == naive_inclusion(index, LEAVES[:size])
        check_inclusion(LEAVES[index], index, size, proof, root)
    for old in range(size + 1):
        proof = consistency_proof(old, size, node)
        assert proof == (naive_consistency(old, LEAVES[:size]) if old else [])
        check_consistency(old, size, naive_root(LEAVES[:old]), root, proof)


def test_random_larger_proofs_hold() -> None:
    chance = random.Random(11)
    for _ in range(40):
        size = chance.randrange(65, len(LEAVES))
        index, old = chance.randrange(size), chance.randrange(1, size)
        root = naive_root(LEAVES[:size])
        check_inclusion(LEAVES[index], index, size, inclusion_proof(index, size, node), root)
        check_consistency(old, size, naive_root(LEAVES[:old]), root, consistency_proof(old, size, node))


def bent(proof: list[bytes]) -> list[list[bytes]]:
    """Every proof with one hash changed, removed, added or swapped with its neighbour."""
    found = [[*proof, b"\x00" * 32], [b"\x00" * 32, *proof]]
    for at, one in enumerate(proof):
        found.append([*proof[:at], bytes([one[0] ^ 1]) + one[1:], *proof[at + 1 :]])
        found.append([*proof[:at], *proof[at + 1 :]])
        if at + 1 < len(proof):
            found.append([*proof[:at], proof[at + 1], one, *proof[at + 2 :]])
    return found


@pytest.mark.parametrize("size, index", [(1, 0), (2, 1), (7, 3), (8, 5), (21, 20), (64, 0)])
def test_a_bent_inclusion_proof_does_not_hold(size: int, index: int) -> None:
    root, proof = naive_root(LEAVES[:size]), inclusion_proof(index, size, node)
    for wrong in bent(proof):
        with pytest.raises(ProofInvalid):
            check_inclusion(LEAVES[index], index, size, wrong, root)
    for index_, size_ in ((index + 1, size), (index, index), (-1, size)):
        with pytest.raises(ProofInvalid):
            check_inclusion(LEAVES[index], index_, size_, proof, root)
    with pytest.raises(ProofInvalid):
        check_inclusion(LEAVES[index + 1], index, size, proof, root)


@pytest.mark.parametrize("old, size", [(1, 2), (3, 7), (4, 8), (6, 21), (21, 64), (5, 5), (0, 5)])
def test_a_bent_consistency_proof_does_not_hold(old: int, size: int) -> None:
    before, after = naive_root(LEAVES[:old]), naive_root(LEAVES[:size])
    for wrong in bent(consistency_proof(old, size, node)):
        with pytest.raises(ProofInvalid):
            check_consistency(old, size, before, after, wrong)
    with pytest.raises(ProofInvalid):
        check_consistency(old, size, b"\x01" * 32, after, consistency_proof(old, size, node))
    with pytest.raises(ProofInvalid):
        check_consistency(size + 1, size, before, after, [])


def test_a_tile_returns_the_nodes_of_its_subtrees() -> None:
    tile = Tile.from_bytes(b"".join(LEAVES[:256]))
    assert tile.root == naive_root(LEAVES[:256])
    assert tile.node(3, 5) == naive_root(LEAVES[40:48])
    assert Tile.from_bytes(tile.to_bytes(100)).root is None


@pytest.mark.parametrize("content", [b"x", b"x" * 32 * 257])
def test_a_tile_of_another_size_is_refused(content: bytes) -> None:
    with pytest.raises(ProofInvalid):
        Tile.from_bytes(content)


def test_proofs_beyond_the_tree_are_refused() -> None:
    for index, size in ((3, 3), (-1, 3)):
        with pytest.raises(ProofInvalid):
            inclusion_proof(index, size, node)
    with pytest.raises(ProofInvalid):
        consistency_proof(4, 3, node)


def test_tiles_are_named_as_c2sp_names_them() -> None:
    assert group_digits(1_234_067) == "x001/x234/067"
    assert (group_digits(0), group_digits(67)) == ("000", "067")


@pytest.mark.parametrize("size", [1, 2, 3, 255, 256, 257, 300, 512, 513, 700])
def test_the_proofs_of_entries_side_by_side_are_those_of_each_by_itself(size: int) -> None:
    tree = Tree()
    tree.append(LEAVES[:size])
    first = max(0, size - TILE_WIDTH)
    found = tree.proofs(first, size)
    expected = {
        index: "".join(b2a_base64(one).decode() for one in inclusion_proof(index, size, tree.node))
        for index in range(first, size)
    }
    assert found == expected
    assert tree.proofs(size - 1, size) == {size - 1: expected[size - 1]}
