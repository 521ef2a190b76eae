"""An account whose readings AWS refuses: its verdicts are unknown with the reason, and other accounts are read as before.

AWS is moto's server behind a front that refuses. What a failed reading does to violations is in test_coverage.py.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from fakes.aws_front import AwsFront, Call, Refusal
from fakes.in_process import OTHER_ACCOUNT, REGIONS, InProcess
from fakes.signing_authority import SigningAuthority
from landscape.aws import AMI, Aws, LaunchedInstance
from whence_aggregator.adapters.aws_inventory import AwsInventory
from whence_aggregator.collect.amis import AmiCollector
from whence_aggregator.collect.inventory import InventoryCollector
from whence_aggregator.compliance.rule import ConfiguredSource
from whence_aggregator.compliance.rule_settings import RuleSettings
from whence_aggregator.compliance.rules.catalogue import RulesInForce
from whence_aggregator.compliance.standing import standing_verdicts
from whence_aggregator.ports import SourceUnavailable
from whence_aggregator.queries.collect import LISTINGS
from whence_aggregator.queries.compliance import VERDICTS_OF_SUBJECTS
from whence_aggregator.queries.query import array
from whence_aggregator.queries.work import TASKS_OF_KIND
from whence_aggregator.storage.sqlite import SqliteDatabase
from whence_aggregator.wiring.work import kinds_of
from whence_common.digest import sha256_digest
from whence_common.statement import InstanceFacts, UserDataFacts

ACCOUNT, REGION = "123456789012", "eu-central-1"
USER_DATA = b"#taupage-ami-config\napplication_id: greeter\n"
EXTERNAL_ID = "whence-4711"
INVENTORY: ConfiguredSource = "inventory"
SETTINGS = RuleSettings(instance_days_max=60, ami_days_max=60, ami_owners=("123456789012",))
ON_INVENTORY = ("imdsv2-not-required", "instance-too-old", "instance-unlisted", "ssh-keypair-used", "user-data-changed")
ON_AMIS = ("ami-deregistered", "ami-expired", "ami-unknown", "ami-untrusted")
DENIED = Refusal("UnauthorizedOperation", "You are not authorized to perform: ec2:DescribeInstances", status=403)
NO_ROLE = Refusal("AccessDenied", "User: x is not authorized to perform: sts:AssumeRole", status=403)


@dataclass
class World:
    """Two accounts with an instance each, which has spoken and runs; the front refuses calls of ACCOUNT."""

    house: InProcess
    front: AwsFront
    ec2: AwsInventory
    instances: dict[str, str]
    """By account."""

    def refuses(self, action: str, refusal: Refusal) -> None:
        def refuse(call: Call) -> Refusal | None:
            return refusal if (call.account_id, call.action) == (ACCOUNT, action) else no_amis(call)

        self.front.refuse = refuse

    async def read(self, *places: tuple[str, str]) -> None:
        """List accounts and regions, and judge."""
        await self.house.inventory.schedule(places or ((ACCOUNT, REGION), (OTHER_ACCOUNT, REGION)))
        await self.house.work()

    async def verdicts(self, account_id: str, rules: tuple[str, ...] = ON_INVENTORY) -> dict[str, tuple[str, str]]:
        rows = await standing_verdicts(self.house.database, self.instances[account_id])
        return {str(one["rule"]): (str(one["verdict"]), str(one["reason"])) for one in rows if one["rule"] in rules}

    async def amis(self) -> dict[str, str]:
        rows = await self.house.database.fetch(VERDICTS_OF_SUBJECTS.bind({"ids": array([AMI])}))
        return {row["rule"]: row["verdict"] for row in rows}

    async def failures(self) -> dict[str, str]:
        """Return why the newest listing failed, by account; empty where it did not."""
        return {row["account_id"]: row["failure"] for row in await self.house.database.fetch(LISTINGS.bind({}))}


def no_amis(call: Call) -> Refusal | None:
    """Refuse what moto takes long for."""
    return DENIED if call.action == "DescribeImages" else None


@pytest.fixture(scope="module")
async def launched(moto: Aws) -> dict[str, LaunchedInstance]:
    """An instance in each account."""
    return {one: await moto.run_instance_in(one, REGION, USER_DATA) for one in (ACCOUNT, OTHER_ACCOUNT)}


@pytest.fixture(scope="module")
async def front(moto: Aws) -> AsyncIterator[AwsFront]:
    async with AwsFront(moto.url).serve() as served:
        yield served


@pytest.fixture(scope="module")
def ec2(front: AwsFront) -> AwsInventory:
    """One for all tests: the SDK reads EC2's description for half a second."""
    return AwsInventory(
        role_name="whence-inventory", session_name="whence-aggregator", endpoint_url=front.url,
        external_id=EXTERNAL_ID, attempts_max=1,
    )  # fmt: skip


@pytest.fixture
async def world(
    tmp_path: Path, authority: SigningAuthority, launched: Mapping[str, LaunchedInstance], front: AwsFront,
    ec2: AwsInventory,
) -> AsyncIterator[World]:  # fmt: skip
    ec2._keys.clear()
    front.refuse = no_amis
    database = await SqliteDatabase.open(tmp_path / "ledger.db")
    async with InProcess(database, authority, rules=RulesInForce.of(SETTINGS, [INVENTORY])).running() as house:
        house.inventory = InventoryCollector(
            database=database, ledger=house.ledger, ec2=ec2, seconds=300.0, now=house.clock
        )
        house.collectors["ami"] = AmiCollector(ec2)
        house.worker = house.worker_of(kinds_of(house.ledger, house.collectors, house.inventory, now=house.clock))
        for account, one in launched.items():
            await speak(house, account, one)
        instances = {account: one.instance_id for account, one in launched.items()}
        yield World(house=house, front=front, ec2=ec2, instances=instances)
    await database.close()


async def speak(house: InProcess, account_id: str, launched: LaunchedInstance) -> None:
    """Have an instance enrol and speak, at the time of its launch."""
    house.clock.moment = launched.at
    pending = launched.at.strftime("%Y-%m-%dT%H:%M:%SZ")
    machine = await house.machine(launched.instance_id, accountId=account_id, pendingTime=pending)
    facts = InstanceFacts(
        account_id=account_id, region=REGION, instance_id=launched.instance_id, image_id=AMI, pending_time=pending
    )
    user_data = UserDataFacts(digest=sha256_digest(USER_DATA), document={"application_id": "greeter"})
    await house.say(machine, instance=facts, user_data=user_data)


async def test_without_a_fault_each_of_these_rules_has_a_verdict(world: World) -> None:
    world.front.refuse = lambda _: None
    await world.read()
    assert await world.failures() == {ACCOUNT: "", OTHER_ACCOUNT: ""}
    for account in (ACCOUNT, OTHER_ACCOUNT):
        found = await world.verdicts(account)
        assert tuple(sorted(found)) == ON_INVENTORY
        assert {rule for rule, (outcome, _) in found.items() if outcome == "unknown"} == set()
    assert await world.amis() == {"ami-untrusted": "fail"}, "a pass that follows no other verdict is not stored"


@pytest.mark.parametrize(
    "action, refusal, said, fix",
    [
        ("DescribeInstances", DENIED, "denies the request: UnauthorizedOperation", "allow ec2:DescribeInstances"),
        ("DescribeInstances", Refusal("RequestLimitExceeded", "slow down", 503), "throttles requests: RequestLimit", ""),
        ("DescribeInstances", Refusal("TooManyRequestsException", "slow", 429), "throttles requests: TooManyReq", ""),
        ("DescribeInstances", Refusal("InternalError", "try again", 500), "cannot be asked: InternalError", "role exists"),
        ("DescribeInstances", Refusal("Unavailable", "later", 503), "cannot be asked: Unavailable", "role exists"),
        ("DescribeInstances", Refusal("AuthFailure", "not validated", 401), "AuthFailure", "enable eu-central-1 in account"),
        ("DescribeInstances", Refusal("OptInRequired", "not subscribed", 401), "OptInRequired", "or remove it from"),
        ("AssumeRole", NO_ROLE, "denies the request: AccessDenied", "external id of inventory.external_id"),
        ("AssumeRole", Refusal("ExpiredToken", "it is expired", 403), "cannot be asked: ExpiredToken", "credentials"),
        ("AssumeRole", Refusal("RegionDisabledException", "not active", 403), "RegionDisabled", "enable eu-central-1"),
        ("AssumeRole", Refusal("InvalidClientTokenId", "invalid", 403), "InvalidClientTokenId", "eu-central-1 is enabled"),
    ],
)  # fmt: skip
async def test_a_refused_account_is_unknown_by_every_rule_that_rests_on_it_and_holds_no_other_up(
    world: World, action: str, refusal: Refusal, said: str, fix: str
) -> None:
    world.refuses(action, refusal)
    await world.read()
    failures = await world.failures()
    assert said in failures[ACCOUNT]
    assert f"account {ACCOUNT} in {REGION}" in failures[ACCOUNT]
    found = await world.verdicts(ACCOUNT)
    assert {rule: outcome for rule, (outcome, _) in found.items()} == dict.fromkeys(ON_INVENTORY, "unknown")
    assert failures[OTHER_ACCOUNT] == ""
    assert {outcome for outcome, _ in (await world.verdicts(OTHER_ACCOUNT)).values()} <= {"pass", "fail"}
    with pytest.raises(SourceUnavailable) as caught:
        await world.ec2.instances(ACCOUNT, REGION)
    assert fix in caught.value.fix


async def test_a_wrong_external_id_is_a_denied_role_and_the_right_one_is_sent(world: World) -> None:
    expected = "another-id"

    def refuse(call: Call) -> Refusal | None:
        return NO_ROLE if call.action == "AssumeRole" and call.external_id != expected else no_amis(call)

    world.front.refuse = refuse
    await world.read()
    for reason in (await world.failures()).values():
        assert "the role of account" in reason
        assert "sts:AssumeRole" in reason
        assert EXTERNAL_ID not in reason
    assert {outcome for outcome, _ in (await world.verdicts(ACCOUNT)).values()} == {"unknown"}
    expected = EXTERNAL_ID
    world.house.clock.advance(20)
    await world.house.work()
    assert await world.failures() == {ACCOUNT: "", OTHER_ACCOUNT: ""}
    assert {outcome for outcome, _ in (await world.verdicts(ACCOUNT)).values()} <= {"pass", "fail"}


async def test_a_region_that_is_refused_leaves_the_accounts_other_region_known(world: World) -> None:
    def refuse(call: Call) -> Refusal | None:
        return Refusal("OptInRequired", "not subscribed", 401) if call.region == REGIONS[1] else no_amis(call)

    world.front.refuse = refuse
    await world.read((ACCOUNT, REGIONS[0]), (ACCOUNT, REGIONS[1]))
    rows = await world.house.database.fetch(LISTINGS.bind({}))
    assert {row["region"]: row["listed_at"] is not None for row in rows} == {REGIONS[0]: True, REGIONS[1]: False}
    assert {outcome for outcome, _ in (await world.verdicts(ACCOUNT)).values()} <= {"pass", "fail"}


async def test_denied_user_data_is_unknown_by_the_rule_that_compares_it_and_by_no_other(world: World) -> None:
    world.refuses("DescribeInstanceAttribute", DENIED)
    await world.read()
    found = await world.verdicts(ACCOUNT)
    assert {rule for rule, (outcome, _) in found.items() if outcome == "unknown"} == {"user-data-changed"}
    reason = found["user-data-changed"][1]
    assert reason.startswith("the EC2 API's user data was not read: EC2 of account 123456789012 in eu-central-1 denies")
    assert (await world.verdicts(OTHER_ACCOUNT))["user-data-changed"][0] == "pass"


async def test_throttled_user_data_is_unknown_with_the_reason_and_read_later(world: World) -> None:
    world.refuses("DescribeInstanceAttribute", Refusal("RequestLimitExceeded", "slow down", 503))
    await world.read()
    outcome, reason = (await world.verdicts(ACCOUNT))["user-data-changed"]
    assert (outcome, "throttles requests: RequestLimitExceeded" in reason) == ("unknown", True)
    world.front.refuse = no_amis
    world.house.clock.advance(301)
    await world.house.work()
    assert (await world.verdicts(ACCOUNT))["user-data-changed"][0] == "pass"


@pytest.mark.parametrize("refusal", [DENIED, Refusal("RequestLimitExceeded", "slow down", 503)])
async def test_an_ami_that_no_account_may_describe_is_unknown_by_every_rule_about_amis(
    world: World, refusal: Refusal
) -> None:
    world.front.refuse = lambda call: refusal if call.action == "DescribeImages" else None
    await world.read()
    assert await world.amis() == dict.fromkeys(ON_AMIS, "unknown")


async def test_a_storm_of_refusals_turns_no_verdict_into_a_pass_and_ends_with_the_right_ones(world: World) -> None:
    storm = [
        Refusal("TooManyRequestsException", "slow", 429), Refusal("InternalError", "no", 500),
        Refusal("RequestLimitExceeded", "slow down", 503), Refusal("Unavailable", "later", 503), NO_ROLE,
    ]  # fmt: skip
    await world.house.inventory.schedule([(ACCOUNT, REGION), (OTHER_ACCOUNT, REGION)])
    for refusal in storm:
        world.front.refuse = lambda _, refusal=refusal: refusal  # type: ignore[misc]  # a bound default
        world.house.clock.advance(20)
        await world.house.work()
        for account in (ACCOUNT, OTHER_ACCOUNT):
            assert {outcome for outcome, _ in (await world.verdicts(account)).values()} == {"unknown"}
    tasks = await world.house.database.fetch(TASKS_OF_KIND.bind({"kind": "inventory"}))
    assert len(tasks) == 2, "a storm gives up no account"
    world.front.refuse = no_amis
    world.house.clock.advance(20)
    await world.house.work()
    for account in (ACCOUNT, OTHER_ACCOUNT):
        assert {outcome for outcome, _ in (await world.verdicts(account)).values()} <= {"pass", "fail"}
