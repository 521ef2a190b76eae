"""Lists of AWS that never end, and regions that refuse every call, end no run and hold nothing else up."""

from __future__ import annotations

import pytest
from aiohttp import web

from fakes.account_world import account_world
from fakes.counted_aws import AwsCall
from landscape.aws import Aws
from whence_aggregator.accounts.steps import keys
from whence_common.errors import RoadError

_ENDLESS = """<SimulatePrincipalPolicyResponse xmlns="https://iam.amazonaws.com/doc/2010-05-08/">
<SimulatePrincipalPolicyResult><IsTruncated>true</IsTruncated><Marker>m</Marker><EvaluationResults/>
</SimulatePrincipalPolicyResult></SimulatePrincipalPolicyResponse>"""


async def test_a_simulation_without_an_end_is_given_up(moto: Aws) -> None:
    async with account_world(moto.url) as world:
        trust = '{"Version": "2012-10-17", "Statement": []}'
        world.client("iam").create_role(RoleName="whence-accounts", AssumeRolePolicyDocument=trust)
        world.aws.extensions["iam:SimulatePrincipalPolicy"] = lambda _: web.Response(
            text=_ENDLESS, content_type="text/xml"
        )
        with pytest.raises(RoadError, match="over 100 pages"):
            await world.providers.denied(world.account.target, ["s3:ListAllMyBuckets"])


@pytest.mark.parametrize("code", ["UnrecognizedClientException", "AccessDeniedException"])
async def test_a_region_that_refuses_every_call_is_unread_and_the_others_are_applied(moto: Aws, code: str) -> None:
    regions = ("eu-west-1", "ap-east-1")
    async with account_world(moto.url, steps=(keys.STEP,), settings={"kms": {"app": {}}}, regions=regions) as world:

        def closed(call: AwsCall) -> web.Response | None:
            if call.region != "ap-east-1":
                return None
            body = {"__type": code, "message": "The security token included in the request is invalid."}
            return web.json_response(body, status=400)

        world.aws.before = closed
        plan = await world.plan()
        assert [one.address for one in plan.changes] == ["eu-west-1/key/app"]
        assert [(one.kind, one.address) for one in plan.remarks] == [("unread", "ap-east-1/key/*")]
        assert not plan.is_whole
        assert (await world.apply(plan)).succeeded


async def test_a_list_that_repeats_its_page_for_ever_is_unread(moto: Aws) -> None:
    async with account_world(moto.url, steps=(keys.STEP,), settings={"kms": {"app": {}}}) as world:
        page = {"Aliases": [], "Truncated": True, "NextMarker": "same"}
        world.aws.extensions["kms:ListAliases"] = lambda _: web.json_response(page)
        plan = await world.plan()
        assert (plan.changes, [one.kind for one in plan.remarks]) == ((), ["unread"])
        assert len(world.aws.calls) < 20
