"""A pass over an account makes no read call twice, and no other pass uses what it read."""

from __future__ import annotations

from collections import Counter
from typing import Any

from fakes.account_world import REGION, AccountWorld, account_world, new_account_id
from fakes.aws_refusals import denied
from fakes.counted_aws import AwsCall
from landscape.aws import Aws

_NET = {"cidr": "10.1.0.0/16", "zones": ["eu-west-1a", "eu-west-1b"]}
_SETTINGS: dict[str, Any] = {
    "vpc_net": {REGION: _NET}, "nat": "gateway", "enable_dedicated_dmz_route": True, "vpc_flowlogs_role": {},
    "vpc": {"flow_logs_retention_in_days": 30, "endpoints": ["s3"]}, "database_subnet_groups": True,
    "s3_buckets": {"data": {"name": f"data-{new_account_id()}", "regions": [REGION]}},
}  # fmt: skip


def _repeated(calls: list[AwsCall]) -> dict[tuple[str, str], int]:
    """Return the calls that were made more than once with the same parameters, by name and region."""
    counted = Counter((one.name, one.region, one.account_id, one.path, one.body) for one in calls)
    return {(name, region): times for (name, region, *_), times in counted.items() if times > 1}


async def test_a_plan_makes_no_call_twice_whether_the_account_is_empty_or_converged(moto: Aws) -> None:
    async with account_world(moto.url, settings=_SETTINGS) as world:
        await world.plan()
        assert _repeated(world.aws.calls) == {}
        report = await world.apply(await world.plan())
        assert [one for one in report.changes if one.outcome != "done"] == []
        world.aws.forget()
        assert (await world.plan()).changes == ()
        assert _repeated(world.aws.calls) == {}


async def test_a_plan_sees_what_was_changed_since_the_plan_before(moto: Aws) -> None:
    async with account_world(moto.url, settings={"vpc_net": {REGION: _NET}, "nat": "none"}) as world:
        await world.converge()
        ec2 = world.client("ec2")
        (vpc,) = [one for one in ec2.describe_vpcs()["Vpcs"] if one["CidrBlock"] == _NET["cidr"]]
        ec2.delete_tags(Resources=[vpc["VpcId"]], Tags=[{"Key": "Name"}])
        assert [one.address for one in (await world.plan()).changes] == [f"{REGION}/vpc/{_NET['cidr']}"]


async def test_an_apply_reads_again_what_its_plan_has_read(moto: Aws) -> None:
    async with account_world(moto.url, settings={"vpc_net": {REGION: _NET}, "nat": "none"}) as world:
        plan = await world.plan()
        world.client("ec2").create_vpc(CidrBlock=_NET["cidr"])
        report = await world.apply(plan)
        assert "the account has moved since the plan was made" in report.error
        assert world.aws.writes == []


async def test_a_list_that_was_refused_once_is_asked_for_by_the_next_kind_that_needs_it(moto: Aws) -> None:
    async with account_world(moto.url, settings={"vpc_net": {REGION: _NET}, "nat": "none"}) as world:
        refused: list[AwsCall] = []

        def first_alone(call: AwsCall) -> Any:
            if call.name != "ec2:DescribeVpcs" or refused:
                return None
            refused.append(call)
            return denied(call.name)(call)

        await world.converge()
        world.aws.forget()
        world.aws.before = first_alone
        plan = await world.plan()
        assert (plan.changes, plan.is_whole) == ((), False)
        assert _names(world).count("ec2:DescribeVpcs") == 2


def _names(world: AccountWorld) -> list[str]:
    return [one.name for one in world.aws.calls]
