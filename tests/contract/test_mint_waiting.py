"""mint on both databases: a credential that waited for its buckets is used once more before they get it."""

from __future__ import annotations

import pytest

from fakes.mint_buckets import BucketMishap
from fakes.mint_house import MintReplica, MintWorld, of_provider
from whence_aggregator.ports import Database

HOUR = 3_600.0


@pytest.fixture
def world() -> MintWorld:
    world = MintWorld()
    world.register("greeter")
    return world


@pytest.fixture
async def mint(database: Database, world: MintWorld) -> MintReplica:
    """Return a process of mint whose application has a committed password, and whose rotation waits for bucket two."""
    replica = MintReplica(database, world)
    await replica.ledger.start()
    await replica.write("greeter", "one", "two", credentials=("user",))
    await replica.run("greeter")
    world.clock.advance(2 * HOUR)
    denied(world, "two")
    await replica.run("greeter")
    return replica


def denied(world: MintWorld, *buckets: str, mishap: BucketMishap = "away") -> None:
    world.buckets.weather = lambda bucket: mishap if bucket in buckets else "fine"


def password(mint: MintReplica, bucket: str) -> str | None:
    found = mint.objects("greeter", bucket).get("user")
    return found["application_password"] if found is not None else None


async def phases(mint: MintReplica) -> list[str]:
    return [one.phase for one in (await mint.state("greeter")).generations if one.is_live]


async def later(mint: MintReplica, hours: float = 2) -> None:
    mint.world.clock.advance(hours * HOUR)
    await mint.run("greeter")


async def test_it_is_verified_again_after_an_hour_and_then_published(mint: MintReplica, world: MintWorld) -> None:
    verified = world.provider.requests.count("verify")
    denied(world)
    await later(mint)
    assert world.provider.requests.count("verify") == verified + 1
    assert password(mint, "one") == password(mint, "two") == "s3cr3t-0002-of-user"
    assert await phases(mint) == ["committed", "committed"]


async def test_within_the_hour_it_is_published_without_another_request(mint: MintReplica, world: MintWorld) -> None:
    verified = world.provider.requests.count("verify")
    denied(world)
    await later(mint, hours=0.5)
    assert world.provider.requests.count("verify") == verified
    assert await phases(mint) == ["committed", "committed"]


async def test_what_the_provider_has_ended_meanwhile_reaches_no_bucket(mint: MintReplica, world: MintWorld) -> None:
    denied(world, "one", "two")
    await mint.applications.renew("greeter", by="ada")
    world.provider.forget([])
    denied(world)
    for _ in range(6):
        await later(mint)
    assert password(mint, "one") == password(mint, "two") == "s3cr3t-0003-of-user"
    assert world.provider.accepts(mint.objects("greeter", "two")["user"])
    assert await mint.orphans("greeter") == []
    assert (await mint.state("greeter")).stored.failures == {}
    reasons = [one["reason"] for one in await mint.logged()]
    assert "provider-refused" in reasons


async def test_the_object_of_the_committed_generation_is_left_in_its_bucket(
    mint: MintReplica, world: MintWorld
) -> None:
    """Bucket two never got the new one: its readers keep what works until the next is there."""
    world.provider.forget([])
    denied(world, "one")
    for _ in range(3):
        await later(mint, hours=1)
        assert password(mint, "two") == "s3cr3t-0001-of-user"
    assert "committed" in await phases(mint)
    denied(world)
    for _ in range(4):
        await later(mint)
    assert password(mint, "one") == password(mint, "two") == "s3cr3t-0003-of-user"


async def test_a_provider_that_refuses_once_by_mistake_costs_nothing(mint: MintReplica, world: MintWorld) -> None:
    denied(world)
    of_provider(world, "verify", "garbage")
    await later(mint)
    assert password(mint, "one") == "s3cr3t-0002-of-user", "one refusal is not believed"
    assert password(mint, "two") == "s3cr3t-0001-of-user", "and what was refused is not published"
    assert (await mint.state("greeter")).stored.failures["verify user"].code == "provider-refused"
    of_provider(world, "verify", "fine")
    await later(mint)
    assert password(mint, "two") == "s3cr3t-0002-of-user"
    assert (await mint.state("greeter")).stored.failures == {}


async def test_a_provider_that_does_not_answer_holds_up_the_publication_and_ends_nothing(
    mint: MintReplica, world: MintWorld
) -> None:
    denied(world)
    of_provider(world, "verify", "away")
    for _ in range(5):
        await later(mint)
    assert password(mint, "two") == "s3cr3t-0001-of-user"
    assert await phases(mint) == ["committed", "generated"]
    of_provider(world, "verify", "fine")
    await later(mint)
    assert await phases(mint) == ["committed", "committed"]


async def test_a_provider_that_lies_for_long_never_costs_the_committed_credential(
    mint: MintReplica, world: MintWorld
) -> None:
    """The world checks at each change that the provider accepts whatever lies in a bucket."""
    denied(world)
    of_provider(world, "verify", "garbage")
    for _ in range(12):
        await later(mint)
    committed = [one for one in (await mint.state("greeter")).generations if one.phase == "committed"]
    assert len(committed) == 1
    assert any(
        one.document["application_password"] == "s3cr3t-0001-of-user" for one in world.provider.accepted("greeter")
    )
    of_provider(world, "verify", "fine")
    await mint.settle("greeter")
    assert await mint.orphans("greeter") == []
    assert password(mint, "one") == password(mint, "two")


async def test_a_key_that_was_lost_meanwhile_is_a_problem_and_ends_nothing(
    database: Database, mint: MintReplica, world: MintWorld
) -> None:
    denied(world)
    other = MintReplica(database, world, key=b"o" * 32)
    await other.ledger.start()
    await later(other)
    assert (await other.state("greeter")).stored.failures["verify user"].code == "mint-seal-unreadable"
    assert await phases(other) == ["committed", "generated"]
    await other.applications.revoke("greeter", by="ada")
    await later(other)
    await later(other)
    assert password(other, "one") == password(other, "two")
    assert world.provider.accepts(other.objects("greeter", "one")["user"])
