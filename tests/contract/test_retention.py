"""Retention: bodies go, hashes stay, the log says what went, and what answers need never goes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from fakes.auditor import checked
from fakes.in_process import InProcess
from whence_aggregator.ledger.log_reader import LogReader
from whence_aggregator.ledger.retention import Retention
from whence_aggregator.ports import NotFound
from whence_common.clock import to_instant
from whence_common.log_policy import Policy
from whence_common.receipt import Receipt


class MemoryArchive:
    """An archive that a test can look into."""

    def __init__(self) -> None:
        self.bundles: dict[int, Sequence[bytes]] = {}

    async def load(self, number: int) -> Sequence[bytes] | None:
        return self.bundles.get(number)

    async def store(self, number: int, entries: Sequence[bytes]) -> None:
        self.bundles[number] = entries


async def aged(house: InProcess) -> None:
    """Two machines that have spoken every hour for two weeks."""
    machines = [await house.machine(f"i-{number:017x}") for number in range(2)]
    for hour in range(300):
        house.clock.advance(3600)
        await house.say(machines[hour % 2], observed_at=to_instant(house.clock()))


def retention(house: InProcess, archive: MemoryArchive | None) -> Retention:
    return Retention(
        database=house.database, ledger=house.ledger, archive=archive, days={"statement": 2}, now=house.clock
    )


async def test_old_bodies_go_and_everything_else_stays_as_it_was(house: InProcess, tmp_path: Path) -> None:
    await aged(house)
    lineage = (await house.lineage("i-00000000000000000")).to_wire()["links"]
    kept = await house.entries("statement")
    await retention(house, None).prune("statement")
    left = await house.entries("statement")
    gone = [one.ledger_index for one in left if one.content is None]
    assert len(gone) > 100
    assert (await house.lineage("i-00000000000000000")).to_wire()["links"] == lineage
    assert len(await house.entries("pruned")) == 1
    assert (await checked(house, tmp_path)).findings == []
    old = next(one for one in kept if one.ledger_index == gone[5])
    text = await house.ledger.receipt(old.ledger_index)
    Receipt.parse(text.encode()).check(old.content or b"", Policy(log_keys=[house.signers[0].verifier]))


async def test_a_pruned_body_is_reported_as_pruned_and_never_skipped(house: InProcess) -> None:
    await aged(house)
    await retention(house, None).prune("statement")
    with pytest.raises(NotFound, match="was pruned"):
        await house.lineage("i-00000000000000000", at="2026-11-24T12:20:00.000Z")


async def test_bodies_that_were_moved_are_read_from_where_they_are(house: InProcess, tmp_path: Path) -> None:
    await aged(house)
    before = await house.entries()
    archive = MemoryArchive()
    house.ledger.reader.archive = archive
    await retention(house, archive).prune("statement")
    assert set(archive.bundles) == {0}
    after = await house.entries()
    assert [one.content for one in after[: len(before)]] == [one.content for one in before]
    assert (await house.lineage("i-00000000000000000", at="2026-11-24T12:20:00.000Z")).links
    assert (await checked(house, tmp_path)).findings == []


async def test_pruning_again_takes_nothing_more(house: InProcess) -> None:
    await aged(house)
    policy = retention(house, None)
    while await policy.prune("statement"):
        pass
    size = await house.reader.size()
    assert await retention(house, None).prune("statement") in (0, 1, 2)
    assert await house.reader.size() <= size + 1


async def test_without_age_nothing_goes(house: InProcess) -> None:
    machine = await house.machine()
    await house.say(machine)
    assert await retention(house, None).prune("statement") == 0


async def test_a_reader_without_the_archive_returns_no_body(house: InProcess) -> None:
    await aged(house)
    await retention(house, MemoryArchive()).prune("statement")
    entries = [one async for one in LogReader(house.database).entries(0, 50)]
    assert any(one.content is None for one in entries)
