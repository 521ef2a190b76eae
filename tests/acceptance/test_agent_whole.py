"""The features of Taupage and berry, by the agent as a process with real engine, registry, S3, KMS and disks."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import os
import signal
import tarfile
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from fakes.aws_front import AwsFront, Refusal
from fakes.guarded_registry import GuardedRegistry
from landscape.aws import ACCOUNT
from landscape.disks import disks, machine_helper
from landscape.processes import NotReady, free_port, run
from landscape.programs import Aggregator
from landscape.signing import BUILDER, Pusher, new_key, provenance, public_pem
from landscape.stage import Stage, command, failed, user_data
from landscape.whole import Landscape
from whence_common.runtime.pause import pause

BUCKET = f"whole-stups-mint-{ACCOUNT}-eu-central-1"
PAIR = {
    "user.json": {"application_username": "u", "application_password": "hunter2hunter2"},
    "client.json": {"client_id": "c", "client_secret": "s3cret-s3cret"},
}
BUSYBOX = "/bin/busybox"


@pytest.fixture(scope="module")
async def server(shared_server: Aggregator) -> Aggregator:
    return shared_server


@pytest.fixture(scope="module")
async def source(scape: Landscape) -> str:
    return (await scape.build("whole", "1.0", scm=scape.greeter_scm(0))).reference


@pytest.fixture(scope="module")
async def mint(scape: Landscape) -> str:
    await scape.aws.put_credentials(BUCKET, "greeter", PAIR)
    return BUCKET


@pytest.fixture
async def front(scape: Landscape) -> AsyncIterator[AwsFront]:
    async with AwsFront(scape.aws.url).serve() as serving:
        yield serving


@pytest.fixture
async def issuer() -> AsyncIterator[str]:
    """A provider that knows the minted client."""

    async def token(request: web.Request) -> web.Response:
        shown = base64.b64decode(request.headers["Authorization"].removeprefix("Basic ")).decode()
        form = await request.post()
        if shown != "c:s3cret-s3cret":
            return web.json_response({"error": "invalid_client"}, status=401)
        scope = str(form.get("scope", "")).replace(" ", ".")
        return web.json_response({"access_token": f"token-for-{scope}", "expires_in": 3600, "token_type": "Bearer"})

    application = web.Application()
    application.router.add_post("/token", token)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}/token"
    await runner.cleanup()


def outcome(status: Mapping[str, Any], stage: str) -> str:
    return next((one["outcome"] for one in status["stages"] if one["name"] == stage), "not reached")


async def made_balancer(stage: Stage) -> None:
    """Make the classic load balancer `web`, the instance in it."""

    def make() -> None:
        elb = stage.scape.aws.client("elb")
        listener = {"Protocol": "HTTP", "LoadBalancerPort": 80, "InstancePort": 8080}
        elb.create_load_balancer(LoadBalancerName="web", Listeners=[listener], AvailabilityZones=["eu-central-1a"])
        elb.register_instances_with_load_balancer(
            LoadBalancerName="web", Instances=[{"InstanceId": stage.service.instance_id}]
        )

    await asyncio.to_thread(make)


# --- container


async def test_every_option_reaches_the_engine(stage: Stage, server: Aggregator, source: str) -> None:
    more = (
        "hostname: greeter.example.org\nread_only: true\nshm_size: 32m\nmemory: 64m\ncpus: 0.5\npids_limit: 50\n"
        "ulimits: {nofile: {soft: 512, hard: 1024}}\ncapabilities_add: [SYS_NICE]\ncapabilities_drop: [ALL]\n"
        "user: '1234:4321'\nstop_timeout: 7\nmount_certs: true\nenvironment: {FLAG: yes, NOTHING: null, N: 007}\n"
        "application_logrotate_size: 1m\n"
    )
    await stage.instance(user_data(source, more))
    async with stage.agent(server.url) as running:
        await running.until("ok")
        container = await stage.inspect()
    assert container is not None
    host, config = container["HostConfig"], container["Config"]
    assert (config["Hostname"], config["User"]) == ("greeter.example.org", "1234:4321")
    assert (host["ReadonlyRootfs"], host["ShmSize"], host["Memory"]) == (True, 33554432, 67108864)
    assert (host["NanoCpus"], host["PidsLimit"]) == (500_000_000, 50)
    assert host["Ulimits"] == [{"Name": "nofile", "Hard": 1024, "Soft": 512}]
    assert ([one.removeprefix("CAP_") for one in host["CapAdd"]], host["CapDrop"]) == (["SYS_NICE"], ["ALL"])
    assert (host["SecurityOpt"], host["Privileged"]) == (["no-new-privileges"], False)
    assert host["Tmpfs"] == {"/tmp": "rw,nosuid,nodev"}
    assert host["RestartPolicy"]["Name"] in ("", "no")
    assert host["LogConfig"]["Config"]["max-size"] == "1048576"
    assert "/etc/ssl/certs:/etc/ssl/certs:ro" in host["Binds"]
    assert {"FLAG=True", "NOTHING=None", "N=7"} <= set(config["Env"])


async def test_what_the_platform_allows_is_granted(stage: Stage, server: Aggregator, source: str) -> None:
    await stage.instance(user_data(source, "privileged: true\ndocker_daemon_access: true\nroot: true\n"))
    async with stage.agent(server.url, allow_privileged=True, allow_engine_socket=True) as running:
        await running.until("ok")
        container = await stage.inspect()
    assert container is not None
    assert (container["HostConfig"]["Privileged"], container["Config"]["User"]) == (True, "999")
    assert any(bind.endswith(":/var/run/docker.sock:rw") for bind in container["HostConfig"]["Binds"])


async def test_a_missing_gpu_is_reported_with_the_engines_reason(stage: Stage, server: Aggregator, source: str) -> None:
    await stage.instance(user_data(source, "gpus: all\n"))
    status = await failed(stage, server)
    assert "device driver" in status["problems"][-1]["message"]


async def test_sidecars_run_beside_the_application_and_are_watched(
    stage: Stage, server: Aggregator, source: str
) -> None:
    more = (
        f"containers:\n  first: {{source: '{source}', environment: {{A: b}}, memory: 64m}}\n"
        f"  inside: {{source: '{source}', networking: 'container:application', command: [{BUSYBOX}, sleep, '1000']}}\n"
    )
    await stage.instance(user_data(source, more))
    async with stage.agent(server.url) as running:
        status = await running.until("ok")
        assert sorted(one["name"] for one in status["sidecars"]) == [f"{stage.name}-first", f"{stage.name}-inside"]
        first, inside, main = await stage.inspect("-first"), await stage.inspect("-inside"), await stage.inspect()
        assert first is not None
        assert inside is not None
        assert main is not None
        assert {"A=b", "APPLICATION_ID=greeter"} <= set(first["Config"]["Env"])
        assert not any("/meta" in bind for bind in first["HostConfig"]["Binds"] or [])
        assert inside["HostConfig"]["NetworkMode"] == f"container:{main['Id']}"
        await stage.on_engine(lambda client: client.kill(f"{stage.name}-first"))
        predicate = await stage.said(server, lambda said: any(one["restarts"] for one in said["containers"]))
        assert len(predicate["containers"]) == 3
        await running.until("ok")
        await stage.traced(server, "image", lambda found: found["state"] == "confirmed")
        await stage.on_engine(lambda client: client.kill(stage.name))
        await stage.said(server, lambda said: said["containers"] and said["containers"][0]["restarts"] == 1)
        await stage.started_again("-inside", inside["State"]["StartedAt"])
        await running.until("ok")
        await stage.on_engine(
            lambda client: client.exec_start(
                client.exec_create(
                    f"{stage.name}-inside", [BUSYBOX, "wget", "-qO", "/dev/null", "http://127.0.0.1:8080/health"]
                )["Id"]
            )
        )
    stage.service.user_data = user_data(source).encode()
    async with stage.agent(server.url) as running:
        await running.until("ok")
        assert await stage.inspect("-first") is None, "what other user data declared is gone"


async def test_maintenance_sets_up_everything_except_the_containers(
    stage: Stage, server: Aggregator, source: str
) -> None:
    await stage.instance(user_data(source, "start: false\n"))
    async with stage.agent(server.url) as running:
        status = await running.until("degraded")
        assert "maintenance" in status["reasons"][0]
        assert await stage.inspect() is None
        assert outcome(status, "pull") == "done"
        assert (await running.get("/ready"))[0] == 503


# --- secrets and sign-in


async def test_references_of_every_kind_are_resolved_and_shown_nowhere(
    stage: Stage, server: Aggregator, scape: Landscape, source: str
) -> None:
    def prepare() -> str:
        scape.aws.client("secretsmanager").create_secret(Name="whole/db", SecretString='{"password": "from-manager-1"}')
        scape.aws.client("ssm").put_parameter(Name="/whole/db", Value="from-parameter-2", Type="SecureString")
        kms = scape.aws.client("kms")
        key = kms.create_key()["KeyMetadata"]["KeyId"]
        blob = kms.encrypt(KeyId=key, Plaintext=b"from-kms-3", EncryptionContext={"application": "greeter"})
        return base64.b64encode(blob["CiphertextBlob"]).decode()

    ciphertext = await asyncio.to_thread(prepare)
    more = (
        f"encryption_context: {{application: greeter}}\nenvironment:\n  A: aws:secretsmanager:whole/db#password\n"
        f"  B: aws:ssm:/whole/db\n  C: 'aws:kms:{ciphertext}'\n"
    )
    await stage.instance(user_data(source, more))
    async with stage.agent(server.url) as running:
        await running.until("ok")
        container = await stage.inspect()
        assert container is not None
        assert {"A=from-manager-1", "B=from-parameter-2", "C=from-kms-3"} <= set(container["Config"]["Env"])
        said = json.dumps(await stage.said(server, lambda one: one["cause"] == "boot"))
        texts = [
            said,
            running.process.tail(),
            *[str((await running.get(path))[1]) for path in ("/", "/status", "/metrics")],
        ]
        inside = await stage.run_inside(BUSYBOX, "cat", "/meta/taupage.yaml")
        texts.append(inside)
    for text in texts:
        assert not any(secret in text for secret in ("from-manager-1", "from-parameter-2", "from-kms-3"))
    assert "aws:kms:" in inside


async def test_a_missing_secret_member_is_named(stage: Stage, server: Aggregator, source: str) -> None:
    await stage.instance(user_data(source, "environment: {A: 'aws:ssm:/no/such'}\n"))
    status = await failed(stage, server)
    assert status["problems"][-1]["message"].startswith("environment.A: ")


async def test_a_guarded_registry_is_signed_in_to_by_dockercfg(
    stage: Stage, server: Aggregator, scape: Landscape, source: str
) -> None:
    auth = await scape.aws.encrypt(base64.b64encode(b"robot:hunter2hunter2").decode())
    async with GuardedRegistry(backend=scape.registry, kind="bearer").serve() as guard:
        more = f"dockercfg: {{'{guard.host}': {{auth: 'aws:kms:{auth}', email: a@example.org}}}}\n"
        await stage.instance(user_data(source.replace(scape.registry, guard.host), more))
        async with stage.agent(server.url, registries={guard.host: {"immutable_tags": True}}) as running:
            status = await running.until("ok", "failed")
            assert status["state"] == "ok", status["reasons"]
            inside = await stage.run_inside(BUSYBOX, "cat", "/meta/taupage.yaml")
    assert "dockercfg" not in inside
    assert "hunter2" not in running.process.log.read_text(encoding="utf-8")


@pytest.mark.parametrize("kind", ["identity", "mint"])
async def test_pier_one_is_signed_in_to_by_identity_and_by_mint_token(
    stage: Stage, server: Aggregator, scape: Landscape, source: str, mint: str, issuer: str, kind: str
) -> None:
    await stage.instance("")
    identity = stage.service.authority.sign(stage.service.document)
    users = {"instance-identity-document": identity, "oauth2": "token-for-uid"}
    async with GuardedRegistry(backend=scape.registry, users=users).serve() as guard:
        stage.service.user_data = user_data(
            source.replace(scape.registry, guard.host), f"mint_bucket: {mint}\n"
        ).encode()
        registries = {guard.host: {"immutable_tags": True, "sign_in": kind}}
        async with stage.agent(server.url, registries=registries, oauth_token_url=issuer) as running:
            status = await running.until("ok", "failed")
            assert status["state"] == "ok", status["reasons"]


@pytest.mark.parametrize("mutability", ["IMMUTABLE", "MUTABLE"])
async def test_ecr_is_signed_in_to_and_its_tag_mutability_is_checked(
    stage: Stage, server: Aggregator, scape: Landscape, mutability: str
) -> None:
    name = f"ecr-{mutability.lower()}"
    image = await scape.build(name, "1.0", scm=None)

    def prepare() -> str:
        ecr = scape.aws.client("ecr")
        ecr.create_repository(repositoryName=f"demo/{name}", imageTagMutability=mutability)
        token = ecr.get_authorization_token()["authorizationData"][0]["authorizationToken"]
        return base64.b64decode(token).decode().partition(":")[2]

    password = await asyncio.to_thread(prepare)
    async with GuardedRegistry(backend=scape.registry, users={"AWS": password}).serve() as guard:
        await stage.instance(user_data(image.reference.replace(scape.registry, guard.host)))
        registries = {guard.host: {"sign_in": "ecr", "immutable_tags": "ask"}}
        if mutability == "IMMUTABLE":
            async with stage.agent(server.url, registries=registries) as running:
                status = await running.until("ok", "failed")
                assert status["state"] == "ok", status["reasons"]
        else:
            status = await failed(stage, server, registries=registries)
            assert status["problems"][-1]["code"] == "image-tag-not-vouched"
            assert "ECR reports MUTABLE" in status["problems"][-1]["message"]


async def test_token_files_are_written_next_to_the_credentials(
    stage: Stage, server: Aggregator, source: str, mint: str, issuer: str
) -> None:
    await stage.instance(user_data(source, f"mint_bucket: {mint}\ntokens: {{greeter: [uid, x.read]}}\n"))
    async with stage.agent(server.url, oauth_token_url=issuer) as running:
        await running.until("ok")
        inside = await stage.run_inside(BUSYBOX, "sh", "-c", "cd /meta/credentials; grep . *-token-*; ls -l user.json")
    assert "greeter-token-secret:token-for-uid.x.read" in inside
    assert "greeter-token-type:Bearer" in inside
    assert "-r--r-----" in inside


# --- trust


async def test_an_image_must_have_the_required_signature_and_provenance(
    stage: Stage, server: Aggregator, scape: Landscape, tmp_path: Path
) -> None:
    image = await scape.build("signed", "1.0", scm=scape.greeter_scm(0))
    key, builder = new_key(), new_key()
    (tmp_path / "key.pem").write_bytes(public_pem(key))
    (tmp_path / "builder.pem").write_bytes(public_pem(builder))
    trust = {
        "signature_key_files": [str(tmp_path / "key.pem")],
        "builders": [{"id": BUILDER, "key_file": str(tmp_path / "builder.pem")}],
    }
    registries = {scape.registry: {"immutable_tags": True, "trust": trust}}
    await stage.instance(user_data(image.reference))
    status = await failed(stage, server, registries=registries)
    assert status["problems"][-1]["code"] == "image-unsigned"
    async with aiohttp.ClientSession() as session:
        pusher = Pusher(session, scape.registry, "demo/signed")
        await pusher.sign(image.digest, key)
        status = await failed(stage, server, registries=registries)
        assert status["problems"][-1]["code"] == "image-no-provenance"
        await pusher.attest(image.digest, provenance(builder, image.digest))
    async with stage.agent(server.url, registries=registries) as running:
        status = await running.until("ok", "failed")
        assert status["state"] == "ok", status["reasons"]
        assert (len(status["image"]["signed_by"]), status["image"]["built_by"]) == (64, BUILDER)


async def test_an_image_that_is_only_on_the_machine_is_never_run(stage: Stage, server: Aggregator, source: str) -> None:
    """A cached image under the right name is not an answer of the registry."""
    dead = f"127.0.0.1:{free_port()}/demo/whole"

    def cache(client: Any) -> None:
        client.pull(source.rpartition(":")[0], tag="1.0")
        client.tag(source, dead, "1.0")

    await stage.on_engine(cache)
    await stage.instance(user_data(f"{dead}:1.0"))
    status = await failed(
        stage, server, registries={dead.partition("/")[0]: {"immutable_tags": True}}, stage_seconds_max={"image": 2.0}
    )
    assert status["problems"][-1]["code"] == "registry-unreachable"
    await stage.on_engine(lambda client: client.remove_image(f"{dead}:1.0"))


async def test_a_tag_that_changes_after_it_was_resolved_has_no_effect(
    stage: Stage, server: Aggregator, scape: Landscape
) -> None:
    first = await scape.build("swapped", "1.0", scm=scape.greeter_scm(0))
    async with GuardedRegistry(backend=scape.registry, kind="open").serve() as guard:
        await stage.instance(user_data(first.reference.replace(scape.registry, guard.host)))
        async with stage.agent(server.url, registries={guard.host: {"immutable_tags": True}}) as running:
            await running.until("ok")
            second = await scape.build("swapped", "1.0", scm=scape.greeter_scm(1), page=b"other")
            assert second.digest != first.digest
            await stage.on_engine(lambda client: client.kill(stage.name))
            said = await stage.said(server, lambda one: one["containers"] and one["containers"][0]["restarts"])
            asked = [path for path, _ in guard.seen if path.endswith("/manifests/1.0")]
    assert said["containers"][0]["image_digest"] == first.digest
    assert len(asked) == 1, "a tag is read once"


# --- after the boot


async def test_an_exec_and_an_undeclared_container_are_reported_within_seconds(
    stage: Stage, server: Aggregator, source: str
) -> None:
    await stage.instance(user_data(source))
    async with stage.agent(server.url) as running:
        await running.until("ok")
        await stage.run_inside(BUSYBOX, "echo", "--password=hunter2")
        said = await stage.said(server, lambda one: bool(one["drift"]))
        assert [(one["kind"], one["detail"]) for one in said["drift"]] == [("exec", BUSYBOX)]

        def stranger(client: Any) -> None:
            made = client.create_container(source, name=f"{stage.name}-stranger")
            client.start(made["Id"])

        await stage.on_engine(lambda client: client.pull(source.rpartition(":")[0], tag="1.0"))
        await stage.on_engine(stranger)
        said = await stage.said(server, lambda one: len(one["drift"]) == 2)
        assert said["drift"][1]["container"] == f"{stage.name}-stranger"
        status = await running.until("degraded")
        assert any("container-undeclared" in reason for reason in status["reasons"])
        assert "hunter2" not in json.dumps(status)
        await running.process.kill()
    async with stage.agent(server.url) as running:
        status = await running.until("degraded")
        assert [one["kind"] for one in status["drift"]] == ["exec", "container-undeclared"]


async def test_limits_changed_by_hand_are_reported(stage: Stage, server: Aggregator, source: str) -> None:
    await stage.instance(user_data(source, "memory: 64m\n"))
    async with stage.agent(server.url) as running:
        await running.until("ok")
        await stage.on_engine(lambda client: client.update_container(stage.name, cpu_shares=77))
        said = await stage.said(server, lambda one: bool(one["drift"]))
        assert said["drift"][0]["kind"] == "configuration-changed"


async def test_an_application_that_fails_is_started_again_by_the_agent(
    stage: Stage, server: Aggregator, scape: Landscape
) -> None:
    image = await scape.build("failing", "1.0", scm=None, command=(BUSYBOX, "sh", "-c", "sleep 1; exit 3"))
    await stage.instance(user_data(image.reference).replace("health_check_path: /health\n", ""))
    async with stage.agent(server.url):
        said = await stage.said(server, lambda one: one["containers"] and one["containers"][0]["restarts"] >= 2)
    assert said["cause"] == "change"


async def test_a_disk_that_is_full_at_the_end_of_a_boot_is_degraded_until_the_writes_succeed(
    stage: Stage, server: Aggregator, source: str
) -> None:
    if os.geteuid() != 0:
        pytest.skip("a disk of its own needs root")
    await stage.instance(user_data(source).replace("health_check_path: /health", "health_check_path: /late"))
    state = stage.directory / stage.name / "state"
    state.mkdir(parents=True)
    await run("mount", "-t", "tmpfs", "-o", "size=128k", "tmpfs", state)
    try:
        async with stage.agent(server.url) as running:
            async with asyncio.timeout(60):
                while outcome((await running.get("/status"))[1], "health") != "running":
                    await pause(0.1)
            with suppress(OSError), (state / "ballast").open("wb", buffering=0) as ballast:
                while True:
                    ballast.write(b"x" * 4096)
            sink = io.BytesIO()
            with tarfile.open(fileobj=sink, mode="w") as tar:
                tar.addfile(tarfile.TarInfo("www/late"))
            await stage.on_engine(lambda client: client.put_archive(stage.name, "/", sink.getvalue()))
            status = await running.until("degraded", "failed")
            assert status["state"] == "degraded"
            assert any("state cannot be written to disk" in reason for reason in status["reasons"])
            assert any("a statement could not be stored" in reason for reason in status["reasons"])
            before = await stage.inspect()
            (state / "ballast").unlink()
            await running.until("ok")
            await stage.said(server, lambda one: one["cause"] == "boot")
            await running.process.kill()
        async with stage.agent(server.url) as running:
            await running.until("ok")
            after = await stage.inspect()
            assert before is not None
            assert after is not None
            assert after["Id"] == before["Id"], "what was made good is remembered"
    finally:
        await run("umount", "--lazy", state)


async def test_an_unhealthy_application_is_reported(stage: Stage, server: Aggregator, source: str) -> None:
    await stage.instance(user_data(source))
    async with stage.agent(server.url, health_seconds=0.2) as running:
        await running.until("ok")
        await stage.on_engine(lambda client: client.pause(stage.name))
        try:
            said = await stage.said(server, lambda one: one["containers"] and one["containers"][0]["state"] == "paused")
            assert said["cause"] == "change"
            assert (await running.get("/ready"))[0] == 503
        finally:
            await stage.on_engine(lambda client: client.unpause(stage.name))
        await running.until("ok")


async def test_a_spot_notice_drains_stops_and_states_it(stage: Stage, server: Aggregator, source: str) -> None:
    await stage.instance(user_data(source, "stop_timeout: 1\n"))
    async with stage.agent(server.url, notice_seconds=0.2) as running:
        await running.until("ok")
        stage.service.spot_action = b'{"action": "terminate", "time": "2026-11-22T12:00:00Z"}'
        said = await stage.said(server, lambda one: one["cause"] == "stop")
        assert said["containers"][0]["state"] == "exited"
        container = await stage.inspect()
        assert container is not None
        assert not container["State"]["Running"]
        status = await running.until("degraded")
        assert "spot notice: terminate" in status["reasons"][0]


# --- who waits for the machine


async def test_the_stack_and_the_group_are_signalled_after_a_successful_boot(
    stage: Stage, server: Aggregator, source: str, front: AwsFront
) -> None:
    more = "notify_cfn: {stack: pay-1, resource: App}\nlifecycle_hook: {group: pay, launching: up}\n"
    await stage.instance(user_data(source, more))
    async with stage.agent(server.url, aws_endpoint_url=front.url) as running:
        status = await running.until("ok")
        assert outcome(status, "notify") == "done"
        await running.process.kill()
    async with stage.agent(server.url, aws_endpoint_url=front.url) as running:
        await running.until("ok")
    assert [call["UniqueId"] for call in front.told if call["Action"] == "SignalResource"] == [
        stage.service.instance_id
    ]
    assert front.signals() == ["SUCCESS"]


@pytest.mark.parametrize(
    "spoil", ["ports: [1]\n", "mint_bucket: no-such-bucket-either\n", "environment: {A: 'aws:kms:eA=='}\n"]
)
async def test_they_are_signalled_after_a_failure_at_any_stage(
    stage: Stage, server: Aggregator, source: str, front: AwsFront, spoil: str
) -> None:
    text = user_data(source, "notify_cfn: {stack: pay-1, resource: App}\n")
    text = text.replace(text.splitlines()[5] + "\n", "") + spoil
    await stage.instance(text)
    await failed(stage, server, told=front.signals, aws_endpoint_url=front.url, credentials_first_seconds_max=0.5)
    assert front.signals() == ["FAILURE"]


async def test_a_stack_that_cannot_be_signalled_is_on_the_status_and_fails_nothing(
    stage: Stage, server: Aggregator, source: str, front: AwsFront
) -> None:
    front.errors = ["AccessDenied"]
    await stage.instance(user_data(source, "notify_cfn: {stack: pay-1, resource: App}\n"))
    async with stage.agent(server.url, aws_endpoint_url=front.url) as running:
        status = await running.until("degraded")
        assert any("allow the instance's role cloudformation:SignalResource" in reason for reason in status["reasons"])


async def test_a_stack_that_does_not_wait_any_more_is_noted_and_the_state_is_ok(
    stage: Stage, server: Aggregator, source: str, front: AwsFront
) -> None:
    """As at every scale-out after the stack was made. Its throttling before that is waited for."""
    said = "Stack pay-1 is in CREATE_COMPLETE state and cannot be signaled"
    front.refusals = {
        "SignalResource": [*[Refusal("Throttling", "Rate exceeded")] * 8, Refusal("ValidationError", said)],
        "CompleteLifecycleAction": [Refusal("ValidationError", "No active Lifecycle Action found with instance ID x")],
    }
    more = "notify_cfn: {stack: pay-1, resource: App}\nlifecycle_hook: {group: pay, launching: up}\n"
    await stage.instance(user_data(source, more))
    async with stage.agent(server.url, aws_endpoint_url=front.url) as running:
        status = await running.until("ok")
        (note,) = [one["reason"] for one in status["stages"] if one["name"] == "notify"]
        assert (outcome(status, "notify"), said in note, "No active Lifecycle Action" in note) == ("done", True, True)


async def test_an_instance_of_a_warm_pool_boots_drains_and_boots_again_when_it_leaves(
    stage: Stage, server: Aggregator, source: str, front: AwsFront
) -> None:
    more = "stop_timeout: 1\nlifecycle_hook: {group: pay, launching: up, terminating: down}\nhealthcheck: {type: elb, loadbalancer_name: web}\n"
    await stage.instance(user_data(source, more))
    stage.service.lifecycle_state = b"Warmed:Stopped"
    stage.service.faults = {"target-lifecycle-state": [503, 429]}
    front.refusals["DeregisterInstancesFromLoadBalancer"] = [
        Refusal("LoadBalancerNotFound", "There is none of this name")
    ]
    async with stage.agent(server.url, aws_endpoint_url=front.url, notice_seconds=0.2) as running:
        said = await stage.said(server, lambda one: one["cause"] == "stop")
        assert said["containers"][0]["state"] == "exited"
        assert {call["LifecycleActionResult"] for call in front.told} == {"CONTINUE"}, "no failure is announced"
        status = await running.until("degraded")
        assert "stopped in its warm pool" in status["reasons"][0]
        (balancer,) = [one for one in status["stages"] if one["name"] == "load-balancer"]
        assert (balancer["outcome"], "Warmed:Stopped" in balancer["reason"]) == ("done", True)
        await made_balancer(stage)
        stage.service.lifecycle_state = b"InService"
        async with asyncio.timeout(60):
            while not ((await stage.inspect()) or {"State": {"Running": False}})["State"]["Running"]:
                await pause(0.1)
        await running.until("ok")


async def test_an_unreachable_proxy_does_not_affect_requests_to_this_machine(
    stage: Stage, server: Aggregator, source: str, mint: str
) -> None:
    dead = f"http://user:hunter2hunter2@127.0.0.1:{free_port()}"
    await stage.instance(user_data(source, f"mint_bucket: {mint}\n"))
    async with stage.agent(server.url, proxy={"https": dead, "http": dead}) as running:
        status = await running.until("ok")
        assert outcome(status, "credentials") == "done"


async def test_a_failed_machine_is_terminated_with_the_policy_terminate(
    stage: Stage, server: Aggregator, scape: Landscape, source: str
) -> None:
    await stage.instance(user_data(source, "on_failure: terminate\nports: [1]\n").replace("ports: {", "other: {"))
    async with stage.agent(server.url) as running:
        await running.until("failed")
        async with asyncio.timeout(30):
            while True:
                ids = [stage.service.instance_id]
                answer = await asyncio.to_thread(scape.aws.client("ec2").describe_instances, InstanceIds=ids)
                if answer["Reservations"][0]["Instances"][0]["State"]["Name"] == "terminated":
                    break
                await pause(0.1)


# --- disks


async def test_a_volume_is_attached_formatted_mounted_and_written_by_the_application(
    stage: Stage, server: Aggregator, scape: Landscape, source: str
) -> None:
    if os.geteuid() != 0:
        pytest.skip("disks need root")
    with tempfile.TemporaryDirectory(prefix="whence-disks-", dir="/srv") as name:
        place = Path(name)
        place.chmod(0o755)
        async with AsyncExitStack() as stack:
            made = await stack.enter_async_context(disks(place))
            try:
                await made.add("xvdf")
            except NotReady as exc:
                pytest.skip(f"this machine gives no loop devices: {exc}")

            def volume() -> None:
                tags = [{"Key": "Name", "Value": "greeter-10.0.0.7"}]
                scape.aws.client("ec2").create_volume(
                    Size=1, AvailabilityZone="eu-central-1a",
                    TagSpecifications=[{"ResourceType": "volume", "Tags": tags}],
                )  # fmt: skip

            await asyncio.to_thread(volume)
            socket = await stack.enter_async_context(
                machine_helper(place, scape.logs, dev=made.dev, mounts=made.mounts)
            )
            more = (
                "volumes: {ebs: {/dev/sdf: 'greeter-${local_ipv4}'}}\n"
                "mounts: {/data: {partition: /dev/xvdf, erase_on_boot: true}}\n"
            )
            await stage.instance(user_data(source, more))
            settings = {"disks_socket": str(socket), "mounts_directory": str(made.mounts)}
            async with stage.agent(server.url, **settings) as running:
                status = await running.until("ok", "failed")
                assert status["state"] == "ok", status["reasons"]
                await stage.run_inside(BUSYBOX, "sh", "-c", "echo kept > /data/file")
                assert (made.mounts / "data" / "file").read_text(encoding="ascii") == "kept\n"
                await running.process.kill()
            async with stage.agent(server.url, **settings) as running:
                await running.until("ok", "degraded")  # degraded, when the exec was seen before the kill
                assert (made.mounts / "data" / "file").exists()
            await scape.remove_container(stage.name)


async def test_a_missing_volume_is_named(stage: Stage, server: Aggregator, source: str) -> None:
    await stage.instance(user_data(source, "volumes: {ebs: {/dev/sdf: nobody-has-this}}\n"))
    status = await failed(stage, server, volumes_seconds_max=4.0)
    assert "no volume named nobody-has-this is available in eu-central-1a" in status["problems"][-1]["message"]


async def test_an_unreachable_helper_is_named(stage: Stage, server: Aggregator, source: str) -> None:
    await stage.instance(user_data(source, "sysctl: {vm.swappiness: 1}\n"))
    status = await failed(stage, server, machine_socket="/nonexistent/socket", stage_seconds_max={"host": 1.0})
    assert status["problems"][-1]["code"] == "machine-helper-away"


# --- the agent's own life


async def test_a_hangup_reads_the_settings_again_and_restarts_no_application(
    stage: Stage, server: Aggregator, source: str
) -> None:
    await stage.instance(user_data(source, "environment: {VISIBLE: plain-word}\n"))
    async with stage.agent(server.url) as running:
        await running.until("ok")
        before = await stage.inspect()
        config = running.home / "agent.yaml"
        right = json.loads(config.read_text(encoding="utf-8"))
        config.write_text("nonsense: 1", encoding="utf-8")
        running.process.process.send_signal(signal.SIGHUP)
        async with asyncio.timeout(10):
            while "continuing with the present ones" not in running.process.tail():
                await pause(0.1)
        assert (await running.get("/status"))[1]["state"] == "ok"
        config.write_text(json.dumps({**right, "show_environment": ["VIS*"]}), encoding="utf-8")
        running.process.process.send_signal(signal.SIGHUP)

        def shown(said: dict[str, Any]) -> bool:
            return bool(said["user_data"]["document"]["environment"]["VISIBLE"] == "plain-word")

        await stage.said(server, shown)
        after = await stage.inspect()
        assert before is not None
        assert after is not None
        assert (after["Id"], after["State"]["StartedAt"]) == (before["Id"], before["State"]["StartedAt"])
        await running.until("ok")
        assert await running.process.stop() == 0


async def test_a_termination_delivers_the_outbox(stage: Stage, server: Aggregator, source: str) -> None:
    await stage.instance(user_data(source))
    async with stage.agent(server.url, heartbeat_seconds=3600.0) as running:
        await running.until("ok")
        await stage.on_engine(lambda client: client.stop(stage.name, timeout=0))
        assert await running.process.stop() == 0
    assert not list((running.home / "state" / "outbox").glob("*.statement"))
    container = await stage.inspect()
    assert container is not None, "stopping the agent removes no container"


async def test_a_start_after_a_kill_during_the_boot_completes_the_boot(
    stage: Stage, server: Aggregator, source: str
) -> None:
    await stage.instance(user_data(source))
    for wait in (0.2, 0.6, 1.0):
        async with stage.agent(server.url) as running:
            await pause(wait)
            await running.process.kill()
    async with stage.agent(server.url) as running:
        await running.until("ok")
        await stage.traced(server, "commit", lambda found: bool((found["value"] or {}).get("commit")))


async def test_parts_of_a_mime_message_boot_a_machine(stage: Stage, server: Aggregator, source: str) -> None:
    text = user_data(source).replace("runtime: Docker\n", "")
    await stage.instance(
        'Content-Type: multipart/mixed; boundary="=="\nMIME-Version: 1.0\n\n--==\n'
        f"Content-Type: text/x-taupage-ami-config\n\n{text}\n--==\n"
        "Content-Type: text/x-taupage-ami-config\n\nruntime: Docker\n--==--\n"
    )
    async with stage.agent(server.url) as running:
        await running.until("ok")


async def test_defaults_of_the_platform_reach_the_application_and_its_file(
    stage: Stage, server: Aggregator, source: str
) -> None:
    await stage.instance(user_data(source, "logsink_password: mine\ntokeninfo_url: https://evil.example.org\n"))
    async with stage.agent(
        server.url,
        user_data_defaults={"read_only": True},
        user_data_platform={"instance_logs_url": "https://logs.example.org"},
        tokeninfo_url="https://tokens.example.org",
    ) as running:
        status = await running.until("ok")
        assert {one["code"] for one in status["problems"]} == {"key-of-platform"}
        container = await stage.inspect()
        assert container is not None
        assert container["HostConfig"]["ReadonlyRootfs"]
        assert "TOKENINFO_URL=https://tokens.example.org" in container["Config"]["Env"]
        inside = await stage.run_inside(BUSYBOX, "cat", "/meta/taupage.yaml")
    assert "read_only: true" in inside
    assert "tokeninfo_url: https://tokens.example.org" in inside
    assert "evil" not in inside
    assert "mine" not in inside


async def test_a_port_in_use_fails_the_boot_with_the_engines_message(
    stage: Stage, server: Aggregator, scape: Landscape, source: str
) -> None:
    await stage.instance(user_data(source, port=int(scape.registry.rpartition(":")[2])))
    status = await failed(stage, server, stage_seconds_max={"run": 3.0})
    assert status["problems"][-1]["code"] == "engine-refused"
    assert (await command("status", "--url", f"http://127.0.0.1:{free_port()}"))[0] == 1
