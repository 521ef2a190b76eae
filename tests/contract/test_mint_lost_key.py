"""A key of mint that is lost: nothing is lost with it before somebody says so, and then mint goes on without it."""

from __future__ import annotations

from typing import Literal

import pytest

from fakes.mint_house import MintReplica, MintWorld, minted, of_provider
from fakes.mint_provider import FakeProvider
from whence_aggregator.mint.key import MintKey
from whence_aggregator.mint.key_known import note_key
from whence_aggregator.mint.state import LIVE_MAX
from whence_aggregator.ports import Database

DAY = 86_400.0
NEW_KEY = b"x" * 32
When = Literal["committed", "intended", "generated", "publishing", "published", "retiring"]
"""What is under way for the client when the key is lost."""


@pytest.fixture
def world() -> MintWorld:
    world = MintWorld(provider=FakeProvider(style="new-client", is_finding=False))
    world.register("greeter")
    return world


@pytest.fixture
async def mint(database: Database, world: MintWorld) -> MintReplica:
    replica = MintReplica(database, world)
    await replica.ledger.start()
    await replica.write("greeter", "one", "two", credentials=("client",))
    await replica.run("greeter")
    return replica


async def until(mint: MintReplica, when: When) -> None:
    """Rotate until something is under way."""
    world = mint.world
    if when == "committed":
        return
    world.clock.advance(31 * DAY)
    if when in ("intended", "generated", "published"):
        of_provider(world, {"intended": "make", "generated": "verify", "published": "commit"}[when], "away")
    if when == "publishing":
        world.buckets.weather = lambda bucket: "away" if bucket == "two" else "fine"
    await mint.run("greeter")
    world.provider.weather, world.buckets.weather = lambda _: "fine", lambda _: "fine"


async def a_month(mint: MintReplica) -> None:
    """Let secrets of clients become old, and rotate until nothing is due."""
    mint.world.clock.advance(31 * DAY)
    await mint.settle("greeter")


async def after_the_loss(database: Database, mint: MintReplica, when: When) -> MintReplica:
    await until(mint, when)
    after = MintReplica(database, mint.world, key=NEW_KEY)
    await after.ledger.start()
    await a_month(after)
    return after


WHENS: tuple[When, ...] = ("committed", "intended", "generated", "publishing", "published", "retiring")


@pytest.mark.parametrize("when", WHENS)
async def test_without_a_word_from_anybody_nothing_is_ended_that_another_key_sealed(
    database: Database, mint: MintReplica, world: MintWorld, when: When
) -> None:
    await until(mint, when)
    before = {one.serial for one in world.provider.accepted("greeter")}
    after = MintReplica(database, world, key=NEW_KEY)
    await after.ledger.start()
    await a_month(after)
    assert before <= {one.serial for one in world.provider.accepted("greeter")}
    assert "restore mint's key file" in (await after.applications.read("greeter")).message


@pytest.mark.parametrize("when", WHENS)
async def test_a_key_that_is_found_again_mends_everything(
    database: Database, mint: MintReplica, world: MintWorld, when: When
) -> None:
    await after_the_loss(database, mint, when)
    await a_month(mint)
    assert not (await mint.applications.read("greeter")).has_problems
    assert await mint.orphans("greeter") == []


@pytest.mark.parametrize("when", WHENS)
async def test_a_revocation_replaces_what_was_sealed_and_names_what_may_be_left_at_the_provider(
    database: Database, mint: MintReplica, world: MintWorld, when: When
) -> None:
    after = await after_the_loss(database, mint, when)
    old = {one.id.generation for one in (await after.state("greeter")).generations if one.sealed_handle}
    await after.applications.revoke("greeter", by="alice")
    await after.settle("greeter")
    state = await after.state("greeter")
    assert len(state.live("client")) < LIVE_MAX
    current = state.current("client")
    assert current is not None
    assert current.id.generation not in old
    assert current.phase == "committed"
    assert not (await after.applications.read("greeter")).has_problems
    left = {one.generation for one in await after.applications.possible_orphans("greeter")}
    accepted = {one.id.generation for one in world.provider.accepted("greeter")}
    assert accepted - {current.id.generation} <= left
    assert after.objects("greeter", "one") == after.objects("greeter", "two")


@pytest.mark.parametrize("when", WHENS)
async def test_after_a_revocation_rotations_go_on_by_age(
    database: Database, mint: MintReplica, world: MintWorld, when: When
) -> None:
    after = await after_the_loss(database, mint, when)
    await after.applications.revoke("greeter", by="alice")
    await after.settle("greeter")
    before = (await after.state("greeter")).current("client")
    await a_month(after)
    current = (await after.state("greeter")).current("client")
    assert before is not None
    assert current is not None
    assert current.id != before.id
    assert not (await after.applications.read("greeter")).has_problems


async def test_an_application_that_is_deleted_after_the_loss_is_gone_when_it_is_revoked(
    database: Database, mint: MintReplica, world: MintWorld
) -> None:
    after = await after_the_loss(database, mint, "committed")
    await after.applications.delete("greeter", by="alice")
    await after.settle("greeter")
    assert not (await after.state("greeter")).stored.gone_at, "the key may be found"
    await after.applications.revoke("greeter", by="alice")
    await after.settle("greeter")
    assert (await after.state("greeter")).stored.gone_at
    assert after.objects("greeter", "one") == {}


async def test_a_revocation_with_the_right_key_leaves_nothing(mint: MintReplica, world: MintWorld) -> None:
    await minted(mint)
    await mint.applications.revoke("greeter", by="alice")
    await mint.settle("greeter")
    assert await mint.applications.possible_orphans("greeter") == []
    assert await mint.orphans("greeter") == []


async def test_another_key_than_the_one_that_was_used_last_is_noticed_once(database: Database) -> None:
    one, another = (MintKey(secret, random_bytes=bytes) for secret in (b"o" * 32, NEW_KEY))
    noticed = [await note_key(database, key) for key in (one, one, another, another, one)]
    assert noticed == [False, False, True, False, True]
