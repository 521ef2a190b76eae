"""The agent's Debian package, installed into a fresh root, booted by real systemd, against the landscape."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import signal
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from landscape.listening import documented, listening
from landscape.package_files import MADE, OF_THE_MACHINE, Installed, none_of, owned, paths
from landscape.processes import NotReady, answers, booting, free_port, run, service_of, started, within
from landscape.programs import Agent, AgentSettings, Aggregator, agent_config
from landscape.whole import ROOT, Landscape
from whence_common.clock import utc_now
from whence_common.runtime.pause import pause

_BOOT_SECONDS_MAX = 120.0
_UNIT = "whence-agent.service"
_COMMAND = ("/usr/bin/whence-agent", "run")
pytestmark = pytest.mark.timeout(900)
"""A package is built and a root made first: both download."""


def user_data(reference: str, more: str = "") -> bytes:
    return (
        "#taupage-ami-config\napplication_id: greeter\napplication_version: '1.0'\nruntime: Docker\n"
        f"source: {reference}\nports: {{{free_port()}: 8080}}\nhealth_check_path: /health\nstop_timeout: 1\n{more}"
    ).encode()


async def test_an_installed_agent_boots_its_instance_and_the_container_can_be_traced(
    copied_root: Path, installation: Installed, scape: Landscape, server: Aggregator
) -> None:
    image = await scape.build("installed", "1.0", scm=scape.greeter_scm(0))
    assert await server.put("/apps/greeter", {"team_id": "hello", "name": "Greeter", "active": True}) == 200
    async with scape.instance(user_data(image.reference)) as service:
        async with machine(copied_root, scape, server, metadata_url=service.url) as booted:
            status = await booted.until("ok", "failed", seconds_max=_BOOT_SECONDS_MAX)
            assert status["state"] == "ok", status["reasons"]
            agent = service_of(booted.process, *_COMMAND)
            assert agent is not None
            port = booted.url.rpartition(":")[2]
            expected = {one.replace(":7380", f":{port}") for one in documented()[_UNIT]}
            assert listening(agent) == expected
            lineage = await server.settled(service.instance_id)
            links = {link["link"]: link for link in lineage["links"]}
            assert links["image"]["state"] == "confirmed"
            assert links["image"]["value"]["digest"] == image.digest
            assert links["commit"]["value"]["commit"] == scape.sources.commits[0]
            assert links["team"]["value"]["team_id"] == "hello"
        # the machine was shut down, not only the agent
        assert "SUCCESS: running greeter 1.0" in await journal(copied_root)
        shown = await server.get(f"/v1/instances/{service.instance_id}")
        assert [one["cause"] for one in shown["statements"]] == ["stop", "boot"]
    await everything_is_accounted_for(copied_root, installation)


async def everything_is_accounted_for(root: Path, installation: Installed) -> None:
    """Check what a run has left: nothing of an unknown origin, and no state that another user reads."""
    there = set(paths(root)) - installation.before - await owned(root)
    by_this_test = ("/etc/whence/agent.yaml", "/srv/whence-meta-*", f"/etc/systemd/system/{_UNIT}.d*")
    assert none_of(there, (*MADE, *OF_THE_MACHINE, *by_this_test, "/var/lib/whence-agent/*")) == []
    state = [one for one in (root / "var/lib/whence-agent").rglob("*") if one.is_file()]
    assert "key.pem" in {one.name for one in state}
    assert [one for one in state if one.stat().st_mode & 0o077] == []


async def test_a_hung_agent_is_restarted_and_its_application_is_not(
    copied_root: Path, scape: Landscape, server: Aggregator
) -> None:
    image = await scape.build("installed", "1.0", scm=scape.greeter_scm(0))
    dropin = copied_root / f"etc/systemd/system/{_UNIT}.d/watchdog.conf"
    dropin.parent.mkdir(parents=True, exist_ok=True)
    dropin.write_text("[Service]\nWatchdogSec=3s\nRestartSec=1s\n", encoding="utf-8")
    try:
        async with (
            scape.instance(user_data(image.reference)) as service,
            machine(copied_root, scape, server, metadata_url=service.url) as booted,
        ):
            before = await booted.until("ok", seconds_max=_BOOT_SECONDS_MAX)
            hung = service_of(booted.process, *_COMMAND)
            assert hung is not None
            os.kill(hung, signal.SIGSTOP)
            async with asyncio.timeout(60):
                while service_of(booted.process, *_COMMAND) in (None, hung):
                    await pause(0.2)
            after = await answered(booted, before["started_at"])
            assert after["container"]["container_id"] == before["container"]["container_id"]
            assert after["container"]["started_at"] == before["container"]["started_at"]
    finally:
        dropin.unlink()


async def test_the_helper_sets_the_host_up_and_an_application_that_ends_switches_it_off(
    copied_root: Path, scape: Landscape, server: Aggregator
) -> None:
    command = ("/bin/busybox", "sh", "-c", "sleep 3; exit 0")
    image = await scape.build("ending", "1.0", scm=None, command=command)
    (copied_root / "etc/ssh").mkdir(exist_ok=True)
    text = user_data(image.reference, "shutdown: on-success\nssh_ports: [2222]\n")
    text = text.replace(b"health_check_path: /health\n", b"")
    async with scape.instance(text) as service:
        async with machine(copied_root, scape, server, metadata_url=service.url) as booted:
            # shutdown gives everybody a minute, for which this test does not wait
            async with asyncio.timeout(_BOOT_SECONDS_MAX):
                while "MODE=poweroff" not in (
                    scheduled := await within_reach(booted, "/run/systemd/shutdown/scheduled")
                ):
                    await pause(0.1)
            due = int(dict(line.split("=", 1) for line in scheduled.splitlines())["USEC"]) / 1e6
            assert 0 < due - utc_now().timestamp() <= 60
        shown = await server.get(f"/v1/instances/{service.instance_id}")
        assert shown["statements"][0]["cause"] == "stop"
    written = (copied_root / "etc/ssh/sshd_config.d/50-whence.conf").read_text(encoding="ascii")
    assert "Port 2222" in written


async def within_reach(booted: Agent, path: str) -> str:
    """Return a file of the booted machine; empty if there is none."""
    try:
        return await run(*within(booted.process, "cat", path))
    except NotReady:
        return ""


async def journal(root: Path) -> str:
    """Give what the agent's unit wrote, from outside."""
    return await run(
        "journalctl", "--directory", root / "var/log/journal", "--unit", _UNIT, "--output=cat", "--no-pager"
    )


async def answered(booted: Agent, not_since: str) -> dict[str, Any]:
    """Give the status of the agent that was started after the one we knew."""
    async with asyncio.timeout(60):
        while True:
            try:
                status = await booted.until("ok", seconds_max=30)
            except (aiohttp.ClientError, OSError):
                await pause(0.2)
                continue
            if status["started_at"] != not_since:
                return status
            await pause(0.2)


def test_the_package_confines_the_agent(root: Path) -> None:
    unit = (root / "usr/lib/systemd/system" / _UNIT).read_text(encoding="utf-8")
    assert "User=whence-agent" in unit
    assert (root / "etc/systemd/system/multi-user.target.wants" / _UNIT).is_symlink()
    assert (root / "etc/systemd/system/sockets.target.wants/whence-machine.socket").is_symlink()
    assert (root / "etc/systemd/system/multi-user.target.wants/whence-shutdown.service").is_symlink()
    written = [path for path in (root / "usr/lib/whence-agent").rglob("*") if path.stat().st_mode & 0o022]
    assert written == []


@asynccontextmanager
async def machine(root: Path, scape: Landscape, server: Aggregator, *, metadata_url: str) -> AsyncIterator[Agent]:
    """Boot the root with systemd-nspawn; the engine is the landscape's, so /meta has the same path on both sides."""
    meta = Path(tempfile.mkdtemp(prefix="whence-meta-", dir="/srv"))
    port, name = free_port(), "whence-installed"
    socket = scape.engine.removeprefix("unix://")
    try:
        settings = AgentSettings(
            metadata_url=metadata_url,
            aggregator_url=server.url,
            engine="unix:///run/docker.sock",
            aws_url=scape.aws.url,
            immutable_registries=(scape.registry,),
        )
        document = agent_config(settings, home=Path("/nowhere"), name=name, status_port=port)
        del document["state_directory"], document["application_gid"]
        document["mounts_directory"] = str(meta / "mounts")
        (root / "etc/whence/agent.yaml").write_text(
            json.dumps({**document, "container_directory": str(meta)}), encoding="utf-8"
        )
        _grant(root, meta, socket_gid=Path(socket).stat().st_gid)
        command = booting(root, f"--bind={socket}:/run/docker.sock", f"--bind={meta}")
        async with started(
            "nspawn", command, logs=scape.logs, ready=lambda: answers(port), seconds_max=_BOOT_SECONDS_MAX
        ) as process:
            yield Agent(process=process, url=f"http://127.0.0.1:{port}", home=root, container_name=name)
    finally:
        await scape.remove_container(name)
        await asyncio.to_thread(shutil.rmtree, meta, ignore_errors=True)


def _grant(root: Path, meta: Path, *, socket_gid: int) -> None:
    """Give the agent's user the engine's group, as docker.io would have, and the folder that stands for /meta."""
    passwd = (root / "etc/passwd").read_text(encoding="utf-8")
    uid = next(int(line.split(":")[2]) for line in passwd.splitlines() if line.startswith("whence-agent:"))
    os.chown(meta, uid, -1)
    group = root / "etc/group"
    kept = [line for line in group.read_text(encoding="utf-8").splitlines() if not line.startswith("docker:")]
    group.write_text("\n".join([*kept, f"docker:x:{socket_gid}:whence-agent", ""]), encoding="utf-8")
    dropin = root / f"etc/systemd/system/{_UNIT}.d/meta.conf"
    dropin.parent.mkdir(parents=True, exist_ok=True)
    dropin.write_text(f"[Service]\nReadWritePaths={meta}\n", encoding="utf-8")


def test_the_package_carries_what_the_agent_asks_of_aws(root: Path) -> None:
    asked = set(
        re.findall(r'_call\(\s*"([a-z0-9]+)"', (ROOT / "agent/src/whence_agent/adapters/aws_cloud.py").read_text())
    )
    assert len(asked) >= 6
    carried = {path.name for path in (root / "usr/lib/whence-agent/botocore/data").iterdir() if path.is_dir()}
    assert asked <= carried


async def test_the_packaged_agent_can_make_each_of_its_clients(root: Path) -> None:
    program = (
        "import sys; sys.path.insert(0, '/usr/lib/whence-agent'); import botocore.session as s\n"
        "for n in ('ec2', 'ecr', 'elb', 'elbv2', 'autoscaling', 'cloudformation', 'cloudwatch'):\n"
        "    s.get_session().create_client(n, region_name='eu-central-1')\n"
        "print('made')"
    )
    assert "made" in await run("chroot", root, "/usr/bin/python3", "-c", program)
