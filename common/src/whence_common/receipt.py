"""Receipts: C2SP tlog-proof files that prove offline that an entry is in a log. Suffix `.tlog-proof`.

Lines: `c2sp.org/tlog-proof@v1`; optionally `extra BASE64`, which is not trusted; `index N`; the inclusion proof's
hashes; a blank line; the checkpoint with all its signatures.
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Sequence
from dataclasses import dataclass

from whence_common import strict_base64
from whence_common.errors import InputError
from whence_common.ledger_entry import leaf_data
from whence_common.log_policy import Policy
from whence_common.merkle import PROOF_HASHES_MAX, check_inclusion, leaf_hash
from whence_common.note import NOTE_BYTES_MAX, Checkpoint, Note, VerifierKey

HEADER = "c2sp.org/tlog-proof@v1"
RECEIPT_BYTES_MAX = NOTE_BYTES_MAX + 8 * 1024
_INDEX = re.compile(r"index (0|[1-9][0-9]{0,18})\Z")


class ReceiptInvalid(InputError):
    """The text is not a receipt."""

    def __init__(self, message: str) -> None:
        super().__init__("receipt-malformed", message)


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """A well-formed receipt that is not verified yet."""

    index: int
    proof: tuple[bytes, ...]
    note: Note

    @classmethod
    def parse(cls, content: bytes) -> Receipt:
        """Parse a receipt. Raises ReceiptInvalid or NoteInvalid."""
        if len(content) > RECEIPT_BYTES_MAX:
            raise ReceiptInvalid(f"the receipt is larger than {RECEIPT_BYTES_MAX} bytes")
        head, blank, note = content.partition(b"\n\n")
        try:
            lines = head.decode("ascii").split("\n")
        except UnicodeDecodeError as exc:
            raise ReceiptInvalid("the receipt's head is not ASCII") from exc
        if not blank or lines.pop(0) != HEADER:
            raise ReceiptInvalid(f"the first line is not {HEADER}")
        if lines and lines[0].startswith("extra "):
            _decoded(lines.pop(0).removeprefix("extra "))
        index = _INDEX.match(lines.pop(0)) if lines else None
        if index is None:
            raise ReceiptInvalid("there is no line `index N`")
        proof = tuple(_decoded(line) for line in lines)
        if len(proof) > PROOF_HASHES_MAX or any(len(one) != 32 for one in proof):
            raise ReceiptInvalid("the proof is not a list of SHA-256 hashes")
        return cls(index=int(index[1]), proof=proof, note=Note.parse(note))

    def check(self, content: bytes, policy: Policy) -> tuple[Checkpoint, tuple[VerifierKey, ...]]:
        """Verify that `content`, an entry's verbatim bytes, is in the log; return the checkpoint and its witnesses.

        Raises NoteInvalid or ProofInvalid.
        """
        checkpoint, witnesses = policy.check(self.note)
        check_inclusion(leaf_hash(leaf_data(content)), self.index, checkpoint.size, self.proof, checkpoint.root)
        return checkpoint, witnesses


def receipt_text(index: int, proof: Sequence[bytes], note: str) -> str:
    """Return a receipt's text."""
    hashes = "".join(binascii.b2a_base64(one).decode("ascii") for one in proof)
    return f"{HEADER}\nindex {index}\n{hashes}\n{note}"


def _decoded(line: str) -> bytes:
    try:
        return strict_base64.decode(line)
    except ValueError as exc:
        raise ReceiptInvalid("a line of the receipt is not base64") from exc
