"""What people order of mint, and what Kio states: applications are written, renewed, revoked, deleted and listed."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from fakes.mint_house import MintReplica, MintWorld, minted
from whence_aggregator.mint.rules import MintRules
from whence_aggregator.mint.store import TooManyDeletions
from whence_aggregator.mint.values import MintChange, ResourceScope
from whence_aggregator.ports import Conflict, Database, NotFound
from whence_aggregator.queries.work import TASKS_OF_KIND

HOUR, DAY = 3_600.0, 86_400.0


@pytest.fixture
def world() -> MintWorld:
    world = MintWorld()
    world.register("greeter")
    return world


@pytest.fixture
async def mint(database: Database, world: MintWorld) -> MintReplica:
    replica = MintReplica(database, world)
    await replica.ledger.start()
    return replica


async def test_the_objects_name_each_other_again_when_the_kinds_are_changed(
    mint: MintReplica, world: MintWorld
) -> None:
    await minted(mint)
    await mint.write("greeter", "one", credentials=("client",))
    await mint.run("greeter")
    newest = world.buckets.objects["one", "greeter/client.json"][-1]
    assert newest.metadata["whence-files"] == "client.json"
    assert set(mint.objects("greeter", "one")) == {"client"}


async def test_an_application_that_kio_lacks_is_deleted_after_a_day_everywhere(
    mint: MintReplica, world: MintWorld
) -> None:
    await minted(mint)
    world.kio.known.clear()
    await mint.run("greeter")
    world.clock.advance(DAY - 1)
    await mint.run("greeter")
    assert mint.objects("greeter", "one")
    world.clock.advance(61)
    await mint.settle("greeter")
    assert mint.objects("greeter", "one") == {}
    assert world.provider.accepted("greeter") == []
    assert "greeter" not in world.provider.clients
    with pytest.raises(NotFound):
        await mint.applications.read("greeter")
    reasons = {one["reason"] for one in await mint.logged() if one["step"] == "ended"}
    assert any(one.startswith("missing from Kio since") for one in reasons)


async def test_an_application_that_is_back_in_kio_is_not_deleted(mint: MintReplica, world: MintWorld) -> None:
    await minted(mint)
    world.kio.known.clear()
    await mint.run("greeter")
    world.clock.advance(DAY / 2)
    world.register("greeter")
    await mint.run("greeter")
    world.kio.known.clear()
    world.clock.advance(DAY / 2 + 60)
    await mint.run("greeter")
    assert mint.objects("greeter", "one")


async def test_an_empty_kio_deletes_no_application(mint: MintReplica, world: MintWorld) -> None:
    names = [f"app-{number}" for number in range(3)]
    for name in names:
        world.register(name)
        await mint.write(name, "one", credentials=("user",))
        await mint.run(name)
    world.kio.known.clear()
    for _ in range(5):
        for name in names:
            await mint.run(name)
        world.clock.advance(DAY + 61)
    assert all(mint.objects(name, "one") for name in names)
    assert "more than half of all" in (await mint.applications.read(names[0])).message
    world.register(names[0])
    world.register(names[1])
    for _ in range(2):
        for name in names:
            await mint.run(name)
        world.clock.advance(DAY + 61)
    kept = [name for name in names if mint.objects(name, "one")]
    assert kept == names[:2], "one that is missing alone is gone"


async def test_many_missing_applications_are_not_deleted_together(database: Database, world: MintWorld) -> None:
    mint = MintReplica(database, world, rules=MintRules(jitter=0.0, deletions_an_hour_max=2))
    await mint.ledger.start()
    names, others = [f"app-{number}" for number in range(4)], [f"other-{number}" for number in range(4)]
    for name in [*names, *others]:
        world.register(name)
        await mint.write(name, "one", credentials=("user",))
        await mint.run(name)
    for name in names:
        del world.kio.known[name]
    for _ in range(2):
        for name in names:
            await mint.run(name)
        world.clock.advance(DAY + 61)
    world.clock.advance(-DAY)
    for name in names:
        await mint.run(name)
    kept = [name for name in names if mint.objects(name, "one")]
    assert len(kept) == 2
    shown = await mint.applications.read(kept[0])
    assert "missing from Kio" in shown.message
    state = await mint.state(kept[0])
    with pytest.raises(TooManyDeletions):
        await mint.store.save_missing(
            replace(state.stored, deleted_at="2026-11-24T00:00:00.000Z"),
            MintChange(step="deletion", by=""),
            now=world.clock(),
            deletions_an_hour_max=2,
        )


async def test_an_application_can_be_created_again_when_its_deletion_is_over(
    mint: MintReplica, world: MintWorld
) -> None:
    await minted(mint)
    await mint.applications.delete("greeter", by="ada")
    with pytest.raises(Conflict):
        await mint.write("greeter", "one")
    with pytest.raises(Conflict):
        await mint.applications.renew("greeter", by="ada")
    assert await mint.run("greeter") is None
    assert "greeter" not in world.provider.clients
    await mint.write("greeter", "one")
    world.clock.advance(61)
    await mint.run("greeter")
    assert set(mint.objects("greeter", "one")) == {"user", "client"}
    assert await mint.orphans("greeter") == []


async def test_a_changed_application_is_brought_to_the_provider_and_its_task_is_due(
    mint: MintReplica, world: MintWorld
) -> None:
    await minted(mint)
    before = mint.woken
    await mint.write("greeter", "one", redirect_url="https://greeter.example.org/")
    assert mint.woken == before + 1
    (task,) = await mint.database.fetch(TASKS_OF_KIND.bind({"kind": "mint"}))
    assert (task["subject"], task["attempts"]) == ("greeter", 0)
    await mint.run("greeter")
    assert world.provider.clients["greeter"].redirect_url == "https://greeter.example.org/"


async def test_whether_a_client_is_confidential_is_changed_by_a_rotation(mint: MintReplica, world: MintWorld) -> None:
    await minted(mint)
    await mint.write("greeter", "one", is_confidential=False)
    await mint.run("greeter")
    assert mint.objects("greeter", "one")["client"] == {"client_id": "stups_greeter", "client_secret": None}


@pytest.mark.parametrize(
    "change",
    [
        {"scopes": (ResourceScope(resource_type_id="sales-order", scope_id="read"),)},
        {"redirect_url": "https://greeter.example.org/"},
    ],
)
@pytest.mark.parametrize("is_per_generation", [True, False])
async def test_what_only_a_new_client_can_have_is_brought_by_a_rotation(
    database: Database, world: MintWorld, change: dict[str, Any], is_per_generation: bool
) -> None:
    world.provider.has_client_per_generation = is_per_generation
    mint = MintReplica(database, world)
    await mint.ledger.start()
    await minted(mint)
    before = mint.objects("greeter", "one")["client"]
    await mint.write("greeter", "one")
    await mint.run("greeter")
    assert mint.objects("greeter", "one")["client"] == before, "nothing was changed"
    await mint.write("greeter", "one", **change)
    await mint.run("greeter")
    assert (mint.objects("greeter", "one")["client"] != before) == is_per_generation
    reason = "the scopes or the redirect URL were changed" if is_per_generation else ""
    assert (await mint.state("greeter")).stored.renewal_reason == reason


async def test_a_client_without_a_secret_that_is_made_again_is_the_same_and_is_not_ended(
    mint: MintReplica, world: MintWorld
) -> None:
    await mint.write("greeter", "one", is_confidential=False, credentials=("client",))
    await mint.run("greeter")
    world.clock.advance(61)
    await mint.applications.revoke("greeter", by="ada")
    await mint.run("greeter")
    assert [one.phase for one in (await mint.state("greeter")).generations] == ["ended", "committed"]
    assert "end" not in world.provider.requests


async def test_the_provider_of_an_application_cannot_be_changed(mint: MintReplica) -> None:
    await minted(mint)
    with pytest.raises(Conflict, match="cannot be changed"):
        await mint.write("greeter", "one", provider="other")


async def test_a_provider_that_is_not_configured_is_a_problem_of_the_application(mint: MintReplica) -> None:
    await mint.write("greeter", "one", provider="other")
    await mint.run("greeter")
    assert (await mint.applications.read("greeter")).message.startswith("no provider 'other' is configured")


@pytest.mark.parametrize("order", ["renew", "revoke", "delete", "read"])
async def test_an_application_that_mint_does_not_know_has_no_credentials(mint: MintReplica, order: str) -> None:
    stated = {} if order == "read" else {"by": "ada"}
    with pytest.raises(NotFound):
        await getattr(mint.applications, order)("nobody", **stated)


async def test_applications_are_listed_by_pages_with_their_generations(mint: MintReplica, world: MintWorld) -> None:
    for name in ("one", "two", "three"):
        world.register(name)
        await mint.write(name, "bucket", credentials=("user",))
        await mint.run(name)
    first = await mint.applications.page(after="", limit=2)
    assert [one.application.application_id for one in first] == ["one", "three"]
    (rest,) = await mint.applications.page(after="three", limit=2)
    assert rest.last_password_rotation == "2026-11-22T12:00:00.000Z"
    assert rest.last_client_rotation == ""


async def test_a_bucket_that_does_not_exist_any_more_holds_up_no_deletion_but_one_that_fails_does(
    mint: MintReplica, world: MintWorld
) -> None:
    await minted(mint, "one", "two")
    await mint.applications.delete("greeter", by="ada")
    world.buckets.objects = {place: kept for place, kept in world.buckets.objects.items() if place[0] != "one"}
    world.buckets.absent.add("one")
    world.buckets.weather = lambda _: "unsafe"
    await mint.run("greeter")
    assert mint.objects("greeter", "two"), "what could not be hidden still works"
    world.check()
    world.buckets.weather = lambda _: "fine"
    world.clock.advance(HOUR)
    assert await mint.run("greeter") is None
    assert mint.objects("greeter", "two") == {}
    assert world.provider.accepted("greeter") == []
