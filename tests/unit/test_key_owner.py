"""A state directory that was copied with an image: the machine creates a key of its own, and states so."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from fakes.agent_world import World
from fakes.signing_authority import identity_document
from whence_agent.credentials.generations import Generations, discard
from whence_agent.ports_aggregator import AggregatorUnavailable, Challenge, Enrolled, StatementReceipt
from whence_agent.report.delivery import Delivery
from whence_agent.report.heartbeat_counter import HeartbeatCounter
from whence_common.digest import sha256_digest
from whence_common.envelope import Envelope, EnvelopeInvalid
from whence_common.identity_document import read_unverified
from whence_common.keys import public_key_from_wire
from whence_common.statement import Predicate, Statement
from whence_common.sts_proof import StsProof

FIRST, SECOND = "i-0123456789abcdef0", "i-0fedcba9876543210"


@dataclass
class BindingAggregator:
    """Binds keys to instances as the aggregator does; a test's identity blob is the instance's id."""

    keys: dict[str, str] = field(default_factory=dict)
    taken: list[Predicate] = field(default_factory=list)
    always: str = ""
    """The answer to every enrolment, for any key."""
    enrolments: int = 0

    async def challenge(self) -> Challenge:
        return Challenge(nonce="n", audience="https://whence.example.org")

    async def enrol(self, *, identity: str, public_key: str, nonce: str, proof: str, sts: StsProof | None) -> Enrolled:
        self.enrolments += 1
        if self.always or self.keys.setdefault(public_key, identity) != identity:
            raise AggregatorUnavailable(self.always or "key-of-other", "refused", retryable=False)
        return Enrolled(number=1, heartbeat_key=b"k" * 32)

    async def submit(self, envelope: bytes) -> StatementReceipt:
        for key, instance_id in self.keys.items():
            try:
                payload = Envelope.parse(envelope).verify(public_key_from_wire(key))
            except EnvelopeInvalid:
                continue
            predicate = Statement.from_wire(payload).predicate
            if predicate.instance.instance_id != instance_id:
                raise AggregatorUnavailable("statement-of-other", "refused", retryable=False)
            self.taken.append(predicate)
            return StatementReceipt(digest=sha256_digest(envelope), ledger_index=len(self.taken))
        raise AggregatorUnavailable("key-unknown", "enrol first", retryable=False)

    async def heartbeat(self, body: bytes, mac: str) -> None: ...


class NoProof:
    async def prove(self, *, region: str, challenge: str, audience: str, key_id: str) -> StsProof | None:
        return None


class Booted:
    """A machine with its delivery, over a state directory. `checked`: it compares the recorded instance id first."""

    def __init__(self, directory: Path, aggregator: BindingAggregator, instance_id: str, *, checked: bool = True):
        self.world = world = World(directory)
        world.identify(read_unverified(identity_document(instance_id)), instance_id)
        self.delivery = Delivery(
            aggregator=aggregator, prover=NoProof(), receipts=world.receipts(), key=world.key,
            counter=HeartbeatCounter(world.key), owner=world.owner, outbox=world.outbox, reporter=world.reporter, progress=world.progress, pulse=world.pulse,
            heartbeat_seconds=60, pause_seconds_max=1, random=lambda: 0.5,
        )  # fmt: skip
        if checked:
            self.delivery.identify(world.progress.identity())

    async def deliver(self) -> None:
        """Do one round of `run` without its pauses."""
        await self.delivery.enrol()
        await self.delivery._deliver_all()
        await self.delivery._heartbeat()

    async def deliver_at_last(self) -> None:
        for _ in range(3):
            try:
                await self.deliver()
            except AggregatorUnavailable as exc:
                self.delivery._failed(exc)
            else:
                return


@asynccontextmanager
async def first_machine(directory: Path, aggregator: BindingAggregator) -> AsyncIterator[Booted]:
    """Return a machine that has delivered a statement, and has another one that it could not deliver."""
    machine = Booted(directory, aggregator, FIRST)
    machine.world.reporter.report("boot")
    await machine.deliver()
    machine.world.reporter.report("change")
    yield machine


@pytest.fixture
async def copied(tmp_path: Path) -> tuple[Path, BindingAggregator]:
    aggregator = BindingAggregator()
    async with first_machine(tmp_path / "first", aggregator):
        shutil.copytree(tmp_path / "first", tmp_path / "second")
    return tmp_path / "second", aggregator


def notices(predicate: Predicate) -> list[str]:
    return [str(one["message"]) for one in predicate.problems if one["code"] == "key-replaced"]


async def test_the_recorded_instance_id_shows_the_key_of_another_machine(
    copied: tuple[Path, BindingAggregator],
) -> None:
    directory, aggregator = copied
    machine = Booted(directory, aggregator, SECOND)
    machine.world.reporter.report("boot")
    await machine.deliver()
    assert [(one.instance.instance_id, one.cause, one.sequence) for one in aggregator.taken] == [
        (FIRST, "boot", 1),
        (SECOND, "boot", 1),
    ]
    assert notices(aggregator.taken[-1]) == [
        f"the state directory held the key of another machine (it was made by {FIRST}): a new key was made, "
        "and 1 statements signed with the old one were set aside"
    ]
    assert sorted(set(aggregator.keys.values())) == sorted([FIRST, SECOND])


async def test_without_a_record_the_aggregator_shows_it_and_the_boot_is_stated(
    copied: tuple[Path, BindingAggregator],
) -> None:
    directory, aggregator = copied
    (directory / "machine.json").unlink()
    machine = Booted(directory, aggregator, SECOND)
    machine.world.outbox.set_aside("earlier")
    machine.world.reporter.report("boot")
    await machine.deliver_at_last()
    assert (aggregator.taken[-1].instance.instance_id, aggregator.taken[-1].cause) == (SECOND, "boot")
    assert "the aggregator has it bound to another instance" in notices(aggregator.taken[-1])[0]
    assert len(machine.world.outbox) == 0


async def test_the_first_machine_continues_with_its_key_and_its_statements(
    tmp_path: Path, copied: tuple[Path, BindingAggregator]
) -> None:
    _, aggregator = copied
    before = dict(aggregator.keys)
    machine = Booted(tmp_path / "first", aggregator, FIRST)
    await machine.deliver()
    assert [one.cause for one in aggregator.taken] == ["boot", "change"]
    assert aggregator.keys == before
    assert not list(tmp_path.glob("first/outbox-of-*"))


async def test_copied_statements_are_set_aside_and_not_delivered(copied: tuple[Path, BindingAggregator]) -> None:
    directory, aggregator = copied
    old = (directory / "key.pem").read_bytes()
    Booted(directory, aggregator, SECOND)
    ((kept,),) = [list(path.glob("*.statement")) for path in directory.glob("outbox-of-*")]
    assert b'"signatures"' in kept.read_bytes()
    assert (directory / "key.pem").read_bytes() != old
    again = Booted(directory, aggregator, SECOND)  # restarted
    again.world.reporter.report("boot")
    await again.deliver()
    assert [one.instance.instance_id for one in aggregator.taken] == [FIRST, SECOND]
    assert len(notices(aggregator.taken[-1])) == 1


async def test_values_stored_for_the_old_key_are_ignored(copied: tuple[Path, BindingAggregator]) -> None:
    directory, aggregator = copied
    world = World(directory)
    world.key.remember("running", {"boot_id": "b", "containers": {"taupageapp": "1"}})
    assert world.key.remembered("enrolment")
    machine = Booted(directory, aggregator, SECOND)
    for name in ("running", "enrolment", "log-keys", "sequence"):
        assert machine.world.key.remembered(name) == {}


async def test_an_aggregator_that_refuses_every_key_causes_only_one_new_key(tmp_path: Path) -> None:
    aggregator = BindingAggregator(always="key-of-other")
    machine = Booted(tmp_path, aggregator, FIRST)
    first = machine.world.key.id
    machine.world.reporter.report("boot")
    for _ in range(4):
        with pytest.raises(AggregatorUnavailable):
            await machine.deliver()
    assert aggregator.enrolments == 5
    assert machine.world.key.id != first
    assert len(machine.world.outbox) == 1


@pytest.mark.parametrize("code", ["instance-bound", "account-unknown", "sts-required", "internal-error"])
async def test_no_other_refusal_replaces_a_key(tmp_path: Path, code: str) -> None:
    machine = Booted(tmp_path, BindingAggregator(always=code), FIRST)
    before = machine.world.key.id
    with pytest.raises(AggregatorUnavailable):
        await machine.deliver()
    assert machine.world.key.id == before


async def test_a_key_copied_twice_is_replaced_again(tmp_path: Path, copied: tuple[Path, BindingAggregator]) -> None:
    directory, aggregator = copied
    second = Booted(directory, aggregator, SECOND)
    second.world.reporter.report("boot")
    shutil.copytree(directory, tmp_path / "third")
    third = Booted(tmp_path / "third", aggregator, "i-00000000000000003")
    third.world.reporter.report("boot")
    await third.deliver()
    assert aggregator.taken[-1].instance.instance_id == "i-00000000000000003"
    assert len(list((tmp_path / "third").glob("outbox-of-*"))) == 2


def test_copied_credentials_are_removed(tmp_path: Path) -> None:
    kept = Generations(tmp_path, link="credentials", group=tmp_path.stat().st_gid)
    kept.open()
    kept.publish({"user.json": b"{}"})
    kept.close()
    (tmp_path / "other").write_text("stays")
    discard(tmp_path, link="credentials")
    assert [path.name for path in tmp_path.iterdir()] == ["other"]
    discard(tmp_path, link="credentials")


async def test_a_disk_error_during_an_enrolment_is_retried(tmp_path: Path) -> None:
    machine = Booted(tmp_path, BindingAggregator(), FIRST)
    (tmp_path / "enrolment.json").mkdir()
    with pytest.raises(AggregatorUnavailable, match="the state directory cannot be written"):
        await machine.delivery.enrol()
    (tmp_path / "enrolment.json").rmdir()
    await machine.delivery.enrol()
    assert machine.world.progress.delivered.enrolled
