"""The EC2 inventory: who is silent, with the denominator, and user data that was changed behind the agent's back."""

from __future__ import annotations

import json
from collections import Counter
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest

from fakes.auditor import checked
from fakes.in_process import SILENT_AFTER_SECONDS, InProcess
from fakes.machine import Machine
from fakes.signing_authority import SigningAuthority
from whence_aggregator.audit.rebuild import rebuild
from whence_aggregator.collect.user_data import ASKED_MAX
from whence_aggregator.compliance.rules.catalogue import RulesInForce
from whence_aggregator.compliance.standing import standing_verdicts
from whence_aggregator.ports import Database, ListedInstance, SourceUnavailable
from whence_aggregator.queries.agents import SEE, SET_LIFE, SetLifeParameters
from whence_aggregator.queries.audit import DUMP_INVENTORY_HISTORY, DUMP_LIFE
from whence_aggregator.queries.collect import (
    INVENTORY_SILENT,
    INVENTORY_UNREAD,
    LISTINGS,
    PRESENCE_COUNTS,
    InventorySilentParameters,
    PresenceCountsParameters,
)
from whence_aggregator.queries.trace import INVENTORY_OF
from whence_aggregator.queries.work import TASKS_OF_KIND
from whence_aggregator.wiring.work import kinds_of
from whence_common.clock import to_instant, to_millis
from whence_common.digest import sha256_digest
from whence_common.ledger_entry import type_of
from whence_common.statement import UserDataFacts
from whence_common.user_data.judge import judge
from whence_common.user_data.masking import masked
from whence_common.user_data.platform import PlatformRules

PLACE = "123456789012/eu-central-1"
STARTED = "2026-11-22T11:59:59.000Z"
USER_DATA = b"#taupage-ami-config\napplication_id: greeter\nenvironment: {PASSWORD: hunter2}\n"
NAMES = [f"i-{number:017x}" for number in range(3)]
ONE, TWO, THREE = NAMES
UNLISTED = "i-000000000000000ff"


def bounds(house: InProcess) -> PresenceCountsParameters:
    since = house.clock() - timedelta(seconds=SILENT_AFTER_SECONDS)
    return {"silent_before": to_millis(since), "awaited_since": to_instant(since)}


async def counts(house: InProcess) -> dict[str, int]:
    """Count instances by life and hearing, as `running/speaking`."""
    rows = await house.database.fetch(PRESENCE_COUNTS.bind(bounds(house)))
    return {f"{row['life']}/{row['heard']}": row["n"] for row in rows}


async def silent(house: InProcess) -> list[str]:
    parameters: InventorySilentParameters = {
        "account_id": "123456789012", **bounds(house), "after": "", "limit": 10,
    }  # fmt: skip
    return [row["instance_id"] for row in await house.database.fetch(INVENTORY_SILENT.bind(parameters))]


async def hear(house: InProcess, machine: Machine) -> None:
    """Have a heartbeat of the machine arrive now."""
    seen = house.sightings.rows([(machine.instance_id, 1)], to_millis(house.clock()))
    await house.database.write(SEE.bind(seen))


async def verdict(house: InProcess, rule: str, instance_id: str = ONE) -> str:
    await house.work()
    return str({row["rule"]: row["verdict"] for row in await standing_verdicts(house.database, instance_id)}[rule])


async def test_an_instance_that_never_spoke_is_counted_and_named(house: InProcess) -> None:
    house.ec2.listed = {ONE: ("running", STARTED), TWO: ("running", STARTED), THREE: ("terminated", STARTED)}
    await house.say(await house.machine(ONE))
    await house.inventory.collect(PLACE)
    assert await counts(house) == {"running/speaking": 1, "running/awaited": 1}
    assert await silent(house) == [], "it was launched too recently to tell"
    house.clock.advance(SILENT_AFTER_SECONDS)
    assert await counts(house) == {"running/speaking": 1, "running/never": 1}
    assert await silent(house) == [TWO]


async def test_an_instance_that_is_no_longer_heard_is_silent_too(house: InProcess) -> None:
    house.ec2.listed = {ONE: ("running", STARTED)}
    await house.say(await house.machine(ONE))
    await house.inventory.collect(PLACE)
    assert await silent(house) == []
    house.clock.advance(SILENT_AFTER_SECONDS + 1)
    assert (await counts(house), await silent(house)) == ({"running/silent": 1}, [ONE])


async def test_an_unchanged_listing_appends_no_entry(house: InProcess) -> None:
    house.ec2.listed = {ONE: ("running", STARTED)}
    for _ in range(3):
        await house.inventory.collect(PLACE)
    assert len(await house.entries("fact")) == 1
    house.ec2.listed = {ONE: ("stopped", STARTED)}
    await house.inventory.collect(PLACE)
    assert len(await house.entries("fact")) == 2


async def test_an_instance_that_is_listed_no_more_is_gone(house: InProcess) -> None:
    house.ec2.listed = {ONE: ("running", STARTED), TWO: ("running", STARTED)}
    await house.inventory.collect(PLACE)
    del house.ec2.listed[TWO]
    await house.inventory.collect(PLACE)
    assert await counts(house) == {"running/awaited": 1}
    await house.inventory.collect(PLACE)
    assert len(await house.entries("fact")) == 3


async def test_user_data_is_digested_and_masked_before_it_is_stored(house: InProcess) -> None:
    house.ec2.listed, house.ec2.data = {ONE: ("running", STARTED)}, {ONE: USER_DATA}
    await house.inventory.collect(PLACE)
    (entry,) = await house.entries("fact")
    value = json.loads(entry.content or b"")["value"]
    assert value["user_data_digest"] == sha256_digest(USER_DATA)
    assert value["user_data"]["application_id"] == "greeter"
    assert b"hunter2" not in (entry.content or b"")


async def test_user_data_is_asked_for_only_when_it_can_have_changed(house: InProcess) -> None:
    house.ec2.listed, house.ec2.data = {ONE: ("running", STARTED)}, {ONE: USER_DATA}
    await house.inventory.collect(PLACE)
    await house.inventory.collect(PLACE)
    assert house.ec2.asked == [ONE]
    house.ec2.listed = {ONE: ("stopped", STARTED)}
    await house.inventory.collect(PLACE)
    house.ec2.listed = {ONE: ("running", "2026-11-22T12:30:00.000Z")}
    await house.inventory.collect(PLACE)
    assert house.ec2.asked == [ONE] * 3


async def test_the_same_user_data_from_both_sides_is_confirmed(house: InProcess) -> None:
    house.ec2.listed, house.ec2.data = {ONE: ("running", STARTED)}, {ONE: USER_DATA}
    await house.say(await house.machine(ONE), user_data=UserDataFacts(digest=sha256_digest(USER_DATA), document={}))
    assert await house.state("user_data", ONE) == "asserted"
    await house.inventory.collect(PLACE)
    assert await house.state("user_data", ONE) == "confirmed"
    assert await verdict(house, "user-data-changed") == "pass"


async def test_user_data_that_was_changed_is_contradicted_and_a_violation(house: InProcess) -> None:
    house.ec2.listed, house.ec2.data = {ONE: ("running", STARTED)}, {ONE: USER_DATA + b"# changed"}
    await house.say(await house.machine(ONE), user_data=UserDataFacts(digest=sha256_digest(USER_DATA), document={}))
    await house.inventory.collect(PLACE)
    assert await house.state("user_data", ONE) == "contradicted"
    assert await verdict(house, "user-data-changed") == "fail"


PORTS = USER_DATA + b"ports: {8080: 8080}\n"
CLOSED = "the difference is not shown: "


@pytest.mark.parametrize(
    "stated, listed, said",
    [
        (USER_DATA, USER_DATA.replace(b"hunter2", b"hunter3"),
         CLOSED + "it is in masked values (environment.PASSWORD), or in comments and spacing"),
        (b"#taupage-ami-config\napplication_id: greeter\n", b"#taupage-ami-config\n# new\napplication_id: greeter\n",
         CLOSED + "it is in comments, spacing or order"),
        (PORTS, PORTS.replace(b"8080}", b"80}"), "they differ in ports.8080; masked values cannot be compared"),
        (USER_DATA, b"#taupage-ami-config\n- no document\n",
         "they cannot be compared: one of them is not stored as a document"),
        (USER_DATA, USER_DATA.replace(b"PASSWORD", b"OTHER"),
         "they differ in environment.OTHER, environment.PASSWORD"),
    ],
)  # fmt: skip
async def test_the_answer_states_how_user_data_differs_and_what_cannot_be_compared(
    house: InProcess, stated: bytes, listed: bytes, said: str
) -> None:
    house.ec2.listed, house.ec2.data = {ONE: ("running", STARTED)}, {ONE: listed}
    judged = judge(stated, PlatformRules()).document
    assert judged is not None
    facts = UserDataFacts(digest=sha256_digest(stated), document=masked(judged))
    await house.say(await house.machine(ONE), user_data=facts)
    await house.inventory.collect(PLACE)
    house.ec2.listed = {ONE: ("shutting-down", STARTED)}
    await house.inventory.collect(PLACE)  # an entry that repeats the digest alone
    house.ec2.listed = {ONE: ("running", STARTED)}
    await house.inventory.collect(PLACE)
    link = (await house.lineage(ONE)).link("user_data")
    assert (link.state, link.reason) == (
        "contradicted",
        f"the EC2 API and the agent report different user data: {said}",
    )
    assert await verdict(house, "user-data-changed") == "fail"
    (standing,) = [one for one in await standing_verdicts(house.database, ONE) if one["rule"] == "user-data-changed"]
    assert standing["reason"] == f"the EC2 API and the agent report different user data: {said}"
    assert "hunter" not in json.dumps([link.value, standing])


async def test_an_agent_that_shows_more_than_the_collector_makes_no_difference_up(house: InProcess) -> None:
    stated = USER_DATA + b"  \n"
    house.ec2.listed, house.ec2.data = {ONE: ("running", STARTED)}, {ONE: USER_DATA.replace(b"hunter2", b"hunter3")}
    document = {"application_id": "greeter", "environment": {"PASSWORD": "shown by an older agent"}}
    await house.say(await house.machine(ONE), user_data=UserDataFacts(digest=sha256_digest(stated), document=document))
    await house.inventory.collect(PLACE)
    reason = (await house.lineage(ONE)).link("user_data").reason
    assert reason is not None
    assert reason.endswith(CLOSED + "it is in masked values (environment.PASSWORD), or in comments and spacing")


@pytest.mark.parametrize(
    "listed, outcome",
    [
        ({ONE: ("running", STARTED)}, "pass"),
        ({ONE: ("terminated", STARTED)}, "fail"),
        ({TWO: ("running", STARTED)}, "fail"),
    ],
)
async def test_a_machine_heard_well_after_a_listing_without_it_is_a_violation(
    house: InProcess, listed: dict[str, tuple[str, str]], outcome: str
) -> None:
    house.ec2.listed = listed
    machine = await house.machine(ONE)
    await house.say(machine)
    house.clock.advance(121)
    await house.inventory.collect(PLACE)
    assert await verdict(house, "instance-unlisted") == "pass", "it may have ended just before"
    house.clock.advance(121)
    await hear(house, machine)
    await house.evaluator.sweep()
    assert await verdict(house, "instance-unlisted") in ("pass", "unknown"), "one listing may have lacked it"
    house.clock.advance(1)
    await house.inventory.collect(PLACE)
    assert await verdict(house, "instance-unlisted") == outcome


async def test_an_account_that_is_not_asked_leaves_unknown_and_no_pass(house: InProcess) -> None:
    await house.say(await house.machine(ONE))
    assert await verdict(house, "instance-unlisted") == "unknown"
    assert await verdict(house, "user-data-changed") == "unknown"


async def test_an_unreachable_account_is_listed_again_and_shows_the_reason(house: InProcess) -> None:
    house.ec2.away = True
    await house.inventory.schedule([("123456789012", "eu-central-1")])
    await house.work()
    (task,) = await house.database.fetch(TASKS_OF_KIND.bind({"kind": "inventory"}))
    assert task["reason"] == "EC2 is away"
    house.ec2.away = False
    house.ec2.listed = {ONE: ("running", STARTED)}
    house.clock.advance(20)
    await house.work()
    (task,) = await house.database.fetch(TASKS_OF_KIND.bind({"kind": "inventory"}))
    assert task["reason"].startswith("1 instances listed at 2026-11-22T12:00:20")
    house.ec2.away = True
    with pytest.raises(SourceUnavailable):
        await house.inventory.collect(PLACE)


async def test_an_account_that_is_asked_no_more_is_forgotten(house: InProcess) -> None:
    await house.inventory.schedule([("123456789012", "eu-central-1")])
    await house.worker_of(kinds_of(house.ledger, house.collectors, None, now=house.clock)).work()
    assert await house.database.fetch(TASKS_OF_KIND.bind({"kind": "inventory"})) == []


DENIED = SourceUnavailable("ec2-denied", "EC2 of account 123456789012 in eu-central-1 denies it: UnauthorizedOperation")
THROTTLED = SourceUnavailable(
    "ec2-throttled", "EC2 of account 123456789012 in eu-central-1 throttles requests: Throttling"
)
WITH_INVENTORY = RulesInForce.of(sources=["inventory"])
FAILED = SourceUnavailable(
    "ec2-unavailable", "EC2 of account 123456789012 in eu-central-1 cannot be asked: InternalError"
)


async def unread(house: InProcess) -> dict[str, str]:
    rows = await house.database.fetch(INVENTORY_UNREAD.bind({"most": 10}))
    return {row["instance_id"]: row["reason"] for row in rows}


@pytest.mark.parametrize(
    ("data", "outcome", "reason"),
    [
        (USER_DATA, "fail", "user data contains a secret in plain text: environment.PASSWORD"),
        (b"#taupage-ami-config\nenvironment: {API_TOKEN: abc}\n", "unknown",
         "these values may be secrets in plain text: environment.API_TOKEN"),
        (b"#taupage-ami-config\nenvironment: {LEVEL: info, PASSWORD: 'aws:ssm:/pay/db'}\n", "pass", ""),
        (b"#taupage-ami-config\n- no document\n", "unknown",
         "not known: whether the user data contains secrets: it was not searched, or cannot be read as YAML"),
        (DENIED, "unknown", f"the EC2 API's user data was not read: {DENIED.message}"),
    ],
)  # fmt: skip
async def test_secrets_are_looked_for_in_the_user_data_that_the_ec2_api_returns(
    database: Database, authority: SigningAuthority, data: bytes | SourceUnavailable, outcome: str, reason: str
) -> None:
    async with InProcess(database, authority, rules=WITH_INVENTORY).running() as house:
        house.ec2.listed, house.ec2.data = {ONE: ("running", STARTED)}, {ONE: data}
        await house.say(await house.machine(ONE))
        await house.inventory.collect(PLACE)
        await house.inventory.collect(PLACE)
        assert await verdict(house, "secret-in-user-data") == outcome
        (found,) = [one for one in await standing_verdicts(house.database, ONE) if one["rule"] == "secret-in-user-data"]
        assert found["reason"] == reason
        listed = [type_of(one.content or b"")[2] for one in await house.entries("fact")]
    assert b"hunter2" not in repr(listed).encode()


async def test_one_instance_whose_user_data_is_denied_keeps_no_other_from_being_listed(house: InProcess) -> None:
    house.ec2.listed = {ONE: ("running", STARTED), TWO: ("running", STARTED), THREE: ("running", STARTED)}
    house.ec2.data = {ONE: USER_DATA, TWO: DENIED, THREE: USER_DATA}
    said = await house.inventory.collect(PLACE)
    assert sum((await counts(house)).values()) == 3
    assert await unread(house) == {TWO: DENIED.message}
    assert said.endswith(f"3 of them changed; user data not read of {TWO}")


async def test_user_data_that_is_denied_leaves_unknown_with_the_reason(house: InProcess) -> None:
    house.ec2.listed, house.ec2.data = {ONE: ("running", STARTED)}, {ONE: DENIED}
    await house.say(await house.machine(ONE), user_data=UserDataFacts(digest=sha256_digest(USER_DATA), document={}))
    await house.inventory.collect(PLACE)
    assert await verdict(house, "user-data-changed") == "unknown"
    (standing,) = [row for row in await standing_verdicts(house.database, ONE) if row["rule"] == "user-data-changed"]
    assert standing["reason"] == f"the EC2 API's user data was not read: {DENIED.message}"
    assert (await house.lineage(ONE)).link("user_data").reason == standing["reason"]


@pytest.mark.parametrize("failure", [DENIED, THROTTLED, FAILED])
async def test_user_data_that_was_not_read_is_read_in_a_later_round(
    house: InProcess, failure: SourceUnavailable
) -> None:
    house.ec2.listed, house.ec2.data = {ONE: ("running", STARTED)}, {ONE: failure}
    await house.say(await house.machine(ONE), user_data=UserDataFacts(digest=sha256_digest(USER_DATA), document={}))
    await house.inventory.collect(PLACE)
    await house.inventory.collect(PLACE)
    assert len(await house.entries("fact")) == 1  # the same reason again is not a new entry
    house.ec2.data[ONE] = USER_DATA
    await house.inventory.collect(PLACE)
    assert await unread(house) == {}
    assert await verdict(house, "user-data-changed") == "pass"


async def test_throttling_ends_a_round_and_the_rest_is_asked_for_in_the_next_one(house: InProcess) -> None:
    house.ec2.listed = {ONE: ("running", STARTED), TWO: ("running", STARTED), THREE: ("running", STARTED)}
    house.ec2.data = {ONE: THROTTLED, TWO: USER_DATA, THREE: USER_DATA}
    await house.inventory.collect(PLACE)
    assert house.ec2.asked == [ONE]
    assert await unread(house) == {
        ONE: THROTTLED.message,
        TWO: "it was not read yet",
        THREE: "it was not read yet",
    }
    house.ec2.data[ONE] = USER_DATA
    await house.inventory.collect(PLACE)
    assert await unread(house) == {}


async def test_throttling_while_a_stopped_instance_is_read_again_forgets_nothing_and_a_denial_does(
    house: InProcess,
) -> None:
    house.ec2.listed, house.ec2.data = {ONE: ("stopped", STARTED)}, {ONE: USER_DATA}
    await house.inventory.collect(PLACE)
    house.ec2.data[ONE] = THROTTLED
    await house.inventory.collect(PLACE)
    assert await unread(house) == {}
    house.ec2.data[ONE] = DENIED
    await house.inventory.collect(PLACE)
    assert await unread(house) == {ONE: DENIED.message}


async def test_user_data_of_an_earlier_start_is_not_taken_for_that_of_a_later_one(house: InProcess) -> None:
    house.ec2.listed, house.ec2.data = {ONE: ("running", STARTED)}, {ONE: USER_DATA}
    await house.inventory.collect(PLACE)
    house.ec2.listed, house.ec2.data = {ONE: ("running", "2026-11-22T12:30:00.000Z")}, {ONE: FAILED}
    await house.inventory.collect(PLACE)
    (row,) = await house.database.fetch(INVENTORY_OF.bind({"instance_ids": msgspec.json.encode([ONE]).decode()}))
    assert (row["user_data_digest"], row["user_data_unread"]) == ("", FAILED.message)


async def test_denied_instances_take_turns_when_they_are_more_than_a_round_asks_for(house: InProcess) -> None:
    names = [f"i-{number:017x}" for number in range(ASKED_MAX + 20)]
    house.ec2.listed = dict.fromkeys(names, ("running", STARTED))
    house.ec2.data = dict.fromkeys(names, DENIED)
    for _ in range(3):
        await house.inventory.collect(PLACE)
    assert {name for name, times in Counter(house.ec2.asked).items() if times >= 1} == set(names)
    assert max(Counter(house.ec2.asked).values()) - min(Counter(house.ec2.asked).values()) <= 1
    assert await counts(house) == {"running/awaited": len(names)}


async def test_an_instance_that_two_pages_list_is_one_instance(house: InProcess) -> None:
    house.ec2.listed, house.ec2.twice = {ONE: ("running", STARTED)}, True
    await house.inventory.collect(PLACE)
    assert await counts(house) == {"running/awaited": 1}


async def test_a_check_finds_the_same_reasons(house: InProcess, tmp_path: Path) -> None:
    house.ec2.listed, house.ec2.data = {ONE: ("running", STARTED)}, {ONE: DENIED}
    await house.inventory.collect(PLACE)
    assert (await checked(house, tmp_path)).findings == []


async def test_user_data_changed_for_the_next_start_is_not_a_violation(house: InProcess) -> None:
    """EC2 lets user data be changed only while an instance is stopped, and lists the old launch until it is started."""
    house.ec2.listed, house.ec2.data = {ONE: ("running", STARTED)}, {ONE: USER_DATA}
    facts = UserDataFacts(digest=sha256_digest(USER_DATA), document={})
    await house.say(await house.machine(ONE), user_data=facts)
    await house.inventory.collect(PLACE)
    house.ec2.listed, house.ec2.data = {ONE: ("stopped", STARTED)}, {ONE: USER_DATA + b"# changed"}
    house.clock.advance(300)
    await house.inventory.collect(PLACE)
    assert await verdict(house, "user-data-changed") == "unknown"
    assert await house.state("user_data", ONE) == "asserted"


async def lived(house: InProcess) -> None:
    """Have ONE reboot, TWO stop and start, THREE end, and a machine that no listing shows."""
    house.ec2.listed = dict.fromkeys((ONE, TWO, THREE), ("running", STARTED))
    machines = [await house.machine(name) for name in (ONE, TWO, THREE, UNLISTED)]
    for machine in machines:
        await house.say(machine)
    for name, cause, state in (
        (ONE, "stop", "running"), (ONE, "boot", "running"), (TWO, "stop", "stopped"), (TWO, "boot", "pending"),
        (TWO, "change", "running"), (THREE, "stop", "shutting-down"), (THREE, "stop", "terminated"),
    ):  # fmt: skip
        house.clock.advance(60)
        await house.say(machines[NAMES.index(name)], cause=cause)
        house.clock.advance(60)
        house.ec2.listed[name] = state, STARTED
        await house.inventory.collect(PLACE)
        await house.work()


async def lives(house: InProcess) -> list[object]:
    lives = await house.database.fetch(DUMP_LIFE.bind({"limit": 100, "offset": 0}))
    listed = await house.database.fetch(DUMP_INVENTORY_HISTORY.bind({"limit": 100, "offset": 0}))
    return [[dict(row) for row in lives], [dict(row) for row in listed]] + [
        (one.instance_id, one.life, one.life_since)
        for one in await house.tracer.instances([*NAMES, UNLISTED], moment=await house.tracer.moments.of())
    ]


async def test_a_rebuild_results_in_the_same_lives_and_a_check_finds_a_changed_one(
    house: InProcess, tmp_path: Path
) -> None:
    await lived(house)
    before = await lives(house)
    assert [one[:2] for one in before[2:]] == [  # type: ignore[index]  # instance and life
        (ONE, "running"), (TWO, "running"), (THREE, "terminated"), (UNLISTED, "terminated"),
    ]  # fmt: skip
    assert (await checked(house, tmp_path)).findings == []
    await rebuild(house.database, house.reader)
    assert await lives(house) == before
    row: SetLifeParameters = {"number": 1, "listed": "terminated", "asked_at": 0, "life": "terminated", "life_index": 0}
    await house.database.write(SET_LIFE.bind([row]))
    assert {one.table for one in (await checked(house, tmp_path)).findings} >= {"instance"}


@pytest.mark.parametrize("seen, between", [("running", "stopped"), ("stopped", "running")])
async def test_a_listing_that_is_older_than_the_newest_one_changes_nothing(
    house: InProcess, seen: str, between: str
) -> None:
    """Also where the later one finds the state that was kept, so that it appends nothing."""
    house.ec2.listed = {ONE: (seen, STARTED)}
    await house.say(await house.machine(ONE))
    house.clock.advance(60)
    await house.inventory.collect(PLACE)
    answer = house.ec2.instances

    async def overtaken(account_id: str, region: str) -> list[ListedInstance]:
        """Answer with what was, after a second listing began and ended."""
        house.ec2.listed = {ONE: (between, STARTED)}
        before = await answer(account_id, region)
        house.ec2.instances = answer  # type: ignore[method-assign]  # the fake's own
        house.ec2.listed = {ONE: (seen, STARTED)}
        house.clock.advance(400)
        await house.inventory.collect(PLACE)
        return before

    house.ec2.instances = overtaken  # type: ignore[method-assign]  # slow for once
    house.clock.advance(60)
    assert "discarded: a newer listing began" in await house.inventory.collect(PLACE)
    assert (await house.lineage(ONE)).life == seen
    assert await verdict(house, "agent-silent") == ("fail" if seen == "running" else "gone")
    (listing,) = await house.database.fetch(LISTINGS.bind({}))
    assert listing["listed_at"] == to_millis(house.clock())
