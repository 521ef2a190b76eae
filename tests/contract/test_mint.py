"""mint on both databases: credentials are made, published, committed and ended, and every step is in the log."""

from __future__ import annotations

import pytest

from fakes.mint_house import MintReplica, MintWorld
from whence_aggregator.ports import Database


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
