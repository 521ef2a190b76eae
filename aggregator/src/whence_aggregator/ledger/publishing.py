"""Publishing: the newest checkpoint is regularly stored and sent to witnesses, and their cosignatures are added."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from whence_aggregator.ledger.ledger import Ledger
from whence_aggregator.ports import Database, StorageUnavailable
from whence_aggregator.queries.ledger import PUT_CHECKPOINT
from whence_common.errors import RoadError
from whence_common.note import Checkpoint, Note, NoteInvalid, VerifierKey
from whence_common.receipt import Receipt, receipt_text
from whence_common.runtime.logs import fields
from whence_common.runtime.pause import pause

log = logging.getLogger(__name__)


class LogWitness(Protocol):
    """A witness of this log. `size` is the size of the tree that it cosigned last, as far as this process knows."""

    key: VerifierKey
    size: int

    async def add_checkpoint(self, proof: Sequence[bytes], note: str) -> str:
        """Return the cosignature lines. Raises WitnessBehind, or RoadError."""


class WitnessBehind(RoadError):
    """The witness has cosigned another size than expected: `size`."""

    def __init__(self, size: int) -> None:
        super().__init__("witness-conflict", f"the witness is at {size}")
        self.size = size


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """A checkpoint with its cosignatures; `cosigned` is how many."""

    note: str = ""
    size: int = 0
    cosigned: int = 0


class Publisher:
    """Publishes checkpoints. `note` is the last published one with its cosignatures."""

    def __init__(self, *, database: Database, ledger: Ledger, witnesses: Sequence[LogWitness], seconds: float) -> None:
        self._database = database
        self._ledger = ledger
        self._witnesses = witnesses
        self._seconds = seconds
        self._published_at = self._witnessed_at = time.monotonic()
        self._publishing = asyncio.Lock()
        self._best = Published()  # the newest with most cosignatures: an unreachable witness does not replace it
        self.note = ""
        self.size = 0

    async def run(self) -> None:
        """Publish until cancelled."""
        while True:
            try:
                await self.publish()
            except StorageUnavailable as exc:
                log.error("cannot publish a checkpoint", extra=fields(code=exc.code, message=exc.message))
            await pause(self._seconds)

    async def publish(self) -> None:
        """Publish the newest checkpoint, with the cosignatures of the witnesses that answer."""
        async with self._publishing:
            await self._publish()

    async def receipt(self, index: int) -> str:
        """Return a receipt for an entry, under the checkpoint that includes it and has most cosignatures."""
        if index < self._best.size:
            note, size = self._best.note, self._best.size
        elif index < self.size:
            note, size = self.note, self.size
        else:
            return await self._ledger.receipt(index)
        return receipt_text(index, await self._ledger.reader.inclusion(index, size), note)

    async def consistency(self, seen: int, receipt: str) -> list[bytes] | None:
        """Return the consistency proof from `seen` entries to a receipt's checkpoint; None for a shorter log."""
        size = Checkpoint.parse(Receipt.parse(receipt.encode()).note.text).size
        first, past = min(seen, size), max(seen, size)
        if past > await self._ledger.reader.size():
            return None
        return await self._ledger.reader.consistency(first, past)

    async def _publish(self) -> None:
        note, size = self._ledger.note, self._ledger.signed.size
        if size == self.size and self._complete():
            self._published_at = self._witnessed_at = time.monotonic()
            return
        lines = await asyncio.gather(*(self._cosign(one, note, size) for one in self._witnesses))
        note += "".join(lines)
        async with self._database.transaction() as transaction:
            await transaction.execute(PUT_CHECKPOINT.bind([{"size": size, "note": note}]))
        self.note, self.size = note, size
        cosigned = len([line for line in lines if line])
        if cosigned >= self._best.cosigned:
            self._best = Published(note=note, size=size, cosigned=cosigned)
        self._published_at = time.monotonic()
        if all(lines):
            self._witnessed_at = self._published_at

    def ages(self) -> tuple[float, float | None]:
        """Return the seconds since the last publication, and since the last with all cosignatures.

        The second is None without witnesses.
        """
        now = time.monotonic()
        return now - self._published_at, now - self._witnessed_at if self._witnesses else None

    def _complete(self) -> bool:
        signed = {line.name for line in Note.parse(self.note.encode()).signatures} if self.note else set()
        return all(one.key.name in signed for one in self._witnesses)

    async def _cosign(self, witness: LogWitness, note: str, size: int) -> str:
        """Return a witness's cosignature lines; submit twice when it has cosigned another size than expected.

        A witness that has cosigned more than this checkpoint cosigns a later one, if another replica has appended.
        """
        witness.size = min(witness.size, size)
        for _ in range(2):
            try:
                proof = await self._ledger.reader.consistency(witness.size, size)
                lines = await witness.add_checkpoint(proof, note)
                Note.parse((note + lines).encode()).verify([witness.key])
                witness.size = size
                return lines
            except WitnessBehind as exc:
                if not 0 <= exc.size <= size:
                    await self._ledger.refresh()
                    if exc.size > self._ledger.signed.size:
                        log.error(
                            "a witness has cosigned a larger log: this database is older",
                            extra=fields(
                                witness=witness.key.name, size=exc.size, entries=self._ledger.signed.size,
                                fix="stop the aggregator; see `A restored database` in aggregator/README.md",
                            ),
                        )  # fmt: skip
                    return ""
                witness.size = exc.size
            except (RoadError, NoteInvalid) as exc:
                log.warning("a witness did not cosign", extra=fields(witness=witness.key.name, reason=exc.message))
                return ""
        return ""
