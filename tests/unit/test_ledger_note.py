"""What a checkpoint states is shown as it is stated; one that cannot be read is left out."""

from __future__ import annotations

import base64

import pytest

from whence_aggregator.console.ledger_note import Cosigner, ledger_of

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
    assert (found.origin, found.size, found.root) == ("whence.example.org", 48211, _ROOT)
    assert found.signers == ("whence.example.org",)
    assert found.cosigners == (
        Cosigner(name="w.example.org", at="2026-11-26T20:00:00.000Z"), Cosigner(name="far", at=None),
    )  # fmt: skip
    assert found.cosigners_left == 0


def test_many_cosignatures_are_counted_and_not_all_are_named() -> None:
    found = ledger_of(checkpoint(*(line(f"w{n}", bytes(8) + b"c" * 64) for n in range(13))))
    assert found is not None
    assert (len(found.cosigners), found.cosigners_left) == (10, 3)


@pytest.mark.parametrize(
    "text", [None, "", "whence.example.org\n", checkpoint(), checkpoint(line("w", b"s" * 64), size="many"),
             "one line\n\n" + line("w", b"s" * 64)],
)  # fmt: skip
def test_a_note_that_cannot_be_read_is_left_out(text: str | None) -> None:
    assert ledger_of(text) is None
