"""Ingest: durable, idempotent, commuting; the ledger is append-only and verbatim."""

from __future__ import annotations

import asyncio
import hashlib
import json
import random

import pytest

from fakes.in_process import InProcess
from fakes.machine import DIGEST, FAILED, Machine, scm
from whence_aggregator.ports import OutOfOrder
from whence_aggregator.queries.query import instance_ids
from whence_aggregator.queries.trace import STATEMENTS_NOW
from whence_common.errors import WhenceError
from whence_common.statement import ApplicationFacts, ImageFacts, InstanceFacts, UserDataFacts


async def refusal(house: InProcess, content: bytes) -> str:
    with pytest.raises(WhenceError) as caught:
        await house.ingest.accept(content)
    return caught.value.code


async def test_a_statement_is_stored_verbatim_with_its_leaf(house: InProcess) -> None:
    machine = await house.machine()
    content = machine.statement()
    accepted = await house.ingest.accept(content)
    (entry,) = await house.entries("statement")
    assert entry.content == content
    assert entry.ledger_index == accepted.ledger_index
    assert accepted.digest == "sha256:" + hashlib.sha256(content).hexdigest()
    assert await house.reader.node(0, entry.ledger_index) == hashlib.sha256(b"\x00" + content).digest()


async def test_the_same_bytes_again_return_the_first_receipt(house: InProcess) -> None:
    machine = await house.machine()
    content = machine.statement()
    first = await house.ingest.accept(content)
    second = await house.ingest.accept(content)
    assert (second.ledger_index, second.replayed) == (first.ledger_index, True)
    assert len(await house.entries("statement")) == 1


async def test_the_same_bytes_many_times_at_once_are_one_entry(house: InProcess) -> None:
    machine = await house.machine()
    content = machine.statement()
    accepted = await asyncio.gather(*(house.ingest.accept(content) for _ in range(20)))
    assert len({one.ledger_index for one in accepted}) == 1
    assert len(await house.entries("statement")) == 1


async def test_a_different_statement_with_a_used_sequence_is_refused(house: InProcess) -> None:
    machine = await house.machine()
    await house.say(machine)
    machine.sequence -= 1
    assert await refusal(house, machine.statement(cause="change")) == "sequence-conflict"


async def test_an_older_sequence_becomes_history_and_moves_no_state(house: InProcess) -> None:
    machine = await house.machine()
    older, newer = machine.statement(), machine.statement(**FAILED)
    await house.ingest.accept(newer)
    await house.ingest.accept(older)
    assert await house.state("image") == "missing"
    assert len(await house.entries("statement")) == 2


async def test_statements_commute_and_repeat_without_effect(house: InProcess) -> None:
    machine = await house.machine()
    statements = [machine.statement(observed_at=f"2026-11-22T12:00:{n:02d}.000Z") for n in range(12)]
    shuffled = statements * 2
    random.Random(7).shuffle(shuffled)
    for start in range(0, len(shuffled), 5):
        await asyncio.gather(*(house.ingest.accept(one) for one in shuffled[start : start + 5]))
    names = instance_ids([machine.instance_id])
    (row,) = await house.database.fetch(STATEMENTS_NOW.bind(names))
    assert row["sequence"] == 12
    assert len(await house.entries("statement")) == 12


async def test_a_key_without_a_binding_is_refused(house: InProcess) -> None:
    assert await refusal(house, Machine(house.authority).statement()) == "key-unknown"


async def test_a_fleet_that_comes_back_at_once_is_known_by_its_keys_and_strangers_among_it_are_refused_alone(
    house: InProcess,
) -> None:
    machines = [await house.machine(instance_id=f"i-{number:017x}") for number in range(9)]
    strangers = [Machine(house.authority, f"i-{number:017x}") for number in range(9)]
    asked = [one.statement() for pair in zip(machines, strangers, strict=True) for one in pair]
    found = await asyncio.gather(*(house.ingest.accept(one) for one in asked), return_exceptions=True)
    assert [getattr(one, "code", "") for one in found] == ["", "key-unknown"] * 9
    rows = await house.database.fetch(
        STATEMENTS_NOW.bind({"instance_ids": json.dumps([m.instance_id for m in machines])})
    )
    assert sorted(row["instance_id"] for row in rows) == [one.instance_id for one in machines]


async def test_of_several_keys_that_an_envelope_names_the_bound_one_counts(house: InProcess) -> None:
    machine, stranger = await house.machine(), Machine(house.authority)
    wire, other = json.loads(machine.statement()), json.loads(stranger.statement())
    wire["signatures"] = [*other["signatures"], *wire["signatures"]]
    assert not (await house.ingest.accept(json.dumps(wire).encode())).replayed


async def test_an_envelope_signed_by_another_key_is_refused(house: InProcess) -> None:
    machine, other = await house.machine(), Machine(house.authority)
    wire, forged = json.loads(machine.statement()), json.loads(other.statement())
    forged["signatures"][0]["keyid"] = wire["signatures"][0]["keyid"]
    assert await refusal(house, json.dumps(forged).encode()) == "envelope-signature"


@pytest.mark.parametrize("changes", [{"instance_id": "i-00000000000000009"}, {"account_id": "999999999999"}])
async def test_a_statement_about_another_instance_is_refused(house: InProcess, changes: dict[str, str]) -> None:
    machine = await house.machine()
    facts = {"account_id": "123456789012", "region": "eu-central-1", "instance_id": machine.instance_id, **changes}
    assert await refusal(house, machine.statement(instance=InstanceFacts(**facts))) == "statement-of-other"


HOSTILE = "\x1b[2J'; drop table entry; --"


@pytest.mark.parametrize(
    "changes",
    [
        {"image": ImageFacts(source="x", repository=HOSTILE, digest=DIGEST)},
        {"image": ImageFacts(source="x", repository="registry.example.org/a" * 50, digest=DIGEST)},
        {"image": ImageFacts(source="x", repository="registry.example.org/a/b:tag", digest=DIGEST)},
        {"user_data": UserDataFacts(digest=HOSTILE)},
    ],
)
async def test_a_statement_with_a_hostile_name_is_refused_not_retried_for_ever(
    house: InProcess, changes: dict[str, object]
) -> None:
    machine = await house.machine()
    assert await refusal(house, machine.statement(**changes)) == "statement-malformed"


@pytest.mark.parametrize(
    "changes",
    [
        {"application": ApplicationFacts(id=HOSTILE, version=HOSTILE)},
        {"application": None, "user_data": UserDataFacts(digest=DIGEST, document={"application_id": HOSTILE})},
        {"scm_source": scm(url=f"https://{HOSTILE}/x", revision=HOSTILE)},
        {"scm_source": scm(url="https://git.example.org/" + HOSTILE)},
        {"boot_id": HOSTILE, "agent_version": HOSTILE, "problems": [{"message": HOSTILE, "severity": HOSTILE}]},
    ],
)
async def test_hostile_text_is_stored_as_evidence_without_harm(house: InProcess, changes: dict[str, object]) -> None:
    machine = await house.machine()
    await house.say(machine, **changes)
    await house.work()
    assert (await house.lineage()).link("instance").state == "confirmed"


async def test_one_refused_statement_does_not_harm_its_batch(house: InProcess) -> None:
    machine = await house.machine()
    good = machine.statement()
    machine.sequence -= 1
    clash = machine.statement(cause="stop")
    results = await asyncio.gather(house.ingest.accept(good), house.ingest.accept(clash), return_exceptions=True)
    assert sum(isinstance(result, WhenceError) for result in results) == 1
    assert len(await house.entries("statement")) == 1


async def test_concurrent_statements_of_many_instances_are_all_stored(house: InProcess) -> None:
    machines = await asyncio.gather(*(house.machine(f"i-{number:017x}") for number in range(40)))
    await asyncio.gather(*(house.say(machine) for machine in machines))
    assert len(await house.entries("statement")) == 40


@pytest.mark.parametrize("statement", ["update entry set kind = 'x'", "delete from entry"])
async def test_the_ledger_refuses_to_change(house: InProcess, statement: str) -> None:
    machine = await house.machine()
    await house.say(machine)
    with pytest.raises(Exception, match=r"append-only|RestrictViolation|RaiseError"):
        await _raw(house, statement)
    assert len(await house.entries("statement")) == 1


async def _raw(house: InProcess, sql: str) -> None:
    """Do what an operator with a database client could do."""
    from whence_aggregator.storage.postgres import PostgresDatabase
    from whence_aggregator.storage.sqlite import SqliteDatabase

    if isinstance(house.database, SqliteDatabase):
        import sqlite3

        connection = sqlite3.connect(house.database.path)
        try:
            connection.execute(sql)
        finally:
            connection.close()
    else:
        assert isinstance(house.database, PostgresDatabase)
        await house.database.pool.execute(sql)


@pytest.mark.parametrize("sequence", [2**24 + 3, 2**53 - 1])
async def test_a_sequence_far_ahead_is_refused_and_freezes_nothing(house: InProcess, sequence: int) -> None:
    machine = await house.machine()
    await house.say(machine)
    await house.say(machine)
    with pytest.raises(OutOfOrder) as caught:
        await house.ingest.accept(machine.statement(sequence=sequence))
    assert (caught.value.code, caught.value.last_taken) == ("sequence-ahead", 2)
    assert caught.value.message == f"sequence {sequence} is more than 16777216 above the last one accepted, 2"
    following = await house.ingest.accept(machine.statement(sequence=3, cause="change"))
    (row,) = await house.database.fetch(STATEMENTS_NOW.bind({"instance_ids": f'["{machine.instance_id}"]'}))
    assert (row["sequence"], row["ledger_index"]) == (3, following.ledger_index)


async def test_a_first_sequence_far_ahead_is_refused(house: InProcess) -> None:
    machine = await house.machine()
    with pytest.raises(OutOfOrder) as caught:
        await house.ingest.accept(machine.statement(sequence=2**24 + 1))
    assert (caught.value.code, caught.value.last_taken) == ("sequence-ahead", 0)


async def test_one_statement_far_ahead_keeps_no_other_of_its_batch(house: InProcess) -> None:
    machine, other = await house.machine(), await house.machine("i-00000000000000001")
    good, far, theirs = machine.statement(), machine.statement(sequence=2**53 - 1), other.statement()
    answers = await asyncio.gather(
        *(house.ingest.accept(one) for one in (far, good, theirs, far)), return_exceptions=True
    )
    assert [getattr(answer, "code", "taken") for answer in answers] == [
        "sequence-ahead", "taken", "taken", "sequence-ahead",
    ]  # fmt: skip


async def test_a_taken_sequence_is_refused_with_the_newest_to_go_on_after(house: InProcess) -> None:
    machine = await house.machine()
    for _ in range(4):
        await house.say(machine)
    with pytest.raises(OutOfOrder) as caught:
        await house.ingest.accept(machine.statement(sequence=2, cause="change"))
    assert (caught.value.code, caught.value.last_taken) == ("sequence-conflict", 4)
