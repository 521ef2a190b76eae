"""The witness: another team's program that cosigns checkpoints if they are consistent with the last one it saw.

C2SP tlog-witness. The last checkpoint is compared and replaced in one step, and is on disk before the response is sent:
so concurrent requests cannot revert it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from whence_aggregator.ports import CheckpointKeeper
from whence_common import strict_base64
from whence_common.clock import Now
from whence_common.errors import InputError
from whence_common.merkle import EMPTY_ROOT, PROOF_HASHES_MAX, ProofInvalid, check_consistency
from whence_common.note import Checkpoint, Note, NoteInvalid, Signer, VerifierKey

REQUEST_BYTES_MAX = 64 * 1024
_OLD = re.compile(r"old (0|[1-9][0-9]{0,18})\Z")


class WitnessRefusal(InputError):
    """Why a checkpoint is not cosigned; `status` is the HTTP status of the protocol."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__("witness-refused", message)
        self.status = status


class SizeConflict(WitnessRefusal):
    """The request's old size is not the one cosigned last, which is `size`."""

    def __init__(self, size: int) -> None:
        super().__init__(409, f"{size}\n")
        self.size = size


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchedLog:
    """A known log, with the store of its last checkpoint."""

    keys: Sequence[VerifierKey]
    keeper: CheckpointKeeper


class Witness:
    """Cosigns for known logs. Nothing is awaited between comparing and storing, so requests are serial."""

    def __init__(self, *, signer: Signer, logs: Sequence[WatchedLog], now: Now) -> None:
        self._signer = signer
        self._logs = {key.name: one for one in logs for key in one.keys}
        self._now = now

    def add_checkpoint(self, body: bytes) -> str:
        """Return the cosignature line. Raises WitnessRefusal."""
        old, proof, note = _parse(body)
        checkpoint = self._signed(note)
        log = self._logs[checkpoint.origin]
        seen = _seen(log.keeper)
        if old > checkpoint.size:
            raise WitnessRefusal(400, "the old size is larger than the checkpoint's")
        if old != seen.size:
            raise SizeConflict(seen.size)
        _check(seen, checkpoint, proof)
        log.keeper.keep(str(note))
        return str(self._signer.cosign(note.text, int(self._now().timestamp())))

    def _signed(self, note: Note) -> Checkpoint:
        """Return the checkpoint of a note, verified with its log's keys."""
        try:
            checkpoint = Checkpoint.parse(note.text)
        except NoteInvalid as exc:
            raise WitnessRefusal(400, exc.message) from exc
        log = self._logs.get(checkpoint.origin)
        if log is None:
            raise WitnessRefusal(404, "unknown log")
        try:
            note.verify(log.keys)
        except NoteInvalid as exc:
            raise WitnessRefusal(403, exc.message) from exc
        return checkpoint


def _check(seen: Checkpoint, checkpoint: Checkpoint, proof: Sequence[bytes]) -> None:
    if seen.size == 0:
        if proof:
            raise WitnessRefusal(422, "a proof from size 0 must be empty")
        if checkpoint.size == 0 and checkpoint.root != EMPTY_ROOT:
            raise WitnessRefusal(422, "this is not the root of an empty tree")
        return
    try:
        check_consistency(seen.size, checkpoint.size, seen.root, checkpoint.root, proof)
    except ProofInvalid as exc:
        raise WitnessRefusal(422, exc.message) from exc


def _seen(keeper: CheckpointKeeper) -> Checkpoint:
    kept = keeper.load()
    if kept is None:
        return Checkpoint(origin="", size=0, root=EMPTY_ROOT)
    return Checkpoint.parse(Note.parse(kept.encode()).text)


def _parse(body: bytes) -> tuple[int, list[bytes], Note]:
    head, blank, note = body.partition(b"\n\n")
    try:
        first, *hashes = head.decode("ascii").split("\n")
        proof = [strict_base64.decode(one) for one in hashes]
    except ValueError as exc:
        raise WitnessRefusal(400, "the request is malformed") from exc
    old = _OLD.match(first)
    if not blank or old is None or len(proof) > PROOF_HASHES_MAX or any(len(one) != 32 for one in proof):
        raise WitnessRefusal(400, "the request is malformed")
    try:
        return int(old[1]), proof, Note.parse(note)
    except NoteInvalid as exc:
        raise WitnessRefusal(400, exc.message) from exc
