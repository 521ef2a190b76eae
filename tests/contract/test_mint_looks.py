"""mint on both databases looks whether buckets still hold what it wrote: what somebody else did is noticed and mended."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from fakes.auditor import dumped
from fakes.clocks import FakeClock
from fakes.mint_buckets import BucketMishap
from fakes.mint_house import MintReplica, MintWorld, minted, of_provider
from whence_aggregator.mint.applications import ShownMint
from whence_aggregator.mint.log_known import note_log
from whence_aggregator.mint.rules import MintRules
from whence_aggregator.ports import Database
from whence_common.clock import to_instant

KEY, HOUR, MINUTE = "greeter/client.json", 3_600.0, 61.0


@pytest.fixture
def world() -> MintWorld:
    world = MintWorld()
    world.register("greeter")
    return world


@pytest.fixture
async def mint(database: Database, world: MintWorld) -> MintReplica:
    replica = MintReplica(database, world)
    await replica.ledger.start()
    await replica.write("greeter", "one", "two", credentials=("client",))
    await replica.run("greeter")
    world.clock.advance(5 * MINUTE)
    return replica


async def looked(mint: MintReplica, *, seconds: float = HOUR) -> None:
    """Let the time pass after which mint looks, and the minute after which it looks again at what it suspects."""
    mint.world.clock.advance(seconds)
    await mint.run("greeter")
    mint.world.clock.advance(MINUTE)
    await mint.run("greeter")


async def tampered(mint: MintReplica) -> list[dict[str, Any]]:
    return [one for one in await mint.logged() if one["step"] == "tampered"]


async def generations(mint: MintReplica) -> int:
    return sum(step == "intended" for _, step in await mint.steps())


async def test_an_object_that_somebody_else_wrote_is_noticed_within_an_hour_and_written_over(
    mint: MintReplica, world: MintWorld
) -> None:
    version, at = world.buckets.overwrite("two", KEY), world.clock()
    before = (await mint.state("greeter")).current("client")
    assert before is not None
    await looked(mint)
    (entry,) = await tampered(mint)
    assert entry["generation"] == before.id.generation
    assert entry["written"] == before.written
    assert version in entry["reason"]
    assert entry["reason"].startswith(f"the newest object {KEY} in bucket two is not the one that mint wrote: version ")
    assert at.strftime("%Y-%m-%dT%H:%M") in entry["reason"]
    assert not world.buckets.is_harmed("two", KEY), "another generation lies above it"
    assert await generations(mint) == 2
    after = ShownMint(state=await mint.state("greeter"))
    assert (after.has_problems, after.message) == (False, "")


async def test_a_disturbed_application_has_a_problem_with_bucket_key_and_version_until_its_renewal(
    mint: MintReplica, world: MintWorld
) -> None:
    of_provider(world, "make", "away")
    version = world.buckets.overwrite("one", KEY)
    await looked(mint)
    shown = (await mint.state("greeter")).stored.failures
    assert set(shown) == {"client", "bucket client one"}
    problem = shown["bucket client one"]
    assert problem.code == "bucket-tampered"
    assert all(part in problem.problem for part in ("bucket one", KEY, version, "CloudTrail", "another credential"))
    row = next(iter((await dumped(mint.database))["credential"]))
    assert row["step"] == "tampered"
    for _ in range(3):
        world.clock.advance(2 * HOUR)
        await mint.run("greeter")
    assert "bucket client one" in (await mint.state("greeter")).stored.failures
    assert len(await tampered(mint)) == 1, "what is known is not logged again"
    of_provider(world, "make", "fine")
    world.clock.advance(2 * HOUR)
    await mint.run("greeter")
    assert (await mint.state("greeter")).stored.failures == {}
    assert (await mint.steps())[-1] == ("client", "committed")


async def test_what_a_rotation_writes_over_is_noticed_by_the_request_that_confirms_it(
    mint: MintReplica, world: MintWorld
) -> None:
    version = world.buckets.overwrite("two", KEY)
    world.clock.advance(HOUR / 2)
    await mint.applications.renew("greeter", by="ada")
    world.buckets.requests.clear()
    await mint.run("greeter")
    assert world.buckets.requests == ["put one", "put two", "versions one", "versions two"]
    (entry,) = await tampered(mint)
    assert version in entry["reason"]
    assert [step for _, step in await mint.steps()][-4:] == ["generated", "tampered", "published", "committed"]
    assert (await mint.state("greeter")).stored.failures == {}


async def test_what_a_rotation_may_have_written_itself_is_not_taken_for_somebody_elses(
    mint: MintReplica, world: MintWorld
) -> None:
    await mint.applications.renew("greeter", by="ada")
    world.buckets.weather = lambda bucket: "lost" if bucket == "one" else "fine"
    for _ in range(5):
        world.clock.advance(HOUR)
        await mint.run("greeter")
    world.buckets.weather = lambda _: "fine"
    world.clock.advance(HOUR)
    await mint.run("greeter")
    assert len(world.buckets.objects["one", KEY]) > 3
    assert (await mint.steps())[-1] == ("client", "committed")
    assert await tampered(mint) == []


@pytest.mark.parametrize("what", ["deleted", "destroyed", "emptied"])
async def test_an_object_that_is_gone_is_noticed(mint: MintReplica, world: MintWorld, what: str) -> None:
    if what == "deleted":
        world.buckets.overwrite("one", KEY, None)
    else:
        await mint.applications.renew("greeter", by="ada")
        await mint.run("greeter")
        for _ in range(1 if what == "destroyed" else 2):
            world.buckets.destroy("one", KEY)
    await looked(mint)
    (entry,) = await tampered(mint)
    words = {"deleted": "was deleted at", "destroyed": "is gone", "emptied": "has no object"}
    assert words[what] in entry["reason"]
    await mint.settle("greeter")
    assert not world.buckets.is_harmed("one", KEY)


async def test_a_bucket_is_looked_at_once_an_hour_by_one_request_of_each_object(
    mint: MintReplica, world: MintWorld
) -> None:
    world.buckets.requests.clear()
    for _ in range(12):
        world.clock.advance(HOUR / 6)
        await mint.run("greeter")
    assert sorted(world.buckets.requests) == ["versions one"] * 2 + ["versions two"] * 2
    assert await generations(mint) == 1


async def test_a_rotation_is_a_look_itself(mint: MintReplica, world: MintWorld) -> None:
    world.clock.advance(HOUR / 2)
    await mint.applications.renew("greeter", by="ada")
    await mint.run("greeter")
    world.buckets.requests.clear()
    world.clock.advance(HOUR - MINUTE)
    await mint.run("greeter")
    assert world.buckets.requests == []


@pytest.mark.parametrize("mishap", ["away", "hangs", "unsafe", "lost"])
async def test_a_bucket_that_cannot_be_listed_is_unknown_and_no_tampering(
    mint: MintReplica, world: MintWorld, mishap: BucketMishap
) -> None:
    world.buckets.weather = lambda bucket: mishap if bucket == "one" else "fine"
    world.buckets.overwrite("one", KEY)
    for _ in range(4):
        await looked(mint)
    state = await mint.state("greeter")
    assert list(state.stored.failures) == ["look client one"]
    assert state.stored.bucket_errors == 0, "nothing was written"
    assert (await tampered(mint), await generations(mint)) == ([], 1)
    world.buckets.weather = lambda _: "fine"
    await looked(mint)
    assert len(await tampered(mint)) == 1
    assert (await mint.state("greeter")).stored.failures == {}


async def test_other_keys_and_older_versions_that_expire_are_no_tampering(mint: MintReplica, world: MintWorld) -> None:
    await mint.applications.renew("greeter", by="ada")
    await mint.run("greeter")
    world.buckets.overwrite("one", "greeter/client.json.bak")
    world.buckets.overwrite("one", "greeter/test-mint-write")
    world.buckets.objects["one", KEY] = world.buckets.objects["one", KEY][-1:]
    for _ in range(3):
        await looked(mint)
    assert (await tampered(mint), await generations(mint)) == ([], 2)


async def test_what_is_listed_late_is_looked_at_again_before_it_counts(mint: MintReplica, world: MintWorld) -> None:
    newest = world.buckets.objects["one", KEY].pop()
    world.clock.advance(HOUR)
    await mint.run("greeter")
    world.buckets.objects["one", KEY].append(newest)
    world.clock.advance(MINUTE)
    await mint.run("greeter")
    await looked(mint)
    assert (await tampered(mint), await generations(mint)) == ([], 1)
    assert (await mint.state("greeter")).stored.failures == {}


async def test_a_version_of_the_time_of_mints_own_may_be_a_lost_answer_and_is_renewed_without_an_accusation(
    database: Database, world: MintWorld
) -> None:
    mint = MintReplica(database, world)
    await mint.ledger.start()
    await mint.write("greeter", "one", credentials=("client",))
    await mint.run("greeter")
    world.clock.advance(20)
    own = world.buckets.objects["one", KEY][-1]
    world.buckets.overwrite("one", KEY, own.content)
    of_provider(world, "make", "away")
    await looked(mint)
    shown = (await mint.state("greeter")).stored.failures
    assert shown["bucket client one"].code == "bucket-unrecorded"
    of_provider(world, "make", "fine")
    await looked(mint)
    assert (await tampered(mint), await generations(mint)) == ([], 2)
    assert (await mint.state("greeter")).stored.failures == {}


async def test_after_a_restore_what_mint_wrote_in_the_lost_time_is_renewed_without_an_accusation(
    mint: MintReplica, world: MintWorld, database: Database
) -> None:
    world.buckets.overwrite("one", KEY, world.buckets.objects["one", KEY][-1].content)
    world.clock.advance(2 * HOUR)
    restored = MintReplica(database, world, restored_at=to_instant(world.clock()))
    await restored.ledger.start()
    await looked(restored, seconds=0)
    assert (await tampered(restored), await generations(restored)) == ([], 2)
    world.clock.advance(HOUR)
    world.buckets.overwrite("one", KEY)
    await looked(restored)
    assert len(await tampered(restored)) == 1, "what is written later is not of the lost time"


async def test_a_bucket_that_is_written_over_again_and_again_is_renewed_more_and_more_rarely(
    mint: MintReplica, world: MintWorld
) -> None:
    made = list[int]()
    for _ in range(3):
        for _ in range(24 * 6):
            if not world.buckets.is_harmed("one", KEY):
                world.clock.advance(2 * MINUTE)
                world.buckets.overwrite("one", KEY)
            world.hold("greeter", {"client": (await newest(mint))})
            world.clock.advance(HOUR / 6)
            await mint.run("greeter")
        made.append(await generations(mint))
    assert made[0] <= 8
    assert made[2] - made[1] <= 2, "one a day"
    assert (await mint.state("greeter")).stored.failures["bucket client one"].code == "bucket-tampered"
    await mint.settle("greeter")
    assert not world.buckets.is_harmed("one", KEY)
    assert (await mint.state("greeter")).stored.failures == {}


@pytest.mark.parametrize("ahead", [-600, 600])
async def test_a_clock_of_s3_that_differs_by_ten_minutes_accuses_nobody_and_hides_nobody(
    database: Database, world: MintWorld, ahead: int
) -> None:
    world.buckets.now = lambda: world.clock() + timedelta(seconds=ahead)
    mint = MintReplica(database, world)
    await mint.ledger.start()
    await mint.write("greeter", "one", "two", credentials=("client",))
    await mint.run("greeter")
    for _ in range(4):
        world.buckets.weather = lambda bucket: "lost" if bucket == "one" else "fine"
        await mint.applications.renew("greeter", by="ada")
        await looked(mint, seconds=2 * HOUR)
        world.buckets.weather = lambda _: "fine"
        await looked(mint, seconds=24 * HOUR)
        await looked(mint)
    assert (await tampered(mint), await generations(mint)) == ([], 5)
    world.buckets.overwrite("two", KEY)
    await looked(mint)
    assert len(await tampered(mint)) == 1


async def test_a_bucket_that_is_written_over_more_often_than_it_is_looked_at_is_noticed_and_not_fought_for(
    mint: MintReplica, world: MintWorld
) -> None:
    """Each look finds another version than the one before."""
    made = list[int]()
    for _ in range(2):
        for _ in range(8 * 60):
            world.clock.advance(60)
            world.buckets.overwrite("one", KEY)
            world.hold("greeter", {"client": (await newest(mint))})
            await mint.run("greeter")
        made.append(await generations(mint))
    assert made[0] <= 5
    assert made[1] - made[0] <= 2
    assert 3 <= len(await tampered(mint)) <= made[1]
    assert len(await mint.steps()) < 10 * made[1], "the log is not flooded"
    assert (await mint.state("greeter")).stored.failures["bucket client one"].code == "bucket-tampered"
    await mint.settle("greeter")
    assert not world.buckets.is_harmed("one", KEY)
    assert (await mint.state("greeter")).stored.failures == {}


async def newest(mint: MintReplica) -> str:
    current = (await mint.state("greeter")).current("client")
    assert current is not None
    return current.id.generation


async def test_a_look_of_a_replica_that_does_not_know_the_newest_generation_is_no_alarm(
    mint: MintReplica, world: MintWorld, database: Database
) -> None:
    other = MintReplica(database, world)
    await other.ledger.start()
    old = await mint.state("greeter")
    (generation,) = old.generations
    await other.applications.renew("greeter", by="ada")
    await other.run("greeter")
    await mint.rotation.looking.look(old, generation, "one", "look client one")
    world.clock.advance(MINUTE)
    await mint.run("greeter")
    await looked(mint)
    assert (await tampered(mint), await generations(mint)) == ([], 2)


async def test_a_bucket_is_not_looked_at_before_it_is_committed_or_after_it_is_removed(
    mint: MintReplica, world: MintWorld
) -> None:
    await mint.write("greeter", "two", credentials=("client",))
    await mint.run("greeter")
    world.buckets.requests.clear()
    await looked(mint)
    assert set(world.buckets.requests) == {"versions two"}
    of_provider(world, "commit", "away")
    await mint.applications.renew("greeter", by="ada")
    await mint.run("greeter")
    world.buckets.requests.clear()
    await looked(mint)
    assert world.buckets.requests == []


async def test_both_kinds_are_looked_at_and_judged_apart(database: Database, world: MintWorld) -> None:
    mint = MintReplica(database, world, rules=MintRules(jitter=0.0, user_seconds=24 * HOUR))
    await mint.ledger.start()
    await minted(mint)
    world.clock.advance(5 * MINUTE)
    world.buckets.overwrite("one", "greeter/user.json")
    await looked(mint)
    assert [one["credential"] for one in await tampered(mint)] == ["user"]
    assert sorted(kind for kind, step in await mint.steps() if step == "committed") == ["client", "user", "user"]


async def test_a_log_that_continues_under_another_name_tells_that_the_database_was_restored(database: Database) -> None:
    clock = FakeClock()
    assert await note_log(database, "whence.example.org", clock()) == ""
    clock.advance(HOUR)
    assert await note_log(database, "whence.example.org", clock()) == "", "a restart is no restore"
    restored = await note_log(database, "whence.example.org/2", clock())
    assert restored == to_instant(clock())
    clock.advance(HOUR)
    assert await note_log(database, "whence.example.org/2", clock()) == restored
