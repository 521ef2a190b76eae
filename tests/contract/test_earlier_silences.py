"""Silences that an earlier version's verdicts state are derived at the start, on SQLite and PostgreSQL."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from contract.test_migrations import Place, PostgresPlace, SqlitePlace
from contract.test_retention import MemoryArchive
from fakes.auditor import checked, dumped
from fakes.in_process import SILENT_AFTER_SECONDS, InProcess
from fakes.machine import Machine
from fakes.signing_authority import SigningAuthority
from whence_aggregator.audit.rebuild import rebuild
from whence_aggregator.ledger.log_reader import LogReader, Stored
from whence_aggregator.ledger.retention import Retention
from whence_aggregator.ports import Database, StorageUnavailable
from whence_aggregator.projections.silences import index_silences
from whence_aggregator.queries.audit import CLEAR_SILENCE
from whence_aggregator.queries.ledger import DERIVATION_DUE
from whence_aggregator.trace.silences import silences_of

ONE, TWO = (f"i-{number:017x}" for number in (1, 2))
PLACE, LAUNCHED = "123456789012/eu-central-1", "2026-11-22T11:59:59.000Z"
BEFORE = 61
SINCE = (
    "drop table silence", "drop table account_plan", "drop table derivation_due", "drop table mint_application",
    "drop table mint_generation", "drop table mint_log", "drop table credential", "drop table instance_credential",
    "drop table credential_change",
    "drop table ami_statement", "drop table ami_package", "drop table ami_named", "drop table instance_image", "drop table instance_package",
)  # fmt: skip
"""What takes away the tables of later versions."""
"""The version of a database without silences."""
PAGE = 5
Rows = Sequence[dict[str, object]]


@pytest.fixture(params=["sqlite", "postgres"])
async def place(request: pytest.FixtureRequest, tmp_path: Path, postgres_dsn: str) -> Place:
    if request.param == "sqlite":
        return SqlitePlace(tmp_path / "ledger.db")
    return await PostgresPlace.make(postgres_dsn)


async def fall_silent(house: InProcess) -> None:
    """Let time pass without a word, and have a listing show that the machines run meanwhile."""
    house.clock.advance(SILENT_AFTER_SECONDS + 1)
    await house.evaluator.sweep()
    await house.work()
    house.clock.advance(1)
    await house.inventory.collect(PLACE)
    await house.work()


async def judged(house: InProcess) -> Machine:
    """Have one instance that was silent twice, which is returned, and one that ended while it was silent."""
    one, two = [await house.machine(name) for name in (ONE, TWO)]
    house.ec2.listed = {ONE: ("running", LAUNCHED), TWO: ("running", LAUNCHED)}
    await house.say(one)
    await house.say(two)
    await house.inventory.collect(PLACE)
    await house.work()
    await fall_silent(house)
    await house.say(one)
    house.ec2.listed = {**house.ec2.listed, TWO: ("terminated", LAUNCHED)}
    await house.inventory.collect(PLACE)
    await house.work()
    await fall_silent(house)
    return one


@asynccontextmanager
async def of_earlier_version(
    place: Place, authority: SigningAuthority, fill: Callable[[InProcess], Awaitable[object]] = judged
) -> AsyncIterator[tuple[InProcess, Rows]]:
    """Yield a house whose database was migrated from the version without silences, and the rows that it had."""
    async with place.opened("make") as database, InProcess(database, authority).running() as house:
        await fill(house)
        rows = (await dumped(database))["silence"]
    await place.run(*SINCE)
    await place.became(BEFORE)
    clock, keeper = house.clock, house.keeper
    async with (
        place.opened("migrate") as database,
        InProcess(database, authority, clock=clock, keeper=keeper).running() as again,
    ):
        again.ec2.listed = house.ec2.listed
        assert (await dumped(database))["silence"] == []
        yield again, rows


async def due(database: Database) -> list[tuple[int, int]]:
    return [(row["following"], row["past"]) for row in await database.fetch(DERIVATION_DUE.bind({"name": "silence"}))]


class Stopping:
    """The log, of which the page that begins with or after an entry is never read."""

    def __init__(self, reader: LogReader, *, at: int) -> None:
        self._reader = reader
        self._at = at
        self.stopped = asyncio.Event()

    async def entries_of(self, kind: str, first: int, past: int) -> Sequence[Stored]:
        if first >= self._at:
            self.stopped.set()
            await asyncio.Event().wait()
        return await self._reader.entries_of(kind, first, past)


class Meanwhile:
    """The log, of which something is done once when its second page is read."""

    def __init__(self, reader: LogReader, do: Callable[[], Awaitable[object]]) -> None:
        self._reader = reader
        self._do = do
        self.done = False

    async def entries_of(self, kind: str, first: int, past: int) -> Sequence[Stored]:
        if first and not self.done:
            self.done = True
            await self._do()
        return await self._reader.entries_of(kind, first, past)


class NoArchive(MemoryArchive):
    """An archive that is unavailable."""

    async def load(self, number: int) -> Sequence[bytes] | None:
        raise StorageUnavailable("archive-unavailable", "S3 is away")


async def test_the_silences_of_earlier_verdicts_are_those_of_a_rebuild(
    place: Place, authority: SigningAuthority, tmp_path: Path
) -> None:
    async with of_earlier_version(place, authority) as (house, rows):
        assert [(one["verdict"], bool(one["silent_since"])) for one in rows] == [
            ("unknown", True), ("fail", True), ("pass", False), ("unknown", True), ("fail", True),
            ("unknown", True), ("fail", True), ("gone", False),
        ]  # fmt: skip
        assert await due(house.database) == [(0, await house.reader.size())]
        assert [one.table for one in (await checked(house, tmp_path)).findings] == ["silence"]
        assert await index_silences(house.database, house.reader) == len(rows)
        assert (await dumped(house.database))["silence"] == rows
        assert (await checked(house, tmp_path)).findings == []
        await rebuild(house.database, house.reader)
        assert (await dumped(house.database))["silence"] == rows
        newest, first = await silences_of(house.database, ONE, past=2**62, limit=50)
        assert (newest["ended"], first["ended"]) == (None, "heard")


async def test_what_was_derived_once_is_not_read_again(place: Place, authority: SigningAuthority) -> None:
    async with of_earlier_version(place, authority) as (house, _):
        await index_silences(house.database, house.reader)
        assert await due(house.database) == []
        await house.database.write(CLEAR_SILENCE.bind([{}]))
        assert await index_silences(house.database, Stopping(house.reader, at=0)) == 0


@pytest.mark.parametrize("at", [0, 1, PAGE * 4])
async def test_a_start_that_is_killed_is_continued_by_the_next(
    place: Place, authority: SigningAuthority, tmp_path: Path, at: int
) -> None:
    async with of_earlier_version(place, authority) as (house, rows):
        stopping = Stopping(house.reader, at=at)
        killed = asyncio.create_task(index_silences(house.database, stopping, page_entries=PAGE))
        await stopping.stopped.wait()
        killed.cancel()
        await asyncio.gather(killed, return_exceptions=True)
        read = -(-at // PAGE) * PAGE
        assert await due(house.database) == [(read, await house.reader.size())]
        before = (await dumped(house.database))["silence"]
        assert before == [one for one in rows if int(str(one["ledger_index"])) < read]
        added = await index_silences(house.database, house.reader, page_entries=PAGE)
        assert added == len(rows) - len(before)
        assert (await dumped(house.database))["silence"] == rows
        assert (await checked(house, tmp_path)).findings == []


async def test_verdicts_that_arrive_meanwhile_have_their_rows_once(
    place: Place, authority: SigningAuthority, tmp_path: Path
) -> None:
    """The end of the second silence is judged while its begin is not derived yet."""
    machines: list[Machine] = []

    async def fill(house: InProcess) -> None:
        machines.append(await judged(house))

    async with of_earlier_version(place, authority, fill) as (house, rows):

        async def heard() -> None:
            await house.say(machines[0])
            await house.work()

        meanwhile = Meanwhile(house.reader, heard)
        assert await index_silences(house.database, meanwhile, page_entries=PAGE) == len(rows)
        assert meanwhile.done
        found = (await dumped(house.database))["silence"]
        assert len(found) == len(rows) + 1
        assert (await silences_of(house.database, ONE, past=2**62, limit=50))[0]["ended"] == "heard"
        assert (await checked(house, tmp_path)).findings == []


async def test_replicas_that_start_together_derive_the_same(
    place: Place, authority: SigningAuthority, tmp_path: Path
) -> None:
    async with of_earlier_version(place, authority) as (house, rows), place.opened("make") as other:
        await asyncio.gather(
            *(
                index_silences(database, LogReader(database), page_entries=pages)
                for database, pages in ((house.database, PAGE), (other, 3), (house.database, 7))
            )
        )
        assert (await dumped(house.database))["silence"] == rows
        assert await due(other) == []
        assert (await checked(house, tmp_path)).findings == []


async def test_a_rebuild_leaves_nothing_to_derive(place: Place, authority: SigningAuthority) -> None:
    async with of_earlier_version(place, authority) as (house, rows):
        await rebuild(house.database, house.reader)
        assert (await due(house.database), (await dumped(house.database))["silence"]) == ([], rows)


async def test_a_log_that_this_version_began_has_nothing_to_derive(house: InProcess) -> None:
    await judged(house)
    assert await due(house.database) == []
    assert await index_silences(house.database, Stopping(house.reader, at=0)) == 0


async def test_a_log_without_verdicts_is_read_to_its_end(place: Place, authority: SigningAuthority) -> None:
    async with of_earlier_version(place, authority, lambda house: house.register()) as (house, rows):
        assert rows == []
        assert await index_silences(house.database, house.reader) == 0
        assert await due(house.database) == []


async def archived(house: InProcess, archive: MemoryArchive) -> None:
    """Move all bodies of verdicts to an archive that are in whole bundles."""
    await judged(house)
    for hour in range(300):
        house.clock.advance(3600)
        await house.register(name=f"Greeter {hour}")
    days = {"verdict": 1}
    await Retention(database=house.database, ledger=house.ledger, archive=archive, days=days, now=house.clock).prune(
        "verdict"
    )
    assert archive.bundles


async def test_bodies_in_an_archive_are_read_from_there_and_an_archive_that_is_away_delays_only_them(
    place: Place, authority: SigningAuthority
) -> None:
    archive = MemoryArchive()
    async with of_earlier_version(place, authority, lambda house: archived(house, archive)) as (house, rows):
        past = await house.reader.size()
        assert await index_silences(house.database, LogReader(house.database, NoArchive())) == 0
        assert await due(house.database) == [(0, past)]
        assert await index_silences(house.database, LogReader(house.database, archive)) == len(rows)
        assert (await dumped(house.database))["silence"] == rows


async def test_bodies_that_were_pruned_state_nothing_and_end_no_start(
    place: Place, authority: SigningAuthority
) -> None:
    async with of_earlier_version(place, authority, lambda house: archived(house, MemoryArchive())) as (house, _):
        assert await index_silences(house.database, house.reader) == 0
        assert await due(house.database) == []


@pytest.mark.parametrize("body", ["", "02", "01ff00ff", "00"])
async def test_a_damaged_verdict_states_nothing_and_ends_no_start(
    place: Place, authority: SigningAuthority, tmp_path: Path, body: str
) -> None:
    in_sqlite = isinstance(place, SqlitePlace)
    async with of_earlier_version(place, authority) as (house, rows):
        index = rows[2]["ledger_index"]
        packed = f"x'{body}'" if in_sqlite else f"'\\x{body}'::bytea"
        await place.run(
            "drop trigger entry_no_update" if in_sqlite else "alter table entry disable trigger user",
            f"update entry set body = {packed}, base = null where ledger_index = {index}",
        )
        assert await index_silences(house.database, house.reader) == len(rows) - 1
        assert (await dumped(house.database))["silence"] == [one for one in rows if one["ledger_index"] != index]
        assert await due(house.database) == []
        assert str(index) in [one.place for one in (await checked(house, tmp_path)).findings]
