"""What strangers send: nothing that no store can keep is taken, and what fails, fails alone. The same on both stores."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from typing import Any

import pytest

from fakes.in_process import InProcess
from fakes.machine import COMMIT, DIGEST
from whence_aggregator.agents.ingest import Accepted
from whence_aggregator.compliance.evaluate import Evaluator
from whence_aggregator.compliance.rows import UnjudgedInstance
from whence_aggregator.compliance.standing import standing_verdicts
from whence_aggregator.ports import ImageSaid
from whence_aggregator.queries.collect import INVENTORY_OF_REGION
from whence_aggregator.queries.work import ADD_TASK, AddTaskParameters
from whence_aggregator.work.questions import question
from whence_common.envelope import seal
from whence_common.errors import InputError
from whence_common.statement import ApplicationFacts, Statement, UserDataFacts
from whence_common.storable import Unstorable

NUL, PLACE = "a\x00b", "123456789012/eu-central-1"
MESSAGE = b"tree x\nauthor A \x00<a@b> 1 +0000\ncommitter A <a@b> 1 +0000\n\nDEMO-1: a\x00b \xff\xfe"
CHANGES: list[dict[str, Any]] = [
    {"application": ApplicationFacts(id=NUL, version="1.0")},
    {"application": ApplicationFacts(id="greeter", version=NUL)},
    {"user_data": UserDataFacts(digest="sha256:" + "a" * 64, document={NUL: 1})},
    {"user_data": UserDataFacts(digest="sha256:" + "a" * 64, document={"x": [{"y": NUL}]})},
    {"boot_id": NUL},
    {"problems": [{"code": "x", "message": NUL}]},
]


@pytest.mark.parametrize("changes", CHANGES)
async def test_a_statement_with_nul_is_refused_alone_and_the_others_have_their_receipts(
    house: InProcess, changes: dict[str, Any]
) -> None:
    machines = [await house.machine(f"i-{number:017x}") for number in range(6)]
    contents = [one.statement(**changes) if n == 2 else one.statement() for n, one in enumerate(machines)]
    results = await asyncio.gather(*map(house.ingest.accept, contents), return_exceptions=True)
    assert [isinstance(one, Accepted) for one in results] == [True, True, False, True, True, True]
    assert isinstance(results[2], InputError)
    assert results[2].code == "text-unstorable"


async def test_a_statement_that_only_writes_about_nul_is_taken(house: InProcess) -> None:
    document = {"pattern": "\\u0000", "more": "\\\\u0000"}
    await house.say(await house.machine(), user_data=UserDataFacts(digest="sha256:" + "a" * 64, document=document))


async def test_lone_surrogates_invalid_utf8_and_long_numbers_in_a_statement_are_refusals(house: InProcess) -> None:
    machine = await house.machine()
    payload = Statement.of(machine.predicate(sequence=1)).to_wire()
    for wrong in (
        payload.replace(b'"greeter"', b'"\\ud800"'),
        payload.replace(b'"greeter"', b'"\xff"'),
        payload.replace(b'"sequence":1', b'"sequence":123456789012345678901234567890'),
    ):
        assert wrong != payload
        with pytest.raises(InputError):
            await house.ingest.accept(seal(machine.key, wrong))
    await house.ingest.accept(seal(machine.key, payload))


@pytest.mark.parametrize("text", [NUL, "\ud800", "x" * 1_000_000])
async def test_a_value_that_a_store_refuses_is_the_senders_fault_and_no_outage(house: InProcess, text: str) -> None:
    """SQLite keeps NUL and long keys: there it is the edge alone that refuses them."""
    row: AddTaskParameters = {
        **question("tag", "good", due_at="2026-11-22T12:00:00.000Z", lane="123456789012"),
        "subject": text,
    }
    if text != "\ud800" and type(house.database).__name__ == "SqliteDatabase":
        return
    with pytest.raises(Unstorable):
        await house.database.write(ADD_TASK.bind([row]))
    await house.database.write(ADD_TASK.bind([{**row, "subject": "good"}]))


async def test_commits_with_nul_and_invalid_text_are_stored_cleaned(house: InProcess) -> None:
    house.sources.images[DIGEST] = None
    house.sources.commits[COMMIT] = MESSAGE
    await house.say(await house.machine())
    await house.work()
    (entry,) = [one for one in await house.entries("fact") if json.loads(one.content or b"")["kind"] == "commit"]
    value = json.loads(entry.content or b"")["value"]
    assert value["message"] == "DEMO-1: a\ufffdb \ufffd\ufffd"
    assert await house.state("commit") in ("confirmed", "asserted")


async def test_notes_of_an_image_with_nul_are_stored_cleaned(house: InProcess) -> None:
    house.sources.says[DIGEST] = ImageSaid(notes=[f"the label {NUL} does not count"], layer=NUL)
    await house.say(await house.machine())
    await house.work()
    facts = [json.loads(one.content or b"") for one in await house.entries("fact")]
    (fact,) = [one for one in facts if one["kind"] == "image-source"]
    assert fact["reason"] == "the label a\ufffdb does not count"


async def test_an_inventory_answer_with_nul_keeps_no_other_instance_from_being_listed(house: InProcess) -> None:
    started = "2026-11-22T11:59:00.000Z"
    house.ec2.listed = {"i-\x00": ("run\x00ning", started), "i-00000000000000001": ("running", started)}
    await house.inventory.collect(PLACE)
    rows = await house.database.fetch(
        INVENTORY_OF_REGION.bind({"account_id": "123456789012", "region": "eu-central-1"})
    )
    assert {row["instance_id"] for row in rows} == {"i-\ufffd", "i-00000000000000001"}


class Failing(Evaluator):
    """Fails for one instance, in a way that nobody foresaw."""

    tried = 0

    async def _evaluate(self, found: Sequence[UnjudgedInstance]) -> None:
        if any(one.instance_id.endswith("2") for one in found):
            Failing.tried += len(found) == 1
            raise RuntimeError("a bug")
        await super()._evaluate(found)


async def test_an_instance_that_cannot_be_judged_keeps_no_other_from_it_and_is_put_off(house: InProcess) -> None:
    house.evaluator.__class__ = Failing
    Failing.tried = 0
    names = [f"i-{number:017x}" for number in range(4)]
    for name in names:
        await house.say(await house.machine(name))
    for _ in range(10):
        await house.evaluator.work()
    assert [bool(await standing_verdicts(house.database, name)) for name in names] == [True, True, False, True]
    assert Failing.tried == 1
    house.clock.advance(16)
    for _ in range(5):
        await house.evaluator.work()
    assert Failing.tried == 2
    house.clock.advance(16)
    await house.evaluator.work()
    assert Failing.tried == 2  # it waits twice as long each time
    house.evaluator.__class__ = Evaluator
    house.clock.advance(30)
    for _ in range(5):
        await house.evaluator.work()
    assert await standing_verdicts(house.database, names[2])
