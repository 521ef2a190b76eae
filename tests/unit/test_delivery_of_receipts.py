"""Delivery with witnesses: statements are submitted at once and leave the disk when cosigned; a fork is stated."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from fakes.agent_world import World
from fakes.signed_logs import LOG, WITNESSES, SignedLog
from whence_agent.ports_aggregator import AggregatorUnavailable, Challenge, Enrolled, StatementReceipt
from whence_agent.report.delivery import Delivery
from whence_agent.report.heartbeat_counter import HeartbeatCounter
from whence_agent.report.receipts import Receipts, Trusted
from whence_common.envelope import Envelope
from whence_common.note import Signer
from whence_common.statement import Predicate, Statement
from whence_common.sts_proof import StsProof


@dataclass
class LoggingAggregator:
    """An aggregator with a log; its witnesses cosign when a test lets them. `rogue` makes it answer from another log."""

    receipts: Receipts | None = None
    entries: list[bytes] = field(default_factory=list)
    submitted: list[bytes] = field(default_factory=list)
    cosigned: int = 0
    """How many entries the witnesses have seen."""
    rogue: bool = False
    heartbeats: int = 0
    enrolments: int = 0

    async def challenge(self) -> Challenge:
        return Challenge(nonce="n", audience="https://whence.example.org")

    async def enrol(self, *, identity: str, public_key: str, nonce: str, proof: str, sts: StsProof | None) -> Enrolled:
        self.enrolments += 1
        return Enrolled(number=1, heartbeat_key=b"k" * 32, log_keys=(str(LOG.verifier),))

    async def submit(self, envelope: bytes) -> StatementReceipt:
        assert self.receipts is not None
        seen = self.receipts.seen_size
        self.submitted.append(envelope)
        if self.rogue:
            proof = [b"x" * 32] if seen is not None else None
            return SignedLog([envelope]).receipt(0, proof=proof)
        if envelope not in self.entries:
            self.entries.append(envelope)
        index = self.entries.index(envelope)
        witnesses: Sequence[Signer] = WITNESSES if index < self.cosigned else ()
        log = SignedLog(self.entries[: self.cosigned] if witnesses else self.entries)
        past = max(seen or 0, len(log.entries))
        proof = SignedLog(self.entries[:past]).consistency(min(seen or 0, len(log.entries)), past)
        return log.receipt(index, witnesses=witnesses, proof=proof)

    async def heartbeat(self, body: bytes, mac: str) -> None:
        self.heartbeats += 1


class NoProof:
    async def prove(self, *, region: str, challenge: str, audience: str, key_id: str) -> StsProof | None:
        return None


class Delivering:
    """A machine that delivers to a LoggingAggregator."""

    def __init__(self, world: World, trusted: Trusted) -> None:
        self.world = world
        self.aggregator = LoggingAggregator()
        self.aggregator.receipts = world.receipts(trusted)
        self.delivery = Delivery(
            aggregator=self.aggregator, prover=NoProof(), receipts=self.aggregator.receipts, key=world.key, counter=HeartbeatCounter(world.key),
            owner=world.owner, outbox=world.outbox, reporter=world.reporter, progress=world.progress, pulse=world.pulse,
            heartbeat_seconds=60, pause_seconds_max=1, random=lambda: 0.5,
        )  # fmt: skip

    async def round(self) -> str:
        """Do one round of `run` without its pauses; return the code of the error, if any."""
        try:
            await self.delivery.enrol()
            await self.delivery.deliver()
        except AggregatorUnavailable as exc:
            self.delivery._failed(exc)
            return exc.code
        return ""

    def said(self, envelope: bytes) -> Predicate:
        return Statement.from_wire(Envelope.parse(envelope).verify(self.world.key.private.public_key())).predicate


WATCHED = Trusted(witness_keys=[one.verifier for one in WITNESSES], witnesses_least=2)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


async def test_statements_wait_on_disk_until_witnesses_have_cosigned_them(world: World) -> None:
    machine = Delivering(world, WATCHED)
    for _ in range(3):
        world.reporter.report("change")
    assert await machine.round() == "receipt-unwitnessed"
    assert (len(machine.aggregator.entries), len(world.outbox)) == (3, 3)
    machine.aggregator.cosigned = 2
    assert await machine.round() == "receipt-unwitnessed"
    assert (len(world.outbox), world.progress.delivered.acknowledged) == (1, 2)
    machine.aggregator.cosigned = 3
    assert await machine.round() == ""
    assert (len(world.outbox), world.progress.delivered.waiting) == (0, 0)


async def test_a_statement_without_cosignatures_is_not_submitted_again_while_an_older_one_waits(world: World) -> None:
    machine = Delivering(world, WATCHED)
    for _ in range(20):
        world.reporter.report("change")
    for _ in range(4):
        await machine.round()
    assert len(machine.aggregator.submitted) == 20 + 3
    world.reporter.report("stop")
    await machine.round()
    assert len(machine.aggregator.entries) == 21


async def test_heartbeats_continue_while_receipts_wait(world: World) -> None:
    machine = Delivering(world, WATCHED)
    world.reporter.report("boot")
    assert await machine.round() == "receipt-unwitnessed"
    assert machine.aggregator.heartbeats == 1
    assert world.progress.delivered.enrolled


async def test_a_rogue_replica_removes_no_statement_from_disk_and_the_fork_is_stated(world: World) -> None:
    machine = Delivering(world, Trusted(log_keys=[LOG.verifier]))
    world.reporter.report("boot")
    assert await machine.round() == ""
    machine.aggregator.rogue = True
    world.reporter.report("change")
    assert await machine.round() == "log-forked"
    assert len(world.outbox) == 2
    machine.aggregator.rogue = False
    assert await machine.round() == ""
    assert len(world.outbox) == 0
    codes = [[problem["code"] for problem in machine.said(one).problems] for one in machine.aggregator.entries]
    assert codes == [[], [], ["log-forked"]]
    assert [one.code for one in world.progress.delivered.log_problems] == ["log-forked"]


async def test_a_rogue_replica_removes_no_statement_of_a_new_machine_with_witnesses(world: World) -> None:
    """A new machine has nothing to compare the log with: only witnesses protect it."""
    machine = Delivering(world, WATCHED)
    machine.aggregator.rogue = True
    world.reporter.report("boot")
    assert await machine.round() == "receipt-unwitnessed"
    assert len(world.outbox) == 1


@pytest.mark.parametrize("record", ["enrolment.json", "machine.json"])
async def test_an_enrolment_that_cannot_be_stored_is_repeated(world: World, record: str) -> None:
    machine = Delivering(world, Trusted())
    in_the_way = world.directory / record
    in_the_way.mkdir()
    world.reporter.report("boot")
    assert await machine.round() == "state-unwritable"
    assert world.progress.delivered.error.endswith("(check the disk and the permissions of the directory)")
    assert (world.progress.delivered.enrolled, len(world.outbox)) == (False, 1)
    in_the_way.rmdir()
    assert await machine.round() == ""
    assert (world.progress.delivered.enrolled, len(world.outbox)) == (True, 0)
