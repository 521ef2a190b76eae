"""Who holds which generation, on both databases: by the newest statement of each instance, and derived again alike."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fakes.auditor import checked, dumped
from fakes.in_process import InProcess
from fakes.machine import Machine
from whence_aggregator.mint.holders import StatedHolders
from whence_aggregator.mint.values import CredentialHolder
from whence_common.clock import to_instant
from whence_common.statement import CredentialFacts, CredentialObjectFacts

ONE, TWO = "i-00000000000000001", "i-00000000000000002"


def holding(user: str | None = None, client: str | None = None, **ids: str) -> dict[str, Any]:
    """Return a statement of these generations; None: there is no such object."""
    objects = [
        CredentialObjectFacts(file=file, generation=generation, version_id=ids.get("version_id", ""))
        for file, generation in (("client.json", client), ("user.json", user))
        if generation is not None
    ]
    return {"credentials": CredentialFacts(generation=1, state="current", objects=objects)}


async def say(house: InProcess, machine: Machine, **changes: Any) -> None:
    house.clock.advance(10)
    await house.say(machine, **{"observed_at": to_instant(house.clock()), **changes})


async def holders(house: InProcess, application_id: str = "greeter") -> list[CredentialHolder]:
    return list(await StatedHolders(database=house.database, listening=house.listening).of(application_id))


async def generations(house: InProcess) -> list[dict[str, str | None]]:
    return [{str(kind): one for kind, one in each.generations.items()} for each in await holders(house)]


async def test_an_application_without_instances_has_no_holders(house: InProcess) -> None:
    await house.say(await house.machine(ONE))
    assert await holders(house, "nobody") == []


async def test_an_agent_that_states_no_objects_is_a_holder_of_which_nothing_is_known(house: InProcess) -> None:
    await house.say(await house.machine(ONE))
    assert await generations(house) == [{"user": None, "client": None}]


async def test_a_generation_that_an_agent_does_not_hold_differs_from_one_that_is_not_known(house: InProcess) -> None:
    machine = await house.machine(ONE)
    await say(house, machine, **holding(client="0a"))
    assert await generations(house) == [{"user": "", "client": "0a"}]
    await say(house, machine, **holding(user="", client="0a", version_id="v-1"))
    assert await generations(house) == [{"user": None, "client": "0a"}], "an object without an id may be any"


async def test_an_agent_that_states_objects_no_more_is_one_of_which_nothing_is_known(house: InProcess) -> None:
    machine = await house.machine(ONE)
    await say(house, machine, **holding("0a", "0b"))
    await say(house, machine)
    assert await generations(house) == [{"user": None, "client": None}]


async def test_an_older_statement_that_comes_later_changes_nothing(house: InProcess) -> None:
    machine = await house.machine(ONE)
    early, late = machine.statement(**holding("0a", "0b")), machine.statement(**holding("0c", "0b"))
    await house.ingest.accept(late)
    await house.ingest.accept(early)
    assert await generations(house) == [{"user": "0c", "client": "0b"}]


@pytest.mark.parametrize("generation", ["a b", "x" * 65, "<b>", "0a\n"])
async def test_what_a_hostile_agent_states_is_no_id(house: InProcess, generation: str) -> None:
    await say(house, await house.machine(ONE), **holding(user=generation, client="0b"))
    assert await generations(house) == [{"user": None, "client": "0b"}]


async def test_objects_of_other_names_and_repeated_ones_are_left_out(house: InProcess) -> None:
    objects = [CredentialObjectFacts(file=f"{number}.json", generation="0a") for number in range(1000)]
    objects += [CredentialObjectFacts(file="user.json", generation=one) for one in ("0a", "0b")]
    facts = CredentialFacts(generation=1, state="current", objects=objects)
    await say(house, await house.machine(ONE), credentials=facts)
    assert await generations(house) == [{"user": "0a", "client": ""}]
    assert len((await dumped(house.database))["instance_credential"]) == 2


async def test_a_silent_instance_is_a_holder_that_is_not_heard_and_a_stopped_one_is_none(house: InProcess) -> None:
    one, two = await house.machine(ONE), await house.machine(TWO)
    await say(house, one, **holding("0a", "0b"))
    house.clock.advance(3600)
    house.listening.follow(since=house.clock.moment, heard_until=house.clock.moment)
    house.clock.advance(3600)
    await say(house, two, **holding("0a", "0b"))
    assert [(each.instance_id, each.is_heard) for each in await holders(house)] == [(ONE, False), (TWO, True)]
    await say(house, one, cause="stop")
    assert [each.instance_id for each in await holders(house)] == [TWO]


async def test_since_is_the_first_statement_of_the_same_object(house: InProcess) -> None:
    machine = await house.machine(ONE)
    await say(house, machine, **holding("0a", "0b"))
    await say(house, machine, **holding("0a", "0c"))
    rows = {one["file"]: one for one in (await dumped(house.database))["instance_credential"]}
    assert rows["client.json"]["since"] == rows["user.json"]["since"] + 10_000  # type: ignore[operator]  # numbers


async def test_two_statements_in_one_batch_are_projected_one_after_the_other(house: InProcess, tmp_path: Path) -> None:
    machine, other = await house.machine(ONE), await house.machine(TWO)
    for user in ("0a", "0b", "0a"):
        await say(house, machine, **holding(user, "0c"))
    await say(house, other, **holding("0a"))
    before = (await dumped(house.database))["instance_credential"]
    outcome = await checked(house, tmp_path)
    assert outcome.findings == []
    assert (await dumped(house.database))["instance_credential"] == before
