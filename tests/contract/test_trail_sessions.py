"""Sessions of roles: the call that made a key is an entry once an event was called with it, in whatever order they come."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest

from fakes.auditor import checked, dumped
from fakes.cloud_trail import (
    ACCOUNT,
    CHAINED_KEY,
    KEY,
    ROLE,
    assumed,
    bridged,
    in_session,
    key,
    log_file,
    record,
    s3_event,
    user,
)
from fakes.in_process import InProcess
from fakes.trail_world import TrailWorld
from whence_aggregator.events.upkeep import TrailUpkeep
from whence_common.ledger_entry import kind_of

MACHINE, OTHER = "i-0123456789abcdef0", "210987654321"
ADMIN = f"arn:aws:iam::{ACCOUNT}:role/admin"
SHARED = "44444444-0000-4000-8000-000000000001"


def start(caller: dict[str, Any], number: int = 1) -> dict[str, Any]:
    machines = {"instancesSet": {"items": [{"instanceId": MACHINE}]}}
    return record(
        "StartInstances", number, userIdentity=caller, eventTime="2026-11-22T11:59:58Z", requestParameters=machines,
        responseElements=machines,
    )  # fmt: skip


async def person(house: InProcess) -> dict[str, Any]:
    found = (await house.lineage(MACHINE)).started_by.to_wire()
    assert isinstance(found["value"], dict)
    shown: dict[str, Any] = found["value"]["person"]
    return shown


async def sessions(house: InProcess) -> list[dict[str, Any]]:
    return [dict(kind_of(one.content or b"")[1]) for one in await house.entries("role-session")]


async def a_world(house: InProcess, *accounts: str) -> TrailWorld:
    await house.say(await house.machine(MACHINE))
    named = accounts or (ACCOUNT,)
    return TrailWorld(house, accounts=named, inline=named)


async def arrive(world: TrailWorld, *records: dict[str, Any]) -> None:
    for one in records:
        world.queue.send(bridged(one, account=one["recipientAccountId"]))
        await world.settle()


@pytest.mark.parametrize("first", ["event", "call"])
async def test_the_user_who_assumed_the_role_is_named_whichever_comes_first(
    house: InProcess, tmp_path: Path, first: str
) -> None:
    world = await a_world(house)
    told = [start(in_session()), assumed(caller=user())]
    await arrive(world, *(told if first == "event" else reversed(told)))
    assert await person(house) == {
        "state": "asserted", "name": "jane", "type": "IAMUser", "account_id": ACCOUNT, "known_by": "assume-role",
        "reason": None, "roles": [ROLE],
    }  # fmt: skip
    (one,) = await sessions(house)
    assert (one["access_key"], one["doer"]["user"]) == (KEY, "jane")
    assert "SECRET" not in str(await house.entries()) + str(await dumped(house.database))
    assert (await checked(house, tmp_path)).findings == []


async def test_a_chain_over_two_accounts_is_named_in_any_order_with_copies(house: InProcess, tmp_path: Path) -> None:
    chained = in_session(CHAINED_KEY)
    chained["sessionContext"]["sessionIssuer"]["arn"] = ADMIN
    of_other = {"type": "AWSAccount", "principalId": "AIDAEXAMPLE", "accountId": OTHER}
    told = [
        start(in_session()),
        assumed(50, caller=chained),
        assumed(51, caller=of_other, role=ADMIN, access_key=CHAINED_KEY, sharedEventID=SHARED,
                eventTime="2026-11-22T11:20:00Z"),
        assumed(52, caller=user("ben", OTHER), role=ADMIN, access_key=CHAINED_KEY, sharedEventID=SHARED, account=OTHER,
                eventTime="2026-11-22T11:20:00Z"),
    ]  # fmt: skip
    world = await a_world(house, ACCOUNT, OTHER)
    for order in (*itertools.islice(itertools.permutations(told), 0, 24, 7), told):
        await arrive(world, *order)
    found = await person(house)
    assert (found["state"], found["name"], found["account_id"], found["roles"]) == (
        "asserted", "ben", OTHER, [ROLE, ADMIN],
    )  # fmt: skip
    assert len(await sessions(house)) == 3
    assert (await checked(house, tmp_path)).findings == []


async def test_the_session_of_a_file_names_the_user_and_a_call_that_failed_nobody(house: InProcess) -> None:
    world = await a_world(house)
    failed = assumed(51, caller=user("ben"), errorCode="AccessDenied", responseElements=None)
    world.objects.put(key(), log_file(assumed(caller=user()), failed, start(in_session())))
    world.queue.send(s3_event(key()))
    await world.settle()
    assert ((await person(house))["name"], len(await sessions(house))) == ("jane", 1)


async def test_calls_that_no_event_refers_to_are_no_entries_and_are_dropped_after_three_days(house: InProcess) -> None:
    world = await a_world(house)
    service = {"type": "AWSService", "invokedBy": "ec2.amazonaws.com"}
    await arrive(world, assumed(50, caller=user()), assumed(51, caller=service, access_key=CHAINED_KEY))
    assert await sessions(house) == []
    upkeep = TrailUpkeep(database=house.database, digest_days=7, now=house.clock)
    house.clock.advance(3 * 86_400 + 1)
    await upkeep.round()
    await arrive(world, start(in_session()))
    assert ((await person(house))["known_by"], await sessions(house)) == ("session-name", [])


async def test_of_one_account_only_the_newest_calls_are_kept(house: InProcess) -> None:
    world = await a_world(house)
    for number in range(3):
        await arrive(
            world, assumed(50 + number, caller=user(f"user-{number}"), access_key=f"ASIAEXAMPLEOFAKEY1{number}")
        )
        house.clock.advance(1)
    await TrailUpkeep(database=house.database, digest_days=7, now=house.clock, sessions_of_account_max=2).round()
    for number in range(3):
        await arrive(world, start(in_session(f"ASIAEXAMPLEOFAKEY1{number}"), number))
    assert [one["doer"]["user"] for one in await sessions(house)] == ["user-1", "user-2"]


async def test_another_accounts_record_names_none_of_our_users(house: InProcess) -> None:
    world = await a_world(house, ACCOUNT, OTHER)
    await arrive(world, start(in_session()), assumed(caller=user("boss"), account=OTHER))
    found = await person(house)
    assert (found["name"], found["known_by"]) == ("jane-laptop", "session-name")
    assert found["reason"].startswith("the trail of the role's account has not recorded the call")


async def test_no_other_account_crowds_out_the_record_of_the_roles_own_account(house: InProcess) -> None:
    hostile = "000000000001"  # sorts before ours
    world = await a_world(house, ACCOUNT, hostile)
    forged = [assumed(100 + n, caller=user("boss", hostile), account=hostile) for n in range(1_100)]
    world.objects.put(key(account=hostile), log_file(*forged))
    world.queue.send(s3_event(key(account=hostile)))
    await arrive(world, assumed(caller=user()))
    await arrive(world, start(in_session()))
    assert (await person(house))["name"] == "jane"
