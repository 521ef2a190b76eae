"""Who changed a resource: LookupEvents as CloudTrail answers it, by botocore's own model, and its refusals."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import botocore.session
import pytest
from aiohttp import web
from botocore.parsers import create_parser

from fakes.account_world import AccountWorld, account_world
from fakes.aws_cloudtrail_lookup import LookedUpEvents
from fakes.counted_aws import AwsCall
from landscape.aws import Aws
from whence_aggregator.accounts.drift import DriftDoer
from whence_aggregator.accounts.steps import roles
from whence_aggregator.adapters.accounts.doers import doers

BY_HAND = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}],
}
AT = datetime(2026, 11, 26, 9, 30, tzinfo=UTC)
_TRUST = {"Statement": {"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}}


@pytest.fixture
async def changed(moto: Aws) -> AsyncIterator[AccountWorld]:
    """An account whose role `web` was changed by hand."""
    settings = {"roles": {"web": {"assume_role_policy": _TRUST}}}
    async with account_world(moto.url, steps=(roles.step(lambda: ()),), settings=settings) as world:
        await world.converge()
        world.client("iam").update_assume_role_policy(RoleName="web", PolicyDocument=json.dumps(BY_HAND))
        world.aws.forget()
        yield world


async def doer_of(world: AccountWorld) -> DriftDoer:
    plan = await world.plan()
    return (await doers(plan, world.providers.place(world.account.target, None), regions=world.regions))["role/web"]


async def test_the_newest_event_that_wrote_names_who_did_it(changed: AccountWorld) -> None:
    trail = LookedUpEvents()
    trail.install(changed.aws)
    trail.happened(changed.account_id, "us-east-1", "CreateRole", by="terraform", resource="web", at=AT)
    trail.happened(changed.account_id, "us-east-1", "UpdateAssumeRolePolicy", by="ada", resource="web", at=AT)
    trail.happened(changed.account_id, "us-east-1", "GetRole", by="eve", resource="web", at=AT, is_read=True)
    trail.happened(changed.account_id, "us-east-1", "DeleteRole", by="eve", resource="other", at=AT)
    trail.happened(changed.account_id, "eu-west-1", "DeleteRole", by="eve", resource="web", at=AT)
    found = await doer_of(changed)
    assert (found.by, found.event, found.at) == ("ada", "UpdateAssumeRolePolicy", "2026-11-26T09:30:00.000Z")
    assert changed.aws.writes == []


async def test_an_event_that_is_not_found_and_a_refusal_are_reported_as_reasons(changed: AccountWorld) -> None:
    LookedUpEvents().install(changed.aws)
    assert (await doer_of(changed)).reason == "no event of the last 90 days names it"

    def refused(call: AwsCall) -> web.Response | None:
        if call.name != "cloudtrail:LookupEvents":
            return None
        message = "not authorized to perform: cloudtrail:LookupEvents"
        return web.json_response({"__type": "AccessDeniedException", "message": message}, status=400)

    changed.aws.before = refused
    found = await doer_of(changed)
    assert found.by == ""
    assert "cloudtrail:LookupEvents" in found.reason


async def test_the_fake_answers_as_the_service_model_states(changed: AccountWorld) -> None:
    trail = LookedUpEvents()
    trail.install(changed.aws)
    trail.happened("1", "us-east-1", "PutRolePolicy", resource="web", by="ada", at=AT + timedelta(hours=1))
    call = AwsCall(
        "cloudtrail:LookupEvents", "1", "us-east-1",
        b'{"LookupAttributes": [{"AttributeKey": "ResourceName", "AttributeValue": "web"}], "MaxResults": 10}', "/", {},
    )  # fmt: skip
    answer = trail._answer(call)
    model = botocore.session.get_session().get_service_model("cloudtrail")
    shape = model.operation_model("LookupEvents").output_shape
    assert answer.body is not None
    parsed = create_parser(model.protocol).parse(
        {"status_code": 200, "headers": {}, "body": answer.body}, shape
    )  # fmt: skip
    (event,) = parsed["Events"]
    assert set(event) <= set(shape.members["Events"].member.members)
    assert (event["Username"], event["EventTime"]) == ("ada", AT + timedelta(hours=1))
    assert event["Resources"] == [{"ResourceType": "AWS::IAM::Role", "ResourceName": "web"}]
