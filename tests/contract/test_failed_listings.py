"""A failed read makes what rests on it unknown; it closes and deletes nothing, and passes nothing."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import pytest

from fakes.coverage import coverage_of
from fakes.in_process import InProcess
from fakes.machine import COMMIT, DIGEST, Machine
from whence_aggregator.compliance.standing import standing_verdicts
from whence_aggregator.organisation.directory import OrganisationDirectory
from whence_aggregator.ports import SourceUnavailable
from whence_aggregator.reports.coverage import AskedAbout
from whence_aggregator.trace.moment import NOW
from whence_aggregator.violations.listing import GroupedViolations, WantedGroups
from whence_aggregator.violations.members import GroupMembers
from whence_aggregator.violations.shown import to_csv
from whence_aggregator.wiring.violations import load_violations
from whence_common.digest import sha256_digest
from whence_common.statement import UserDataFacts

ACCOUNT, OTHER, REGION = "123456789012", "210987654321", "eu-central-1"
ONE, FIRST = "i-0123456789abcdef0", "i-0000000000abcdef1"
RULE = "user-data-changed"
MESSAGE = b"tree x\nauthor A <a@b> 1 +0000\ncommitter A <a@b> 1 +0000\n\nDEMO-1: greet"
STARTED = "2026-11-22T11:59:59.000Z"
STATED, CHANGED = b"#taupage-ami-config\nstated: true\n", b"#taupage-ami-config\nchanged: true\n"
FAILURES = {
    "denied": SourceUnavailable(
        "ec2-denied", "EC2 denies the request: UnauthorizedOperation: not authorized to perform: ec2:DescribeInstances"
    ),
    "external id": SourceUnavailable(
        "ec2-denied", "EC2 denies the request: AccessDenied: not authorized to perform: sts:AssumeRole on resource: x"
    ),
    "region": SourceUnavailable("ec2-unavailable", "EC2 cannot be asked: OptInRequired: You are not subscribed"),
    "throttled": SourceUnavailable("ec2-throttled", "EC2 throttles requests: RequestLimitExceeded (429)"),
    "5xx": SourceUnavailable("ec2-unavailable", "EC2 cannot be asked: 503"),
}


@dataclass(frozen=True, kw_only=True)
class Watched:
    """A house whose violations follow its verdicts."""

    house: InProcess
    grouped: GroupedViolations
    machine: Machine

    async def list_place(self, account: str = ACCOUNT, *, times: int = 1) -> None:
        """List a place of the inventory as its task does, after which everything that follows is judged."""
        for _ in range(times):
            with suppress(SourceUnavailable):
                await self.house.inventory.collect(f"{account}/{REGION}")
            self.house.clock.advance(60.0)
        await self.follow()

    async def follow(self) -> None:
        directory = OrganisationDirectory(self.house.database)
        living = load_violations(self.house.database, self.house.ledger, directory, None, now=self.house.clock)
        await self.house.work()
        await living.recorder.follow_all()

    async def violation(self) -> tuple[str, str, bool]:
        """Return the state of the violation, its reason, and whether it is confirmed now."""
        wanted = WantedGroups(rules=[RULE], states=("open", "reopened", "fixed", "acknowledged", "exempted"))
        page = await self.grouped.page(wanted, moment=await self.house.tracer.moments.of(), after="", limit=10)
        (one,) = page.violations
        return one["state"], one["reason"], one["not_confirmed_since"] is None

    async def shown(self) -> dict[str, Any]:
        """Return the violation with its instances."""
        moment = await self.house.tracer.moments.of()
        page = await self.grouped.page(WantedGroups(rules=[RULE]), moment=moment, after="", limit=10)
        (one,) = page.violations
        stored = await self.grouped.then(one["id"], moment)
        return await self.grouped.shown(stored, moment)

    async def verdict(self, instance_id: str = ONE, rule: str = RULE) -> tuple[str, str]:
        found = await standing_verdicts(self.house.database, instance_id)
        ((verdict, reason),) = [(one["verdict"], one["reason"]) for one in found if one["rule"] == rule]
        return verdict, reason


@pytest.fixture
async def watched(house: InProcess) -> Watched:
    """An instance whose user data in the EC2 API is not what its agent read: a fault that the inventory shows."""
    directory, members = OrganisationDirectory(house.database), GroupMembers(database=house.database)
    grouped = GroupedViolations(database=house.database, directory=directory, members=members)
    house.sources.images[DIGEST], house.sources.commits[COMMIT] = None, MESSAGE
    found = Watched(house=house, grouped=grouped, machine=await house.machine(ONE))
    house.ec2.listed, house.ec2.data = {ONE: ("running", STARTED)}, {ONE: CHANGED}
    stated = UserDataFacts(digest=sha256_digest(STATED), document={"stated": True})
    await house.say(found.machine, user_data=stated)
    await found.list_place()
    assert await found.violation() == ("open", (await found.verdict())[1], True)
    assert (await found.verdict())[0] == "fail"
    return found


@pytest.mark.parametrize("failure", FAILURES.values(), ids=FAILURES)
async def test_a_failed_listing_makes_the_fault_unknown_and_never_fixed_until_it_is_seen_to_be(
    watched: Watched, failure: SourceUnavailable
) -> None:
    house = watched.house
    house.ec2.refuses[ACCOUNT] = failure
    await watched.list_place(times=3)
    verdict, reason = await watched.verdict()
    assert verdict == "unknown"
    assert reason == f"not known: the inventory, which cannot be read: {failure.message}"
    assert await watched.violation() == ("open", reason, False)
    del house.ec2.refuses[ACCOUNT]
    await watched.list_place()
    assert (await watched.verdict())[0] == "fail", "the fault is still there"
    assert (await watched.violation())[::2] == ("open", True)
    house.ec2.refuses[ACCOUNT] = failure
    await watched.list_place(times=3)
    del house.ec2.refuses[ACCOUNT]
    stated = UserDataFacts(digest=sha256_digest(CHANGED), document={"changed": True})
    await house.say(watched.machine, user_data=stated)
    await watched.follow()
    assert (await watched.verdict())[0] == "unknown", "nothing is known before the inventory is read"
    assert (await watched.violation())[0] == "open"
    await watched.list_place()
    assert (await watched.verdict())[0] == "pass"
    assert (await watched.violation())[0] == "fixed"


async def test_members_are_the_instances_that_fail_and_those_that_are_unknown_are_counted_beside_them(
    watched: Watched,
) -> None:
    house = watched.house
    house.ec2.listed[FIRST] = ("running", STARTED)
    house.ec2.data[FIRST] = SourceUnavailable("ec2-denied", "EC2 denies the request: no ec2:DescribeInstanceAttribute")
    stated = UserDataFacts(digest=sha256_digest(STATED), document={"stated": True})
    await house.say(await house.machine(FIRST), user_data=stated)
    await watched.list_place()
    assert [(await watched.verdict(one))[0] for one in (ONE, FIRST)] == ["fail", "unknown"]
    shown = await watched.shown()
    assert (shown["members"], shown["not_confirmed"], shown["not_confirmed_since"]) == (1, 1, None)
    assert [(one["instance_id"], one["verdict"]) for one in shown["instances"]] == [(ONE, "fail"), (FIRST, "unknown")]
    house.ec2.refuses[ACCOUNT] = FAILURES["denied"]
    await watched.list_place()
    shown = await watched.shown()
    assert (shown["state"], shown["members"], shown["not_confirmed"]) == ("open", 0, 2)
    assert shown["not_confirmed_since"] is not None
    names, row = to_csv([shown]).splitlines()[:2]
    place = names.split(",").index("members")
    assert (names.split(",")[place + 1], row.split(",")[place : place + 2]) == ("not_confirmed", ["0", "2"])


@pytest.mark.parametrize("name, after", [("denied", 1), ("throttled", 3)])
async def test_one_throttled_listing_moves_no_verdict_and_one_denial_does(
    watched: Watched, name: str, after: int
) -> None:
    watched.house.ec2.refuses[ACCOUNT] = FAILURES[name]
    for _ in range(after - 1):
        await watched.list_place()
        assert (await watched.verdict())[0] == "fail"
    await watched.list_place()
    assert (await watched.verdict())[0] == "unknown"
    before = len(await watched.house.entries())
    await watched.list_place(times=5)
    assert len(await watched.house.entries()) == before, "a place that stays unread appends nothing"


async def test_what_is_heard_of_an_agent_passes_while_the_inventory_is_denied_and_silence_is_unknown(
    watched: Watched,
) -> None:
    watched.house.ec2.refuses[ACCOUNT] = FAILURES["denied"]
    await watched.list_place()
    assert (await watched.verdict(rule="agent-silent"))[0] == "pass"
    watched.house.clock.advance(3_600.0)
    await watched.house.evaluator.sweep()
    await watched.follow()
    verdict, reason = await watched.verdict(rule="agent-silent")
    assert (verdict, "cannot be read: EC2 denies the request" in reason) == ("unknown", True)
    for rule in ("instance-unlisted", "user-data-changed"):
        assert (await watched.verdict(rule=rule))[0] == "unknown"


async def test_one_broken_account_holds_up_no_other_and_makes_no_answer_about_another_incomplete(
    watched: Watched,
) -> None:
    house = watched.house
    house.ec2.refuses[OTHER] = FAILURES["throttled"]
    await house.inventory.schedule([(OTHER, REGION), (ACCOUNT, REGION)])
    house.ec2.listed[ONE] = ("stopped", STARTED)
    await house.worker.work()
    covered = await coverage_of(house, accounts=[ACCOUNT, OTHER], regions=[REGION]).read()
    states = {one.account_id: one.state for one in covered.sources if one.source == "inventory"}
    assert states == {ACCOUNT: "read", OTHER: "failed"}
    await watched.follow()
    facts = await house.tracer.facts([ONE], moment=NOW)
    assert facts[ONE].listed.state == "stopped", "the other account was listed in the same round"
    answer = await coverage_of(house, accounts=[ACCOUNT, OTHER], regions=[REGION]).of(
        AskedAbout(account=ACCOUNT), named=True
    )
    assert answer["complete"] is True


async def test_a_denied_listing_deletes_no_instance_of_the_inventory(watched: Watched) -> None:
    watched.house.ec2.refuses[ACCOUNT] = FAILURES["denied"]
    watched.house.ec2.listed = {}
    await watched.list_place(times=4)
    facts = await watched.house.tracer.facts([ONE], moment=NOW)
    assert (facts[ONE].listed.state, facts[ONE].life) == ("running", "running")
