"""AWS does not know at once what was written a moment ago: such write calls are repeated, and no others."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from aiohttp import web

from fakes.account_world import REGION, AccountWorld, account_world
from fakes.counted_aws import AwsCall
from landscape.aws import Aws
from whence_aggregator.accounts.steps import flow_logs, keys, roles, vpc
from whence_aggregator.adapters.accounts.settling import SECONDS_MAX, may_settle

_TRUST = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}],
}
_ROLE = {"roles": {"app": {"assume_role_policy": _TRUST}}}


def refused(action: str, code: str, message: str, times: int) -> Callable[[AwsCall], web.Response | None]:
    """Return an answer for the first calls of an action, as services of the query protocol refuse."""
    left = times

    def answer(call: AwsCall) -> web.Response | None:
        nonlocal left
        if call.action != action or left == 0:
            return None
        left -= 1
        return web.Response(
            status=400, content_type="text/xml",
            text=f"<ErrorResponse><Error><Code>{code}</Code><Message>{message}</Message></Error></ErrorResponse>",
        )  # fmt: skip

    return answer


def counted(world: AccountWorld, action: str) -> int:
    return sum(one.action == action for one in world.aws.calls)


async def test_a_policy_whose_principal_is_new_is_written_again_until_aws_knows_it(moto: Aws) -> None:
    async with account_world(moto.url, steps=(roles.step(lambda: ()),), settings=_ROLE) as world:
        world.aws.before = refused("CreateRole", "MalformedPolicyDocument", "Invalid principal in policy", 1_000)
        report = await world.apply(await world.plan())
        assert not report.succeeded
        assert "MalformedPolicyDocument" in report.changes[0].message
        assert SECONDS_MAX - 10 <= sum(world.pauses) <= SECONDS_MAX, "the time is bounded"
        world.pauses.clear()
        world.told.clear()
        world.aws.before = refused("CreateRole", "MalformedPolicyDocument", "Invalid principal in policy", 3)
        await world.converge()
        assert len(world.pauses) == 3
        assert world.told == [
            "CreateRole is repeated until AWS knows what is new: MalformedPolicyDocument: Invalid principal in policy"
        ]


async def test_a_policy_that_is_malformed_for_good_is_refused_at_once(moto: Aws) -> None:
    async with account_world(moto.url, steps=(roles.step(lambda: ()),), settings=_ROLE) as world:
        world.aws.before = refused("CreateRole", "MalformedPolicyDocument", "Syntax errors in policy", 9)
        report = await world.apply(await world.plan())
        assert (report.succeeded, counted(world, "CreateRole"), world.pauses) == (False, 1, [])


async def test_a_call_that_reads_is_never_repeated_for_what_is_missing(moto: Aws) -> None:
    async with account_world(moto.url, steps=(roles.step(lambda: ()),), settings=_ROLE) as world:
        world.aws.before = refused("GetAccountAuthorizationDetails", "NoSuchEntity", "there is none", 9)
        await world.plan()
        assert (counted(world, "GetAccountAuthorizationDetails"), world.pauses) == (1, [])


async def test_a_key_whose_policy_names_a_new_role_is_created_once(moto: Aws) -> None:
    async with account_world(moto.url, steps=(keys.STEP,), settings={"kms": {"app": {}}}) as world:
        left = 2

        def answer(call: AwsCall) -> web.Response | None:
            nonlocal left
            if call.name != "kms:CreateKey" or left == 0:
                return None
            left -= 1
            message = "Policy contains a statement with one or more invalid principals."
            return web.json_response({"__type": "MalformedPolicyDocumentException", "message": message}, status=400)

        world.aws.before = answer
        await world.converge()
        assert len(world.pauses) == 2
        assert len(world.client("kms").list_keys()["Keys"]) == 1


async def test_a_flow_log_that_is_refused_within_a_success_for_its_new_role_is_created_later(moto: Aws) -> None:
    net = {"cidr": "10.1.0.0/16", "zones": ["eu-west-1a"]}
    settings: dict[str, Any] = {"vpc_net": {REGION: net}, "nat": "none", "vpc": {}}
    async with account_world(moto.url, steps=(vpc.STEP, flow_logs.STEP), settings=settings) as world:
        left = 2

        def answer(call: AwsCall) -> web.Response | None:
            nonlocal left
            if call.action != "CreateFlowLogs" or left == 0:
                return None
            left -= 1
            return web.Response(content_type="text/xml", text=_UNSUCCESSFUL)

        world.aws.before = answer
        report = await world.apply(await world.plan())
        assert [one.message for one in report.changes if one.outcome == "failed"] == []
        assert len(world.pauses) == 2


_UNSUCCESSFUL = """<CreateFlowLogsResponse xmlns="http://ec2.amazonaws.com/doc/2016-11-15/"><requestId>1</requestId>
<unsuccessful><item><error><code>400</code><message>Access Denied for LogDestination: check the role</message></error>
<resourceId>vpc-1</resourceId></item></unsuccessful></CreateFlowLogsResponse>"""


@pytest.mark.parametrize(
    "operation, code, message, settles",
    [
        ("PutBucketPolicy", "MalformedPolicy", "Invalid principal in policy", True),
        ("PutBucketPolicy", "MalformedPolicy", "Policy has invalid action", False),
        ("CreateTrail", "InsufficientS3BucketPolicyException", "Incorrect S3 bucket policy", True),
        ("UpdateTrail", "InsufficientSnsTopicPolicyException", "SNS Topic does not exist", True),
        (
            "PutDeliveryChannel",
            "InsufficientDeliveryPolicyException",
            "Insufficient delivery policy to s3 bucket",
            True,
        ),
        ("PutConfigurationRecorder", "InvalidRoleException", "the role could not be validated", True),
        ("CreateTrail", "S3BucketDoesNotExistException", "S3 bucket t does not exist", True),
        ("SetTopicAttributes", "InvalidParameter", "Invalid parameter: Policy Error: PrincipalNotFound", True),
        ("SetTopicAttributes", "InvalidParameter", "Invalid parameter: DisplayName", False),
        ("SetQueueAttributes", "InvalidAttributeValue", "Invalid value for the parameter Policy.", True),
        ("CreateQueue", "AWS.SimpleQueueService.QueueDeletedRecently", "You must wait 60 seconds", True),
        ("CreateSubnet", "InvalidVpcID.NotFound", "The vpc ID does not exist", True),
        ("DescribeVpcs", "InvalidVpcID.NotFound", "The vpc ID does not exist", False),
        ("DeleteSubnet", "InvalidSubnetID.NotFound", "it does not exist", False),
        ("DeleteVpc", "DependencyViolation", "it has dependencies", True),
        ("CreateVpc", "DependencyViolation", "it has dependencies", False),
        ("PutRolePolicy", "NoSuchEntity", "The role cannot be found", True),
        ("DeleteRolePolicy", "NoSuchEntity", "The policy cannot be found", False),
        ("CreateRole", "AccessDenied", "not authorized", False),
        ("CreateRole", "LimitExceeded", "too many roles", False),
        ("CreateBucket", "BucketAlreadyExists", "the name is taken", False),
        ("PutBucketPolicy", "", "", False),
    ],
)
def test_only_what_may_settle_is_repeated(operation: str, code: str, message: str, settles: bool) -> None:
    assert may_settle(operation, code, message) is settles
