"""The account's APIs as the agent calls them: moto where it speaks them, and each refusal with the permission it lacks."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from fakes.aws_front import AwsFront
from fakes.clocks import a_day
from fakes.metadata_service import MetadataService
from fakes.misbehaving import Answer, misbehaving
from fakes.signing_authority import SigningAuthority
from landscape.aws import REGION
from landscape.processes import free_port
from landscape.whole import Landscape
from whence_agent.adapters.aws import AwsClients
from whence_agent.adapters.aws_cloud import AwsCloud
from whence_agent.adapters.aws_http import AwsSecrets, S3Objects, SignedHttp
from whence_agent.adapters.imds import ImdsMetadata
from whence_agent.adapters.machine import MachineSocket
from whence_agent.adapters.oauth import OAuthIssuer
from whence_agent.adapters.role import RoleKeys
from whence_agent.machine.protocol import MachineFailed, PowerOffRequest
from whence_agent.ports import Notices, SecretUnavailable
from whence_agent.ports_cloud import CloudRefused
from whence_agent.proxies import Proxies
from whence_common.clock import utc_now
from whence_common.image_reference import ImageReference

ZONE = "eu-central-1a"


def role(session: aiohttp.ClientSession, service: MetadataService) -> RoleKeys:
    return RoleKeys(metadata=ImdsMetadata(session=session, url=service.url), now=utc_now, up_seconds=a_day)


@pytest.fixture
async def front(scape: Landscape) -> AsyncIterator[AwsFront]:
    async with AwsFront(scape.aws.url).serve() as serving:
        yield serving


@pytest.fixture
async def clients(
    front: AwsFront, session: aiohttp.ClientSession, authority: SigningAuthority
) -> AsyncIterator[AwsClients]:
    async with MetadataService("i-0123456789abcdef0", b"", authority).serve() as service:
        yield AwsClients(keys=role(session, service), endpoint_url=front.url, region=lambda: REGION, proxies=Proxies())


@pytest.fixture
async def http(
    front: AwsFront, session: aiohttp.ClientSession, authority: SigningAuthority
) -> AsyncIterator[SignedHttp]:
    async with MetadataService("i-0123456789abcdef0", b"", authority).serve() as service:
        keys = RoleKeys(metadata=ImdsMetadata(session=session, url=service.url), now=utc_now, up_seconds=a_day)
        yield SignedHttp(
            session=session, keys=keys, region=lambda: REGION, endpoint_url=front.url, now=utc_now, up_seconds=a_day
        )


@pytest.fixture
def cloud(clients: AwsClients) -> AwsCloud:
    return AwsCloud(clients, now=utc_now, up_seconds=a_day)


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as opened:
        yield opened


async def made(scape: Landscape, service: str, operation: str, **parameters: Any) -> Any:
    return await asyncio.to_thread(getattr(scape.aws.client(service), operation), **parameters)


async def volume(scape: Landscape, name: str, *, zone: str = ZONE, erase: bool = False) -> str:
    tags = [{"Key": "Name", "Value": name}] + ([{"Key": "Taupage:erase-on-boot", "Value": "True"}] if erase else [])
    specification = [{"ResourceType": "volume", "Tags": tags}]
    answer = await made(scape, "ec2", "create_volume", Size=1, AvailabilityZone=zone, TagSpecifications=specification)
    return str(answer["VolumeId"])


async def test_a_volume_is_found_by_name_in_its_zone_and_attached(scape: Landscape, cloud: AwsCloud) -> None:
    instance_id = await scape.aws.run_instance(b"")
    mine = await volume(scape, "pay-data", erase=True)
    await volume(scape, "pay-data", zone="eu-central-1b")
    await volume(scape, "other-data")
    (found,) = await cloud.by_name("pay-data", zone=ZONE, instance_id=instance_id)
    assert (found.volume_id, found.device, found.erase_tag) == (mine, None, True)
    await cloud.attach(mine, instance_id=instance_id, device="/dev/sdf")
    await cloud.forget_erase_tag(mine)
    (attached,) = await cloud.by_name("pay-data", zone=ZONE, instance_id=instance_id)
    assert (attached.device, attached.erase_tag) == ("/dev/sdf", False)
    assert await cloud.by_name("pay-data", zone=ZONE, instance_id="i-00000000000000000") == []


async def test_cloudformation_and_auto_scaling_are_told(front: AwsFront, cloud: AwsCloud) -> None:
    await cloud.stack("pay-1", "App", unique_id="i-1", success=False)
    await cloud.lifecycle("pay", "up", instance_id="i-1", proceed=True)
    stack, hook = front.told
    assert {name: stack[name] for name in ("StackName", "LogicalResourceId", "UniqueId", "Status")} == {
        "StackName": "pay-1", "LogicalResourceId": "App", "UniqueId": "i-1", "Status": "FAILURE",
    }  # fmt: skip
    assert (hook["LifecycleHookName"], hook["LifecycleActionResult"]) == ("up", "CONTINUE")


@pytest.mark.parametrize(
    "code, retryable, fix",
    [("AccessDenied", False, "cloudformation:SignalResource"), ("ValidationError", False, "")],
)
async def test_a_refusal_names_the_permission_that_is_lacking(
    front: AwsFront, cloud: AwsCloud, code: str, retryable: bool, fix: str
) -> None:
    front.errors = [code]
    with pytest.raises(CloudRefused) as caught:
        await cloud.stack("pay-1", "App", unique_id="i-1", success=True)
    assert (caught.value.retryable, fix in caught.value.fix, code in caught.value.message) == (retryable, True, True)


async def test_an_instance_is_replaced_or_terminated(scape: Landscape, cloud: AwsCloud) -> None:
    instance_id = await scape.aws.run_instance(b"")
    await cloud.terminate(instance_id)
    answer = await made(scape, "ec2", "describe_instances", InstanceIds=[instance_id])
    assert answer["Reservations"][0]["Instances"][0]["State"]["Name"] == "terminated"
    with pytest.raises(CloudRefused):
        await cloud.unhealthy("i-00000000000000000")


async def test_a_load_balancer_says_whether_it_serves_the_instance(scape: Landscape, cloud: AwsCloud) -> None:
    instance_id = await scape.aws.run_instance(b"")
    listener = {"Protocol": "HTTP", "LoadBalancerPort": 80, "InstancePort": 8080}
    await made(
        scape,
        "elb",
        "create_load_balancer",
        LoadBalancerName="web-asked",
        Listeners=[listener],
        AvailabilityZones=[ZONE],
    )
    register = {"LoadBalancerName": "web-asked", "Instances": [{"InstanceId": instance_id}]}
    await made(scape, "elb", "register_instances_with_load_balancer", **register)
    assert await cloud.in_service("classic", "web-asked", instance_id=instance_id) == ""
    await cloud.deregister("classic", "web-asked", instance_id=instance_id)
    assert await cloud.in_service("classic", "web-asked", instance_id=instance_id) != ""


async def test_a_target_group_says_whether_it_serves_the_instance(scape: Landscape, cloud: AwsCloud) -> None:
    instance_id = await scape.aws.run_instance(b"")
    vpc = (await made(scape, "ec2", "describe_vpcs"))["Vpcs"][0]["VpcId"]
    group = await made(scape, "elbv2", "create_target_group", Name="web", Protocol="HTTP", Port=80, VpcId=vpc)
    arn = group["TargetGroups"][0]["TargetGroupArn"]
    assert await cloud.in_service("target-group", arn, instance_id=instance_id) != ""
    await made(scape, "elbv2", "register_targets", TargetGroupArn=arn, Targets=[{"Id": instance_id}])
    said = await cloud.in_service("target-group", arn, instance_id=instance_id)
    assert said == "" or "unused" in said
    await cloud.deregister("target-group", arn, instance_id=instance_id)


@pytest.mark.parametrize("mutability, said", [("IMMUTABLE", ""), ("MUTABLE", "MUTABLE")])
async def test_ecr_is_asked_whether_tags_move(scape: Landscape, cloud: AwsCloud, mutability: str, said: str) -> None:
    name = f"pay/{mutability.lower()}"
    await made(scape, "ecr", "create_repository", repositoryName=name, imageTagMutability=mutability)
    reference = ImageReference.parse(f"123456789012.dkr.ecr.eu-central-1.amazonaws.com/{name}:1.0")
    assert await cloud.tags_move(reference) == said


async def test_a_repository_that_is_not_there_is_no_promise(cloud: AwsCloud) -> None:
    with pytest.raises(CloudRefused):
        await cloud.tags_move(ImageReference.parse("123456789012.dkr.ecr.eu-central-1.amazonaws.com/no/such:1.0"))


async def test_ecr_gives_a_sign_in(cloud: AwsCloud) -> None:
    username, password = await cloud.sign_in("123456789012.dkr.ecr.eu-central-1.amazonaws.com")
    assert username == "AWS"
    assert password


async def test_metrics_are_put(scape: Landscape, cloud: AwsCloud) -> None:
    await cloud.put("System/Linux", {"MemoryUtilization": 12.5}, dimensions={"InstanceId": "i-1"})
    answer = await made(scape, "cloudwatch", "list_metrics", Namespace="System/Linux")
    assert [metric["MetricName"] for metric in answer["Metrics"]] == ["MemoryUtilization"]


async def test_secrets_and_parameters_are_resolved_and_what_is_missing_is_refused(
    scape: Landscape, http: SignedHttp
) -> None:
    await made(scape, "secretsmanager", "create_secret", Name="pay/db", SecretString="s3cret-text")
    await made(scape, "ssm", "put_parameter", Name="/pay/db", Value="parameter-text", Type="SecureString")
    secrets = AwsSecrets(http)
    assert await secrets.secret("pay/db") == "s3cret-text"
    assert await secrets.parameter("/pay/db") == "parameter-text"
    for missing in (secrets.secret("no/such"), secrets.parameter("/no/such"), secrets.secret("")):
        with pytest.raises(SecretUnavailable):
            await missing


async def test_an_encryption_context_must_be_the_one_that_was_encrypted_with(
    scape: Landscape, http: SignedHttp
) -> None:
    key = (await made(scape, "kms", "create_key"))["KeyMetadata"]["KeyId"]
    context = {"application": "pay-api"}
    encrypted = await made(scape, "kms", "encrypt", KeyId=key, Plaintext=b"text", EncryptionContext=context)
    secrets = AwsSecrets(http)
    assert await secrets.decrypt(encrypted["CiphertextBlob"], context) == "text"
    with pytest.raises(SecretUnavailable):
        await secrets.decrypt(encrypted["CiphertextBlob"], {})


async def test_an_account_that_does_not_answer_is_unreachable(
    session: aiohttp.ClientSession, authority: SigningAuthority
) -> None:
    async with MetadataService("i-0123456789abcdef0", b"", authority).serve() as service:
        away = f"http://127.0.0.1:{free_port()}"
        keys = role(session, service)
        clients = AwsClients(keys=keys, endpoint_url=away, region=lambda: REGION, proxies=Proxies())
        with pytest.raises(CloudRefused) as caught:
            await AwsCloud(clients, now=utc_now, up_seconds=a_day).terminate("i-1")
        assert (caught.value.code, caught.value.retryable) == ("cloud-unreachable", True)


async def test_a_bucket_in_another_region_is_asked_there(
    session: aiohttp.ClientSession, authority: SigningAuthority
) -> None:
    """S3 answers 301 with the bucket's region; the request is signed again for it."""
    from aiohttp import web

    seen: list[str] = []

    async def answer(request: web.Request) -> web.Response:
        seen.append(request.headers["Authorization"].split("/")[2])
        if seen[-1] != "us-west-2":
            body = b"<Error><Code>PermanentRedirect</Code><Bucket>mint</Bucket></Error>"
            return web.Response(status=301, body=body, headers={"x-amz-bucket-region": "us-west-2"})
        return web.Response(body=b"{}", headers={"ETag": '"e"'})

    application = web.Application()
    application.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    async with MetadataService("i-0123456789abcdef0", b"", authority).serve() as service:
        keys = RoleKeys(metadata=ImdsMetadata(session=session, url=service.url), now=utc_now, up_seconds=a_day)
        store = S3Objects(
            SignedHttp(
                session=session, keys=keys, region=lambda: REGION, endpoint_url=url, now=utc_now, up_seconds=a_day
            )
        )
        try:
            for _ in range(2):
                assert await store.get("mint", "app/user.json", etag=None) is not None
        finally:
            await runner.cleanup()
    assert seen == [REGION, "us-west-2", "us-west-2"]


# --- metadata, tokens, helper


async def test_notices_are_read_and_nothing_is_no_notice(
    session: aiohttp.ClientSession, authority: SigningAuthority
) -> None:
    async with MetadataService("i-0123456789abcdef0", b"", authority).serve() as service:
        metadata = ImdsMetadata(session=session, url=service.url)
        assert await metadata.notices() == Notices(lifecycle_state="InService")
        service.spot_action = b'{"action": "stop", "time": "2026-11-22T12:00:00Z"}'
        service.rebalance = b'{"noticeTime": "2026-11-22T12:00:00Z"}'
        assert await metadata.notices() == Notices(spot_action="stop", rebalance=True, lifecycle_state="InService")
        assert await metadata.addresses() == {"local_ipv4": "10.0.0.7"}
        assert service.requests.count("/latest/api/token") == 1


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b"\xff", b"[" * 5000])
async def test_a_notice_that_cannot_be_read_is_still_one(
    session: aiohttp.ClientSession, authority: SigningAuthority, body: bytes
) -> None:
    async with MetadataService("i-0123456789abcdef0", b"", authority, spot_action=body).serve() as service:
        assert (await ImdsMetadata(session=session, url=service.url).notices()).spot_action == "terminate"


async def test_an_expired_session_token_is_renewed(session: aiohttp.ClientSession, authority: SigningAuthority) -> None:
    now = [0.0]
    async with MetadataService("i-0123456789abcdef0", b"", authority).serve() as service:
        metadata = ImdsMetadata(session=session, url=service.url, monotonic=lambda: now[0])
        await metadata.read()
        now[0] = 1_000.0
        await metadata.read()
        assert service.requests.count("/latest/api/token") == 2


USER = {"application_username": "u", "application_password": "hunter2hunter2"}
CLIENT = {"client_id": "c", "client_secret": "s3cret-s3cret"}


async def test_both_grants_are_spoken(session: aiohttp.ClientSession) -> None:
    from aiohttp import web

    forms: list[dict[str, str]] = []

    async def token(request: web.Request) -> web.Response:
        forms.append({name: str(value) for name, value in (await request.post()).items()})
        shown = base64.b64decode(request.headers["Authorization"].removeprefix("Basic ")).decode()
        assert shown == "c:s3cret-s3cret"
        return web.json_response({"access_token": "T", "expires_in": 100, "token_type": "Bearer"})

    application = web.Application()
    application.router.add_post("/token", token)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    issuer = OAuthIssuer(session=session, url=f"http://127.0.0.1:{runner.addresses[0][1]}/token")
    try:
        assert (await issuer.password_grant(USER, CLIENT)).token == "T"
        assert (await issuer.client_credentials(CLIENT, ("uid", "x.read"))).expires_seconds == 100
    finally:
        await runner.cleanup()
    assert forms[0]["grant_type"] == "password"
    assert forms[1] == {"grant_type": "client_credentials", "scope": "uid x.read"}


@pytest.mark.parametrize(
    "answer, code",
    [
        (
            Answer(status=401, body=b'{"error": "invalid_client", "error_description": "hunter2hunter2"}'),
            "token-refused",
        ),
        (Answer(status=503), "token-refused"),
        (Answer(status=302, headers={"Location": "http://127.0.0.1:1/"}), "token-refused"),
        (Answer(body=b"{}"), "token-malformed"),
        (Answer(body=b'{"access_token": ""}'), "token-malformed"),
        (Answer(body=b'{"access_token": "a b"}'), "token-malformed"),
        (Answer(body=b'{"access_token": "T", "expires_in": -5}'), "token-malformed"),
        (Answer(body=b'{"access_token": "T", "expires_in": "soon"}'), "token-malformed"),
        (Answer(body=b"[" * 50_000), "token-malformed"),
        (Answer(endless=True), "token-endpoint-unreachable"),
        (Answer(body=b'{"access_token": "T"}', cut_off=True), "token-endpoint-unreachable"),
    ],
)
async def test_a_misbehaving_token_endpoint_is_named(session: aiohttp.ClientSession, answer: Answer, code: str) -> None:
    async with misbehaving(answer) as host:
        with pytest.raises(SecretUnavailable) as caught:
            await OAuthIssuer(session=session, url=f"http://{host}/token").password_grant(USER, CLIENT)
    assert caught.value.code == code
    assert "hunter2" not in caught.value.diagnostics()


@pytest.mark.parametrize(
    "answer, retryable",
    [
        (Answer(status=400, body=b'{"error": "invalid_grant"}'), False),
        (Answer(status=403, body=b"<html>blocked by policy</html>"), True),
        (Answer(status=404), True),
        (Answer(status=401, body=b'{"error": {"code": 401}}'), True),
        (Answer(status=503, body=b'{"error": "temporarily_unavailable"}'), True),
    ],
)
async def test_only_the_token_endpoints_own_word_is_final(
    session: aiohttp.ClientSession, answer: Answer, retryable: bool
) -> None:
    async with misbehaving(answer) as host:
        with pytest.raises(SecretUnavailable) as caught:
            await OAuthIssuer(session=session, url=f"http://{host}/token").password_grant(USER, CLIENT)
    assert (caught.value.code, caught.value.retryable) == ("token-refused", retryable)


async def test_without_a_token_endpoint_the_platform_is_asked_for_one(session: aiohttp.ClientSession) -> None:
    with pytest.raises(SecretUnavailable, match="no token endpoint"):
        await OAuthIssuer(session=session, url=None).client_credentials(CLIENT, ())


async def test_a_helper_that_is_away_or_breaks_off_is_named(tmp_path: Path) -> None:
    with pytest.raises(MachineFailed) as caught:
        await MachineSocket(path=str(tmp_path / "nobody"), disks_path="/nonexistent").prepare(PowerOffRequest())
    assert caught.value.code == "machine-helper-away"
    for says, code in (
        (b"", "machine-helper-broke-off"),
        (b"junk\n", "machine-helper-malformed"),
        (b"x" * 200_000, "machine-helper-broke-off"),
    ):
        path = tmp_path / code
        path.unlink(missing_ok=True)

        async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter, says: bytes = says) -> None:
            writer.write(says)
            writer.close()

        async with await asyncio.start_unix_server(answer, str(path)):
            with pytest.raises(MachineFailed) as caught:
                await MachineSocket(path=str(path), disks_path="/nonexistent").prepare(PowerOffRequest())
            assert caught.value.code == code
