"""What tests of decisions about a log do: have a machine speak, look why a start is refused, and ask a witness."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from fakes.in_process import ORIGIN
from landscape.installation import SEED, Installation
from whence_aggregator.ledger.publishing import WitnessBehind
from whence_common.errors import RoadError, WhenceError
from whence_common.note import WITNESS, Checkpoint, Note, Signer

OLD = Signer(ORIGIN, SEED)
NAME = f"{ORIGIN}/2"


async def spoken(place: Installation, *, times: int = 3) -> list[str]:
    """Have the machine say something, once it has enrolled; give its receipts."""
    async with place.house() as house:
        if not await house.entries("enrolment"):
            await house.enrol(place.machine)
        return [(await house.say(place.machine)).receipt for _ in range(times)]


async def refusal(place: Installation, *, witnesses: Sequence[StillWitness] = ()) -> str:
    """Give the code of what the start is refused with."""
    with pytest.raises(WhenceError) as caught:
        async with place.started(witnesses=witnesses):
            pass
    assert caught.value.fix
    return caught.value.code


def size_of(note: str) -> int:
    return Checkpoint.parse(Note.parse(note.encode()).text).size


class StillWitness:
    """A witness that has seen so many entries; None does not answer."""

    def __init__(self, seen: int | None) -> None:
        self.key = Signer("witness.example.org", b"w" * 32, WITNESS).verifier
        self.size = 0
        self.seen = seen

    async def add_checkpoint(self, proof: Sequence[bytes], note: str) -> str:
        if self.seen is None:
            raise RoadError("witness-unreachable", "it does not answer")
        if self.size != self.seen:
            raise WitnessBehind(self.seen)
        return ""


class CosigningWitness(StillWitness):
    """Cosigns whatever continues what it has seen; `away` does not answer."""

    def __init__(self, name: str) -> None:
        super().__init__(0)
        self.signer = Signer(name, name.encode().ljust(32, b"w")[:32], WITNESS)
        self.key = self.signer.verifier
        self.away = False

    async def add_checkpoint(self, proof: Sequence[bytes], note: str) -> str:
        if self.away:
            raise RoadError("witness-unreachable", "it does not answer")
        await super().add_checkpoint(proof, note)
        self.seen = size_of(note)
        return str(self.signer.cosign(Note.parse(note.encode()).text, 1_700_000_000))
