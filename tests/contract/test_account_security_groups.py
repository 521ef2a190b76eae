"""Security groups and trusted networks on moto."""

from __future__ import annotations

from typing import Any

import pytest

from fakes.account_world import REGION, AccountWorld, account_world
from fakes.aws_refusals import denied, passed, refused
from fakes.counted_aws import AwsCall
from landscape.aws import Aws
from whence_aggregator.accounts.steps import security_groups, vpc

_STEPS = (vpc.STEP, security_groups.STEP)
_GROUP = f"{REGION}/security-group/Office"
_LIST = f"{REGION}/prefix-list/trusted-networks"
_HTTPS = {"ip_protocol": "tcp", "from_port": 443, "to_port": 443}


def _settings(*permissions: dict[str, Any], trusted: dict[str, str] | None = None) -> dict[str, Any]:
    stated = permissions or ({**_HTTPS, "ip_ranges": ["198.51.100.0/24", "2001:db8::/32"]},)
    group = {"ip_permissions": list(stated), "allow_from_trusted": trusted is not None}
    return {"security_groups": {"Office": group}, "trusted_networks": trusted or {}}


def _group(world: AccountWorld) -> dict[str, Any]:
    groups = world.client("ec2").describe_security_groups(Filters=[{"Name": "group-name", "Values": ["Office"]}])
    (found,) = groups["SecurityGroups"]
    return dict(found)


def _rules(world: AccountWorld) -> set[tuple[Any, ...]]:
    filters = [{"Name": "group-id", "Values": [_group(world)["GroupId"]]}]
    rules = world.client("ec2").describe_security_group_rules(Filters=filters)["SecurityGroupRules"]
    return {
        (one["IpProtocol"], one["FromPort"], one["ToPort"],
         one.get("CidrIpv4") or one.get("CidrIpv6") or one.get("PrefixListId"))
        for one in rules if not one["IsEgress"]
    }  # fmt: skip


def _trusted(world: AccountWorld) -> dict[str, Any]:
    lists = world.client("ec2").describe_managed_prefix_lists()["PrefixLists"]
    (found,) = [one for one in lists if one["PrefixListName"] == "trusted-networks"]
    return dict(found)


def _entries(world: AccountWorld) -> dict[str, str]:
    entries = world.client("ec2").get_managed_prefix_list_entries(PrefixListId=_trusted(world)["PrefixListId"])
    return {one["Cidr"]: one["Description"] for one in entries["Entries"]}


async def test_a_group_is_made_in_the_default_vpc_which_is_left_as_it_is(moto: Aws) -> None:
    async with account_world(moto.url, steps=_STEPS, settings=_settings()) as world:
        plan = await world.plan()
        assert [(one.address, one.action) for one in plan.changes] == [(_GROUP, "create")]
        assert (plan.remarks, world.aws.writes) == ((), [])
        await world.converge()
        (default,) = world.client("ec2").describe_vpcs()["Vpcs"]
        assert _group(world)["VpcId"] == default["VpcId"]
        assert _group(world)["Description"] == "Managed Security Group"
        assert _rules(world) == {("tcp", 443, 443, "198.51.100.0/24"), ("tcp", 443, 443, "2001:db8::/32")}


async def test_trusted_networks_are_a_prefix_list_that_the_rules_refer_to(moto: Aws) -> None:
    settings = _settings(_HTTPS, trusted={"office": "198.51.100.0/24", "site": "203.0.113.0/24"})
    async with account_world(moto.url, steps=_STEPS, settings=settings) as world:
        await world.apply(await world.plan())
        named = {one for step in _STEPS for kind in step.kinds for one in (*kind.reads, *kind.writes)}
        assert {one.name for one in world.aws.calls if one.name.startswith("ec2:")} <= named
        await world.converge()
        assert _rules(world) == {("tcp", 443, 443, _trusted(world)["PrefixListId"])}
        assert _entries(world) == {"198.51.100.0/24": "office", "203.0.113.0/24": "site"}


async def test_networks_are_added_to_and_removed_from_the_list(moto: Aws) -> None:
    settings = _settings(_HTTPS, trusted={"office": "198.51.100.0/24"})
    async with account_world(moto.url, steps=_STEPS, settings=settings) as world:
        await world.converge()
        world.settings = _settings(_HTTPS, trusted={"a": "192.0.2.0/25", "b": "192.0.2.128/25"})
        plan = await world.plan()
        assert [(one.address, list(one.after or {})) for one in plan.changes] == [(_LIST, ["entries"])]
        await world.converge()
        assert _entries(world) == {"192.0.2.0/25": "a", "192.0.2.128/25": "b"}


async def test_another_name_of_a_network_changes_nothing(moto: Aws) -> None:
    settings = _settings(_HTTPS, trusted={"office": "198.51.100.0/24"})
    async with account_world(moto.url, steps=_STEPS, settings=settings) as world:
        await world.converge()
        world.settings = _settings(_HTTPS, trusted={"head office": "198.51.100.0/24"})
        assert (await world.plan()).changes == ()


async def test_more_than_a_hundred_networks_are_written_in_parts(moto: Aws) -> None:
    many = {f"n{one:03}": f"10.{one}.0.0/16" for one in range(150)}
    async with account_world(moto.url, steps=_STEPS, settings=_settings(_HTTPS, trusted=many)) as world:
        await world.converge()
        assert len(_entries(world)) == 150


async def test_a_rule_that_is_no_longer_stated_is_removed(moto: Aws) -> None:
    async with account_world(moto.url, steps=_STEPS, settings=_settings()) as world:
        await world.converge()
        world.settings = _settings({"ip_protocol": "-1", "ip_ranges": ["192.0.2.0/24"]})
        plan = await world.plan()
        assert [(one.address, list(one.after or {})) for one in plan.changes] == [(_GROUP, ["ingress"])]
        await world.converge()
        assert _rules(world) == {("-1", -1, -1, "192.0.2.0/24")}


async def test_a_rule_that_was_removed_by_hand_is_put_back(moto: Aws) -> None:
    async with account_world(moto.url, steps=_STEPS, settings=_settings()) as world:
        await world.converge()
        world.client("ec2").revoke_security_group_ingress(
            GroupId=_group(world)["GroupId"], IpProtocol="tcp", FromPort=443, ToPort=443, CidrIp="198.51.100.0/24"
        )
        plan = await world.plan()
        assert [(one.address, list(one.after or {})) for one in plan.changes] == [(_GROUP, ["ingress"])]
        await world.converge()
        assert len(_rules(world)) == 2


async def test_a_rule_of_others_is_listed_and_left(moto: Aws) -> None:
    async with account_world(moto.url, steps=_STEPS, settings=_settings()) as world:
        await world.converge()
        ec2, group_id = world.client("ec2"), _group(world)["GroupId"]
        ec2.authorize_security_group_ingress(
            GroupId=group_id, IpProtocol="tcp", FromPort=22, ToPort=23, CidrIp="192.0.2.1/32"
        )
        plan = await world.plan()
        assert [(one.address, one.message) for one in plan.remarks] == [
            (_GROUP, "rule tcp 22-23 from 192.0.2.1/32 is left as it is")
        ]
        assert plan.changes == ()
        world.settings = _settings({**_HTTPS, "ip_ranges": ["192.0.2.0/24"]})
        await world.converge()
        assert _rules(world) == {("tcp", 443, 443, "192.0.2.0/24"), ("tcp", 22, 23, "192.0.2.1/32")}


async def test_a_group_of_others_is_changed_only_where_it_is_adopted(moto: Aws) -> None:
    async with account_world(moto.url, steps=_STEPS, settings=_settings()) as world:
        ec2 = world.client("ec2")
        (default,) = ec2.describe_vpcs()["Vpcs"]
        made = ec2.create_security_group(
            GroupName="Office", Description="Managed Security Group", VpcId=default["VpcId"]
        )["GroupId"]  # fmt: skip
        ec2.authorize_security_group_ingress(
            GroupId=made, IpProtocol="tcp", FromPort=443, ToPort=443, CidrIp="198.51.100.0/24"
        )
        plan = await world.plan()
        assert plan.changes == ()
        assert [one.message for one in plan.remarks] == [
            "it exists without our tag and differs in tags, ingress: not changed"
        ]
        await world.converge(adopt=(_GROUP,))
        assert _group(world)["GroupId"] == made
        assert _rules(world) == {("tcp", 443, 443, "198.51.100.0/24"), ("tcp", 443, 443, "2001:db8::/32")}


async def test_the_description_of_a_group_is_kept_and_reported(moto: Aws) -> None:
    async with account_world(moto.url, steps=_STEPS, settings=_settings()) as world:
        await world.converge()
        world.settings["security_groups"]["Office"]["description"] = "Another one"
        plan = await world.plan()
        assert [(one.kind, one.message) for one in plan.remarks] == [
            ("kept", "AWS cannot change description of what exists: not changed")
        ]


async def test_what_is_no_longer_configured_is_deleted(moto: Aws) -> None:
    settings = _settings(_HTTPS, trusted={"office": "198.51.100.0/24"})
    async with account_world(moto.url, steps=_STEPS, settings=settings) as world:
        await world.converge()
        world.settings = {}
        plan = await world.plan(delete=("*",))
        assert [(one.address, one.action) for one in plan.changes] == [(_GROUP, "delete"), (_LIST, "delete")]
        await world.converge(delete=("*",))
        names = {one["GroupName"] for one in world.client("ec2").describe_security_groups()["SecurityGroups"]}
        assert names == {"default"}


async def test_lists_that_are_denied_change_nothing(moto: Aws) -> None:
    async with account_world(moto.url, steps=_STEPS, settings=_settings()) as world:
        world.aws.before = denied("ec2:DescribeSecurityGroups")
        plan = await world.plan()
        assert plan.changes == ()
        assert [(one.address, one.kind) for one in plan.remarks] == [(f"{REGION}/security-group/*", "unread")]


@pytest.mark.parametrize(
    ("action", "failed"),
    [
        ("ec2:CreateManagedPrefixList", _LIST),
        ("ec2:CreateSecurityGroup", _GROUP),
        ("ec2:AuthorizeSecurityGroupIngress", _GROUP),
    ],
)
async def test_a_refused_write_is_reported_and_the_next_apply_goes_on(moto: Aws, action: str, failed: str) -> None:
    settings = _settings(_HTTPS, trusted={"office": "198.51.100.0/24"})
    async with account_world(moto.url, steps=_STEPS, settings=settings) as world:
        world.aws.before = denied(action)
        report = await world.apply(await world.plan())
        assert [one.address for one in report.changes if one.outcome == "failed"] == [failed]
        world.aws.before = passed
        await world.converge()


async def test_a_group_that_is_in_use_is_reported_and_not_deleted(moto: Aws) -> None:
    def in_use(call: AwsCall) -> Any:
        if call.name != "ec2:DeleteSecurityGroup":
            return None
        return refused(call, "DependencyViolation", "resource sg-1 has a dependent object")

    async with account_world(moto.url, steps=_STEPS, settings=_settings()) as world:
        await world.converge()
        world.settings, world.aws.before = {}, in_use
        report = await world.apply(await world.plan(delete=("*",)))
        ((outcome, message),) = [(one.outcome, one.message) for one in report.changes]
        assert outcome == "failed"
        assert "DependencyViolation: resource sg-1 has a dependent object" in message
