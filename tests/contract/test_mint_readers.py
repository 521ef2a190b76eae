"""mint and agents know of each other: a generation ends once every instance has stated that it holds the next one."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest

from contract.test_instance_credentials import ONE, TWO, holding, say
from fakes.in_process import InProcess
from fakes.mint_house import MintReplica, MintWorld
from fakes.signing_authority import SigningAuthority
from whence_aggregator.mint.holders import StatedHolders
from whence_aggregator.ports import Database

_TWO_HOURS, _POLL, _DAY = 7_300.0, 960.0, 86_400.0


@dataclass
class Fleet:
    """mint, and instances that state what they hold."""

    house: InProcess
    mint: MintReplica

    async def generations(self) -> dict[str, str]:
        """Return the newest generation of each kind that is in the bucket."""
        live = [one for one in (await self.mint.state("greeter")).generations if one.is_live]
        return {one.kind: one.id.generation for one in sorted(live, key=lambda one: one.intended_at)}

    async def users(self) -> int:
        """Return how many passwords the provider accepts."""
        found = (await self.mint.state("greeter")).generations
        return sum(one.kind == "user" and one.is_live for one in found)

    async def run(self, seconds: float) -> None:
        """Let time pass, and have mint do what is due then."""
        self.house.clock.advance(seconds)
        for _ in range(3):
            await self.mint.run("greeter")


@pytest.fixture
async def fleet(database: Database, authority: SigningAuthority) -> AsyncIterator[Fleet]:
    world = MintWorld()
    world.register("greeter")
    async with InProcess(database, authority, clock=world.clock).running() as house:
        world.holders = StatedHolders(database=database, listening=house.listening)  # type: ignore[assignment]  # the real one
        fleet = Fleet(house, MintReplica(database, world))
        await fleet.mint.write("greeter", "one")
        await fleet.run(0)
        yield fleet


async def test_the_earlier_password_ends_when_the_instance_states_the_new_one(fleet: Fleet) -> None:
    machine, before = await fleet.house.machine(ONE), await fleet.generations()
    await say(fleet.house, machine, **holding(**before))
    await fleet.run(_TWO_HOURS)
    after = await fleet.generations()
    assert (after["user"] != before["user"], await fleet.users()) == (True, 2)
    fleet.house.clock.advance(_POLL)
    await say(fleet.house, machine, **holding(**before))
    await fleet.run(61)
    assert await fleet.users() == 2, "the instance has not read it"
    await say(fleet.house, machine, **holding(**after))
    await fleet.run(61)
    assert await fleet.users() == 1


@pytest.mark.parametrize("why", ["silent", "states no objects", "states no id"])
async def test_an_instance_of_which_nothing_is_known_counts_by_the_bound_alone(fleet: Fleet, why: str) -> None:
    one, two = await fleet.house.machine(ONE), await fleet.house.machine(TWO)
    before = await fleet.generations()
    await say(fleet.house, one, **holding(**before))
    await fleet.run(_TWO_HOURS)
    after = await fleet.generations()
    told = {"silent": holding(**after), "states no objects": {}, "states no id": holding(user="", client="")}[why]
    await say(fleet.house, two, **told)
    if why == "silent":
        fleet.house.listening.follow(since=fleet.house.clock.moment, heard_until=fleet.house.clock.moment)
    await fleet.run(_POLL)
    await say(fleet.house, one, **holding(**after))
    await fleet.run(1)
    assert await fleet.users() == 2
    for _ in range(3):
        await fleet.run(_DAY / 3)
    assert before["user"] not in {
        one.id.generation for one in (await fleet.mint.state("greeter")).generations if one.is_live
    }
