"""The counter of heartbeats: no number is used twice, and a restored state directory continues correctly."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fakes.agent_world import World
from fakes.signing_authority import identity_document
from whence_agent.ports_aggregator import AggregatorUnavailable, Challenge, Enrolled, StatementReceipt
from whence_agent.report.delivery import Delivery
from whence_agent.report.heartbeat_counter import BLOCK, HeartbeatCounter
from whence_agent.report.instance_key import InstanceKey
from whence_common.counting import LEAP_MAX
from whence_common.digest import sha256_digest
from whence_common.envelope import Envelope
from whence_common.heartbeat import Heartbeat
from whence_common.identity_document import read_unverified
from whence_common.keys import public_key_from_wire
from whence_common.statement import Predicate, Statement
from whence_common.sts_proof import StsProof

INSTANCE = "i-0123456789abcdef0"


def refused(code: str, last_taken: int | None) -> AggregatorUnavailable:
    refusal = AggregatorUnavailable(code, "refused", retryable=False)
    refusal.last_taken = last_taken
    return refusal


@dataclass
class OrderlyAggregator:
    """Accepts increasing numbers without large gaps for one key, as the aggregator does. `lie` replaces what it states."""

    key: str = ""
    counter: int = 0
    statements: dict[int, Predicate] = field(default_factory=dict)
    tried: list[int] = field(default_factory=list)
    lie: int | None = None

    async def challenge(self) -> Challenge:
        return Challenge(nonce="n", audience="https://whence.example.org")

    async def enrol(self, *, identity: str, public_key: str, nonce: str, proof: str, sts: StsProof | None) -> Enrolled:
        self.key = public_key
        return Enrolled(number=1, heartbeat_key=b"k" * 32)

    async def submit(self, envelope: bytes) -> StatementReceipt:
        predicate = Statement.from_wire(Envelope.parse(envelope).verify(public_key_from_wire(self.key))).predicate
        newest = max(self.statements, default=0)
        if predicate.sequence - newest > LEAP_MAX:
            raise refused("sequence-ahead", newest if self.lie is None else self.lie)
        if predicate.sequence in self.statements:
            raise refused("sequence-conflict", newest if self.lie is None else self.lie)
        self.statements[predicate.sequence] = predicate
        return StatementReceipt(digest=sha256_digest(envelope), ledger_index=len(self.statements))

    async def heartbeat(self, body: bytes, mac: str) -> None:
        counter = Heartbeat.from_wire(body).counter
        self.tried.append(counter)
        last = self.counter if self.lie is None else self.lie
        if counter <= self.counter:
            raise refused("heartbeat-behind", last)
        if counter - self.counter > LEAP_MAX:
            raise refused("heartbeat-ahead", last)
        self.counter = counter


class NoProof:
    async def prove(self, *, region: str, challenge: str, audience: str, key_id: str) -> StsProof | None:
        return None


class Agent:
    """One start of the agent over a state directory."""

    def __init__(self, directory: Path, aggregator: OrderlyAggregator) -> None:
        self.world = world = World(directory)
        world.identify(read_unverified(identity_document(INSTANCE)), INSTANCE)
        self.delivery = Delivery(
            aggregator=aggregator, prover=NoProof(), receipts=world.receipts(), key=world.key,
            counter=HeartbeatCounter(world.key), owner=world.owner, outbox=world.outbox, reporter=world.reporter,
            progress=world.progress, pulse=world.pulse, heartbeat_seconds=60, pause_seconds_max=1, random=lambda: 0.5,
        )  # fmt: skip

    async def round(self, *causes: str) -> None:
        """Do one round of `run` without its pauses."""
        for cause in causes:
            self.world.reporter.report(cause)  # type: ignore[arg-type]  # written out by each test
        await self.delivery.enrol()
        await self.delivery._deliver_all()
        await self.delivery._heartbeat()


@pytest.fixture
def aggregator() -> OrderlyAggregator:
    return OrderlyAggregator()


@settings(max_examples=40, deadline=None)
@given(lives=st.lists(st.integers(min_value=0, max_value=3 * BLOCK), max_size=6))
def test_no_number_is_used_twice_over_any_restarts(lives: list[int], tmp_path_factory: pytest.TempPathFactory) -> None:
    directory = tmp_path_factory.mktemp("state")
    given_out: list[int] = []
    for beats in lives:
        counter = HeartbeatCounter(InstanceKey(directory))
        given_out += [counter.take() for _ in range(beats)]
    assert given_out == sorted(set(given_out))
    assert len(given_out) <= (given_out or [0])[-1] <= len(given_out) + len(lives) * BLOCK


def test_a_block_is_durable_before_its_first_number_and_costs_one_write(tmp_path: Path) -> None:
    key = InstanceKey(tmp_path)
    counter = HeartbeatCounter(key)
    written = []
    for _ in range(BLOCK + 1):
        counter.take()
        written.append(key.remembered("heartbeats")["unreserved"])
    assert written == [1 + BLOCK] * BLOCK + [1 + 2 * BLOCK]


@pytest.mark.parametrize(
    "found", [{}, {"unreserved": "x"}, {"unreserved": -5}, {"unreserved": 2**53}, {"unreserved": 1e300}]
)
def test_an_invalid_number_on_disk_starts_from_one(tmp_path: Path, found: dict[str, object]) -> None:
    key = InstanceKey(tmp_path)
    key.remember("heartbeats", found)
    assert HeartbeatCounter(key).take() == 1


def test_a_new_key_counts_from_one(tmp_path: Path) -> None:
    key = InstanceKey(tmp_path)
    counter = HeartbeatCounter(key)
    assert [counter.take(), counter.take()] == [1, 2]
    key.replace({"name": "replaced"})
    assert [counter.take(), counter.take()] == [1, 2]


def test_a_disk_error_does_not_stop_heartbeats(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    counter = HeartbeatCounter(InstanceKey(tmp_path / "state"))
    assert counter.take() == 1
    shutil.rmtree(tmp_path / "state")
    assert [counter.take() for _ in range(3 * BLOCK)] == list(range(2, 3 * BLOCK + 2))


async def test_a_restart_continues_above_what_was_sent(tmp_path: Path, aggregator: OrderlyAggregator) -> None:
    await Agent(tmp_path, aggregator).round("boot")
    again = Agent(tmp_path, aggregator)
    await again.round("boot")
    await again.round()
    assert aggregator.tried == [1, 1 + BLOCK, 2 + BLOCK]


async def test_a_restored_state_directory_continues_after_the_last_accepted_number(
    tmp_path: Path, aggregator: OrderlyAggregator
) -> None:
    agent = Agent(tmp_path / "state", aggregator)
    await agent.round("boot")
    shutil.copytree(tmp_path / "state", tmp_path / "copy")
    for _ in range(5 * BLOCK):
        await agent.round()
    aggregator.tried.clear()
    restored = Agent(tmp_path / "copy", aggregator)
    await restored.round("boot")
    await restored.round()
    taken = 5 * BLOCK + 1
    assert aggregator.tried == [1 + BLOCK, taken + 1, taken + 2]
    aggregator.tried.clear()
    await Agent(tmp_path / "copy", aggregator).round("boot")
    assert aggregator.tried == [taken + 1 + BLOCK], "what was learned is kept"


async def test_a_counter_that_is_far_too_high_goes_back(tmp_path: Path, aggregator: OrderlyAggregator) -> None:
    agent = Agent(tmp_path, aggregator)
    await agent.round("boot")
    agent.world.key.remember("heartbeats", {"unreserved": 2**52})
    again = Agent(tmp_path, aggregator)
    await again.round("boot")
    assert (aggregator.tried[1:], aggregator.counter) == ([2**52, 2], 2)


async def test_an_aggregator_that_always_refuses_gets_three_heartbeats_a_round(
    tmp_path: Path, aggregator: OrderlyAggregator
) -> None:
    aggregator.counter = 2**40
    aggregator.lie = 7
    agent = Agent(tmp_path, aggregator)
    with pytest.raises(AggregatorUnavailable):
        await agent.round("boot")
    assert aggregator.tried == [1, 8, 9]


@pytest.mark.parametrize("lie", [2**53 - 1, 2**53 - BLOCK])
async def test_a_number_near_the_maximum_is_not_followed(
    tmp_path: Path, aggregator: OrderlyAggregator, lie: int
) -> None:
    aggregator.counter, aggregator.lie = 5, lie
    with pytest.raises(AggregatorUnavailable):
        await Agent(tmp_path, aggregator).round("boot")
    assert aggregator.tried == [1, 2, 3]


async def test_after_a_restored_state_directory_the_present_state_is_stated(
    tmp_path: Path, aggregator: OrderlyAggregator
) -> None:
    agent = Agent(tmp_path / "state", aggregator)
    await agent.round("boot")
    shutil.copytree(tmp_path / "state", tmp_path / "copy")
    await agent.round("change", "change", "change")
    restored = Agent(tmp_path / "copy", aggregator)
    await restored.round("boot", "failed")
    assert [(one, two.cause) for one, two in sorted(aggregator.statements.items())] == [
        (1, "boot"), (2, "change"), (3, "change"), (4, "change"), (5, "failed"),
    ]  # fmt: skip
    await restored.round("change")
    assert max(aggregator.statements) == 6
    assert len(restored.world.outbox) == 0


@pytest.mark.parametrize("found", [2**53 - 2, 2**53, 2**63, 0, -1, "x", None])
async def test_a_sequence_that_is_far_too_high_goes_back(
    tmp_path: Path, aggregator: OrderlyAggregator, found: object
) -> None:
    agent = Agent(tmp_path, aggregator)
    await agent.round("boot")
    agent.world.key.remember("sequence", {"next": found})
    await agent.round("change")
    await agent.round("failed")
    assert {one: two.cause for one, two in aggregator.statements.items()} == {1: "boot", 2: "change", 3: "failed"}


async def test_an_aggregator_that_refuses_every_sequence_gets_one_more_statement_only(
    tmp_path: Path, aggregator: OrderlyAggregator
) -> None:
    agent = Agent(tmp_path, aggregator)
    await agent.round("boot")
    aggregator.lie = 0  # so that each statement is one that was taken
    await agent.round()
    agent.world.key.remember("sequence", {"next": 1})
    agent.world.reporter.report("change")
    for _ in range(4):
        await agent.delivery._deliver_all()
    assert list(aggregator.statements) == [1]
    assert (len(agent.world.outbox), agent.world.outbox.refused) == (0, 2)
