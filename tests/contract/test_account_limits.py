"""Service quotas of an account with their use, on moto and a fake of what it lacks."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import botocore.loaders
import pytest
from aiohttp import web

from fakes.account_world import REGION, AccountWorld, account_world
from fakes.aws_service_quotas import ServiceQuotas, quota, refused
from landscape.aws import Aws
from whence_aggregator.accounts.limits import ServiceLimit
from whence_aggregator.adapters.accounts.limits import LIMIT_ACTIONS
from whence_common.errors import RoadError

_VPCS = quota("vpc", "L-F678F1CE", "VPCs per Region", 5)
_SUBNETS = quota("vpc", "L-407747CB", "Subnets per VPC", 200)
_ADDRESSES = quota("ec2", "L-0263D0A3", "EC2-VPC Elastic IPs", 5)
_ROLES = quota("iam", "L-FE177D64", "Roles per account", 1000, is_global=True)
_BUCKETS = quota("s3", "L-DC2B2D3D", "General purpose buckets", 10_000, is_global=True)
_ZONES = quota("route53", "L-4EA4796A", "Hosted zones", 500, is_global=True)
_ALL = {"vpc": [_VPCS, _SUBNETS], "ec2": [_ADDRESSES], "iam": [_ROLES], "s3": [_BUCKETS], "route53": [_ZONES]}


@asynccontextmanager
async def _world(moto: Aws, quotas: Mapping[str, Sequence[Mapping[str, Any]]] = _ALL) -> AsyncIterator[AccountWorld]:
    async with account_world(moto.url, steps=()) as world:
        ServiceQuotas(quotas).extend(world.aws)
        yield world


async def _limits(world: AccountWorld, region: str = REGION) -> dict[str, ServiceLimit]:
    return {one.code: one for one in await world.providers.limits(world.account.target, region)}


async def test_quotas_are_listed_with_their_use(moto: Aws) -> None:
    async with _world(moto) as world:
        world.client("ec2").create_vpc(CidrBlock="10.0.0.0/16")
        world.client("ec2").allocate_address(Domain="vpc")
        world.client("s3").create_bucket(
            Bucket=f"limits-{world.account_id}", CreateBucketConfiguration={"LocationConstraint": REGION}
        )
        world.client("route53").create_hosted_zone(Name="example.org", CallerReference="1")
        world.client("iam").create_role(RoleName="one", AssumeRolePolicyDocument="{}")
        found = await _limits(world)
        assert {code: (one.region, one.used, one.value) for code, one in found.items()} == {
            "L-F678F1CE": (REGION, 2, 5.0),
            "L-407747CB": (REGION, None, 200.0),
            "L-0263D0A3": (REGION, 1, 5.0),
            "L-FE177D64": (None, 1, 1000.0),
            "L-DC2B2D3D": (None, 1, 10_000.0),
            "L-4EA4796A": (None, 1, 500.0),
        }
        assert found["L-F678F1CE"].share == 0.4
        assert world.aws.writes == []


async def test_quotas_of_the_whole_account_are_listed_with_its_first_region_only(moto: Aws) -> None:
    async with account_world(moto.url, steps=(), regions=(REGION, "eu-central-1")) as world:
        quotas = ServiceQuotas(_ALL)
        quotas.extend(world.aws)
        assert sorted(await _limits(world, "eu-central-1")) == ["L-0263D0A3", "L-407747CB", "L-F678F1CE"]
        assert sorted(quotas.asked) == [("ec2", "eu-central-1"), ("vpc", "eu-central-1")]
        await _limits(world)
        assert {("iam", "us-east-1"), ("s3", "us-east-1"), ("route53", "us-east-1")} < set(quotas.asked)


async def test_all_pages_of_quotas_are_read(moto: Aws) -> None:
    many = [quota("vpc", f"L-0000000{one}", f"quota {one}", one) for one in range(7)]
    async with _world(moto, {"vpc": many}) as world:
        found = await _limits(world)
        assert [one.value for one in found.values()] == [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0]
        assert found["L-00000000"].share is None


async def test_a_service_that_a_region_lacks_has_no_quotas(moto: Aws) -> None:
    async with _world(moto, {"vpc": [_VPCS]}) as world:
        assert list(await _limits(world)) == ["L-F678F1CE"]


async def test_a_use_that_cannot_be_read_is_unknown_with_its_reason(moto: Aws) -> None:
    async with _world(moto) as world:
        text = (
            '<?xml version="1.0"?><Response><Errors><Error><Code>UnauthorizedOperation</Code>'
            "<Message>not authorized</Message></Error></Errors><RequestID>1</RequestID></Response>"
        )
        world.aws.extensions["ec2:DescribeVpcs"] = lambda _: web.Response(status=403, text=text)
        found = await _limits(world)
        assert (found["L-F678F1CE"].used, found["L-0263D0A3"].used) == (None, 0)
        assert "UnauthorizedOperation" in found["L-F678F1CE"].problem


async def test_quotas_that_cannot_be_listed_are_an_error_that_names_the_permissions(moto: Aws) -> None:
    async with _world(moto) as world:
        world.aws.extensions["servicequotas:ListServiceQuotas"] = lambda _: refused("AccessDeniedException", "no")
        with pytest.raises(RoadError, match=f"hello {REGION}: AWS denies it") as denied:
            await _limits(world)
        assert "servicequotas:ListServiceQuotas" in denied.value.fix


async def test_a_quota_without_a_value_is_left_out(moto: Aws) -> None:
    broken = {name: value for name, value in _SUBNETS.items() if name != "Value"}
    async with _world(moto, {"vpc": [broken, _VPCS]}) as world:
        assert list(await _limits(world)) == ["L-F678F1CE"]


async def test_only_the_stated_calls_are_made(moto: Aws) -> None:
    codes = ("L-A4707A72", "L-E79EC296", "L-DF5E4CA3", "L-1B52E74A")
    vpc = [_VPCS, *(quota("vpc", one, one, 10) for one in codes)]
    async with _world(moto, {**_ALL, "vpc": vpc}) as world:
        found = await _limits(world)
        assert all(found[one].used is not None for one in codes)
        called = {one.name for one in world.aws.calls if not one.name.startswith(("sts:", "s3:"))}
        assert called == set(LIMIT_ACTIONS) - {"s3:ListAllMyBuckets"}
        assert [one.path.partition("?")[0] for one in world.aws.calls if one.name.startswith("s3:")] == ["/"]


def test_the_fake_lists_quotas_in_the_words_of_the_service_model() -> None:
    members = botocore.loaders.Loader().load_service_model("service-quotas", "service-2")["shapes"]["ServiceQuota"]
    assert set(_VPCS) <= set(members["members"])
    assert set(members["members"]) - set(_VPCS) == {
        "UsageMetric", "Period", "ErrorReason", "QuotaContext", "Description",
    }  # fmt: skip
