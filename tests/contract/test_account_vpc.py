"""The VPC of a region on moto: network, internet gateway, subnets and route tables."""

from __future__ import annotations

from typing import Any

import pytest

from fakes.account_world import REGION, AccountWorld, account_world
from fakes.aws_refusals import denied, passed
from landscape.aws import Aws
from whence_aggregator.accounts.report import AccountReport
from whence_aggregator.accounts.steps import vpc

_STEPS = (vpc.STEP,)
_NET = {"cidr": "10.1.0.0/16", "zones": ["eu-west-1a", "eu-west-1b"]}
_SETTINGS = {"vpc_net": {REGION: _NET}, "nat": "none", "enable_dedicated_dmz_route": True}
_VPC = f"{REGION}/vpc/10.1.0.0/16"


def _named(items: list[dict[str, Any]], name: str) -> dict[str, Any]:
    (found,) = [one for one in items if {"Key": "Name", "Value": name} in one.get("Tags", [])]
    return found


def _subnets(world: AccountWorld) -> dict[str, dict[str, Any]]:
    subnets = world.client("ec2").describe_subnets()["Subnets"]
    return {tag["Value"]: one for one in subnets for tag in one.get("Tags", []) if tag["Key"] == "Name"}


def _table(world: AccountWorld, name: str) -> dict[str, Any]:
    return _named(world.client("ec2").describe_route_tables()["RouteTables"], name)


def _outcomes(report: AccountReport) -> dict[str, tuple[str, str]]:
    return {one.address: (one.outcome, one.message) for one in report.changes}


async def test_a_fresh_account_gets_its_network_and_is_converged(moto: Aws) -> None:
    async with account_world(moto.url, steps=_STEPS, settings=_SETTINGS) as world:
        plan = await world.plan()
        assert world.aws.writes == []
        assert [(one.address, one.action) for one in plan.changes] == [
            (_VPC, "create"),
            (f"{REGION}/internet-gateway/main", "create"),
            (f"{REGION}/subnet/dmz-eu-west-1a", "create"),
            (f"{REGION}/subnet/dmz-eu-west-1b", "create"),
            (f"{REGION}/subnet/internal-eu-west-1a", "create"),
            (f"{REGION}/subnet/internal-eu-west-1b", "create"),
            (f"{REGION}/route-table/dmz-eu-west-1a", "create"),
            (f"{REGION}/route-table/dmz-eu-west-1b", "create"),
        ]
        await world.converge()
        ec2 = world.client("ec2")
        subnets = _subnets(world)
        assert {name: one["CidrBlock"] for name, one in subnets.items()} == {
            "dmz-eu-west-1a": "10.1.0.0/21",
            "dmz-eu-west-1b": "10.1.8.0/21",
            "internal-eu-west-1a": "10.1.128.0/20",
            "internal-eu-west-1b": "10.1.144.0/20",
        }
        vpc_id = subnets["dmz-eu-west-1a"]["VpcId"]
        for attribute, name in (("enableDnsSupport", "EnableDnsSupport"), ("enableDnsHostnames", "EnableDnsHostnames")):
            assert ec2.describe_vpc_attribute(VpcId=vpc_id, Attribute=attribute)[name] == {"Value": True}
        gateway = _named(ec2.describe_internet_gateways()["InternetGateways"], f"hello-{REGION}")
        assert [one["VpcId"] for one in gateway["Attachments"]] == [vpc_id]
        table = _table(world, "dmz-eu-west-1a")
        assert [one["SubnetId"] for one in table["Associations"]] == [subnets["dmz-eu-west-1a"]["SubnetId"]]
        assert {one["DestinationCidrBlock"]: one["GatewayId"] for one in table["Routes"]} == {
            "10.1.0.0/16": "local",
            "0.0.0.0/0": gateway["InternetGatewayId"],
        }


async def test_every_call_is_an_action_that_the_kinds_name(moto: Aws) -> None:
    async with account_world(moto.url, steps=_STEPS, settings=_SETTINGS) as world:
        await world.apply(await world.plan())
        named = {one for kind in vpc.STEP.kinds for one in (*kind.reads, *kind.writes)}
        called = {one.name for one in world.aws.calls if one.name.startswith("ec2:")}
        assert called <= named


async def test_tags_of_the_configuration_are_on_the_vpc_and_those_of_others_stay(moto: Aws) -> None:
    settings = {**_SETTINGS, "vpc": {"tags": {"Purpose": "production"}}}
    async with account_world(moto.url, steps=_STEPS, settings=settings) as world:
        await world.converge()
        ec2 = world.client("ec2")
        vpc_id = _subnets(world)["dmz-eu-west-1a"]["VpcId"]
        ec2.create_tags(Resources=[vpc_id], Tags=[{"Key": "theirs", "Value": "1"}])
        await world.converge()
        (found,) = ec2.describe_vpcs(VpcIds=[vpc_id])["Vpcs"]
        tags = {one["Key"]: one["Value"] for one in found["Tags"]}
        assert (tags["Purpose"], tags["Name"], tags["theirs"]) == ("production", f"hello-{REGION}", "1")


async def _change_by_hand(world: AccountWorld, what: str) -> None:
    ec2 = world.client("ec2")
    subnet = _subnets(world)["dmz-eu-west-1a"]
    table = _table(world, "dmz-eu-west-1a")
    if what == "hostnames":
        ec2.modify_vpc_attribute(VpcId=subnet["VpcId"], EnableDnsHostnames={"Value": False})
    elif what == "tag":
        ec2.create_tags(Resources=[subnet["SubnetId"]], Tags=[{"Key": "Name", "Value": "dmz"}])
    elif what == "route":
        ec2.delete_route(RouteTableId=table["RouteTableId"], DestinationCidrBlock="0.0.0.0/0")
    elif what == "association":
        ec2.disassociate_route_table(AssociationId=table["Associations"][0]["RouteTableAssociationId"])
    else:
        tables = ec2.describe_route_tables(Filters=[{"Name": "association.main", "Values": ["true"]}])["RouteTables"]
        (main,) = [one for one in tables if one["VpcId"] == subnet["VpcId"]]
        ec2.delete_route(RouteTableId=main["RouteTableId"], DestinationCidrBlock="0.0.0.0/0")


@pytest.mark.parametrize(
    ("what", "address", "aspect"),
    [
        ("hostnames", _VPC, "dns_hostnames"),
        ("tag", f"{REGION}/subnet/dmz-eu-west-1a", "tags"),
        ("route", f"{REGION}/route-table/dmz-eu-west-1a", "route 0.0.0.0/0"),
        ("association", f"{REGION}/route-table/dmz-eu-west-1a", "subnet"),
        ("main route", f"{REGION}/internet-gateway/main", "main_table_route"),
    ],
)
async def test_a_change_by_hand_shows_in_its_aspect_and_is_put_right(
    moto: Aws, what: str, address: str, aspect: str
) -> None:
    async with account_world(moto.url, steps=_STEPS, settings=_SETTINGS) as world:
        await world.converge()
        await _change_by_hand(world, what)
        plan = await world.plan()
        assert [(one.address, one.action, list(one.after or {})) for one in plan.changes] == [
            (address, "update", [aspect])
        ]
        await world.converge()


async def test_a_subnet_that_was_moved_to_another_table_is_moved_back(moto: Aws) -> None:
    async with account_world(moto.url, steps=_STEPS, settings=_SETTINGS) as world:
        await world.converge()
        ec2 = world.client("ec2")
        table = _table(world, "dmz-eu-west-1a")
        other = ec2.create_route_table(VpcId=table["VpcId"])["RouteTable"]["RouteTableId"]
        identity = table["Associations"][0]["RouteTableAssociationId"]
        ec2.replace_route_table_association(AssociationId=identity, RouteTableId=other)
        await world.converge()
        assert len(_table(world, "dmz-eu-west-1a")["Associations"]) == 1


async def test_a_route_of_others_is_listed_and_left(moto: Aws) -> None:
    async with account_world(moto.url, steps=_STEPS, settings=_SETTINGS) as world:
        await world.converge()
        ec2 = world.client("ec2")
        table = _table(world, "dmz-eu-west-1a")
        gateway = next(one["GatewayId"] for one in table["Routes"] if one["GatewayId"].startswith("igw-"))
        ec2.create_route(
            RouteTableId=table["RouteTableId"], DestinationCidrBlock="192.0.2.0/24", GatewayId=gateway
        )  # fmt: skip
        plan = await world.plan()
        assert plan.changes == ()
        assert [(one.address, one.message) for one in plan.remarks] == [
            (f"{REGION}/route-table/dmz-eu-west-1a", f"route 192.0.2.0/24 to {gateway} is left as it is")
        ]


async def test_a_vpc_of_others_is_only_verified(moto: Aws) -> None:
    async with account_world(moto.url, steps=_STEPS, settings=_SETTINGS) as world:
        world.client("ec2").create_vpc(CidrBlock="10.1.0.0/16")
        plan = await world.plan()
        assert plan.changes == ()
        remarks = {one.address: one.message for one in plan.remarks}
        assert remarks[_VPC] == "it exists without our tag and differs in tags, dns_hostnames: not changed"
        assert remarks[f"{REGION}/subnet/dmz-eu-west-1a"] == f"create is not planned: {_VPC} is not our own"
        assert len(remarks) == 8


async def test_an_adopted_vpc_is_made_whole(moto: Aws) -> None:
    async with account_world(moto.url, steps=_STEPS, settings=_SETTINGS) as world:
        vpc_id = world.client("ec2").create_vpc(CidrBlock="10.1.0.0/16")["Vpc"]["VpcId"]
        await world.converge(adopt=(_VPC,))
        assert {one["VpcId"] for one in _subnets(world).values()} == {vpc_id}


async def test_a_network_that_seven_seconds_made_is_adopted_without_a_second_one(moto: Aws) -> None:
    async with account_world(moto.url, steps=_STEPS, settings=_SETTINGS) as world:
        ec2 = world.client("ec2")
        vpc_id = ec2.create_vpc(CidrBlock="10.1.0.0/16")["Vpc"]["VpcId"]
        gateway = ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
        ec2.attach_internet_gateway(InternetGatewayId=gateway, VpcId=vpc_id)
        subnet = ec2.create_subnet(VpcId=vpc_id, CidrBlock="10.1.0.0/21", AvailabilityZone="eu-west-1a")["Subnet"]
        table = ec2.create_route_table(VpcId=vpc_id)["RouteTable"]["RouteTableId"]
        for one in (subnet["SubnetId"], table):
            ec2.create_tags(Resources=[one], Tags=[{"Key": "Name", "Value": "dmz-eu-west-1a"}])
        await world.converge(adopt=("*",))
        assert _subnets(world)["dmz-eu-west-1a"]["SubnetId"] == subnet["SubnetId"]
        assert _table(world, "dmz-eu-west-1a")["RouteTableId"] == table
        gateways = ec2.describe_internet_gateways()["InternetGateways"]
        assert [one["InternetGatewayId"] for one in gateways] == [gateway]


async def test_the_mode_verify_writes_nothing_even_where_adopted(moto: Aws) -> None:
    async with account_world(moto.url, steps=_STEPS, settings={**_SETTINGS, "vpc_mode": "verify"}) as world:
        plan = await world.plan(adopt=("*",))
        assert plan.changes == ()
        assert {one.message for one in plan.remarks} == {"it does not exist, and is only verified: not changed"}
        assert len(plan.remarks) == 8


async def test_the_mode_verify_has_no_remark_on_what_is_as_stated(moto: Aws) -> None:
    async with account_world(moto.url, steps=_STEPS, settings=_SETTINGS) as world:
        await world.converge()
        world.settings = {**_SETTINGS, "vpc_mode": "verify"}
        plan = await world.plan()
        assert (plan.changes, plan.remarks) == ((), ())


async def test_the_mode_verify_deletes_nothing_even_by_name(moto: Aws) -> None:
    async with account_world(moto.url, steps=_STEPS, settings=_SETTINGS) as world:
        await world.converge()
        world.settings = {**_SETTINGS, "vpc_mode": "verify", "enable_dedicated_dmz_route": False}
        plan = await world.plan(delete=("*",))
        assert plan.changes == ()
        assert [(one.address, one.kind) for one in plan.remarks] == [
            (f"{REGION}/route-table/dmz-eu-west-1a", "kept"),
            (f"{REGION}/route-table/dmz-eu-west-1b", "kept"),
        ]


async def test_two_vpcs_with_the_network_are_an_error_of_that_kind(moto: Aws) -> None:
    async with account_world(moto.url, steps=_STEPS, settings=_SETTINGS) as world:
        ec2 = world.client("ec2")
        found = sorted(ec2.create_vpc(CidrBlock="10.1.0.0/16")["Vpc"]["VpcId"] for _ in range(2))
        plan = await world.plan()
        assert plan.changes == ()
        assert {one.message for one in plan.remarks if one.kind == "unread"} >= {
            f"several VPCs have the network 10.1.0.0/16: {found[0]}, {found[1]}"
        }


async def test_what_is_no_longer_configured_is_kept_until_it_is_named(moto: Aws) -> None:
    async with account_world(moto.url, steps=_STEPS, settings=_SETTINGS) as world:
        await world.converge()
        world.settings = {**_SETTINGS, "vpc_net": {REGION: {**_NET, "zones": ["eu-west-1a"]}}}
        subnet = f"{REGION}/subnet/dmz-eu-west-1b"
        plan = await world.plan()
        table = f"{REGION}/route-table/dmz-eu-west-1b"
        assert plan.changes == ()
        assert {one.address for one in plan.remarks if one.kind == "kept"} == {
            subnet, table, f"{REGION}/subnet/internal-eu-west-1b"
        }  # fmt: skip
        await world.converge(delete=(subnet, table))
        assert "dmz-eu-west-1b" not in _subnets(world)
        assert "internal-eu-west-1b" in _subnets(world)


async def test_a_whole_network_is_deleted_only_by_name(moto: Aws) -> None:
    async with account_world(moto.url, steps=_STEPS, settings=_SETTINGS) as world:
        await world.converge()
        world.settings = {}
        plan = await world.plan()
        assert (plan.changes, {one.kind for one in plan.remarks}) == ((), {"kept"})
        await world.converge(delete=("*",))
        ec2 = world.client("ec2")
        assert [one["CidrBlock"] for one in ec2.describe_vpcs()["Vpcs"]] == ["172.31.0.0/16"]
        assert ec2.describe_internet_gateways()["InternetGateways"] == []


async def test_the_default_vpc_is_not_deleted_even_by_name(moto: Aws) -> None:
    settings = {**_SETTINGS, "vpc_net": {REGION: {"zones": ["eu-west-1a"], "subnets": {}}}}
    async with account_world(moto.url, steps=_STEPS, settings=settings) as world:
        address = f"{REGION}/vpc/172.31.0.0/16"
        plan = await world.plan()
        assert plan.changes == ()
        await world.apply(await world.plan(adopt=(address,)))
        world.settings = {"nat": "none"}
        plan = await world.plan(delete=("*/vpc/*",))
        assert "vpc" not in {one.address.split("/")[1] for one in plan.changes}
        assert [one["IsDefault"] for one in world.client("ec2").describe_vpcs()["Vpcs"]] == [True]


async def test_a_list_that_is_denied_leaves_its_kind_as_it_is(moto: Aws) -> None:
    async with account_world(moto.url, steps=_STEPS, settings=_SETTINGS) as world:
        world.aws.before = denied("ec2:DescribeVpcs")
        plan = await world.plan()
        assert plan.changes == ()
        assert {one.address for one in plan.remarks if one.kind == "unread" and one.address.endswith("*")} == {
            f"{REGION}/{kind.name}/*" for kind in vpc.STEP.kinds
        }


@pytest.mark.parametrize(
    ("action", "failed"),
    [
        ("ec2:CreateVpc", _VPC),
        ("ec2:ModifyVpcAttribute", _VPC),
        ("ec2:AttachInternetGateway", f"{REGION}/internet-gateway/main"),
        ("ec2:CreateSubnet", f"{REGION}/subnet/dmz-eu-west-1a"),
        ("ec2:CreateRoute", f"{REGION}/internet-gateway/main"),
        ("ec2:AssociateRouteTable", f"{REGION}/route-table/dmz-eu-west-1a"),
    ],
)
async def test_a_refused_write_is_reported_and_the_next_apply_goes_on(moto: Aws, action: str, failed: str) -> None:
    async with account_world(moto.url, steps=_STEPS, settings=_SETTINGS) as world:
        world.aws.before = denied(action)
        report = await world.apply(await world.plan())
        assert not report.succeeded
        outcome, message = _outcomes(report)[failed]
        assert outcome == "failed"
        assert "UnauthorizedOperation" in message
        world.aws.before = passed
        await world.converge()
