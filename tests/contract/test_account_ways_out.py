"""NAT gateways and endpoints of a VPC on moto."""

from __future__ import annotations

from typing import Any

import aiohttp
import pytest
from aiohttp import web

from fakes.account_world import REGION, AccountWorld, account_world
from fakes.aws_refusals import denied, passed
from fakes.counted_aws import AwsCall
from landscape.aws import Aws
from whence_aggregator.accounts.steps import nat, security_groups, vpc, vpc_endpoints

_STEPS = (vpc.STEP, nat.STEP, vpc_endpoints.STEP, security_groups.STEP)
_NAT = f"{REGION}/nat-gateway/eu-west-1a"
_TABLE = f"{REGION}/route-table/internal-eu-west-1a"
_S3 = f"{REGION}/vpc-endpoint/s3"


def _settings(*endpoints: str, **more: Any) -> dict[str, Any]:
    net = {"cidr": "10.1.0.0/16", "zones": ["eu-west-1a"]}
    return {"vpc_net": {REGION: net}, "vpc": {"endpoints": list(endpoints)}, **more}


def _gateways(world: AccountWorld) -> list[dict[str, Any]]:
    gateways = world.client("ec2").describe_nat_gateways()["NatGateways"]
    return [one for one in gateways if one["State"] == "available"]


def _addresses(world: AccountWorld) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = world.client("ec2").describe_addresses()["Addresses"]
    return found


def _endpoints(world: AccountWorld) -> dict[str, dict[str, Any]]:
    endpoints = world.client("ec2").describe_vpc_endpoints()["VpcEndpoints"]
    return {one["ServiceName"].rpartition(".")[2]: one for one in endpoints if one["State"] == "available"}


def _internal_table(world: AccountWorld) -> dict[str, Any]:
    filters = [{"Name": "tag:Name", "Values": ["internal-eu-west-1a"]}]
    (found,) = world.client("ec2").describe_route_tables(Filters=filters)["RouteTables"]
    return dict(found)


async def test_internal_subnets_get_a_gateway_and_endpoints_in_one_apply(moto: Aws) -> None:
    async with account_world(moto.url, steps=_STEPS, settings=_settings("s3", "dynamodb", "kms")) as world:
        await world.apply(await world.plan())
        named = {one for step in _STEPS for kind in step.kinds for one in (*kind.reads, *kind.writes)}
        assert {one.name for one in world.aws.calls if one.name.startswith("ec2:")} <= named
        await world.converge()
        (gateway,) = _gateways(world)
        targets = {one.get("DestinationCidrBlock"): one.get("NatGatewayId") for one in _internal_table(world)["Routes"]}
        assert targets["0.0.0.0/0"] == gateway["NatGatewayId"]
        endpoints = _endpoints(world)
        assert {name: one["VpcEndpointType"] for name, one in endpoints.items()} == {
            "s3": "Gateway", "dynamodb": "Gateway", "kms": "Interface"
        }  # fmt: skip
        assert len(endpoints["s3"]["RouteTableIds"]) == 2
        assert [one["GroupName"] for one in endpoints["kms"]["Groups"]] == ["KMS VPC Endpoint"]


async def test_an_address_of_others_is_never_used(moto: Aws) -> None:
    async with account_world(moto.url, steps=_STEPS, settings=_settings()) as world:
        theirs = world.client("ec2").allocate_address(Domain="vpc")["AllocationId"]
        await world.converge()
        found = {one["AllocationId"]: one.get("AssociationId") for one in _addresses(world)}
        assert len(found) == 2
        assert found[theirs] is None


async def test_the_address_of_a_cut_off_apply_is_used_by_the_next(moto: Aws) -> None:
    async with account_world(moto.url, steps=_STEPS, settings=_settings()) as world:
        world.aws.before = denied("ec2:CreateNatGateway")
        report = await world.apply(await world.plan())
        assert {one.address: one.outcome for one in report.changes if one.outcome != "done"} == {
            _NAT: "failed", _TABLE: "skipped"
        }  # fmt: skip
        world.aws.before = passed
        plan = await world.plan()
        assert [one.kind for one in plan.remarks if "/elastic-address/" in one.address] == ["kept"]
        await world.converge()
        assert len(_addresses(world)) == 1


async def test_a_pending_gateway_is_reported_and_the_next_apply_goes_on(moto: Aws) -> None:
    async def pending(call: AwsCall) -> web.Response:
        headers = {name: value for name, value in call.headers.items() if name != "Host"}
        async with aiohttp.ClientSession() as session, session.post(moto.url, data=call.body, headers=headers) as got:
            text = (await got.text()).replace("<state>available</state>", "<state>pending</state>")
            return web.Response(status=got.status, text=text, content_type="text/xml")

    async with account_world(moto.url, steps=_STEPS, settings=_settings()) as world:
        world.aws.extensions |= dict.fromkeys(("ec2:CreateNatGateway", "ec2:DescribeNatGateways"), pending)
        report = await world.apply(await world.plan())
        assert [
            (one.address, one.outcome, one.message, one.fix) for one in report.changes if one.outcome != "done"
        ] == [
            (
                _TABLE, "skipped", f"it needs {_NAT}, which AWS is still creating",
                "apply the plan again in a few minutes",
            )
        ]  # fmt: skip
        again = await world.plan()
        assert [(one.address, one.action) for one in again.changes] == [(_TABLE, "create")]
        del world.aws.extensions["ec2:DescribeNatGateways"]
        await world.converge()
        assert len(_gateways(world)) == 1


async def test_a_gateway_that_seven_seconds_made_is_adopted_with_its_address(moto: Aws) -> None:
    async with account_world(moto.url, steps=_STEPS, settings=_settings()) as world:
        ec2 = world.client("ec2")
        vpc_id = ec2.create_vpc(CidrBlock="10.1.0.0/16")["Vpc"]["VpcId"]
        subnet = ec2.create_subnet(VpcId=vpc_id, CidrBlock="10.1.0.0/21", AvailabilityZone="eu-west-1a")["Subnet"]
        ec2.create_tags(Resources=[subnet["SubnetId"]], Tags=[{"Key": "Name", "Value": "dmz-eu-west-1a"}])
        address = ec2.allocate_address(Domain="vpc")["AllocationId"]
        made = ec2.create_nat_gateway(SubnetId=subnet["SubnetId"], AllocationId=address)["NatGateway"]
        await world.converge(adopt=("*",))
        assert [one["NatGatewayId"] for one in _gateways(world)] == [made["NatGatewayId"]]
        assert [one["AllocationId"] for one in _addresses(world)] == [address]


async def test_a_gateway_and_its_address_are_kept_until_they_are_named(moto: Aws) -> None:
    async with account_world(moto.url, steps=_STEPS, settings=_settings()) as world:
        await world.converge()
        world.settings = _settings(nat="none")
        plan = await world.plan()
        assert plan.changes == ()
        assert [(one.address, one.kind) for one in plan.remarks] == [(_NAT, "kept"), (_TABLE, "kept")]
        await world.converge(delete=(_NAT, _TABLE))
        assert _gateways(world) == []
        assert len(_addresses(world)) == 1


async def test_an_endpoint_that_lost_a_route_table_gets_it_back(moto: Aws) -> None:
    async with account_world(moto.url, steps=_STEPS, settings=_settings("s3")) as world:
        await world.converge()
        table = _internal_table(world)["RouteTableId"]
        identity = _endpoints(world)["s3"]["VpcEndpointId"]
        world.client("ec2").modify_vpc_endpoint(VpcEndpointId=identity, RemoveRouteTableIds=[table])
        plan = await world.plan()
        assert [(one.address, list(one.after or {})) for one in plan.changes] == [(_S3, ["route_tables"])]
        await world.converge()
        assert table in _endpoints(world)["s3"]["RouteTableIds"]


async def test_a_route_table_of_others_at_an_endpoint_is_listed_and_left(moto: Aws) -> None:
    async with account_world(moto.url, steps=_STEPS, settings=_settings("s3")) as world:
        await world.converge()
        ec2, endpoint = world.client("ec2"), _endpoints(world)["s3"]
        theirs = ec2.create_route_table(VpcId=endpoint["VpcId"])["RouteTable"]["RouteTableId"]
        ec2.modify_vpc_endpoint(VpcEndpointId=endpoint["VpcEndpointId"], AddRouteTableIds=[theirs])
        plan = await world.plan()
        assert plan.changes == ()
        assert [(one.address, one.message) for one in plan.remarks] == [(_S3, f"route table {theirs} is left as it is")]


async def test_an_interface_that_is_no_longer_configured_is_deleted_by_name(moto: Aws) -> None:
    async with account_world(moto.url, steps=_STEPS, settings=_settings("kms")) as world:
        await world.converge()
        world.settings = _settings()
        assert (await world.plan()).changes == (), "nothing of the step is stated"
        await world.converge(delete=("*/vpc-endpoint/kms", "*/security-group/KMS VPC Endpoint"))
        assert _endpoints(world) == {}


async def test_lists_that_are_denied_change_nothing_of_their_kind(moto: Aws) -> None:
    async with account_world(moto.url, steps=_STEPS, settings=_settings("s3")) as world:
        world.aws.before = denied("ec2:DescribeNatGateways", "ec2:DescribeVpcEndpoints")
        plan = await world.plan()
        assert {one.address for one in plan.remarks if one.kind == "unread"} == {
            f"{REGION}/nat-gateway/*", f"{REGION}/vpc-endpoint/*", _TABLE
        }, "the route table needs the gateway, of which nothing is known"  # fmt: skip
        assert not {_NAT, _S3} & {one.address for one in plan.changes}


@pytest.mark.parametrize(
    ("action", "failed"), [("ec2:AllocateAddress", _NAT), ("ec2:CreateVpcEndpoint", _S3)]
)  # fmt: skip
async def test_a_refused_write_is_reported_and_the_next_apply_goes_on(moto: Aws, action: str, failed: str) -> None:
    async with account_world(moto.url, steps=_STEPS, settings=_settings("s3")) as world:
        world.aws.before = denied(action)
        report = await world.apply(await world.plan())
        assert [one.address for one in report.changes if one.outcome == "failed"] == [failed]
        world.aws.before = passed
        await world.converge()
