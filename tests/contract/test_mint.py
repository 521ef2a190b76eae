"""mint on both databases: credentials are made, published, committed and ended, and every step is in the log."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest

from fakes.auditor import checked, dumped
from fakes.in_process import InProcess
from fakes.mint_house import MintReplica, MintWorld, minted, of_provider
from fakes.mint_provider import FakeProvider, ProviderMishap
from whence_aggregator.mint.store import Overtaken
from whence_aggregator.mint.values import GenerationId, KnownCredential, MadeCredential, WantedClient
from whence_aggregator.ports import Database
from whence_aggregator.queries.mint import PUT_CREDENTIAL, PutCredentialParameters
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


async def test_both_credentials_are_written_to_every_bucket_and_committed(mint: MintReplica, world: MintWorld) -> None:
    await mint.write("greeter", "one", "two")
    progress = await mint.run("greeter")
    assert progress is not None
    assert progress.reason == "nothing is due"
    state = await mint.state("greeter")
    assert sorted((one.kind, one.phase, sorted(one.written)) for one in state.generations) == [
        ("client", "committed", ["one", "two"]), ("user", "committed", ["one", "two"]),
    ]  # fmt: skip
    assert mint.objects("greeter", "one") == mint.objects("greeter", "two") == {
        "user": {"application_username": "stups_greeter", "application_password": "s3cr3t-0002-of-user"},
        "client": {"client_id": "stups_greeter", "client_secret": "s3cr3t-0001-of-client"},
    }  # fmt: skip
    assert await mint.steps() == [
        (kind, step) for kind in ("client", "user") for step in ("intended", "generated", "published", "committed")
    ]


@pytest.mark.parametrize("kind", ["client", "user"])
async def test_an_object_names_its_generation_and_all_objects_of_the_application(
    mint: MintReplica, world: MintWorld, kind: str
) -> None:
    """By that a reader knows that it needs no other object."""
    await mint.write("greeter", "one", credentials=(kind,))
    await mint.run("greeter")
    (version,) = world.buckets.objects["one", f"greeter/{kind}.json"]
    (generation,) = (await mint.state("greeter")).generations
    assert version.metadata == {"whence-generation": generation.id.generation, "whence-files": f"{kind}.json"}
    assert generation.written == {"one": version.version_id}


async def test_the_steps_of_a_generation_are_a_row_that_is_derived_from_the_log(
    mint: MintReplica, world: MintWorld
) -> None:
    await minted(mint)
    row = next(one for one in (await dumped(mint.database))["credential"] if one["kind"] == "user")
    (generation,) = [one for one in (await mint.state("greeter")).generations if one.kind == "user"]
    assert (row["step"], row["mac"], row["committed_at"]) == ("committed", generation.mac, generation.committed_at)
    assert row["written"] == '{"one":"v2"}'


async def test_what_is_derived_of_credentials_is_checked_against_the_log(
    house: InProcess, world: MintWorld, tmp_path: Path
) -> None:
    mint = MintReplica(house.database, world)
    await mint.ledger.start()
    await minted(mint)
    await house.ledger.refresh()
    assert (await checked(house, tmp_path)).findings == []
    row = (await dumped(house.database))["credential"][0]
    changed = {**row, "ledger_index": 10**6, "mac": "0" * 64}
    await house.database.write(PUT_CREDENTIAL.bind([cast(PutCredentialParameters, changed)]))
    assert [one for one in (await checked(house, tmp_path)).findings if "credential" in str(one)]


async def test_the_client_of_an_application_is_the_one_that_was_committed_last(
    mint: MintReplica, world: MintWorld
) -> None:
    world.provider.style = "new-client"
    await minted(mint)
    assert (await mint.state("greeter")).application.client_id == "client-0001"
    await mint.applications.renew("greeter", by="ada")
    of_provider(world, "commit", "away")
    await mint.run("greeter")
    assert (await mint.state("greeter")).application.client_id == "client-0001"
    of_provider(world, "commit", "fine")
    world.clock.advance(HOUR)
    await mint.run("greeter")
    assert (await mint.state("greeter")).application.client_id == "client-0003"
    assert mint.objects("greeter", "one")["client"]["client_id"] == "client-0003"


async def test_a_rotation_asks_for_no_more_than_it_needs(mint: MintReplica, world: MintWorld) -> None:
    await mint.write("greeter", "one", credentials=("user",))
    await mint.run("greeter")
    assert world.buckets.requests == ["check one", "put one", "versions one"]
    assert world.provider.requests == ["ensure", "make", "verify", "commit"]
    world.clock.advance(2 * HOUR)
    world.buckets.requests.clear()
    world.provider.requests.clear()
    await mint.run("greeter")
    assert world.buckets.requests == ["put one", "versions one"], "a bucket is checked before its first object"
    assert world.provider.requests == ["make", "verify", "commit"]
    await mint.run("greeter")
    assert len(world.provider.requests) == 3, "nothing is asked while nothing is due"


async def test_a_secret_is_sealed_until_it_is_committed_and_erased_then(mint: MintReplica, world: MintWorld) -> None:
    of_provider(world, "commit", "away")
    await mint.write("greeter", "one", credentials=("user",))
    await mint.run("greeter")
    (published,) = (await mint.state("greeter")).generations
    assert published.phase == "published"
    assert published.sealed
    assert "s3cr3t" not in published.sealed
    of_provider(world, "commit", "fine")
    world.clock.advance(120)
    await mint.run("greeter")
    (committed,) = (await mint.state("greeter")).generations
    assert (committed.phase, committed.sealed) == ("committed", "")
    assert committed.sealed_handle, "what ends it is kept until it has ended"


async def test_of_two_writers_that_read_the_same_revision_one_writes_nothing(mint: MintReplica) -> None:
    await minted(mint)
    state = await mint.state("greeter")
    await mint.store.save(replace(state.stored, renewal_reason="first"))
    with pytest.raises(Overtaken):
        await mint.store.save(replace(state.stored, renewal_reason="second"))
    one = state.generations[0]
    await mint.store.advance(replace(one, end_reason="first"), at=mint.world.clock(), entry=None)
    with pytest.raises(Overtaken):
        await mint.store.advance(replace(one, phase="ending"), at=mint.world.clock(), entry="second")
    after = await mint.state("greeter")
    assert (after.stored.renewal_reason, after.generations[0].end_reason) == ("first", "first")
    assert ("client", "ending") not in await mint.steps(), "what was not written is not in the log"


async def test_a_generation_is_not_begun_beside_one_that_is_being_made_or_for_a_changed_application(
    mint: MintReplica, world: MintWorld
) -> None:
    of_provider(world, "make", "lost")
    await mint.write("greeter", "one", credentials=("user",))
    await mint.run("greeter")
    state = await mint.state("greeter")
    (intended,) = state.generations
    second = replace(intended, id=replace(intended.id, generation="f" * 32), revision=1)
    with pytest.raises(Overtaken):
        await mint.store.begin(state.stored, second, reason="")
    other = replace(second, id=replace(second.id, kind="client"))
    with pytest.raises(Overtaken):
        await mint.store.begin(replace(state.stored, revision=state.stored.revision - 1), other, reason="")
    await mint.store.begin(state.stored, other, reason="")


async def test_a_lost_answer_is_found_again_and_nothing_is_made_twice(mint: MintReplica, world: MintWorld) -> None:
    of_provider(world, "make", "lost")
    await mint.write("greeter", "one", credentials=("user",))
    await mint.run("greeter")
    of_provider(world, "make", "fine")
    world.clock.advance(61)
    await mint.run("greeter")
    assert world.provider.requests.count("make") == 1
    assert [one.phase for one in (await mint.state("greeter")).generations] == ["committed"]
    assert await mint.orphans("greeter") == []


@pytest.mark.parametrize("request_", ["ensure", "make", "recover", "verify", "commit", "end"])
@pytest.mark.parametrize("mishap", ["away", "refused", "garbage"])
async def test_whatever_fails_for_long_is_tried_ever_less_and_told(
    mint: MintReplica, world: MintWorld, request_: str, mishap: ProviderMishap
) -> None:
    await minted(mint)
    if request_ == "recover":
        world.provider.weather = lambda name: mishap if name in ("make", "recover") else "fine"
    else:
        of_provider(world, request_, mishap)
    await mint.applications.renew("greeter", by="ada")
    if request_ == "end":
        await mint.run("greeter")
        await mint.applications.revoke("greeter", by="ada")
    world.provider.requests.clear()
    for _ in range(24):
        world.clock.advance(HOUR)
        progress = await mint.run("greeter")
        assert progress is not None
        assert progress.reason != "more steps are due"
    assert 4 <= world.provider.requests.count(request_) <= 150
    shown = await mint.applications.read("greeter")
    assert shown.has_problems
    assert "s3cr3t" not in shown.message
    assert 0 < len(shown.message) <= 300
    world.check()
    world.provider.weather = lambda _: "fine"
    await mint.settle("greeter")
    assert not (await mint.applications.read("greeter")).has_problems
    assert await mint.orphans("greeter") == []


async def test_a_bucket_that_denies_is_told_and_counted_and_stops_no_rotation_elsewhere(
    mint: MintReplica, world: MintWorld
) -> None:
    world.buckets.weather = lambda bucket: "away" if bucket == "two" else "fine"
    await mint.write("greeter", "one", "two", credentials=("user",))
    world.register("waiter")
    await mint.write("waiter", "one", credentials=("user",))
    for _ in range(3):
        await mint.run("greeter")
        await mint.run("waiter")
        world.clock.advance(HOUR / 3)
    shown = await mint.applications.read("greeter")
    assert (shown.has_problems, shown.s3_errors) == (True, 3)
    assert shown.message == "S3 denies the request to two"
    assert shown.last_password_rotation == ""
    assert mint.objects("waiter", "one")
    world.buckets.weather = lambda _: "fine"
    world.clock.advance(HOUR)
    await mint.run("greeter")
    shown = await mint.applications.read("greeter")
    assert (shown.has_problems, shown.s3_errors, shown.message) == (False, 0, "")
    assert shown.last_password_rotation != ""


async def test_each_request_that_may_be_on_its_way_is_noted_before_it_is_sent(
    mint: MintReplica, world: MintWorld
) -> None:
    world.provider.is_finding = False
    of_provider(world, "make", "lost")
    await mint.write("greeter", "one", credentials=("user",))
    await mint.run("greeter")
    world.clock.advance(HOUR)
    await mint.run("greeter")
    (intended,) = (await mint.state("greeter")).generations
    assert (intended.phase, intended.asked_at) == ("intended", "2026-11-22T13:00:00.000Z")
    of_provider(world, "make", "fine")
    world.buckets.weather = lambda _: "lost"
    for _ in range(2):
        world.clock.advance(HOUR)
        await mint.run("greeter")
    (generated,) = (await mint.state("greeter")).generations
    assert (generated.phase, generated.asked_at) == ("generated", "2026-11-22T15:00:00.000Z")


async def test_a_bucket_that_cannot_be_reached_while_its_credential_ends_is_emptied_later(
    mint: MintReplica, world: MintWorld
) -> None:
    await mint.write("greeter", "one", "two", credentials=("user",))
    await mint.run("greeter")
    world.buckets.weather = lambda bucket: "away" if bucket == "two" else "fine"
    world.clock.advance(HOUR)
    await mint.write("greeter", "one", credentials=("user",))
    world.named["greeter"] = {"one"}
    await mint.applications.revoke("greeter", by="ada")
    await mint.run("greeter")
    ended, current = (await mint.state("greeter")).generations
    assert (ended.phase, current.phase) == ("ended", "committed")
    assert set(mint.objects("greeter", "two")) == {"user"}
    world.buckets.weather = lambda _: "fine"
    world.clock.advance(HOUR)
    await mint.run("greeter")
    assert mint.objects("greeter", "two") == {}
    assert (await mint.state("greeter")).live("user")[-1].written.keys() == {"one"}


async def test_what_was_written_over_in_several_buckets_is_written_again_at_once(
    mint: MintReplica, world: MintWorld
) -> None:
    world.buckets.weather = lambda _: "forgets"
    await mint.write("greeter", "one", "two", "three", credentials=("user",))
    await mint.run("greeter")
    message = (await mint.applications.read("greeter")).message
    assert message.startswith("the newest object in bucket one, two, three is not")
    world.buckets.weather = lambda _: "fine"
    for _ in range(2):
        world.clock.advance(61)
        await mint.run("greeter")
    assert [one.phase for one in (await mint.state("greeter")).generations] == ["committed"]


async def test_an_object_that_somebody_wrote_over_meanwhile_is_written_again_before_the_commit(
    mint: MintReplica, world: MintWorld
) -> None:
    world.buckets.weather = lambda _: "forgets"
    await mint.write("greeter", "one", credentials=("user",))
    await mint.run("greeter")
    assert (await mint.applications.read("greeter")).message.startswith("the newest object in bucket one is not")
    assert [one.phase for one in (await mint.state("greeter")).generations] == ["generated"]
    world.buckets.weather = lambda _: "fine"
    for _ in range(2):
        world.clock.advance(HOUR / 2)
        await mint.run("greeter")
    assert [one.phase for one in (await mint.state("greeter")).generations] == ["committed"]


async def test_a_secret_that_was_made_before_is_refused_and_not_ended(mint: MintReplica, world: MintWorld) -> None:
    await minted(mint)
    world.provider.weather = lambda name: "same-secret" if name in ("make", "recover") else "fine"
    await mint.applications.renew("greeter", by="ada")
    for _ in range(5):
        await mint.run("greeter")
        world.clock.advance(HOUR)
    assert "a secret that it made before" in (await mint.applications.read("greeter")).message
    world.check()


async def test_a_credential_of_somebody_else_is_neither_published_nor_ended(
    mint: MintReplica, world: MintWorld
) -> None:
    world.register("waiter")
    await mint.write("waiter", "one")
    await mint.run("waiter")
    theirs = mint.objects("waiter", "one")
    world.provider.weather = lambda name: "wrong-id" if name in ("make", "recover") else "fine"
    await mint.write("greeter", "one")
    for _ in range(5):
        await mint.run("greeter")
        world.clock.advance(HOUR)
    assert mint.objects("greeter", "one") == {}
    assert mint.objects("waiter", "one") == theirs
    assert "of another" in (await mint.applications.read("greeter")).message
    world.provider.weather = lambda _: "fine"
    await mint.settle("greeter")
    assert await mint.orphans("greeter") == []


async def test_the_old_generation_ends_when_all_instances_report_the_new_one(
    mint: MintReplica, world: MintWorld
) -> None:
    await minted(mint)
    (old,) = (await mint.state("greeter")).live("user")
    world.hold("greeter", {"user": old.id.generation, "client": None}, {"user": old.id.generation, "client": None})
    await mint.applications.renew("greeter", by="ada")
    await mint.run("greeter")
    new = (await mint.state("greeter")).live("user")[-1]
    world.clock.advance(901)
    world.hold("greeter", {"user": new.id.generation, "client": None}, {"user": old.id.generation, "client": None})
    await mint.run("greeter")
    assert len((await mint.state("greeter")).live("user")) == 2
    world.hold("greeter", {"user": new.id.generation, "client": None}, {"user": new.id.generation, "client": None})
    await mint.run("greeter")
    state = await mint.state("greeter")
    assert [one.id for one in state.live("user")] == [new.id]
    assert len(state.live("client")) == 2, "agents that report no ids wait for the bound"


async def test_two_replicas_that_rotate_one_application_make_one_credential(
    database: Database, world: MintWorld
) -> None:
    first, second = MintReplica(database, world), MintReplica(database, world)
    await first.ledger.start()
    await second.ledger.start()
    await first.write("greeter", "one", "two")
    await asyncio.gather(*(one.run("greeter") for one in (first, second, first, second)))
    for one in (first, second):
        world.clock.advance(HOUR / 2)
        await one.run("greeter")
    state = await first.state("greeter")
    assert sorted((one.kind, one.phase) for one in state.generations) == [
        ("client", "committed"), ("user", "committed"),
    ]  # fmt: skip
    assert await first.orphans("greeter") == []


async def test_a_throttled_provider_is_asked_by_nobody_until_its_pause_is_over(
    mint: MintReplica, world: MintWorld
) -> None:
    of_provider(world, "make", "throttled")
    for name in ("greeter", "waiter"):
        world.register(name)
        await mint.write(name, "one", credentials=("user",))
    first = await mint.run("greeter")
    asked = len(world.provider.requests)
    second = await mint.run("waiter")
    assert len(world.provider.requests) == asked
    for one in (first, second):
        assert one is not None
        assert (one.seconds, one.is_asked) == (30.0, False)
    assert not (await mint.applications.read("greeter")).has_problems, "the application did not fail"
    of_provider(world, "make", "fine")
    world.clock.advance(61)
    await mint.run("greeter")
    assert mint.objects("greeter", "one")


async def test_a_seal_under_another_key_is_a_problem_that_says_what_to_do(database: Database, world: MintWorld) -> None:
    before = MintReplica(database, world)
    await before.ledger.start()
    world.buckets.weather = lambda _: "away"
    await before.write("greeter", "one", credentials=("user",))
    await before.run("greeter")
    world.buckets.weather = lambda _: "fine"
    after = MintReplica(database, world, key=b"x" * 32)
    await after.ledger.start()
    world.clock.advance(HOUR)
    await after.run("greeter")
    assert "restore mint's key file" in (await after.applications.read("greeter")).message


async def test_tasks_that_were_lost_are_queued_again(mint: MintReplica, world: MintWorld) -> None:
    await minted(mint)
    await mint.store.queue_all(world.clock())
    assert len(await mint.database.fetch(TASKS_OF_KIND.bind({"kind": "mint"}))) == 1


class SlowProvider(FakeProvider):
    """Answers the first request to make only when it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.asked, self.let_go = asyncio.Event(), asyncio.Event()

    async def make(
        self, wanted: WantedClient, generation: GenerationId, current: KnownCredential | None
    ) -> MadeCredential:
        if not self.asked.is_set():
            self.asked.set()
            await self.let_go.wait()
        return await super().make(wanted, generation, current)


@pytest.mark.parametrize("order", ["nothing", "delete"])
async def test_what_a_replica_makes_too_late_is_ended_by_it(database: Database, order: str) -> None:
    provider = SlowProvider()
    world = MintWorld(provider=provider)
    world.register("greeter")
    slow, other = MintReplica(database, world), MintReplica(database, world)
    await slow.ledger.start()
    await other.ledger.start()
    await slow.write("greeter", "one", credentials=("user",))
    running = asyncio.ensure_future(slow.run("greeter"))
    await provider.asked.wait()
    world.clock.advance(61)
    if order == "delete":
        await other.applications.delete("greeter", by="ada")
    await other.run("greeter")
    provider.clients.setdefault("greeter", _wanted("greeter"))
    provider.let_go.set()
    await running
    assert len(provider.accepted("greeter")) == (0 if order == "delete" else 1)
    assert await other.orphans("greeter") == []
    world.check()


def _wanted(name: str) -> WantedClient:
    return WantedClient(
        application_id=name, name=name, team_id="hello", username=f"stups_{name}", is_confidential=True,
        redirect_url="", scopes=(), client_id="",
    )  # fmt: skip


async def test_applications_are_listed_by_team_and_by_whether_they_have_problems(
    mint: MintReplica, world: MintWorld
) -> None:
    for name, team in (("greeter", "hello"), ("farewell", "other"), ("answerer", "hello")):
        world.register(name, team_id=team)
        await mint.write(name, f"of-{name}", team_id=team)
    world.buckets.absent.add("of-greeter")
    await mint.run("greeter")

    async def ids(team: str | None, *, is_failing: bool | None) -> list[str]:
        found = await mint.applications.page(after="", limit=10, team=team, is_failing=is_failing)
        return [one.application.application_id for one in found]

    assert await ids(None, is_failing=None) == ["answerer", "farewell", "greeter"]
    assert await ids("hello", is_failing=None) == ["answerer", "greeter"]
    assert await ids(None, is_failing=True) == ["greeter"]
    assert await ids("hello", is_failing=False) == ["answerer"]
    assert await ids("nobody", is_failing=None) == []


async def test_a_generation_that_ended_before_the_providers_answer_is_a_possible_orphan(
    mint: MintReplica, world: MintWorld
) -> None:
    world.provider.is_finding = False
    of_provider(world, "make", "garbage")
    await mint.write("greeter", "one", credentials=("client",))
    await mint.run("greeter")
    world.provider.weather = lambda _: "fine"
    await mint.settle("greeter")
    ended = [one["generation"] for one in await mint.logged() if (one["step"], one["mac"]) == ("ended", "")]
    found = await mint.applications.possible_orphans("greeter")
    assert [one.generation for one in found] == ended[::-1]
    assert {(one.kind, one.provider) for one in found} == {("client", "stups")}
    assert await mint.applications.possible_orphans("nobody") == []
