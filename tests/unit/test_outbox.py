"""The outbox: oldest first, bounded, and never a damaged statement."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from whence_agent.report.instance_key import InstanceKey, KeyUnusable
from whence_agent.report.outbox import Outbox


def outbox(directory: Path, *, statements_max: int = 10, bytes_max: int = 10_000) -> Outbox:
    return Outbox(directory / "outbox", statements_max=statements_max, bytes_max=bytes_max)


def drained(box: Outbox) -> list[bytes]:
    found = []
    while (waiting := box.oldest()) is not None:
        found.append(waiting.envelope)
        box.remove(waiting.sequence)
    return found


def test_statements_come_out_oldest_first(tmp_path: Path) -> None:
    box = outbox(tmp_path)
    for sequence in (3, 1, 2):
        box.put(sequence, b"s%d" % sequence)
    assert drained(box) == [b"s1", b"s2", b"s3"]
    assert not box.arrived.is_set()


def test_statements_survive_the_process(tmp_path: Path) -> None:
    outbox(tmp_path).put(1, b"kept")
    again = outbox(tmp_path)
    assert again.arrived.is_set()
    assert drained(again) == [b"kept"]


def test_temporary_files_of_a_killed_writer_are_removed(tmp_path: Path) -> None:
    outbox(tmp_path).put(1, b"whole")
    (tmp_path / "outbox" / ".0000000000000002.statement.abc.tmp").write_bytes(b"half")
    assert drained(outbox(tmp_path)) == [b"whole"]
    assert list((tmp_path / "outbox").glob(".*")) == []


@pytest.mark.parametrize("content", [b"", b"x", b"0" * 64 + b"\nother", b"\xff\xfe"])
def test_a_damaged_statement_is_dropped_and_counted(tmp_path: Path, content: bytes) -> None:
    box = outbox(tmp_path)
    box.put(1, b"one")
    box.put(2, b"two")
    next((tmp_path / "outbox").glob("*1.statement")).write_bytes(content)
    assert drained(box) == [b"two"]
    assert box.dropped == 1
    assert outbox(tmp_path).dropped == 1


def test_a_full_outbox_drops_the_oldest_and_counts(tmp_path: Path) -> None:
    box = outbox(tmp_path, statements_max=2)
    for sequence in range(1, 5):
        box.put(sequence, b"s%d" % sequence)
    assert box.dropped == 2
    assert drained(box) == [b"s3", b"s4"]


def test_the_bytes_are_bounded_too(tmp_path: Path) -> None:
    box = outbox(tmp_path, bytes_max=1000)
    for sequence in range(1, 4):
        box.put(sequence, b"x" * 400)
    assert len(box) == 2


def test_a_foreign_file_is_not_touched(tmp_path: Path) -> None:
    outbox(tmp_path)
    (tmp_path / "outbox" / "README.statement").write_bytes(b"x")
    assert len(outbox(tmp_path)) == 0


def test_no_sequence_is_used_twice_even_after_a_restart(tmp_path: Path) -> None:
    key = InstanceKey(tmp_path)
    assert [key.next_sequence(), key.next_sequence()] == [1, 2]
    assert InstanceKey(tmp_path).next_sequence() == 3


def test_the_key_is_readable_by_its_owner_alone(tmp_path: Path) -> None:
    InstanceKey(tmp_path).next_sequence()
    assert {path.name: path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {
        "key.pem": 0o600,
        "sequence.json": 0o600,
    }


def test_values_stored_for_another_key_are_not_returned(tmp_path: Path) -> None:
    key = InstanceKey(tmp_path)
    key.remember("enrolment", {"number": 1})
    (tmp_path / "key.pem").unlink()
    assert InstanceKey(tmp_path).remembered("enrolment") == {}
    assert isinstance(key.private, ec.EllipticCurvePrivateKey)


@pytest.mark.parametrize(
    "content", [b"", b"nonsense", b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"]
)
def test_a_broken_key_file_is_refused_and_never_overwritten(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "key.pem").write_bytes(content)
    with pytest.raises(KeyUnusable):
        InstanceKey(tmp_path)
    assert (tmp_path / "key.pem").read_bytes() == content


@pytest.mark.parametrize("content", [b"", b"[]", b"null", b'{"next": 9}'])
def test_an_unreadable_record_counts_as_absent(tmp_path: Path, content: bytes) -> None:
    key = InstanceKey(tmp_path)
    (tmp_path / "sequence.json").write_bytes(content)
    assert key.next_sequence() == 1
