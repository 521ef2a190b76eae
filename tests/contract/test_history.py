"""What was true when: statements commute, and `at` returns the newest state that was recorded by then."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import msgspec
import pytest

from fakes.in_process import InProcess
from fakes.machine import COMMIT, DIGEST, FAILED, REPOSITORY, SIDECAR, Machine
from whence_aggregator.applications.listing import WantedApplications
from whence_aggregator.ledger.writing import NewEntry
from whence_aggregator.projections.rows import named
from whence_aggregator.queries.query import EVERY_ENTRY, instance_ids, together
from whence_aggregator.queries.trace import STATEMENTS_NOW, STATEMENTS_OF
from whence_aggregator.trace.search import Wanted
from whence_aggregator.trace.state import States
from whence_common.clock import parse_instant
from whence_common.statement import ApplicationFacts, ContainerFacts, ImageFacts, UserDataFacts

ONE, TWO = "i-00000000000000001", "i-00000000000000002"


def running(version: str, digest: str = DIGEST) -> dict[str, object]:
    return {
        "application": ApplicationFacts(id="greeter", version=version),
        "image": ImageFacts(source=f"{REPOSITORY}@{digest}", repository=REPOSITORY, digest=digest),
        "containers": [],
    }


def at(minute: int) -> str:
    return f"2026-11-22T12:{minute:02d}:00.000Z"


def reach(house: InProcess, minute: int) -> None:
    """Let time pass until that minute."""
    house.clock.moment = parse_instant(at(minute))


async def say_at(house: InProcess, machine: Machine, minute: int, **changes: object) -> None:
    """Have a machine state something at that minute, by a right clock."""
    reach(house, minute)
    await house.say(machine, **{"observed_at": at(minute), **changes})


async def version(house: InProcess, when: str | None = None) -> object:
    value = (await house.lineage(ONE, at=when)).link("version").value
    return value["application_version"] if value is not None else None


def sidecars_image() -> ImageFacts:
    digest = SIDECAR.image_digest
    return ImageFacts(source=f"{REPOSITORY}@{digest}", repository=REPOSITORY, digest=digest)


async def test_a_trace_at_a_time_shows_the_state_of_that_time(house: InProcess) -> None:
    machine = await house.machine(ONE)
    for minute, number in ((0, "1"), (10, "2"), (20, "3")):
        await say_at(house, machine, minute, **running(number))
    reach(house, 59)
    assert [await version(house, at(m)) for m in (0, 5, 10, 19, 20, 59)] == ["1", "1", "2", "2", "3", "3"]
    assert await version(house) == "3"


async def test_a_delayed_statement_fills_the_past_and_leaves_the_present(house: InProcess) -> None:
    machine = await house.machine(ONE)
    early = machine.statement(observed_at=at(0), **running("1"))
    late = machine.statement(observed_at=at(10), **running("2"))
    reach(house, 10)
    await house.ingest.accept(late)
    reach(house, 20)
    await house.ingest.accept(early)
    assert (await version(house), await version(house, at(15)), await version(house, at(5))) == ("2", "2", "1")


async def test_a_clock_that_jumped_back_does_not_bring_the_past_back(house: InProcess) -> None:
    machine = await house.machine(ONE)
    await say_at(house, machine, 40, **running("1"))
    await say_at(house, machine, 45, observed_at=at(10), **running("2"))
    reach(house, 59)
    assert [await version(house, when) for when in (None, at(50), at(42), at(20))] == ["2", "2", "1", "2"]


async def test_a_stop_and_a_new_boot_are_both_seen(house: InProcess) -> None:
    machine = await house.machine(ONE)
    await say_at(house, machine, 0, **running("1"))
    await say_at(house, machine, 10, cause="stop", **running("1"))
    await say_at(house, machine, 20, boot_id="another", **running("2"))
    reach(house, 30)
    causes = [(await house.lineage(ONE, at=at(m))).link("instance").value for m in (5, 15, 25)]
    assert [value["cause"] for value in causes if value is not None] == ["boot", "stop", "boot"]


async def found(house: InProcess, at: str | None = None, **wanted: Any) -> list[str]:
    moment = await house.tracer.moments.of(at)
    asked = Wanted(**wanted, moment=moment, states=States())
    rows, _ = await house.search.instances(asked, after="", limit=50)
    return [row["instance_id"] for row in rows]


@pytest.mark.parametrize("narrowed", [{}, {"account": "123456789012"}])
async def test_all_that_run_an_image_are_found_when_each_has_user_data_of_its_own(
    house: InProcess, narrowed: dict[str, Any]
) -> None:
    names = [f"i-{number:017x}" for number in range(60)]
    for number, name in enumerate(names):
        user_data = UserDataFacts(digest=f"sha256:{number:064x}")
        await house.say(await house.machine(name), user_data=user_data)
    first, following = await house.search.instances(Wanted(image=DIGEST, **narrowed), after="", limit=50)
    assert following is not None
    last, end = await house.search.instances(Wanted(image=DIGEST, **narrowed), after=following, limit=50)
    assert ([row["instance_id"] for row in first + last], end) == (names, None)


async def test_an_instance_is_found_by_every_digest_that_runs_on_it(house: InProcess) -> None:
    index, other = "sha256:" + "1" * 64, "sha256:" + "2" * 64
    chosen = ImageFacts(source=f"{REPOSITORY}@{index}", repository=REPOSITORY, digest=DIGEST, index_digest=index)
    replaced = msgspec.structs.replace(SIDECAR, image_digest=other)
    one, two = await house.machine(ONE), await house.machine(TWO)
    await say_at(house, one, 0, image=chosen)
    await say_at(house, one, 30, containers=[SIDECAR])
    await house.say(two, containers=[replaced], application=ApplicationFacts(id="other", version="1"))
    assert await found(house, image=DIGEST) == [ONE, TWO]
    assert await found(house, image=index) == []
    assert await found(house, image=index, at=at(20)) == [ONE]
    assert await found(house, image=SIDECAR.image_digest) == [ONE]
    assert await found(house, image=SIDECAR.image_digest, at=at(20)) == []
    assert await found(house, image=other) == [TWO]
    assert await found(house, image=other, application="greeter") == []
    assert await found(house, image=other, application="other") == [TWO]


async def test_a_malformed_digest_finds_nothing_and_hides_nothing(house: InProcess) -> None:
    nonsense = [
        ContainerFacts(name="a", container_id="1", image_digest=digest, state="running")
        for digest in ("", " ", "latest", "sha256:" + "F" * 64, f"{DIGEST} {DIGEST}", "sha256:" + "3" * 64)
    ]
    await house.say(await house.machine(ONE), containers=nonsense)
    assert await found(house, image="") == await found(house, image="latest") == []
    assert await found(house, image="sha256:" + "3" * 64) == await found(house, image=DIGEST) == [ONE]


async def test_instances_with_the_same_user_data_and_different_sidecars_are_distinguished(house: InProcess) -> None:
    """A sidecar may be asked for by tag, and the tag may move between two boots."""
    other = msgspec.structs.replace(SIDECAR, image_digest="sha256:" + "6" * 64, declared_digest="sha256:" + "6" * 64)
    await house.say(await house.machine(ONE), containers=[SIDECAR])
    await house.say(await house.machine(TWO), containers=[other])
    assert await found(house, image=SIDECAR.image_digest) == [ONE]
    assert await found(house, image=other.image_digest) == [TWO]


async def test_a_commit_leads_to_those_that_run_its_image_as_a_sidecar(house: InProcess) -> None:
    one, two = await house.machine(ONE), await house.machine(TWO)
    await house.say(one, image=sidecars_image(), containers=[])
    await house.say(two, containers=[SIDECAR], scm_source=None)
    assert await found(house, commit=COMMIT) == [ONE, TWO]


async def test_one_that_runs_two_images_of_a_commit_is_found_once(house: InProcess) -> None:
    one, two = await house.machine(ONE), await house.machine(TWO)
    await house.say(two, image=sidecars_image(), containers=[])
    await house.say(one, containers=[SIDECAR])
    reach(house, 59)
    assert await found(house, commit=COMMIT) == [ONE, TWO]
    assert await found(house, commit=COMMIT, region="eu-central-1") == [ONE, TWO]
    assert await found(house, commit=COMMIT, at=at(59)) == [ONE, TWO]


async def test_instances_at_a_time_are_found_by_what_they_ran_then(house: InProcess) -> None:
    other = "sha256:" + "e" * 64
    one, two = await house.machine(ONE), await house.machine(TWO)
    await say_at(house, one, 0, **running("1"))
    await say_at(house, two, 15, **running("2", other))
    await say_at(house, one, 30, **running("2", other))
    reach(house, 40)
    assert await found(house, image=DIGEST, at=at(20)) == [ONE]
    assert await found(house, image=other, at=at(20)) == [TWO]
    assert await found(house, image=other) == [ONE, TWO]
    assert await found(house, image=DIGEST) == []
    assert await found(house, application="greeter", version="2", at=at(40)) == [ONE, TWO]
    assert await found(house, at=at(10)) == [ONE]
    assert await found(house, account="123456789012", at=at(20)) == [ONE, TWO]
    assert await found(house, commit="c" * 8, at=at(20)) == [ONE, TWO]


async def test_applications_at_a_time_are_as_they_were_registered_then(house: InProcess) -> None:
    await house.register(name="First")
    house.clock.advance(600)
    await house.register(name="Second")
    await house.register("other", name="Other")
    assert [
        one["name"] async for page in house.application_lists.pages(WantedApplications(at=at(5))) for one in page
    ] == ["First"]
    assert [one["name"] async for page in house.application_lists.pages(WantedApplications()) for one in page] == [
        "Second",
        "Other",
    ]
    assert (await house.applications.read("greeter", at=at(5)))["name"] == "First"


async def state(house: InProcess, ids: list[str]) -> bytes:
    """Everything that answers are made of, but for where in the log it stands."""
    found: list[object] = []
    for one in ids:
        names = instance_ids([one])
        for row in await house.database.fetch(STATEMENTS_NOW.bind(names)):
            found.append([row["enrolment"], row["sequence"], row["cause"], row["observed_at"]])
        history = await house.database.fetch(
            STATEMENTS_OF.bind({"instance_id": one, "past": EVERY_ENTRY, "limit": 100})
        )
        found.append([[row["sequence"], row["cause"], row["observed_at"], row["image_digest"]] for row in history])
    return msgspec.json.encode(found)


async def test_statements_delivered_out_of_order_result_in_the_same_answers(house: InProcess) -> None:
    """The same with signatures, log and storage: fewer, for they cost more."""
    chance = random.Random(5)
    answers = []
    for round_ in range(6):
        machines = [await house.machine(f"i-{round_:08x}{number:09x}") for number in range(3)]
        told = []
        for machine in machines:
            for minute in (0, 10, 20, 30):
                changes = FAILED if minute == 20 else running(str(minute))
                told.append(machine.statement(observed_at=at(minute), **changes))
        if round_:
            told = told * 2
            chance.shuffle(told)
        while told:
            await asyncio.gather(*(house.ingest.accept(one) for one in told[:7]))
            told = told[7:]
        answers.append(await state(house, [machine.instance_id for machine in machines]))
    assert len(set(answers)) == 1


async def test_a_batch_that_fails_leaves_no_trace(house: InProcess) -> None:
    machine = await house.machine(ONE)
    await house.say(machine)
    before, size = house.ledger.note, await house.reader.size()

    async def fails() -> None:
        async with house.ledger.writing(together(named([ONE]))) as writing:
            await writing.append([NewEntry(kind="fact", content=b'{"type":"urn:whence:fact:v1"}')])
            raise RuntimeError("the disk is gone")

    with pytest.raises(RuntimeError):
        await fails()
    assert (house.ledger.note, await house.reader.size()) == (before, size)
    await house.say(machine)
    assert await house.reader.size() == size + 1
