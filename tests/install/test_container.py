"""The images and the Compose file of packaging/container on a real engine, by the commands of its README.

A signed report goes in through the proxy, and is traced by both replicas; one of them is killed; everything is stopped.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import signal
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import asyncpg
import pytest
import yaml
from yarl import URL

from fakes.agent_client import AgentClient
from fakes.machine import Machine
from fakes.signing_authority import SigningAuthority
from landscape.certificates import loopback_certificates
from landscape.containers import IMAGES, Composed, Docker, command, images, write_override
from landscape.contract import checked_session
from landscape.processes import free_port, run
from landscape.programs import BIN, aggregator
from landscape.whole import Landscape
from whence_common.note import Note, VerifierKey
from whence_common.runtime.pause import pause
from whence_common.statement import ImageFacts

REPLICAS = {"aggregator-1": "http://10.83.7.11:7381", "aggregator-2": "http://10.83.7.12:7381"}
RUNNING = ("database", "witness", "aggregator-1", "aggregator-2", "proxy")
_ONCE = ("tables", "rights")
_NOBODY = "65532:65532"
pytestmark = pytest.mark.timeout(600)
"""The base image is made once a week, which downloads."""


@dataclass(frozen=True)
class Stack:
    """The running services, with what their operator knows."""

    composed: Composed
    home: Path
    url: str
    token: str
    authority: SigningAuthority
    trusted: ssl.SSLContext

    def session(self, url: str) -> aiohttp.ClientSession:
        connector = aiohttp.TCPConnector(ssl=self.trusted, force_close=True)
        return checked_session(url, headers={"Authorization": f"Bearer {self.token}"}, connector=connector)

    async def get(self, url: str, path: str) -> tuple[int, Any]:
        async with self.session(url) as session, session.get(url + path) as answer:
            return answer.status, await answer.json(content_type=None)

    async def text(self, url: str, path: str) -> str:
        async with self.session(url) as session, session.get(url + path) as answer:
            return await answer.text()

    async def say(self, machine: Machine) -> tuple[int, Any]:
        async with self.session(self.url) as session:
            return await AgentClient(session, self.url).say(machine)

    def secrets(self) -> list[str]:
        files = [one for one in (self.home / "secrets").iterdir() if one.name not in ("tls.crt", "heartbeat.secret")]
        return [one.read_text(encoding="ascii").strip() for one in files]


@pytest.fixture(scope="module")
async def docker(scape: Landscape, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Docker]:
    directory = tmp_path_factory.mktemp("images")
    async with images(scape.engine, directory, source=scape.sources.clone_url) as docker:
        yield docker


@pytest.fixture(scope="module")
async def stack(
    docker: Docker, authority: SigningAuthority, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Stack]:
    work = tmp_path_factory.mktemp("compose")
    home, port = work / "whence", free_port()
    made = await loopback_certificates(work)
    shutil.copy(made.certificate, work / "tls.crt")
    shutil.copy(made.key, work / "tls.key")

    async def follow(beginning: str) -> str:
        text = re.sub(r" whence(?=/|$)", f" {home}", command(beginning).replace("$PWD/whence", str(home)))
        text = text.replace(" tls.", f" {work}/tls.")
        code, said = await docker.shell(text)
        assert code == 0, f"{text}\n{said}"
        return said

    await follow("install -d -m 700")
    await follow('docker run --rm --read-only --network none -v "$PWD/whence:/whence"')
    await follow("install -m 600 -o 65532 -g 65532 tls.crt")
    await follow("install -m 600 -o 65532 -g 65532 tls.key")
    told = await follow('docker run --rm --read-only --network none -v "$PWD/whence/settings')
    (token,) = [line for line in told.splitlines() if line and " " not in line]
    for_tests(home, authority)
    write_override(work / "quick.yaml", ("aggregator-1", "aggregator-2", "witness", "proxy", "database"))
    environment = {"WHENCE_DIRECTORY": str(home), "WHENCE_LISTEN": f"127.0.0.1:{port}"}
    environment |= dict(zip(("WHENCE_IMAGE", "WHENCE_DATABASE_IMAGE", "WHENCE_PROXY_IMAGE"), IMAGES, strict=True))
    composed = Composed(
        docker=docker, project=f"whence{os.getpid()}", environment=environment, override=work / "quick.yaml"
    )
    up = command('WHENCE_DIRECTORY="$PWD/whence" docker compose').partition(" ")[2]
    try:
        await composed.compose(up)
        trusted = ssl.create_default_context(cafile=str(made.authority))
        stack = Stack(composed, home, f"https://127.0.0.1:{port}", token, authority, trusted)
        await until_ready(stack, "aggregator-2")
        yield stack
    finally:
        await composed.compose(up.replace("up -d", "down --volumes --timeout 2"))


def for_tests(home: Path, authority: SigningAuthority) -> None:
    """Trust the test's own AWS, publish each second, and end at once."""
    settings = home / "settings"
    for name, more in (
        (
            "aggregator.yaml",
            {"sts": "off", "authorities_directory": "/etc/whence/authorities", "checkpoint_seconds": 1},
        ),
        ("witness.yaml", {}),
    ):
        document = yaml.safe_load((settings / name).read_text(encoding="utf-8"))
        (settings / name).write_text(yaml.safe_dump({**document, **more, "drain_seconds": 0}), encoding="utf-8")
    (settings / "authorities").mkdir()
    (settings / "authorities/eu-central-1.pem").write_bytes(authority.pem)


async def until_ready(stack: Stack, service: str) -> None:
    async with asyncio.timeout(60):
        while True:
            try:
                if (await stack.get(REPLICAS[service], "/ready"))[0] == 200:
                    return
            except aiohttp.ClientError:
                pass
            await pause(0.1)


async def repeated_until_taken(stack: Stack, machine: Machine) -> None:
    """Send a statement as an agent does: it is sent again if the replica that had it was killed."""
    envelope, expected = machine.statement(), {201}
    async with asyncio.timeout(60), stack.session(stack.url) as session:
        while True:
            status, answer = await AgentClient(session, stack.url).post("/v1/statements", envelope)
            if status in expected:
                return
            assert (status, answer["code"]) == (503, "replica-unanswered")
            expected = {200, 201}  # 200: the killed replica had recorded it


@asynccontextmanager
async def stalled_statements(stack: Stack, count: int, body: bytes) -> AsyncIterator[None]:
    """Begin to send this many statements of 256 KiB at once, and leave them at that for the block's duration."""
    head = b"POST /v1/statements HTTP/1.1\r\nHost: a\r\nContent-Length: 262144\r\n\r\n"
    place = URL(stack.url)
    begun = await asyncio.gather(
        *(asyncio.open_connection(place.host, place.port, ssl=stack.trusted) for _ in range(count))
    )
    try:
        for _, writer in begun:
            writer.write(head + body)
        await asyncio.gather(*(writer.drain() for _, writer in begun))
        yield
    finally:
        for _, writer in begun:
            writer.transport.abort()
        await asyncio.gather(*(writer.wait_closed() for _, writer in begun), return_exceptions=True)


async def test_a_report_through_the_proxy_is_traced_by_both_replicas_and_cosigned_by_the_witness(stack: Stack) -> None:
    machine = Machine(stack.authority)
    async with stack.session(stack.url) as session:
        assert (await AgentClient(session, stack.url).enrol(machine))[0] == 201
    assert (await stack.say(machine))[0] == 201
    for url in (stack.url, *REPLICAS.values()):
        status, lineage = await stack.get(url, f"/v1/trace?instance={machine.instance_id}")
        assert (status, lineage["links"][2]["link"]) == (200, "instance")
        assert lineage["links"][2]["value"]["cause"] == "boot"
    witness = yaml.safe_load((stack.home / "settings/aggregator.yaml").read_text())["witnesses"][0]["key"]
    async with asyncio.timeout(30):
        for url in REPLICAS.values():
            while True:
                note = Note.parse((await stack.text(url, "/v1/log/checkpoint")).encode())
                if any(line.name == "witness.example.org" for line in note.signatures):
                    break
                await pause(0.1)
            assert note.verify([VerifierKey.parse(witness)])
    _, said = await stack.composed.docker.said("logs", stack.composed.container("aggregator-2"))
    assert "copied the checkpoint of a running replica" in said


async def test_everything_is_confined_and_no_secret_is_in_an_environment_an_argument_or_a_log(stack: Stack) -> None:
    for service in (*RUNNING, *_ONCE):
        state = await stack.composed.inspect(service)
        host = state["HostConfig"]
        assert (state["Config"]["User"], host["ReadonlyRootfs"], host["Privileged"]) == (_NOBODY, True, False), service
        assert (host["CapDrop"], host["CapAdd"], host["SecurityOpt"]) == (["ALL"], None, ["no-new-privileges:true"])
        logs = await stack.composed.docker.said("logs", stack.composed.container(service))
        shown = json.dumps(state) + logs[1]
        assert [one for one in stack.secrets() if one in shown] == [], service
    assert (await stack.composed.inspect("proxy"))["HostConfig"]["PortBindings"].keys() == {"8443/tcp"}


async def test_the_service_cannot_rewrite_the_log_and_the_database_is_reached_from_inside_only(stack: Stack) -> None:
    networks = (await stack.composed.inspect("database"))["NetworkSettings"]["Networks"]
    ((name, network),) = networks.items()
    assert (await stack.composed.docker.inspect(name))["Internal"] is True
    password = (stack.home / "secrets/database.password").read_text().strip()
    login = {"host": network["IPAddress"], "user": "whence", "database": "whence"}
    connection = await asyncpg.connect(**login, password=password)
    try:
        for forbidden in ("delete from entry", "drop table entry", "update migration set number = 0"):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute(forbidden)
    finally:
        await connection.close()
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(**login, password="hunter2")
    with pytest.raises(asyncpg.InvalidAuthorizationSpecificationError):
        await asyncpg.connect(**{**login, "user": "postgres"}, password="hunter2")


async def test_a_claimed_address_is_dropped_and_the_clients_own_is_seen(stack: Stack) -> None:
    async with stack.session(stack.url) as session:
        await session.get(
            f"{stack.url}/v1/instances", headers={"X-Forwarded-For": "192.0.2.99", "Authorization": "Bearer x"}
        )
    logs = [
        (await stack.composed.docker.said("logs", stack.composed.container(one)))[1] for one in REPLICAS
    ]  # fmt: skip
    refused = [json.loads(line) for text in logs for line in text.splitlines() if '"refused"' in line]
    addresses = {one["address"] for one in refused if one.get("path") == "/v1/instances"}
    assert addresses - {"10.83.7.10"}, refused
    assert "192.0.2.99" not in addresses


@asynccontextmanager
async def paused_database(stack: Stack, probe: tuple[str, ...]) -> AsyncIterator[str]:
    """Have the database answer nothing; give what the failed probe printed. Both replicas are ready again at the end."""
    database = stack.composed.container("database")
    await stack.composed.docker("pause", database)
    try:
        async with asyncio.timeout(20):
            while (said := await stack.composed.docker.said(*probe))[0] == 0:
                pass
        assert said[0] == 1, said
        yield said[1]
    finally:
        await stack.composed.docker("unpause", database)
    for one in REPLICAS:
        await until_ready(stack, one)


async def test_when_the_database_does_not_answer_the_replicas_are_not_ready_and_are_again_later(stack: Stack) -> None:
    probe = ("exec", stack.composed.container("aggregator-1"), "python3", "-Im", "whence_common.runtime.probe")
    assert await stack.composed.docker.said(*probe) == (0, "")
    async with paused_database(stack, probe) as said:
        assert "storage-slow" in said
        assert (await stack.get(REPLICAS["aggregator-1"], "/health"))[0] == 200


async def test_when_the_health_check_found_no_replica_ready_the_proxy_uses_both_as_soon_as_they_are(
    stack: Stack,
) -> None:
    probe = ("exec", stack.composed.container("proxy"), "python3", "-I", "/probe.py", "http://127.0.0.1:8081/ready")
    async with paused_database(stack, probe):
        pass
    for _ in range(2 * len(REPLICAS)):
        status, answer = await stack.get(stack.url, "/v1/instances")
        assert status == 200, answer
    assert (await stack.composed.docker.said(*probe))[0] == 0


async def test_one_client_that_sends_too_much_costs_its_neighbours_no_answer(stack: Stack) -> None:
    async with stalled_statements(stack, 200, b"x" * 250_000), stalled_statements(stack, 200, b"x" * 250_000):
        for _ in range(20):
            status, answer = await stack.get(stack.url, "/v1/instances")
            assert status == 200, answer
    _, said = await stack.composed.docker.said("logs", stack.composed.container("proxy"))
    assert "/v1/statements" in said, "no replica ended a connection"


async def test_an_address_with_too_many_requests_under_way_is_refused_and_another_is_not(stack: Stack) -> None:
    elsewhere = (
        "import ssl, urllib.request as r; "
        "print(r.urlopen('https://10.83.7.10:8443/health', context=ssl._create_unverified_context()).status)"
    )
    body = b"x" * 30_000  # which a replica waits for longer than for none
    async with stalled_statements(stack, 512, body), stack.session(stack.url) as session, asyncio.timeout(20):
        status = 200
        while status == 200:  # the proxy has not read all of their heads
            async with session.get(f"{stack.url}/v1/instances") as answer:
                status, problem = answer.status, await answer.json(content_type=None)
        assert (status, problem["code"], answer.headers["Retry-After"]) == (429, "rate-limited", "1")
        said = await stack.composed.docker("exec", stack.composed.container("witness"), "python3", "-c", elsewhere)
        assert said == "200\n"
    async with asyncio.timeout(30):
        while (await stack.get(stack.url, "/v1/instances"))[0] != 200:
            await pause(0.1)


async def test_a_killed_replica_costs_no_read_and_no_report_and_comes_back(stack: Stack) -> None:
    machine = Machine(stack.authority, "i-0000000000000000a")
    async with stack.session(stack.url) as session:
        assert (await AgentClient(session, stack.url).enrol(machine))[0] == 201
    state = (await stack.composed.inspect("aggregator-1"))["State"]
    os.kill(state["Pid"], signal.SIGKILL)
    for _ in range(10):
        status, answer = await stack.get(stack.url, "/v1/instances")
        assert status == 200, answer
        await repeated_until_taken(stack, machine)
    await until_ready(stack, "aggregator-1")
    assert (await stack.composed.inspect("aggregator-1"))["State"]["StartedAt"] > state["StartedAt"]
    assert (await stack.get(REPLICAS["aggregator-1"], f"/v1/trace?instance={machine.instance_id}"))[0] == 200


async def test_while_a_replica_is_stopped_the_other_one_answers_reads_and_reports(stack: Stack) -> None:
    machine = Machine(stack.authority, "i-0000000000000000b")
    async with stack.session(stack.url) as session:
        assert (await AgentClient(session, stack.url).enrol(machine))[0] == 201
    up = command('WHENCE_DIRECTORY="$PWD/whence" docker compose').partition(" ")[2]
    await stack.composed.compose(up.replace("up -d", "stop aggregator-2"))
    for _ in range(4):
        async with asyncio.timeout(20):
            status, answer = await stack.get(stack.url, "/v1/instances")
            assert status == 200, answer
            assert (await stack.say(machine))[0] == 201
    await stack.composed.compose(up.replace("up -d", "start aggregator-2"))
    await until_ready(stack, "aggregator-2")


async def test_a_stop_ends_each_service_with_0_and_without_a_replica_the_proxy_says_so(stack: Stack) -> None:
    for one in REPLICAS:
        await until_ready(stack, one)
    up = command('WHENCE_DIRECTORY="$PWD/whence" docker compose').partition(" ")[2]
    await stack.composed.compose(up.replace("up -d", f"stop {' '.join(REPLICAS)}"))
    async with stack.session(stack.url) as session, session.get(f"{stack.url}/v1/instances") as answer:
        problem = await answer.json(content_type=None)
        assert (answer.status, problem["code"], answer.headers["Retry-After"]) == (503, "replica-unanswered", "2")
    await stack.composed.compose(up.replace("up -d", "stop"))
    for service in (*RUNNING, *_ONCE):
        state = (await stack.composed.inspect(service))["State"]
        assert (state["Status"], state["ExitCode"], state["OOMKilled"]) == ("exited", 0, False), service


async def test_the_image_runs_alone_without_a_network_and_states_what_is_missing(
    docker: Docker, tmp_path: Path
) -> None:
    alone = ("run", "--rm", "--read-only", "--tmpfs", "/tmp", "--cap-drop", "ALL", "--network", "none")
    code, said = await docker.said(*alone, IMAGES[0])
    assert (code, "/etc/whence/aggregator.yaml does not exist" in said) == (78, True), said
    code, said = await docker.said(*alone, "--entrypoint", "git", IMAGES[0], "--version")
    assert (code, said.startswith("git version")) == (0, True), said
    code, said = await docker.said("run", "--rm", "--entrypoint", "touch", IMAGES[0], "/opt/whence/x")
    assert (code, "Permission denied" in said) == (1, True), said


async def test_the_image_is_traced_to_the_commit_that_it_was_built_from(
    docker: Docker, scape: Landscape, tmp_path: Path
) -> None:
    head, name = scape.sources.head, f"{scape.registry}/whence/aggregator"
    labels = (await docker.inspect(IMAGES[0]))["Config"]["Labels"]
    assert labels["org.opencontainers.image.revision"] == head
    assert labels["org.opencontainers.image.source"] == scape.sources.clone_url
    assert labels["org.opencontainers.image.version"] == "0.1.0"
    for beginning in ("docker tag", "docker push"):
        code, said = await docker.shell(command(beginning).replace("registry.example.org/whence/aggregator", name))
        assert code == 0, said
    (pushed,) = [one for one in (await docker.inspect(f"{name}:0.1.0"))["RepoDigests"] if one.startswith(name)]
    clone, key, public = tmp_path / "clone", tmp_path / "build.key", tmp_path / "build.pub"
    await run("git", "clone", "--quiet", scape.sources.clone_url, clone)
    await run("openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", key)
    await run("openssl", "ec", "-in", key, "-pubout", "-out", public)
    attest = command("whence attest").replace("registry.example.org/whence/aggregator", name)
    attest = attest.replace("--git .", f"--git {clone}").replace("--key build.key", f"--key {key}")
    code, said = await docker.shell(f"{BIN}/{attest}")
    assert code == 0, said

    builder = {"id": "https://ci.example.org/whence", "key_file": str(public)}
    async with aggregator(
        tmp_path, tmp_path, authority_pem=scape.authority_pem, registries=(scape.registry,),
        git_servers=(scape.sources.host,), trust={scape.registry: {"builders": [builder]}},
    ) as server, aiohttp.ClientSession() as session:  # fmt: skip
        client, machine = AgentClient(session, server.url), Machine(scape.authority)
        assert (await client.enrol(machine))[0] == 201
        image = ImageFacts(source=f"{name}:0.1.0", repository=name, digest=pushed.partition("@")[2])
        assert (await client.say(machine, image=image, scm_source=None, containers=[]))[0] == 201
        lineage = await server.settled(machine.instance_id)
    links = {one["link"]: one for one in lineage["links"]}
    assert [links[one]["state"] for one in ("source", "commit")] == ["confirmed", "confirmed"], links
    assert links["commit"]["value"]["commit"] == head
