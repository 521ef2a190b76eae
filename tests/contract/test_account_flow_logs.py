"""Flow logs of a VPC on moto: to a log group with retention, and to S3."""

from __future__ import annotations

import json
from typing import Any

import pytest

from fakes.account_world import REGION, AccountWorld, account_world
from fakes.aws_bucket_policies import BucketPolicies
from fakes.aws_refusals import denied, passed
from fakes.counted_aws import AwsCall
from landscape.aws import Aws
from whence_aggregator.accounts.steps import configured_buckets, flow_logs, vpc

_STEPS = (vpc.STEP, flow_logs.STEP)
_GROUP = f"{REGION}/flow-log-group/vpc-flowgroup"
_LOG = f"{REGION}/flow-log/log-group"


def _settings(**section: Any) -> dict[str, Any]:
    net = {"cidr": "10.1.0.0/16", "zones": ["eu-west-1a"]}
    return {"vpc_net": {REGION: net}, "nat": "none", "vpc": section}


def _logs(world: AccountWorld) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = world.client("ec2").describe_flow_logs()["FlowLogs"]
    return found


async def test_traffic_is_logged_into_a_group_that_keeps_it_ten_years(moto: Aws) -> None:
    async with account_world(moto.url, steps=_STEPS, settings=_settings()) as world:
        await world.apply(await world.plan())
        named = {one for kind in flow_logs.STEP.kinds for one in (*kind.reads, *kind.writes)}
        named |= {one for kind in vpc.STEP.kinds for one in (*kind.reads, *kind.writes)}
        assert {one.name for one in world.aws.calls if one.name.startswith(("ec2:", "logs:"))} <= named
        await world.converge()
        (log,) = _logs(world)
        assert (log["LogGroupName"], log["TrafficType"]) == ("vpc-flowgroup", "ALL")
        assert log["DeliverLogsPermissionArn"] == f"arn:aws:iam::{world.account_id}:role/vpc-flowlogs"
        (group,) = world.client("logs").describe_log_groups()["logGroups"]
        assert (group["logGroupName"], group["retentionInDays"]) == ("vpc-flowgroup", 3653)


async def test_every_destination_has_a_flow_log_of_its_own(moto: Aws) -> None:
    bucket = "arn:aws:s3:::flows-{region}"
    async with account_world(moto.url, steps=_STEPS) as world:
        world.settings = _settings(flow_log_destinations=["log-group", bucket], flow_logs_retention_in_days=30)
        world.client("s3").create_bucket(
            Bucket=f"flows-{REGION}", CreateBucketConfiguration={"LocationConstraint": REGION}
        )  # fmt: skip
        await world.converge()
        found = {one.get("LogGroupName") or one["LogDestination"]: one["LogDestinationType"] for one in _logs(world)}
        assert found == {"vpc-flowgroup": "cloud-watch-logs", f"arn:aws:s3:::flows-{REGION}": "s3"}


async def test_a_bucket_of_our_own_keeps_its_policy_when_aws_creates_a_flow_log_into_it(moto: Aws) -> None:
    async with account_world(moto.url, steps=(vpc.STEP, configured_buckets.STEP, flow_logs.STEP)) as world:
        policies = BucketPolicies()
        policies.install(world.aws)
        name = f"flows-{world.account_id}"
        world.settings = {
            **_settings(flow_log_destinations=[f"arn:aws:s3:::{name}"]), "s3_buckets": {"flows": {"name": name}}
        }  # fmt: skip
        written: list[str] = []

        def extended_by_aws(call: AwsCall) -> None:
            """Replace a policy without AWS's statements, as AWS does when a flow log is created."""
            if call.action == "CreateFlowLogs" and "AWSLogDeliveryWrite" not in policies.kept[name].decode():
                policies.kept[name] = b'{"Statement": []}'
                written.append(name)

        world.aws.after = extended_by_aws
        await world.converge()
        assert written == []
        sids = {one["Sid"] for one in json.loads(policies.kept[name])["Statement"]}
        assert sids == {"AWSLogDeliveryAclCheck", "AWSLogDeliveryWrite", "WhenceTlsOnly"}
        plan = await world.plan()
        assert [one for one in plan.remarks if "AWSLogDelivery" in one.message] == []


async def test_a_policy_that_aws_has_replaced_is_put_right_once(moto: Aws) -> None:
    async with account_world(moto.url, steps=(vpc.STEP, configured_buckets.STEP, flow_logs.STEP)) as world:
        policies = BucketPolicies()
        policies.install(world.aws)
        name = f"flows-{world.account_id}"
        world.settings = {
            **_settings(flow_log_destinations=[f"arn:aws:s3:::{name}"]), "s3_buckets": {"flows": {"name": name}}
        }  # fmt: skip
        await world.converge()
        document = json.loads(policies.kept[name])
        document["Statement"] = [one for one in document["Statement"] if one["Sid"] != "WhenceTlsOnly"]
        policies.kept[name] = json.dumps(document).encode()
        plan = await world.plan()
        assert [(one.address, list(one.after or {})) for one in plan.changes] == [(f"bucket/{name}", ["policy"])]
        await world.converge()


async def test_a_bucket_that_does_not_exist_is_reported_in_the_words_of_aws(moto: Aws) -> None:
    bucket = "arn:aws:s3:::nobody-made-this-one"
    async with account_world(moto.url, steps=_STEPS) as world:
        world.settings = _settings(flow_log_destinations=[bucket])
        report = await world.apply(await world.plan())
        failed = {one.address: one.message for one in report.changes if one.outcome == "failed"}
        assert failed == {
            f"{REGION}/flow-log/{bucket}": f"AWS creates no flow log to {bucket}: "
            "LogDestination: nobody-made-this-one does not exist."
        }


async def test_a_changed_retention_and_a_deleted_flow_log_are_put_right(moto: Aws) -> None:
    async with account_world(moto.url, steps=_STEPS, settings=_settings()) as world:
        await world.converge()
        world.client("logs").put_retention_policy(logGroupName="vpc-flowgroup", retentionInDays=1)
        world.client("ec2").delete_flow_logs(FlowLogIds=[one["FlowLogId"] for one in _logs(world)])
        plan = await world.plan()
        assert [(one.address, one.action) for one in plan.changes] == [(_GROUP, "update"), (_LOG, "create")]
        assert plan.changes[0].after == {"retention_in_days": 3653}
        await world.converge()


async def test_a_log_group_of_others_is_changed_only_where_it_is_adopted(moto: Aws) -> None:
    async with account_world(moto.url, steps=_STEPS, settings=_settings()) as world:
        logs = world.client("logs")
        logs.create_log_group(logGroupName="vpc-flowgroup")
        plan = await world.plan()
        assert [(one.address, one.message) for one in plan.remarks] == [
            (_GROUP, "it exists without our tag and differs in tags, retention_in_days: not changed")
        ]
        assert _GROUP not in {one.address for one in plan.changes}
        await world.converge(adopt=(_GROUP,))
        assert logs.describe_log_groups()["logGroups"][0]["retentionInDays"] == 3653


async def test_a_flow_log_of_others_to_the_same_group_is_adopted_and_not_doubled(moto: Aws) -> None:
    async with account_world(moto.url, steps=_STEPS, settings=_settings()) as world:
        ec2 = world.client("ec2")
        vpc_id = ec2.create_vpc(CidrBlock="10.1.0.0/16")["Vpc"]["VpcId"]
        (made,) = ec2.create_flow_logs(
            ResourceIds=[vpc_id], ResourceType="VPC", TrafficType="ALL", LogGroupName="vpc-flowgroup",
            DeliverLogsPermissionArn=f"arn:aws:iam::{world.account_id}:role/vpc-flowlogs",
        )["FlowLogIds"]  # fmt: skip
        await world.converge(adopt=("*",))
        assert [one["FlowLogId"] for one in _logs(world)] == [made]


async def test_a_flow_log_of_part_of_the_traffic_is_kept_and_reported(moto: Aws) -> None:
    async with account_world(moto.url, steps=_STEPS, settings=_settings()) as world:
        ec2 = world.client("ec2")
        vpc_id = ec2.create_vpc(CidrBlock="10.1.0.0/16")["Vpc"]["VpcId"]
        ec2.create_flow_logs(
            ResourceIds=[vpc_id], ResourceType="VPC", TrafficType="REJECT", LogGroupName="vpc-flowgroup",
            DeliverLogsPermissionArn=f"arn:aws:iam::{world.account_id}:role/vpc-flowlogs",
        )  # fmt: skip
        plan = await world.plan(adopt=("*",))
        assert {one.address: one.message for one in plan.remarks if one.kind == "kept"} == {
            _LOG: "AWS cannot change traffic of what exists: not changed"
        }


async def test_what_is_no_longer_configured_is_stopped_and_its_events_are_kept(moto: Aws) -> None:
    async with account_world(moto.url, steps=_STEPS, settings=_settings()) as world:
        await world.converge()
        world.settings = _settings(flow_log_destinations=[])
        assert (await world.plan()).changes == (), "nothing of the step is stated"
        await world.converge(delete=(_LOG,))
        assert _logs(world) == []
        assert len(world.client("logs").describe_log_groups()["logGroups"]) == 1
        await world.converge(delete=(_GROUP,))
        assert world.client("logs").describe_log_groups()["logGroups"] == []


async def test_lists_that_are_denied_change_nothing_of_their_kind(moto: Aws) -> None:
    async with account_world(moto.url, steps=_STEPS, settings=_settings()) as world:
        world.aws.before = denied("ec2:DescribeFlowLogs", "logs:DescribeLogGroups")
        plan = await world.plan()
        assert {one.address for one in plan.remarks if one.kind == "unread"} == {
            f"{REGION}/flow-log/*", f"{REGION}/flow-log-group/*"
        }  # fmt: skip
        assert not {_LOG, _GROUP} & {one.address for one in plan.changes}


@pytest.mark.parametrize(
    ("action", "failed"),
    [("logs:CreateLogGroup", _GROUP), ("logs:PutRetentionPolicy", _GROUP), ("ec2:CreateFlowLogs", _LOG)],
)
async def test_a_refused_write_is_reported_and_the_next_apply_goes_on(moto: Aws, action: str, failed: str) -> None:
    async with account_world(moto.url, steps=_STEPS, settings=_settings()) as world:
        world.aws.before = denied(action)
        report = await world.apply(await world.plan())
        assert [one.address for one in report.changes if one.outcome == "failed"] == [failed]
        world.aws.before = passed
        await world.converge()
