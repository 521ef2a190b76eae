"""AWS's tokens about a role: what botocore's own model reads from the fake, and what the agent makes of its refusals."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import aiohttp
import boto3
import pytest
from botocore.exceptions import ClientError

from fakes.agent_world import FakeWebIdentity
from fakes.aws_web_identity import WebIdentityOfRole
from fakes.clocks import a_day
from fakes.counted_aws import CountedAws
from fakes.misbehaving import Answer, misbehaving
from landscape.aws import ACCOUNT, REGION
from landscape.processes import free_port
from whence_agent.adapters.aws_http import SignedHttp
from whence_agent.adapters.role import GivenKeys
from whence_agent.adapters.sigv4 import AwsKeys
from whence_agent.adapters.web_identity import StsWebIdentity
from whence_agent.ports import SecretUnavailable
from whence_agent.ports_cloud import WebIdentity
from whence_common.clock import utc_now

KEYS = AwsKeys("AKIATEST", "test")
ROLE = f"arn:aws:iam::{ACCOUNT}:role/app-greeter"
AUDIENCE = "https://provider.example.org/token?a=b&c=d e"


@pytest.fixture
async def role() -> AsyncIterator[WebIdentityOfRole]:
    async with WebIdentityOfRole(role_arn=ROLE).serve() as serving:
        yield serving


@asynccontextmanager
async def adapter(url: str | None, keys: AwsKeys | None = KEYS) -> AsyncIterator[StsWebIdentity]:
    async with aiohttp.ClientSession() as session:
        yield StsWebIdentity(SignedHttp(
            session=session, keys=GivenKeys(keys), region=lambda: REGION, endpoint_url=url, now=utc_now,
            up_seconds=a_day,
        ))  # fmt: skip


@pytest.fixture
async def aws(role: WebIdentityOfRole) -> AsyncIterator[CountedAws]:
    async with CountedAws("http://127.0.0.1:9").serve() as serving:
        role.install(serving)
        yield serving


@pytest.fixture(params=["sts", "fake"])
async def identity(request: pytest.FixtureRequest, aws: CountedAws) -> AsyncIterator[WebIdentity]:
    if request.param == "fake":
        yield FakeWebIdentity()
        return
    async with adapter(aws.url) as found:
        yield found


async def test_a_token_is_of_one_word_and_another_each_time(identity: WebIdentity) -> None:
    first = await identity.token(AUDIENCE)
    assert first
    assert first.isascii()
    assert " " not in first
    assert await identity.token(f"{AUDIENCE}2") != first


async def test_the_fake_is_read_by_the_service_model_of_botocore(role: WebIdentityOfRole, aws: CountedAws) -> None:
    sts = boto3.client(
        "sts", endpoint_url=aws.url, region_name=REGION, aws_access_key_id="test", aws_secret_access_key="test"
    )
    wanted = {"Audience": [AUDIENCE], "SigningAlgorithm": "RS256", "DurationSeconds": 300}
    answer = await asyncio.to_thread(sts.get_web_identity_token, **wanted)
    assert answer["WebIdentityToken"].count(".") == 2
    assert abs(answer["Expiration"] - datetime.now(UTC) - timedelta(seconds=300)) < timedelta(seconds=30)
    async with adapter(aws.url) as found:
        await found.token(AUDIENCE)
    assert role.asked[0] == role.asked[1], "the agent asks as the SDK does"
    role.disabled = True
    with pytest.raises(sts.exceptions.OutboundWebIdentityFederationDisabledException):
        await asyncio.to_thread(sts.get_web_identity_token, **wanted)
    role.disabled, role.seconds_max = False, 60
    with pytest.raises(ClientError) as caught:
        await asyncio.to_thread(sts.get_web_identity_token, **wanted)
    assert caught.value.response["Error"]["Code"] == "SessionDurationEscalationException"


@pytest.mark.parametrize(
    ("refusal", "fix"),
    [
        ("disabled", "iam:EnableOutboundWebIdentityFederation"),
        ("denied", "sts:GetWebIdentityToken with sts:IdentityTokenAudience"),
        ("too long", "sts:DurationSeconds"),
    ],
)
async def test_a_refusal_says_what_to_allow(role: WebIdentityOfRole, aws: CountedAws, refusal: str, fix: str) -> None:
    role.disabled, role.denied = refusal == "disabled", refusal == "denied"
    role.seconds_max = 60 if refusal == "too long" else 3600
    async with adapter(aws.url) as found:
        with pytest.raises(SecretUnavailable) as caught:
            await found.token(AUDIENCE)
    assert caught.value.code == "web-identity-refused"
    assert fix in (caught.value.fix or "")


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (Answer(body=b"<html>welcome</html>"), "web-identity-malformed"),
        (Answer(body=b"<WebIdentityToken>a b.c.d</WebIdentityToken>"), "web-identity-malformed"),
        (Answer(body=b"<WebIdentityToken></WebIdentityToken>"), "web-identity-malformed"),
        (Answer(status=403, body=b"<html>forbidden</html>"), "web-identity-unreachable"),
        (Answer(status=302, body=b""), "web-identity-unreachable"),
        (Answer(endless=True), "web-identity-unreachable"),
    ],
)
async def test_what_is_not_an_answer_of_sts_is_no_token(answer: Answer, code: str) -> None:
    async with misbehaving(answer) as host, adapter(f"http://{host}") as found:
        with pytest.raises(SecretUnavailable) as caught:
            await found.token(AUDIENCE)
    assert caught.value.code == code


async def test_without_keys_or_without_sts_there_is_no_token() -> None:
    for keys, code in ((None, "web-identity-no-keys"), (KEYS, "web-identity-unreachable")):
        async with adapter(f"http://127.0.0.1:{free_port()}", keys) as found:
            with pytest.raises(SecretUnavailable) as caught:
                await found.token(AUDIENCE)
        assert caught.value.code == code
