"""The image, booted where something is missing, wrong, hung or killed: network, names, agent, helper, disk, another's state."""

from __future__ import annotations

import asyncio
import base64
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from fakes.metadata_service import MetadataService
from fakes.name_server import name_server
from landscape.image_machines import BOOT_SECONDS_MAX, ImageMachine, image_machine
from landscape.image_roots import AMI, image_layers
from landscape.images import BuiltImage
from landscape.instance_network import METADATA_ADDRESS, RESOLVER_ADDRESS
from landscape.processes import free_port
from landscape.programs import Aggregator
from landscape.roots import layered
from landscape.whole import Landscape
from whence_common.runtime.pause import pause

pytestmark = [pytest.mark.timeout(900), pytest.mark.root]
_NAME = "whence.example.org"
_LIFE = "{{.Id}} {{.State.StartedAt}} {{.RestartCount}}"


_KILLING = """\
#!/bin/sh
if [ -e /etc/whence/kill ] && [ "$1" = --no-canonicalize ]; then kill -9 $PPID; exec sleep infinity; fi
exec /usr/bin/mount "$@"
"""


@dataclass(frozen=True, slots=True)
class Hardship:
    """One root, not booted yet, with its metadata service, which is not served yet."""

    machine: ImageMachine
    service: MetadataService
    server: Aggregator
    image: BuiltImage

    async def shown(self) -> dict[str, Any]:
        found: dict[str, Any] = await self.server.get(f"/v1/instances/{self.service.instance_id}")
        return found

    async def stated(self) -> str:
        """Return what the instance's newest statement has."""
        newest = (await self.shown())["statements"][0]["digest"]
        envelope = await self.server.get(f"/v1/statements/{newest}")
        return base64.b64decode(envelope["payload"]).decode()


def user_data(reference: str, more: str = "") -> bytes:
    return (
        "#taupage-ami-config\napplication_id: greeter\napplication_version: '1.0'\nruntime: Docker\n"
        f"source: {reference}\nports: {{{free_port()}: 8080}}\nhealth_check_path: /health\nstop_timeout: 1\n{more}"
    ).encode()


@pytest.fixture(scope="module")
async def hardship(
    scape: Landscape, shared_server: Aggregator, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Hardship]:
    image = await scape.build("spoiled", "1.0", scm=scape.greeter_scm(0))
    directory = tmp_path_factory.mktemp("hardship")
    async with (
        layered(directory / "layer", *await image_layers()) as root,
        scape.instance(user_data(image.reference)) as service,
        image_machine(root, directory, scape, shared_server, None) as machine,
    ):
        yield Hardship(machine=machine, service=service, server=shared_server, image=image)


@pytest.fixture(scope="module")
async def plugged_in(hardship: Hardship) -> AsyncIterator[AsyncExitStack]:
    """What the first test plugs in stays for the others."""
    async with AsyncExitStack() as stack:
        yield stack


async def test_network_metadata_and_names_that_come_late_delay_the_boot_and_do_not_fail_it(
    hardship: Hardship, plugged_in: AsyncExitStack
) -> None:
    machine, network = hardship.machine, hardship.machine.network
    port = hardship.server.url.rpartition(":")[2]
    machine.configure(aggregator_url=f"http://{_NAME}:{port}")
    async with machine.booted():
        async with asyncio.timeout(30):
            while "waiting for the metadata service" not in str((await machine.until("booting"))["reasons"]):
                await pause(0.1)

        hardship.service.faults = {"/api/token": [503, 503], "/document": [429, 429], "/user-data": [500]}
        await network.appear()
        listening = await network.bound(METADATA_ADDRESS, 80)
        await plugged_in.enter_async_context(hardship.service.serve(listening=listening))
        nameless = await machine.until("degraded", "ok", "failed")
        assert nameless["state"] == "degraded", nameless
        assert await machine.containers() == {"taupageapp": "running"}
        assert hardship.service.faults == {"/api/token": [], "/document": [], "/user-data": []}

        names = await network.bound(RESOLVER_ADDRESS, 53, socket.SOCK_DGRAM)
        await plugged_in.enter_async_context(name_server(names, {_NAME: "127.0.0.1"}))
        await machine.until("ok")
        assert await machine.running() == ""
        assert [one["cause"] for one in (await hardship.shown())["statements"]] == ["boot"]


async def test_an_image_of_a_machine_that_ran_is_refused_by_the_check_and_boots_with_a_key_of_its_own(
    hardship: Hardship, scape: Landscape
) -> None:
    machine, service = hardship.machine, hardship.service
    before, former = (machine.root / "var/lib/whence-agent/key.pem").read_bytes(), service.instance_id
    with pytest.raises(AssertionError) as refused:
        await checked(machine.root)
    for place in ("var/lib/whence-agent/key.pem", "etc/machine-id", "var/log/journal"):
        assert f"/{place}" in str(refused.value)

    async with scape.instance(service.user_data or b"") as other:
        service.instance_id, service.document = other.instance_id, other.document
        service.identity_credentials = other.identity_credentials
        async with machine.booted():
            await machine.until("ok", "degraded")
            async with asyncio.timeout(30):
                while not (await hardship.shown()).get("statements"):
                    await pause(0.1)
            assert "key-replaced" in await hardship.stated()
            assert (machine.root / "var/lib/whence-agent/key.pem").read_bytes() != before
            assert await machine.containers() == {"taupageapp": "running"}
    of_the_former = await hardship.server.get(f"/v1/instances/{former}")
    assert {one["cause"] for one in of_the_former["statements"]} <= {"boot", "stop"}


async def checked(root: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, AMI / "check.py", root, stdout=asyncio.subprocess.PIPE
    )
    output, _ = await process.communicate()
    assert process.returncode == 0, output.decode()


async def test_an_agent_that_hangs_is_ended_by_the_watchdog_and_adopts_what_runs(
    hardship: Hardship, plugged_in: AsyncExitStack
) -> None:
    machine = hardship.machine
    dropin = machine.root / "etc/systemd/system/whence-agent.service.d/20-watchdog.conf"
    dropin.write_text("[Service]\nWatchdogSec=3s\nRestartSec=1s\n", encoding="ascii")
    try:
        async with machine.booted():
            before, ran = await machine.until("ok", "degraded"), await machine.inspected(_LIFE)
            await machine.run("systemctl", "kill", "--kill-whom=main", "--signal=STOP", "whence-agent")
            await machine.until("ok", "degraded", since=before["started_at"])
            assert await machine.inspected(_LIFE) == ran
            assert "Watchdog timeout" in await machine.run("journalctl", "--unit=whence-agent", "--boot", "--no-pager")
            assert await machine.running() == ""
    finally:
        dropin.unlink()


@pytest.fixture
async def killing(hardship: Hardship, plugged_in: AsyncExitStack) -> AsyncIterator[Path]:
    """A mount(8) that kills the helper which runs it, as long as the file that is returned exists."""
    machine, right = hardship.machine, hardship.service.user_data
    program, wanted = machine.root / "usr/sbin/mount", machine.root / "etc/whence/kill"
    program.write_text(_KILLING, encoding="ascii")
    program.chmod(0o755)
    wanted.touch()
    more = "mounts: {/scratch: {partition: none, filesystem: tmpfs}}\n"
    hardship.service.user_data = user_data(hardship.image.reference, more)
    try:
        yield wanted
    finally:
        hardship.service.user_data = right
        program.unlink()
        wanted.unlink(missing_ok=True)
        machine.configure(volumes_seconds_max=300.0, stage_seconds_max={})


async def test_the_boot_goes_on_when_the_helper_is_killed_while_it_mounts(hardship: Hardship, killing: Path) -> None:
    machine = hardship.machine
    async with machine.booted():
        async with asyncio.timeout(BOOT_SECONDS_MAX):
            while "the helper ended without a response" not in str((await machine.until("booting"))["reasons"]):
                await pause(0.1)
        assert (await machine.containers()).get("taupageapp") != "running"
        killing.unlink()
        assert (await machine.until("ok", "degraded", "failed"))["state"] != "failed"
        assert await machine.run("findmnt", "--noheadings", "--output=FSTYPE", "/mounts/scratch") == "tmpfs\n"
        assert await machine.containers() == {"taupageapp": "running"}
        assert await machine.running() == ""


async def test_a_helper_that_is_always_killed_fails_the_boot_with_the_reason_and_nothing_runs(
    hardship: Hardship, killing: Path
) -> None:
    machine = hardship.machine
    machine.configure(volumes_seconds_max=1.0, stage_seconds_max={"prepare": 3.0})
    async with machine.booted():
        status = await machine.until("ok", "degraded", "failed")
        assert status["state"] == "failed", status["reasons"]
        assert "the helper ended without a response" in str(status["reasons"])
        assert "journalctl -t whence-machine -t whence-disks" in str(status)
        assert (await machine.containers()).get("taupageapp") != "running"
        assert await machine.running() == ""


async def test_a_full_disk_is_on_the_status_and_what_was_not_written_is_written_later(hardship: Hardship) -> None:
    machine = hardship.machine
    machine.options = ["--tmpfs=/var/lib/whence-agent:mode=0711,size=512k"]
    try:
        async with machine.booted():
            await machine.until("ok", "degraded")
            ran = await machine.inspected("{{.Id}} {{.State.StartedAt}}")
            await machine.said("dd", "if=/dev/zero", "of=/var/lib/whence-agent/full", "bs=1k", "count=600")
            await machine.run("docker", "exec", "taupageapp", "/bin/busybox", "true")
            async with asyncio.timeout(30):
                while not any("disk" in one or "space" in one for one in (await machine.until("degraded"))["reasons"]):
                    await pause(0.1)
            assert await machine.inspected("{{.Id}} {{.State.StartedAt}}") == ran
            await machine.run("rm", "/var/lib/whence-agent/full")
            async with asyncio.timeout(30):
                while (await hardship.shown())["statements"][0]["cause"] != "change":
                    await pause(0.1)
    finally:
        machine.options = []


async def test_a_root_that_is_read_only_is_told_by_unit_and_console_and_runs_nothing(
    scape: Landscape, shared_server: Aggregator, tmp_path: Path
) -> None:
    async with (
        layered(tmp_path / "layer", *await image_layers()) as root,
        image_machine(root, tmp_path, scape, shared_server, None) as machine,
    ):
        machine.options = ["--read-only"]
        dropin = root / "etc/systemd/system/docker.service.d/zz-test.conf"
        dropin.write_text("[Service]\nTimeoutStartSec=3\nTimeoutStopSec=1\nRestartSec=20\n", encoding="ascii")
        async with machine.booted(), asyncio.timeout(BOOT_SECONDS_MAX):
            while "Result=exit-code" not in (
                await machine.said("systemctl", "show", "whence-agent", "--property=Result")
            )[1]:  # fmt: skip
                await pause(0.2)
        assert "ERROR: cannot run: [Errno 30] Read-only file system" in machine.console
        assert "SUCCESS" not in machine.console
