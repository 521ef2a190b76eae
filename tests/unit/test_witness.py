"""The witness: it cosigns what continues what it saw, and answers everything else as the protocol says."""

from __future__ import annotations

import base64
from dataclasses import dataclass

import pytest

from fakes.clocks import FakeClock
from fakes.in_process import KeptCheckpoint
from whence_aggregator.audit.witness import SizeConflict, WatchedLog, Witness, WitnessRefusal
from whence_common.merkle import EMPTY_ROOT, consistency_proof, leaf_hash, range_hash
from whence_common.note import WITNESS, Checkpoint, Note, Signer

LOG = Signer("whence.example.org", b"l" * 32)
OWN = Signer("witness.example.org", b"w" * 32, WITNESS)
LEAVES = [leaf_hash(str(number).encode()) for number in range(20)]


def node(height: int, number: int) -> bytes:
    if height == 0:
        return LEAVES[number]
    return range_hash(
        number << height, (number + 1) << height, lambda h, n: node(h, n) if h < height else _pair(height, number)
    )


def _pair(height: int, number: int) -> bytes:
    from whence_common.merkle import node_hash

    return node_hash(node(height - 1, number * 2), node(height - 1, number * 2 + 1))


def root(size: int) -> bytes:
    return range_hash(0, size, node)


def signed(size: int, *, signer: Signer = LOG, of: bytes | None = None) -> str:
    text = str(Checkpoint(origin=signer.verifier.name, size=size, root=of or root(size)))
    return f"{text}\n{signer.sign(text)}"


def request(old: int, size: int, *, proof: list[bytes] | None = None, note: str | None = None) -> bytes:
    hashes = consistency_proof(old, size, node) if proof is None and old <= size else proof or []
    lines = "".join(base64.b64encode(one).decode() + "\n" for one in hashes)
    return f"old {old}\n{lines}\n{note or signed(size)}".encode()


@dataclass
class Watched:
    witness: Witness
    kept: KeptCheckpoint

    def ask(self, body: bytes) -> str:
        return self.witness.add_checkpoint(body)

    def status(self, body: bytes) -> int:
        with pytest.raises(WitnessRefusal) as caught:
            self.ask(body)
        return caught.value.status


@pytest.fixture
def watched() -> Watched:
    kept = KeptCheckpoint()
    logs = [WatchedLog(keys=[LOG.verifier], keeper=kept)]
    return Watched(Witness(signer=OWN, logs=logs, now=FakeClock()), kept)


def test_a_checkpoint_that_continues_the_last_one_is_cosigned(watched: Watched) -> None:
    for old, size in ((0, 5), (5, 12), (12, 20), (20, 20)):
        line = watched.ask(request(old, size))
        assert Note.parse((signed(size) + line).encode()).verify([OWN.verifier]) == (OWN.verifier,)


def test_the_last_checkpoint_is_stored_before_the_response_is_sent(watched: Watched) -> None:
    watched.ask(request(0, 7))
    assert watched.kept.note == signed(7)


def test_a_different_old_size_is_a_conflict_that_contains_the_last_size(watched: Watched) -> None:
    watched.ask(request(0, 7))
    for old in (0, 3):
        with pytest.raises(SizeConflict) as caught:
            watched.ask(request(old, 12))
        assert (caught.value.status, caught.value.message) == (409, "7\n")


def test_of_two_that_race_from_the_same_size_one_wins(watched: Watched) -> None:
    watched.ask(request(0, 5))
    watched.ask(request(5, 12))
    assert watched.status(request(5, 20)) == 409


@pytest.mark.parametrize(
    "body, status",
    [
        (b"", 400),
        (b"old 01\n\n" + signed(5).encode(), 400),
        (b"old x\n\n" + signed(5).encode(), 400),
        (b"old 0\n!\n\n" + signed(5).encode(), 400),
        (b"old 0\nAAAA\n\n" + signed(5).encode(), 400),
        (b"old 0\n" + base64.b64encode(bytes(32)) + b"\n", 400),
        (b"old 0\n\nno note", 400),
        (request(9, 5), 400),
        (request(0, 5, note="text\n\n" + str(LOG.sign("text\n"))), 400),
        (request(0, 5, proof=[bytes(32)] * 64), 400),
        (request(0, 5, note=signed(5, signer=Signer("whence.example.org", b"x" * 32))), 403),
        (request(0, 5, note=signed(5).replace("\n5\n", "\n6\n")), 403),
        (request(0, 5, note=signed(5, signer=Signer("elsewhere", b"x" * 32))), 404),
        (request(0, 5, proof=[bytes(32)]), 422),
        (request(0, 0, note=signed(0, of=bytes(32))), 422),
    ],
)
def test_each_fault_has_its_status(watched: Watched, body: bytes, status: int) -> None:
    assert watched.status(body) == status


def test_an_empty_log_is_cosigned(watched: Watched) -> None:
    assert watched.ask(request(0, 0, note=signed(0, of=EMPTY_ROOT)))


@pytest.mark.parametrize(
    "body",
    [
        request(7, 12, proof=[]),
        request(7, 12, proof=[bytes(32)] * 4),
        request(7, 12, note=signed(12, of=bytes(32))),
        request(7, 7, note=signed(7, of=bytes(32))),
        request(7, 7, proof=[bytes(32)]),
    ],
)
def test_a_log_that_changed_its_past_is_not_cosigned(watched: Watched, body: bytes) -> None:
    watched.ask(request(0, 7))
    assert watched.status(body) == 422
    assert watched.kept.note == signed(7)
