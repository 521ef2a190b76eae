"""Small logs in memory, with their keys and witnesses: what an aggregator, honest or not, can show an agent."""

from __future__ import annotations

from collections.abc import Sequence

from whence_agent.ports_aggregator import StatementReceipt
from whence_common.digest import sha256_digest
from whence_common.ledger_entry import leaf_data
from whence_common.merkle import Tile, consistency_proof, inclusion_proof, leaf_hash, range_hash
from whence_common.note import WITNESS, Checkpoint, Signer
from whence_common.receipt import receipt_text

LOG, OTHER = Signer("whence.example.org", b"l" * 32), Signer("whence.example.org", b"o" * 32)
WITNESSES = [Signer(f"witness-{number}.example.org", bytes([number]) * 32, WITNESS) for number in range(2)]


class SignedLog:
    """A log of at most 256 entries. The name of the first signer is its origin."""

    def __init__(self, entries: Sequence[bytes], *, signers: Sequence[Signer] = (LOG,)) -> None:
        self.entries = list(entries)
        self.signers = signers
        self._tile = Tile()
        for entry in entries:
            self._tile.append(leaf_hash(leaf_data(entry)))

    @property
    def checkpoint(self) -> Checkpoint:
        size = len(self.entries)
        return Checkpoint(origin=self.signers[0].verifier.name, size=size, root=range_hash(0, size, self._tile.node))

    def note(self, *, witnesses: Sequence[Signer] = ()) -> str:
        text = str(self.checkpoint)
        lines = [one.sign(text) for one in self.signers] + [one.cosign(text, 1_700_000_000) for one in witnesses]
        return text + "\n" + "".join(map(str, lines))

    def consistency(self, first: int, past: int) -> list[bytes]:
        return consistency_proof(first, past, self._tile.node)

    def receipt(
        self,
        number: int,
        *,
        index: int | None = None,
        witnesses: Sequence[Signer] = (),
        seen: int | None = None,
        proof: Sequence[bytes] | None = None,
    ) -> StatementReceipt:
        """Give a receipt for an entry; with `seen`, the proof that the log continues so many entries."""
        inclusion = inclusion_proof(number, len(self.entries), self._tile.node)
        if proof is None and seen is not None and seen <= len(self.entries):
            proof = self.consistency(seen, len(self.entries))
        return StatementReceipt(
            digest=sha256_digest(self.entries[number]),
            ledger_index=number,
            proof=receipt_text(number if index is None else index, inclusion, self.note(witnesses=witnesses)),
            consistency=tuple(proof) if proof is not None else None,
        )
