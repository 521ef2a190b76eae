"""`at` and `known_at`: what was recorded by a time, and no machine's clock, decides what is answered about it."""

from __future__ import annotations

from typing import Any

import pytest

from fakes.in_process import InProcess
from fakes.machine import COMMIT, DIGEST, Machine
from whence_aggregator.compliance.standing import standing_verdicts
from whence_aggregator.ports import NotFound
from whence_aggregator.trace.recorded import LATER_MAX
from whence_aggregator.trace.search import Wanted
from whence_aggregator.trace.state import States
from whence_aggregator.trace.tracer import TraceSubject
from whence_common.clock import parse_instant
from whence_common.errors import InputError
from whence_common.statement import ApplicationFacts

ONE, TWO = "i-00000000000000001", "i-00000000000000002"


def at(minute: int, hour: int = 12) -> str:
    return f"2026-11-22T{hour:02d}:{minute:02d}:00.000Z"


def reach(house: InProcess, minute: int, hour: int = 12) -> None:
    house.clock.moment = parse_instant(at(minute, hour))


async def say(house: InProcess, machine: Machine, observed_at: str, version: str = "1.0", **changes: object) -> int:
    application = ApplicationFacts(id="greeter", version=version)
    return (await house.say(machine, observed_at=observed_at, application=application, **changes)).ledger_index


async def version(house: InProcess, when: str | None, known_at: str | None = None) -> object:
    return ((await house.lineage(ONE, when, known_at)).link("version").value or {}).get("application_version")


async def listed(
    house: InProcess, when: str | None, known_at: str | None = None, **wanted: Any
) -> list[dict[str, Any]]:
    moment = await house.tracer.moments.of(when, known_at)
    return (await house.search.instances(Wanted(**wanted, moment=moment, states=States()), after="", limit=50))[0]


async def names(house: InProcess, when: str | None, **wanted: str) -> list[str]:
    return [row["instance_id"] for row in await listed(house, when, **wanted)]


async def clock_off(house: InProcess) -> tuple[str, str]:
    await house.work()
    verdicts = {one["rule"]: one for one in await standing_verdicts(house.database, ONE)}
    return verdicts["clock-off"]["verdict"], verdicts["clock-off"]["reason"]


async def test_a_machine_three_hours_ahead_is_found_when_it_was_recorded(house: InProcess) -> None:
    await say(house, await house.machine(ONE), at(0, 15))
    reach(house, 30)
    assert await names(house, at(10)) == [ONE]
    value = (await house.lineage(ONE, at(10))).link("instance").value or {}
    assert (value["observed_at"], value["recorded_at"], value["skew_seconds"]) == (at(0, 15), at(0), 10_800.0)


async def test_a_machine_in_1970_is_not_listed_before_it_was_launched(house: InProcess) -> None:
    await say(house, await house.machine(ONE), "1970-01-01T00:00:00.000Z")
    reach(house, 30)
    assert await names(house, "2000-01-01T00:00:00.000Z") == []
    with pytest.raises(NotFound):
        await house.lineage(ONE, "2000-01-01T00:00:00.000Z")
    assert await names(house, at(10)) == [ONE]


async def test_a_backdated_statement_does_not_change_what_was_recorded_by_then(house: InProcess) -> None:
    machine = await house.machine(ONE)
    await say(house, machine, at(0), "1")
    reach(house, 10)
    await say(house, machine, at(10), "2")
    reach(house, 20)
    before = (await house.lineage(ONE, at(15), at(20))).to_wire()
    reach(house, 30)
    index = await say(house, machine, at(5), "3")
    reach(house, 40)
    after = (await house.lineage(ONE, at(15), at(20))).to_wire()
    assert {**after, "checkpoint": ""} == {**before, "checkpoint": ""}
    assert [await version(house, at(minute)) for minute in (5, 15, 35)] == ["1", "2", "3"]
    later = (await house.lineage(ONE, at(5))).reported_later
    assert [(one.ledger_index, one.observed_at, one.recorded_at) for one in later.statements] == [
        (index, at(5), at(30))
    ]
    assert (await house.lineage(ONE, at(4))).reported_later.total == 0
    assert (await house.lineage(ONE, at(35))).reported_later.total == 0


@pytest.mark.parametrize("year", ["0001-01-01T00:00:00.000Z", "9999-12-31T23:59:59.999Z"])
async def test_the_ends_of_the_calendar_are_stored_and_shown_without_failures(house: InProcess, year: str) -> None:
    machine = await house.machine(ONE)
    await say(house, machine, year)
    reach(house, 30)
    value = (await house.lineage(ONE)).link("instance").value or {}
    assert value["observed_at"] == year
    assert [row["observed_at"] for row in await listed(house, at(10))] == [year]
    assert (await clock_off(house))[0] == "fail"
    assert await names(house, "0001-01-01T00:00:00.000Z") == []
    await say(house, machine, at(30))
    assert (await clock_off(house))[0] == "pass"


async def test_what_was_only_reported_later_is_found_and_never_complete(house: InProcess) -> None:
    await house.register()
    house.sources.commits[COMMIT] = (
        b"tree " + b"a" * 40 + b"\nauthor A <a@b> 1 +0000\ncommitter A <a@b> 1 +0000\n\nDEMO-1: x"
    )
    machine = await house.machine(ONE)
    reach(house, 20)
    await say(house, machine, at(10), "1")
    await say(house, machine, at(12), "2")
    await say(house, await house.machine(TWO), at(20))
    await house.work()
    reach(house, 40)
    lineage = await house.lineage(ONE, at(15))
    assert (lineage.late, lineage.complete, lineage.link("version").value) == (
        True,
        False,
        {"application_version": "2"},
    )
    assert lineage.reported_later.total == 2
    rows = await listed(house, at(15))
    assert [(row["instance_id"], row["recorded_by_then"]) for row in rows] == [(ONE, False)]
    for wanted in ({"image": DIGEST}, {"application": "greeter"}, {"commit": COMMIT}):
        assert await names(house, at(15), **wanted) == [ONE]
    assert await names(house, at(15), image="sha256:" + "0" * 64) == []
    moment = await house.tracer.moments.of(at(15))
    found, _ = await house.tracer.matching(TraceSubject(kind="image", value=DIGEST), moment=moment, after="", limit=5)
    assert [one.instance_id for one in found] == [ONE]
    assert await version(house, at(11)) == "1"
    assert await names(house, at(9)) == []
    assert await listed(house, at(15), at(16)) == []
    with pytest.raises(NotFound, match="recorded by"):
        await house.lineage(ONE, at(15), at(16))


async def test_what_was_reported_later_is_counted_and_the_newest_are_shown(house: InProcess) -> None:
    machine = await house.machine(ONE)
    await say(house, machine, at(0))
    reach(house, 20)
    indexes = [await say(house, machine, at(minute)) for minute in range(1, 10)]
    reach(house, 30)
    later = (await house.lineage(ONE, at(15))).reported_later
    assert (later.total, [one.ledger_index for one in later.statements]) == (9, indexes[: -LATER_MAX - 1 : -1])


async def test_no_statement_is_of_a_time_before_the_launch_in_the_identity_document(house: InProcess) -> None:
    machine = Machine(house.authority, ONE, pendingTime=at(10))
    reach(house, 12)
    await house.enrol(machine)
    await say(house, machine, at(5))
    reach(house, 20)
    assert await names(house, at(9)) == []
    assert await names(house, at(11)) == [ONE]


async def test_pages_hold_those_that_were_reported_later_in_their_order(house: InProcess) -> None:
    machines = [await house.machine(f"i-{number:017x}") for number in range(6)]
    for machine in machines[::2]:
        await say(house, machine, at(0))
    reach(house, 20)
    for machine in machines[1::2]:
        await say(house, machine, at(5))
    reach(house, 30)
    moment = await house.tracer.moments.of(at(10))
    found: list[tuple[str, bool]] = []
    after: str | None = ""
    while after is not None:
        rows, after = await house.search.instances(Wanted(image=DIGEST, moment=moment), after=after, limit=2)
        found += [(row["instance_id"], row["recorded_by_then"]) for row in rows]
    assert found == [(f"i-{number:017x}", number % 2 == 0) for number in range(6)]


async def test_owners_count_when_they_were_recorded_and_contents_when_they_were_known(house: InProcess) -> None:
    await house.register(team_id="first")
    await say(house, await house.machine(ONE), at(0))
    reach(house, 10)
    await house.register(team_id="second")
    house.sources.commits[COMMIT] = (
        b"tree " + b"a" * 40 + b"\nauthor A <a@b> 1 +0000\ncommitter A <a@b> 1 +0000\n\nDEMO-1: x"
    )
    reach(house, 20)
    await house.work()
    reach(house, 30)
    then = await house.lineage(ONE, at(5))
    assert (then.link("team").value, then.link("commit").state) == ({"team_id": "first"}, "asserted")
    known = await house.lineage(ONE, at(5), at(15))
    assert (known.link("commit").state, known.link("commit").reason) == (
        "unknown", f"not recorded by {at(15)}",
    )  # fmt: skip
    assert (await house.lineage(ONE, known_at=at(15))).link("team").value == {"team_id": "second"}
    assert await names(house, at(5), ticket="DEMO-1") == [ONE]
    assert await listed(house, at(5), at(15), ticket="DEMO-1") == []


async def test_heartbeats_and_inventory_of_now_are_not_evidence_of_then(house: InProcess) -> None:
    await say(house, await house.machine(ONE), at(0))
    reach(house, 10)
    value = (await house.lineage(ONE, at(5))).link("instance").value or {}
    assert value["last_seen"] is None
    assert ((await house.lineage(ONE)).link("instance").value or {})["last_seen"] == at(0)


@pytest.mark.parametrize(
    ("when", "known_at", "code"),
    [
        (at(31), None, "time-in-future"),
        (None, at(31), "time-in-future"),
        ("9999-12-31T23:59:59.999Z", None, "time-in-future"),
        (at(10), at(9), "time-not-known"),
    ],
)
async def test_a_time_that_nothing_can_be_known_of_is_refused(
    house: InProcess, when: str | None, known_at: str | None, code: str
) -> None:
    reach(house, 30)
    with pytest.raises(InputError) as caught:
        await house.tracer.moments.of(when, known_at)
    assert caught.value.code == code


async def test_known_at_alone_is_the_time_asked_about_as_well(house: InProcess) -> None:
    machine = await house.machine(ONE)
    await say(house, machine, at(0), "1")
    reach(house, 10)
    await say(house, machine, at(10), "2")
    reach(house, 20)
    lineage = await house.lineage(ONE, known_at=at(5))
    assert (lineage.at, lineage.known_at, await version(house, None, at(5))) == (at(5), at(5), "1")


async def test_what_is_written_while_the_aggregators_clock_is_set_back_counts_after_what_stands_before_it(
    house: InProcess,
) -> None:
    machine = await house.machine(ONE)
    reach(house, 20)
    await say(house, machine, at(20), "1")
    reach(house, 10)
    await say(house, machine, at(10), "2")
    reach(house, 40)
    await say(house, machine, at(40), "3")
    reach(house, 50)
    assert [await version(house, at(minute)) for minute in (39, 41)] == ["2", "3"]
    assert (await house.lineage(ONE, at(15))).late, "the log has nothing of it before the clock of 12:20"


async def test_the_rule_judges_what_the_ledger_recorded(house: InProcess) -> None:
    machine = await house.machine(ONE)
    await say(house, machine, at(0, 15))
    assert await clock_off(house) == (
        "fail", f"the clock was 10800 s ahead: the statement is of {at(0, 15)} and was recorded at {at(0)}",
    )  # fmt: skip
    await say(house, machine, at(0))
    assert (await clock_off(house))[0] == "pass"
