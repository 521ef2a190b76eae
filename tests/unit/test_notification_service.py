"""The service that notifies: a slow receiver, a bug and a database in trouble hold up nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from fakes.clocks import FakeClock
from fakes.notifications import PATIENCE, House, Receiver, Violations, everything
from whence_aggregator.notifications.outcome import DeliveryOutcome, Parcel
from whence_aggregator.ports import StorageUnavailable
from whence_aggregator.queries.query import BoundCommand, BoundQuery
from whence_aggregator.storage.sqlite import SqliteDatabase

SECONDS_MAX = 60.0


class Hanging(Receiver):
    """Never answers."""

    async def send(self, parcel: Parcel, now: datetime) -> DeliveryOutcome:
        self.tried.append(parcel)
        await asyncio.Event().wait()
        raise AssertionError("nothing sets the event")


class Noted(Receiver):
    """Says that a message arrived."""

    def __init__(self) -> None:
        super().__init__()
        self.arrived = asyncio.Event()

    async def send(self, parcel: Parcel, now: datetime) -> DeliveryOutcome:
        answer = await super().send(parcel, now)
        self.arrived.set()
        return answer


class Broken(Receiver):
    async def send(self, parcel: Parcel, now: datetime) -> DeliveryOutcome:
        self.tried.append(parcel)
        raise KeyError("a bug")


class Troubled:
    """A database whose first reads or writes fail."""

    def __init__(self, database: SqliteDatabase) -> None:
        self._database = database
        self.failures = 1
        self.write_failures = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._database, name)

    async def fetch(self, asked: BoundQuery[Any]) -> Any:
        if self.failures:
            self.failures -= 1
            raise StorageUnavailable("storage-locked", "the database is locked")
        return await self._database.fetch(asked)

    async def write(self, *writes: BoundCommand) -> None:
        if self.write_failures:
            self.write_failures -= 1
            raise StorageUnavailable("storage-locked", "the database is locked")
        await self._database.write(*writes)


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[SqliteDatabase]:
    found = await SqliteDatabase.open(tmp_path / "ledger.db")
    yield found
    await found.close()


async def test_a_receiver_that_hangs_and_one_that_a_bug_breaks_hold_up_no_other(
    database: SqliteDatabase, caplog: pytest.LogCaptureFixture
) -> None:
    clock = FakeClock()
    names = ("broken", "hanging", "ops")
    receivers: dict[str, Receiver] = {"broken": Broken(), "hanging": Hanging(), "ops": (noted := Noted())}
    house = House(database, clock, [everything(name) for name in names], receivers=receivers)
    await house.feeding.start()
    await Violations(database, clock).step("opened")
    serving = asyncio.create_task(house.service.run())
    async with asyncio.timeout(SECONDS_MAX):
        await noted.arrived.wait()
    assert not serving.done()
    serving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await serving
    assert [len(receivers[name].tried) for name in names] == [1, 1, 1]
    assert "a bug made a notification fail" in caplog.text


async def test_a_database_in_trouble_does_not_end_the_service(database: SqliteDatabase) -> None:
    clock, noted, troubled = FakeClock(), Noted(), Troubled(database)
    house = House(troubled, clock, [everything()], receivers={"ops": noted})
    await house.feeding.start()
    await Violations(database, clock).step("opened")
    serving = asyncio.create_task(house.service.run())
    async with asyncio.timeout(SECONDS_MAX):
        await noted.arrived.wait()
    serving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await serving
    assert (noted.steps, troubled.failures) == (["opened"], 0)


class Held(Receiver):
    """Answers when it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.asked, self.let_go = asyncio.Event(), asyncio.Event()

    async def send(self, parcel: Parcel, now: datetime) -> DeliveryOutcome:
        self.asked.set()
        await self.let_go.wait()
        return await super().send(parcel, now)


async def test_a_message_that_is_under_way_when_the_program_stops_is_noted_and_not_sent_again(
    database: SqliteDatabase,
) -> None:
    clock, held = FakeClock(), Held()
    patient = replace(PATIENCE, finish_seconds_max=SECONDS_MAX)
    house = House(database, clock, [everything()], receivers={"ops": held}, patience=patient)
    await house.feeding.start()
    await Violations(database, clock).step("opened")
    serving = asyncio.create_task(house.service.run())
    async with asyncio.timeout(SECONDS_MAX):
        await held.asked.wait()
        serving.cancel()
        held.let_go.set()
        with pytest.raises(asyncio.CancelledError):
            await serving
    clock.advance(86_400)
    await House(database, clock, [everything()], holder="b", receivers={"ops": held}).turn()
    assert held.steps == ["opened"]


async def test_an_outcome_that_cannot_be_noted_at_once_is_noted_a_moment_later(database: SqliteDatabase) -> None:
    clock, troubled = FakeClock(), Troubled(database)
    troubled.failures, troubled.write_failures = 0, 3
    house = House(troubled, clock, [everything()])
    await house.feeding.start()
    await Violations(database, clock).step("opened")
    await house.turn()
    clock.advance(86_400)
    await house.turn()
    assert (house.receivers["ops"].steps, troubled.write_failures) == (["opened"], 0)
