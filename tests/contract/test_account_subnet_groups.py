"""Subnet groups of RDS and ElastiCache, on a fake of both services beside moto's EC2."""

from __future__ import annotations

from typing import Any

import botocore.loaders
import pytest

from fakes.account_world import REGION, AccountWorld, account_world
from fakes.aws_refusals import denied, passed
from fakes.aws_subnet_groups import Group, SubnetGroups
from landscape.aws import Aws
from whence_aggregator.accounts.steps import subnet_groups, vpc

_STEPS = (vpc.STEP, subnet_groups.STEP)
_NET = {"cidr": "10.1.0.0/16", "zones": ["eu-west-1a", "eu-west-1b"]}
_SETTINGS = {"vpc_net": {REGION: _NET}, "nat": "none", "database_subnet_groups": True}
_DB, _CACHE = f"{REGION}/db-subnet-group/internal", f"{REGION}/cache-subnet-group/internal"


def _services(world: AccountWorld) -> tuple[SubnetGroups, SubnetGroups]:
    def vpc_of(subnet: str) -> str:
        (found,) = world.client("ec2").describe_subnets(SubnetIds=[subnet])["Subnets"]
        return str(found["VpcId"])

    services = SubnetGroups("rds", vpc_of), SubnetGroups("elasticache", vpc_of)
    for one in services:
        one.answer_for(world.aws)
    return services


def _internal(world: AccountWorld) -> list[str]:
    filters = [{"Name": "tag:Name", "Values": ["internal-*"]}]
    return sorted(one["SubnetId"] for one in world.client("ec2").describe_subnets(Filters=filters)["Subnets"])


async def test_both_services_get_a_group_of_all_internal_subnets(moto: Aws) -> None:
    async with account_world(moto.url, steps=_STEPS, settings=_SETTINGS) as world:
        services = _services(world)
        await world.apply(await world.plan())
        named = {one for kind in subnet_groups.STEP.kinds for one in (*kind.reads, *kind.writes)}
        called = {one.name for one in world.aws.calls if one.name.startswith(("rds:", "elasticache:"))}
        assert called <= named
        await world.converge()
        for one in services:
            assert sorted(one.groups["internal"].subnets) == _internal(world)
            assert one.groups["internal"].tags["whence:managed-by"] == "whence-accounts"


async def test_a_subnet_that_is_missing_is_put_back(moto: Aws) -> None:
    async with account_world(moto.url, steps=_STEPS, settings=_SETTINGS) as world:
        services = _services(world)
        await world.converge()
        for one in services:
            one.groups["internal"].subnets.pop()
        plan = await world.plan()
        assert {one.address: list(one.after or {}) for one in plan.changes} == {_DB: ["subnets"], _CACHE: ["subnets"]}
        await world.converge()
        assert sorted(services[1].groups["internal"].subnets) == _internal(world)


async def test_a_group_of_others_is_changed_only_where_it_is_adopted(moto: Aws) -> None:
    async with account_world(moto.url, steps=_STEPS, settings=_SETTINGS) as world:
        rds, _ = _services(world)
        await world.converge()
        rds.groups["internal"] = Group("theirs", _internal(world)[:1], {"team": "them"})
        plan = await world.plan()
        assert [(one.address, one.message) for one in plan.remarks] == [
            (_DB, "it exists without our tag and differs in tags, subnets: not changed")
        ]
        assert plan.changes == ()
        await world.converge(adopt=(_DB,))
        assert rds.groups["internal"].tags["team"] == "them"


async def test_a_group_in_another_vpc_is_kept_and_reported(moto: Aws) -> None:
    async with account_world(moto.url, steps=_STEPS, settings=_SETTINGS) as world:
        rds, _ = _services(world)
        await world.converge()
        default = world.client("ec2").describe_subnets(Filters=[{"Name": "default-for-az", "Values": ["true"]}])
        rds.groups["internal"].subnets = [default["Subnets"][0]["SubnetId"]]
        plan = await world.plan()
        assert [(one.address, one.kind, one.message) for one in plan.remarks] == [
            (_DB, "kept", "AWS cannot change vpc of what exists: not changed")
        ]


async def test_groups_that_are_no_longer_configured_are_deleted_and_those_of_others_are_not(moto: Aws) -> None:
    async with account_world(moto.url, steps=_STEPS, settings=_SETTINGS) as world:
        rds, cache = _services(world)
        await world.converge()
        cache.groups["internal"].tags.clear()
        world.settings = {**_SETTINGS, "database_subnet_groups": False}
        await world.converge(delete=("*/db-subnet-group/*",))
        assert (list(rds.groups), list(cache.groups)) == ([], ["internal"])


async def test_groups_of_a_vpc_that_is_not_configured_need_its_internal_subnets(moto: Aws) -> None:
    settings = {"database_subnet_groups": True, "nat": "none"}
    async with account_world(moto.url, steps=_STEPS, settings=settings) as world:
        rds, _ = _services(world)
        ec2 = world.client("ec2")
        (default,) = ec2.describe_vpcs()["Vpcs"]
        plan = await world.plan()
        assert plan.changes == ()
        assert {one.address: one.message for one in plan.remarks if one.address in (_DB, _CACHE)} == dict.fromkeys(
            (_DB, _CACHE),
            f"create is not planned: {REGION}/subnet/internal-eu-west-1a does not exist, and is not created by this plan",
        )
        made = [
            ec2.create_subnet(VpcId=default["VpcId"], CidrBlock=cidr, AvailabilityZone=zone)["Subnet"]["SubnetId"]
            for zone, cidr in zip(
                ("eu-west-1a", "eu-west-1b", "eu-west-1c"), ("172.31.128.0/20", "172.31.144.0/20", "172.31.160.0/20"),
                strict=True,
            )
        ]  # fmt: skip
        await world.converge()
        assert sorted(rds.groups["internal"].subnets) == sorted(made)


async def test_groups_of_a_default_vpc_that_is_not_our_own_are_planned_once_it_is_adopted(moto: Aws) -> None:
    settings = {"database_subnet_groups": True, "nat": "none", "vpc": {"flow_log_destinations": []}}
    async with account_world(moto.url, steps=_STEPS, settings=settings) as world:
        rds, _ = _services(world)
        plan = await world.plan()
        assert plan.changes == (), "its subnets are not written, so the groups would never be"
        assert {_DB, _CACHE} <= {one.address for one in plan.remarks if one.kind == "foreign"}
        assert plan.is_whole
        for one in world.client("ec2").describe_subnets()["Subnets"]:
            world.client("ec2").delete_subnet(SubnetId=one["SubnetId"])  # they overlap with ours
        await world.converge(adopt=("*/vpc/*", "*/internet-gateway/*"))
        assert sorted(rds.groups["internal"].subnets) == _internal(world)


async def test_a_list_that_is_denied_changes_nothing_of_its_kind(moto: Aws) -> None:
    async with account_world(moto.url, steps=_STEPS, settings=_SETTINGS) as world:
        _services(world)
        world.aws.before = denied("rds:DescribeDBSubnetGroups")
        plan = await world.plan()
        assert [one.address for one in plan.remarks if one.kind == "unread"] == [f"{REGION}/db-subnet-group/*"]
        assert _DB not in {one.address for one in plan.changes}


@pytest.mark.parametrize(
    ("action", "failed"),
    [("rds:CreateDBSubnetGroup", _DB), ("elasticache:CreateCacheSubnetGroup", _CACHE)],
)
async def test_a_refused_write_is_reported_and_the_next_apply_goes_on(moto: Aws, action: str, failed: str) -> None:
    async with account_world(moto.url, steps=_STEPS, settings=_SETTINGS) as world:
        _services(world)
        world.aws.before = denied(action)
        report = await world.apply(await world.plan())
        assert [one.address for one in report.changes if one.outcome == "failed"] == [failed]
        world.aws.before = passed
        await world.converge()


@pytest.mark.parametrize(("service", "arn"), [("rds", "DBSubnetGroupArn"), ("elasticache", "ARN")])
async def test_the_fake_answers_what_the_service_model_names(service: str, arn: str) -> None:
    loader = botocore.loaders.Loader()
    model: dict[str, Any] = loader.load_service_model(service, "service-2")
    prefix = {"rds": "DBSubnetGroup", "elasticache": "CacheSubnetGroup"}[service]
    members = model["shapes"][prefix]["members"]
    assert {f"{prefix}Name", f"{prefix}Description", "VpcId", "Subnets", arn} <= set(members)
    assert {f"Create{prefix}", f"Modify{prefix}", f"Delete{prefix}", f"Describe{prefix}s"} <= set(model["operations"])
