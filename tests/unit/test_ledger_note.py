"""What a checkpoint states is shown as it is stated; one that cannot be read is left out."""

from __future__ import annotations

import base64

import pytest

from whence_aggregator.console.ledger_note import NoteSigner, ledger_of

_ROOT = "0N2wPAu4PqgB8mJkFich6y3hq2OME38HkzMwYBjKzbQ="


def line(name: str, content: bytes) -> str:
    return f"— {name} {base64.b64encode(b'keyi' + content).decode()}\n"


def checkpoint(*lines: str, size: str = "48211") -> str:
    return f"whence.example.org\n{size}\n{_ROOT}\n\n" + "".join(lines)


def test_the_log_signs_and_witnesses_cosign_with_their_time() -> None:
    at = (1_795_723_200).to_bytes(8, "big")
    found = ledger_of(
        checkpoint(
            line("whence.example.org", b"s" * 64), line("w.example.org", at + b"c" * 64), line("far", b"\xff" * 72)
        )
    )
    assert found is not None
    assert (found.origin, found.size, found.root) == ("whence.example.org", 48211, base64.b64decode(_ROOT).hex())
    key_id = b"keyi".hex()
    assert found.own == [NoteSigner(name="whence.example.org", key_id=key_id, at=None)]
    assert found.cosigners == [
        NoteSigner(name="w.example.org", key_id=key_id, at="2026-11-26T20:00:00.000Z"),
        NoteSigner(name="far", key_id=key_id, at=None),
    ]
    assert (found.others, found.witnesses) == ([], 2)


def test_keys_of_one_witness_count_once_and_a_signature_without_time_is_no_cosignature() -> None:
    found = ledger_of(checkpoint(*(line("w", bytes(8) + b"c" * 64) for _ in range(3)), line("other", b"s" * 64)))
    assert found is not None
    assert (len(found.cosigners), found.witnesses) == (3, 1)
    assert [one.name for one in found.others] == ["other"]


@pytest.mark.parametrize(
    "text", [None, "", "whence.example.org\n", checkpoint(), checkpoint(line("w", b"s" * 64), size="many"),
             "one line\n\n" + line("w", b"s" * 64)],
)  # fmt: skip
def test_a_note_that_cannot_be_read_is_left_out(text: str | None) -> None:
    assert ledger_of(text) is None
