"""mint on both databases, at a provider that cannot find what it made: what may be left there is never forgotten."""

from __future__ import annotations

import pytest

from fakes.mint_house import MintReplica, MintWorld, of_provider
from fakes.mint_provider import FakeProvider
from whence_aggregator.ports import Database

HOUR = 3_600.0


@pytest.fixture
def world() -> MintWorld:
    world = MintWorld(provider=FakeProvider(style="new-client", finds_lost=False))
    world.register("greeter")
    return world


@pytest.fixture
async def mint(database: Database, world: MintWorld) -> MintReplica:
    replica = MintReplica(database, world)
    await replica.ledger.start()
    await replica.write("greeter", "one", credentials=("client",))
    return replica


async def listed(mint: MintReplica) -> list[str]:
    return [one.generation for one in await mint.applications.possible_orphans("greeter")]


async def left(mint: MintReplica) -> list[str]:
    """Return the generations that the provider accepts and mint does not know as live, the newest first."""
    live = {one.id for one in (await mint.state("greeter")).generations if one.is_live}
    return [one.id.generation for one in mint.world.provider.accepted("greeter")[::-1] if one.id not in live]


async def test_each_registration_whose_answer_was_lost_is_a_possible_orphan_of_its_own(
    mint: MintReplica, world: MintWorld
) -> None:
    of_provider(world, "make", "lost")
    await mint.run("greeter")
    for _ in range(3):
        world.clock.advance(HOUR)
        await mint.run("greeter")
    of_provider(world, "make", "fine")
    await mint.settle("greeter")
    found = await listed(mint)
    assert len(found) == 4
    assert found == await left(mint)
    reasons = {one["reason"] for one in await mint.logged() if one["generation"] in found and one["step"] == "ended"}
    assert reasons == {"the provider's answer was lost, and what it made cannot be found"}
    assert world.provider.accepts(mint.objects("greeter", "one")["client"])


@pytest.mark.parametrize("mishap", ["away", "throttled"])
async def test_a_provider_that_was_not_reached_leaves_nothing_and_is_asked_for_the_same_generation(
    mint: MintReplica, world: MintWorld, mishap: str
) -> None:
    of_provider(world, "make", "away" if mishap == "away" else "throttled")
    for _ in range(4):
        await mint.run("greeter")
        world.clock.advance(HOUR)
    assert {one["generation"] for one in await mint.logged()} == {
        (await mint.state("greeter")).generations[0].id.generation
    }
    of_provider(world, "make", "fine")
    await mint.settle("greeter")
    assert await listed(mint) == await left(mint) == []


async def test_an_answer_that_is_lost_after_the_provider_was_away_is_a_possible_orphan(
    mint: MintReplica, world: MintWorld
) -> None:
    of_provider(world, "make", "away")
    await mint.run("greeter")
    of_provider(world, "make", "lost")
    world.clock.advance(HOUR)
    await mint.run("greeter")
    of_provider(world, "make", "fine")
    await mint.settle("greeter")
    assert await listed(mint) == await left(mint)
    assert len(await left(mint)) == 1


async def test_a_process_that_is_killed_while_it_registers_leaves_a_possible_orphan(
    database: Database, mint: MintReplica, world: MintWorld
) -> None:
    world.provider.on_change = _kill
    with pytest.raises(KilledAtMake):
        await mint.run("greeter")
    world.provider.on_change = world.check
    of_provider(world, "make", "fine")
    other = MintReplica(database, world)
    await other.ledger.start()
    await other.settle("greeter")
    assert await listed(other) == await left(other)
    assert len(await left(other)) == 1


class KilledAtMake(BaseException):
    """The process ends when the provider has acted."""


def _kill() -> None:
    raise KilledAtMake
