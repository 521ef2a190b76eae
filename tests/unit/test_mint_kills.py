"""A process of mint that is killed at any of its awaits: another goes on, nobody is locked out, nothing is an orphan."""

from __future__ import annotations

import asyncio
import copy
import shutil
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, get_args

import pytest

from fakes.mint_house import KINDS_BOTH, MintReplica, MintWorld
from fakes.mint_provider import FakeProvider, Style
from landscape.endurance import repeated
from landscape.killed import Killed, killed_at
from whence_aggregator.mint.rules import MintRules
from whence_aggregator.storage.sqlite import SqliteDatabase

NEVER = 10**9
YEARS = 10 * 366 * 86_400.0
RULES = MintRules(jitter=0.0, user_seconds=YEARS, client_seconds=YEARS)
"""Nothing is rotated by age, so that what is mended can be told from what is rotated."""
Situation = Callable[[MintReplica], Coroutine[Any, Any, None]]


async def first(mint: MintReplica) -> None:
    """Both credentials are made, for two buckets."""
    await mint.write("greeter", "one", "two")


async def renewal(mint: MintReplica) -> None:
    """Both credentials are made again, for two buckets."""
    await first(mint)
    await mint.run("greeter")
    mint.world.clock.advance(61)
    await mint.applications.renew("greeter", by="ada")


async def revocation(mint: MintReplica) -> None:
    """Two generations of each kind are live; the older ones end at once, and the newer after their successors."""
    await renewal(mint)
    await mint.run("greeter")
    mint.world.clock.advance(61)
    await mint.applications.revoke("greeter", by="ada")


async def moving(mint: MintReplica) -> None:
    """A bucket is left for another, and the password is not wanted any more."""
    await first(mint)
    await mint.run("greeter")
    mint.world.clock.advance(61)
    await mint.write("greeter", "two", "three", credentials=("client",), is_confidential=False)


async def deletion(mint: MintReplica) -> None:
    """Everything is deleted."""
    await renewal(mint)
    await mint.run("greeter")
    mint.world.clock.advance(61)
    await mint.applications.delete("greeter", by="ada")


SITUATIONS: tuple[Situation, ...] = (first, renewal, revocation, moving, deletion)


LEFT: dict[Situation, tuple[Sequence[str], Sequence[str]]] = {
    moving: (("client",), ("two", "three")),
    deletion: ((), ()),
}
"""The kinds and the buckets that there are in the end, where these are not both and the first two."""


@asynccontextmanager
async def opened(file: Path, world: MintWorld) -> AsyncIterator[MintReplica]:
    database = await SqliteDatabase.open(file)
    try:
        replica = MintReplica(database, world, rules=RULES)
        await replica.ledger.start()
        yield replica
    finally:
        await database.close()


async def check_mended(mint: MintReplica, situation: Situation) -> None:
    """Go on until everything is mended, and check that it is."""
    for seconds in (61.0, 3_601.0, 86_401.0, 3_601.0):
        mint.world.clock.advance(seconds)
        await mint.run("greeter")
    state = await mint.state("greeter")
    kinds, buckets = LEFT.get(situation, (KINDS_BOTH, ("one", "two")))
    assert [sorted(mint.objects("greeter", one)) for one in buckets] == [sorted(kinds)] * len(buckets)
    assert {one for one in ("one", "two", "three") if mint.objects("greeter", one)} == set(buckets)
    live = [one for one in state.generations if one.is_live]
    assert sorted((one.kind, one.phase) for one in live) == [(kind, "committed") for kind in sorted(kinds)]
    assert await mint.orphans("greeter") == []
    assert bool(state.stored.gone_at) is (situation is deletion)
    assert state.stored.failures == {}


@pytest.mark.endurance
@pytest.mark.parametrize("situation", SITUATIONS, ids=lambda one: one.__name__)
@pytest.mark.parametrize("style", get_args(Style))
async def test_a_process_may_be_killed_at_every_await(tmp_path: Path, style: Any, situation: Situation) -> None:
    begun, file = MintWorld(provider=FakeProvider(style=style, is_finding=style == "beside")), tmp_path / "begun.db"
    begun.register("greeter")
    async with opened(file, begun) as mint:
        await situation(mint)

    async def killed(at: int) -> int:
        """Kill at an await, and check what is left; return the number of awaits that were passed."""
        world, own = copy.deepcopy(begun), tmp_path / f"killed-{at}.db"
        shutil.copyfile(file, own)
        async with opened(own, world) as mint:
            run = killed_at(at, mint.run("greeter"))
            with suppress(Killed):
                await run
            await asyncio.sleep(0)
        async with opened(own, world) as mint:
            await check_mended(mint, situation)
        own.unlink()
        return run.passed

    awaits = await killed(NEVER)
    assert awaits > 80, "these are more than 800 points in all"
    every = repeated(sample=5, whole=1)
    for at in range(1 + len(situation.__name__) % every, awaits + 1, every):
        await killed(at)
