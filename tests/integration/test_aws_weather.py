"""AWS on a bad day: throttling, clocks, keys that end, what is not known yet; each error says whether it may pass."""

from __future__ import annotations

import asyncio
import base64
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import aiohttp
import pytest

from fakes.aws_front import AwsFront, Refusal
from fakes.clocks import FakeClock, a_day
from fakes.metadata_service import MetadataService, credentials
from fakes.misbehaving import Answer, misbehaving
from fakes.signing_authority import SigningAuthority
from landscape.aws import REGION
from landscape.whole import Landscape
from whence_agent.adapters.aws import AwsClients
from whence_agent.adapters.aws_cloud import AwsCloud
from whence_agent.adapters.aws_http import AwsSecrets, S3Objects, SignedHttp
from whence_agent.adapters.imds import ImdsMetadata
from whence_agent.adapters.role import EARLY, PAUSE, GivenKeys, NoKeys, RoleKeys
from whence_agent.adapters.sigv4 import AwsKeys
from whence_agent.ports import ObjectUnavailable, SecretUnavailable
from whence_agent.ports_cloud import CloudRefused, NobodyWaits
from whence_agent.proxies import Proxies

OTHER = AwsKeys("ASIAOTHEROTHEROTHER1", "another-secret", "another-token")


@dataclass
class Account:
    """An agent's adapters before moto, with a clock and an age that the test sets."""

    front: AwsFront
    metadata: MetadataService
    keys: RoleKeys
    http: SignedHttp
    cloud: AwsCloud
    clock: FakeClock
    age: list[float]


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(auto_decompress=False) as opened:
        yield opened


@pytest.fixture
async def account(
    scape: Landscape, session: aiohttp.ClientSession, authority: SigningAuthority
) -> AsyncIterator[Account]:
    clock, age = FakeClock(), [86_400.0]
    clock.moment = datetime.now(UTC)
    async with (
        AwsFront(scape.aws.url).serve() as front,
        MetadataService("i-0123456789abcdef0", b"", authority).serve() as metadata,
    ):
        imds = ImdsMetadata(session=session, url=metadata.url)
        keys = RoleKeys(metadata=imds, now=clock, up_seconds=lambda: age[0])
        http = SignedHttp(
            session=session, keys=keys, region=lambda: REGION, endpoint_url=front.url, now=clock,
            up_seconds=lambda: age[0],
        )  # fmt: skip
        clients = AwsClients(keys=keys, endpoint_url=front.url, region=lambda: REGION, proxies=Proxies())
        cloud = AwsCloud(clients, now=clock, up_seconds=lambda: age[0])
        yield Account(front, metadata, keys, http, cloud, clock, age)


async def encrypted(scape: Landscape) -> bytes:
    return base64.b64decode(await scape.aws.encrypt("text"))


# --- what may pass


@pytest.mark.parametrize(
    "refusal",
    [
        Refusal("ThrottlingException", "Rate exceeded"),
        Refusal("LimitExceededException"),
        Refusal("KMSInternalException", status=500),
        Refusal("DependencyTimeoutException", status=503),
        Refusal("KeyUnavailableException", status=500),
    ],
)
async def test_kms_that_throttles_or_stumbles_may_be_asked_again(
    account: Account, scape: Landscape, refusal: Refusal
) -> None:
    account.front.refusals["Decrypt"] = [refusal]
    secrets, ciphertext = AwsSecrets(account.http), await encrypted(scape)
    with pytest.raises(SecretUnavailable) as caught:
        await secrets.decrypt(ciphertext, {})
    assert (caught.value.retryable, f"kms: {refusal.code}: " in caught.value.message) == (True, True)
    assert await secrets.decrypt(ciphertext, {}) == "text"


async def test_kms_that_cannot_decrypt_is_final_and_shows_aws_own_words(account: Account, scape: Landscape) -> None:
    arn = "arn:aws:kms:eu-central-1:123456789012:key/1234"
    account.front.refusals["Decrypt"] = [
        Refusal("AccessDeniedException", f"User: x is not authorized to perform: kms:Decrypt on resource: {arn}"),
        Refusal("InvalidCiphertextException", ""),
    ]
    for code in ("AccessDeniedException: User: x is not authorized", "InvalidCiphertextException"):
        with pytest.raises(SecretUnavailable) as caught:
            await AwsSecrets(account.http).decrypt(await encrypted(scape), {})
        assert (caught.value.retryable, code in caught.value.message) == (False, True)
        assert "kms:Decrypt with the key" in caught.value.fix


@pytest.mark.parametrize("code", ["RequestLimitExceeded", "Throttling", "EC2ThrottledException", "InvalidVolume.NotFound", "InvalidInstanceID.NotFound", "IncorrectState", "Unavailable"])  # fmt: skip
async def test_ec2_that_throttles_or_does_not_know_yet_may_be_asked_again(account: Account, code: str) -> None:
    account.front.refusals["AttachVolume"] = [Refusal(code, "said so", headers={"Retry-After": "3"})]
    with pytest.raises(CloudRefused) as caught:
        await account.cloud.attach("vol-1", instance_id="i-1", device="/dev/sdf")
    assert (caught.value.retryable, caught.value.retry_after_seconds) == (True, 3.0)
    assert caught.value.message == f"ec2:AttachVolume: {code}: said so"
    assert account.front.asked["AttachVolume"] == 1, "the stage's deadline bounds the tries, not the SDK"


async def test_a_denial_may_pass_while_the_machine_is_young_and_is_final_later(
    account: Account, scape: Landscape
) -> None:
    account.front.refusals["Decrypt"] = [Refusal("AccessDeniedException")] * 2
    account.front.refusals["AttachVolume"] = [Refusal("UnauthorizedOperation", status=403)] * 2
    for age, retryable in ((30.0, True), (86_400.0, False)):
        account.age[0] = age
        with pytest.raises(SecretUnavailable) as secret:
            await AwsSecrets(account.http).decrypt(await encrypted(scape), {})
        with pytest.raises(CloudRefused) as cloud:
            await account.cloud.attach("vol-1", instance_id="i-1", device="/dev/sdf")
        assert (secret.value.retryable, cloud.value.retryable) == (retryable, retryable)
        assert cloud.value.fix == "allow the instance's role ec2:AttachVolume"


@pytest.mark.parametrize("status, body", [(403, b"<html>blocked</html>"), (404, b""), (502, b"bad gateway")])
async def test_what_answers_between_here_and_kms_is_no_refusal(
    session: aiohttp.ClientSession, status: int, body: bytes
) -> None:
    async with misbehaving(Answer(status=status, body=body)) as host:
        http = SignedHttp(
            session=session, keys=GivenKeys(AwsKeys("a", "b")), region=lambda: REGION, endpoint_url=f"http://{host}",
            now=FakeClock(), up_seconds=a_day,
        )  # fmt: skip
        with pytest.raises(SecretUnavailable) as caught:
            await AwsSecrets(http).secret("pay/db")
    assert (caught.value.code, caught.value.retryable) == ("secret-unreachable", True)
    assert "is not a response of AWS" in caught.value.message


# --- the clock


async def test_a_clock_that_is_wrong_is_named_with_its_skew_and_passes_once_it_is_set(
    account: Account, scape: Landscape
) -> None:
    right = account.clock.moment
    account.clock.advance(7_200)
    date = {"Date": format_datetime(right, usegmt=True)}
    expired = "Signature not yet current: 20261122T140000Z is still later than 20261122T120500Z"
    account.front.refusals = {
        "Decrypt": [Refusal("InvalidSignatureException", expired, headers=date)],
        "AttachVolume": [Refusal("RequestExpired", "Request has expired.", headers=date)],
        "GET": [Refusal("RequestTimeTooSkewed", "The difference is too large.", status=403, headers=date)],
    }
    ciphertext = await encrypted(scape)
    with pytest.raises(SecretUnavailable) as secret:
        await AwsSecrets(account.http).decrypt(ciphertext, {})
    with pytest.raises(CloudRefused) as cloud:
        await account.cloud.attach("vol-1", instance_id="i-1", device="/dev/sdf")
    with pytest.raises(ObjectUnavailable) as stored:
        await S3Objects(account.http).get("mint-mint", "app/user.json", etag=None)
    for error in (secret.value, cloud.value, stored.value):
        assert re.search("the clock of this machine is 720[01] s ahead of AWS's", error.message)
        assert (error.retryable, "chrony" in error.fix) == (True, True)
    assert (secret.value.code, cloud.value.code, stored.value.state) == ("clock-wrong", "clock-wrong", "identity")
    account.clock.moment = right
    assert await AwsSecrets(account.http).decrypt(ciphertext, {}) == "text"


# --- keys


async def test_keys_that_aws_says_have_ended_are_replaced_and_the_request_is_sent_again(
    account: Account, scape: Landscape
) -> None:
    ciphertext = await encrypted(scape)
    for action, refusal in (("Decrypt", "ExpiredTokenException"), ("DescribeVolumes", "ExpiredToken")):
        account.metadata.role_document = credentials()
        account.keys.refused(await account.keys())
        await account.keys()
        account.front.refusals[action] = [Refusal(refusal, "The security token is expired")]
        account.metadata.role_document = credentials(OTHER)
        account.front.keys.clear()
        if action == "Decrypt":
            assert await AwsSecrets(account.http).decrypt(ciphertext, {}) == "text"
        else:
            assert await account.cloud.by_name("none", zone="eu-central-1a", instance_id="i-1") == []
        assert account.front.keys == ["ASIADEMODEMODEMODEMO", OTHER.access_key]


async def test_keys_that_hold_for_minutes_are_used_while_the_metadata_service_is_away(
    account: Account, scape: Landscape
) -> None:
    ciphertext, ends = await encrypted(scape), account.clock.moment + timedelta(hours=1)
    account.metadata.role_document = credentials(ends=ends)
    secrets = AwsSecrets(account.http)
    assert await secrets.decrypt(ciphertext, {}) == "text"
    account.metadata.away = True
    account.clock.advance(3_600 - EARLY.total_seconds() + 1)
    assert await secrets.decrypt(ciphertext, {}) == "text"
    assert await account.cloud.by_name("none", zone="eu-central-1a", instance_id="i-1") == []
    asked = len(account.metadata.requests)
    assert await secrets.decrypt(ciphertext, {}) == "text"
    assert len(account.metadata.requests) == asked, "a service that is away is asked again after a pause only"
    account.clock.advance(PAUSE.total_seconds())
    assert await secrets.decrypt(ciphertext, {}) == "text"
    assert len(account.metadata.requests) > asked
    account.clock.moment = ends + timedelta(seconds=1)
    with pytest.raises(SecretUnavailable, match="the present keys expired at") as caught:
        await secrets.decrypt(ciphertext, {})
    assert caught.value.retryable
    account.metadata.away, account.metadata.role_document = False, credentials()
    assert await secrets.decrypt(ciphertext, {}) == "text"


async def test_a_metadata_service_that_returns_ended_keys_never_replaces_those_that_hold(account: Account) -> None:
    account.metadata.role_document = credentials(ends=account.clock.moment + timedelta(minutes=10))
    first = await account.keys()
    account.metadata.role_document = credentials(OTHER, ends=account.clock.moment - timedelta(hours=1))
    account.clock.advance(PAUSE.total_seconds())
    assert await account.keys() == first
    assert "returned keys that expired at" in account.keys.doubt


async def test_ended_keys_from_the_metadata_service_are_told_apart_from_keys_that_are_away(
    account: Account, scape: Landscape
) -> None:
    account.metadata.role_document = credentials(ends=account.clock.moment - timedelta(hours=1))
    account.front.refusals["Decrypt"] = [Refusal("ExpiredTokenException", "The security token included is expired")] * 2
    with pytest.raises(SecretUnavailable) as caught:
        await AwsSecrets(account.http).decrypt(await encrypted(scape), {})
    assert (
        "ExpiredTokenException: The security token included is expired; the metadata service returned keys that expired at"
        in caught.value.message
    )
    assert (caught.value.retryable, account.front.asked["Decrypt"]) == (True, 1)


@pytest.mark.parametrize("age, retryable", [(10.0, True), (86_400.0, False)])
async def test_a_role_may_be_seen_late_by_a_young_machine_only(
    session: aiohttp.ClientSession, age: float, retryable: bool
) -> None:
    answers = {"/latest/api/token": Answer(body=b"t"), "/security-credentials/": Answer(status=404)}
    async with misbehaving(answers) as host:
        imds = ImdsMetadata(session=session, url=f"http://{host}")
        with pytest.raises(NoKeys) as caught:
            await RoleKeys(metadata=imds, now=FakeClock(), up_seconds=lambda: age)()
    assert caught.value.retryable is retryable


async def test_many_callers_near_the_end_of_keys_ask_the_metadata_service_once(account: Account) -> None:
    account.metadata.role_document = credentials(ends=account.clock.moment + timedelta(hours=1))
    await account.keys()
    account.clock.advance(3_600 - 60)
    account.metadata.requests.clear()
    await asyncio.gather(*(account.keys() for _ in range(20)))
    assert len([path for path in account.metadata.requests if path.endswith("/app-demo")]) == 1


# --- nobody waits

STACK = "arn:aws:cloudformation:eu-central-1:123456789012:stack/pay-1/0f4ae510-c386-11e7-b43f-503f23fb5536"


@pytest.mark.parametrize(
    "message",
    [
        f"Stack {STACK} is in CREATE_COMPLETE state and cannot be signaled",
        f"Stack {STACK.replace('pay-1', 'p-' * 64)} is in UPDATE_ROLLBACK_COMPLETE state and cannot be signaled",
        f"Stack {STACK} does not exist",
        "Stack pay-1 does not exist",
        "Resource App is in CREATE_COMPLETE state and cannot be signaled",
        "Signal with ID i-1 for resource App already exists. Signals may only be updated with a FAILURE status.",
    ],
)
async def test_a_stack_that_waits_no_longer_is_nobody_and_no_refusal(account: Account, message: str) -> None:
    account.front.refusals["SignalResource"] = [Refusal("ValidationError", message)]
    with pytest.raises(NobodyWaits) as caught:
        await account.cloud.stack("pay-1", "App", unique_id="i-1", success=True)
    assert caught.value.message == f"ValidationError: {message}"


@pytest.mark.parametrize(
    "refusal, retryable",
    [
        (Refusal("ValidationError", "Resource Ap does not exist for stack pay-1"), False),
        (Refusal("ValidationError", "1 validation error detected: Value '' at 'stackName' failed"), False),
        (Refusal("AccessDenied", "User: x is not authorized: Stack pay-1 does not exist", status=403), False),
        (Refusal("Throttling", "Rate exceeded"), True),
    ],
)
async def test_a_mistake_a_denial_and_throttling_are_never_nobody(
    account: Account, refusal: Refusal, retryable: bool
) -> None:
    account.front.refusals["SignalResource"] = [refusal]
    with pytest.raises(CloudRefused) as caught:
        await account.cloud.stack("pay-1", "App", unique_id="i-1", success=True)
    assert (type(caught.value), caught.value.retryable) == (CloudRefused, retryable)


async def test_hooks_groups_and_balancers_that_are_gone_are_nobody(account: Account, scape: Landscape) -> None:
    account.front.refusals["CompleteLifecycleAction"] = [
        Refusal("ValidationError", "No active Lifecycle Action found with instance ID i-0123456789abcdef0"),
        Refusal("ValidationError", "AutoScalingGroup name not found - AutoScalingGroup pya not found"),
    ]
    account.front.refusals["SetInstanceHealth"] = [
        Refusal("ValidationError", "Instance Id not found - No managed instance found for instance ID: i-1")
    ]
    with pytest.raises(NobodyWaits):
        await account.cloud.lifecycle("pay", "up", instance_id="i-1", proceed=True)
    with pytest.raises(CloudRefused, match="AutoScalingGroup pya not found") as caught:
        await account.cloud.lifecycle("pya", "up", instance_id="i-1", proceed=True)
    assert not isinstance(caught.value, NobodyWaits), "a group that there is none of is a mistake in user data"
    with pytest.raises(NobodyWaits):
        await account.cloud.unhealthy("i-1")
    for code in ("LoadBalancerNotFound", "InvalidInstance"):
        account.front.refusals["DeregisterInstancesFromLoadBalancer"] = [Refusal(code, "There is none")]
        with pytest.raises(NobodyWaits):
            await account.cloud.deregister("classic", "no-such-balancer", instance_id="i-1")
    arn = "arn:aws:elasticloadbalancing:eu-central-1:123456789012:targetgroup/none/50dc6c495c0c9188"
    with pytest.raises(NobodyWaits):
        await account.cloud.deregister("target-group", arn, instance_id="i-1")
    ec2, elbv2 = scape.aws.client("ec2"), scape.aws.client("elbv2")
    vpc = ec2.describe_vpcs()["Vpcs"][0]["VpcId"]
    made = elbv2.create_target_group(Name="weather", Protocol="HTTP", Port=80, VpcId=vpc)
    with pytest.raises(NobodyWaits, match="InvalidTarget"):
        await account.cloud.deregister("target-group", made["TargetGroups"][0]["TargetGroupArn"], instance_id="i-1")


async def test_a_page_in_the_place_of_aws_answer_is_a_road_that_is_closed(
    session: aiohttp.ClientSession,
) -> None:
    """The SDK raises an error of its own kind for it, that is no error of the SDK's tree."""
    page = b"<!doctype html>\n<html lang=en>\n<title>502</title>\n<p>a proxy's page<br>\n"
    async with misbehaving(Answer(status=502, body=page)) as host:
        clients = AwsClients(
            keys=GivenKeys(AwsKeys("a", "b")), endpoint_url=f"http://{host}", region=lambda: REGION, proxies=Proxies()
        )
        with pytest.raises(CloudRefused) as caught:
            await AwsCloud(clients, now=FakeClock(), up_seconds=a_day).deregister("classic", "web", instance_id="i-1")
    assert (caught.value.code, caught.value.retryable) == ("cloud-unreachable", True)
