"""mint on both databases: the log states who changed an application or ordered something, and what was written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fakes.auditor import checked, dumped
from fakes.in_process import InProcess
from fakes.mint_house import MintReplica, MintWorld, found_secrets
from whence_aggregator.mint.values import ChangeStep
from whence_aggregator.ports import Conflict, Database, NotFound
from whence_common.ledger_entry import type_of

DAY = 86_400.0


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


async def shown(mint: MintReplica) -> list[tuple[ChangeStep, str]]:
    return [(one.step, one.by) for one in await mint.applications.changes("greeter")][::-1]


async def test_each_change_and_each_order_is_an_entry_with_who_asked(mint: MintReplica) -> None:
    await mint.write("greeter", "one")
    await mint.write("greeter", "one", "two")
    await mint.applications.renew("greeter", by="bob")
    await mint.applications.revoke("greeter", by="eve")
    await mint.applications.delete("greeter", by="ada")
    assert await shown(mint) == [
        ("created", "ada"), ("changed", "ada"), ("renewal", "bob"), ("revocation", "eve"), ("deletion", "ada"),
    ]  # fmt: skip
    buckets = [one.application.get("buckets") for one in await mint.applications.changes("greeter")][::-1]
    assert buckets == [["one"], ["one", "two"], None, None, None]


async def test_what_is_refused_or_already_so_is_no_entry(mint: MintReplica) -> None:
    with pytest.raises(NotFound):
        await mint.applications.renew("greeter", by="ada")
    await mint.write("greeter", "one")
    with pytest.raises(Conflict):
        await mint.write("greeter", "one", provider="other")
    await mint.applications.delete("greeter", by="ada")
    await mint.applications.delete("greeter", by="bob")
    with pytest.raises(Conflict):
        await mint.applications.renew("greeter", by="ada")
    assert await shown(mint) == [("created", "ada"), ("deletion", "ada")]


async def test_a_deletion_because_kio_lacks_the_application_is_mints_own(mint: MintReplica, world: MintWorld) -> None:
    await mint.write("greeter", "one")
    await mint.run("greeter")
    world.kio.known.clear()
    for _ in range(3):
        await mint.run("greeter")
        world.clock.advance(DAY + 61)
    newest = (await mint.applications.changes("greeter"))[0]
    assert (newest.step, newest.by, newest.reason.split(" since ")[0]) == ("deletion", "", "missing from Kio")


async def test_changes_are_derived_from_the_log_and_hold_no_secret(
    house: InProcess, world: MintWorld, tmp_path: Path
) -> None:
    mint = MintReplica(house.database, world)
    await mint.ledger.start()
    await mint.write("greeter", "one")
    await mint.run("greeter")
    await mint.applications.renew("greeter", by="ada")
    await house.ledger.refresh()
    assert (await checked(house, tmp_path)).findings == []
    entries = [one async for one in mint.reader.entries(0, await mint.reader.size())]
    contents = [one.content for one in entries if one.content is not None]
    assert [type_of(one)[1] for one in contents if type_of(one)[0] == "credential"].count(2) == 2
    assert found_secrets(iter(contents), list(world.provider.secrets())) == []
    rows: list[Any] = (await dumped(house.database))["credential_change"]
    assert [row["step"] for row in rows] == ["created", "renewal"]
