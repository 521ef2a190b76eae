"""The image's disk, booted by firmware in QEMU: the loader, the kernel and the settings that a container cannot show."""

from __future__ import annotations

import asyncio
import json
import shutil
import socket
import sys
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from fakes.metadata_service import MetadataService
from fakes.time_server import time_server
from landscape.aws import Aws
from landscape.booted_images import agent_settings, shown_ports
from landscape.emulated import EmulatedMachine, accelerator, copied, emulated, make_reachable
from landscape.image_roots import AMI, image_layers
from landscape.images import BuiltImage
from landscape.instance_network import METADATA_ADDRESS, instance_network
from landscape.processes import free_port, run
from landscape.programs import Aggregator
from landscape.roots import layered
from landscape.whole import Landscape
from whence_common.ami_file import AMI_FILE_PATH
from whence_common.ami_provenance import AmiProvenance
from whence_common.digest import sha256_digest
from whence_common.runtime.pause import pause

pytestmark = [pytest.mark.timeout(900), pytest.mark.root]
_REPOSITORY = "https://git.example.org/platform/images"
_TIME_ADDRESS = "169.254.169.123"
_BUCKET = "guest-bucket"
_PAIR = {
    "client.json": {"client_id": "one", "client_secret": "client-secret"},
    "user.json": {"application_username": "greeter", "application_password": "first"},
}
_UNHURRIED = {
    "watch_seconds": 5.0, "notice_seconds": 5.0, "heartbeat_seconds": 10.0, "credentials_poll_seconds": 5.0,
}  # fmt: skip
"""An emulated processor has little time for looking."""
_META = "/var/lib/whence-agent/container"
_LIFE = "{{.Id}} {{.State.StartedAt}} {{.RestartCount}}"


@pytest.fixture(scope="module")
async def disk(scape: Landscape, shared_server: Aggregator, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The image's disk, with the landscape's settings and a way in for the test."""
    out = tmp_path_factory.mktemp("disk")
    async with layered(out, *await image_layers()) as root:
        make_reachable(root, shown_ports(scape, shared_server))
        settings = {**agent_settings(scape, shared_server), "status_address": "0.0.0.0", **_UNHURRIED}
        (root / "etc/whence/agent.yaml").write_text(json.dumps(settings), encoding="utf-8")
        clone = await _clone(out / "clone")
        options = ("--only", "disk", "--out", out, "--version", "20261127", "--git", clone)
        await run(sys.executable, AMI / "image.py", *options)
        shutil.copy(root / "vmlinuz", out / "vmlinuz")
    return out / "disk.raw"


@dataclass(frozen=True, slots=True)
class Guest:
    """The disk as a running machine, and what it should run."""

    machine: EmulatedMachine
    service: MetadataService
    server: Aggregator
    image: BuiltImage
    aws: Aws

    async def statements(self) -> int:
        shown = await self.server.get(f"/v1/instances/{self.service.instance_id}")
        return len(shown["statements"])

    async def states(self) -> dict[str, str]:
        """Return the state of each link of the instance's trace."""
        lineage = await self.server.settled(self.service.instance_id)
        return {link["link"]: link["state"] for link in lineage["links"]}

    async def change_password(self, password: str) -> None:
        user = {"application_username": "greeter", "application_password": password}
        await self.aws.put_credentials(_BUCKET, "greeter", {"user.json": user})

    async def has_password(self, password: str) -> bool:
        return password in await self.machine.run("cat", f"{_META}/credentials/user.json")


@pytest.fixture(scope="module")
async def guest(
    disk: Path, scape: Landscape, shared_server: Aggregator, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Guest]:
    image = await scape.build("emulated", "1.0", scm=scape.greeter_scm(0))
    assert await shared_server.put("/apps/greeter", {"team_id": "hello", "name": "Greeter", "active": True}) == 200
    words = await accelerator(disk.parent / "vmlinuz")
    async with AsyncExitStack() as stack:
        network = await stack.enter_async_context(instance_network())
        for port in shown_ports(scape, shared_server):
            await network.show(port)
        await network.appear(METADATA_ADDRESS, _TIME_ADDRESS)
        volume_id = await scape.aws.create_volume("guest-data")
        await scape.aws.put_credentials(_BUCKET, "greeter", _PAIR)
        service = await stack.enter_async_context(scape.instance(user_data(image.reference)))
        listening = await network.bound(METADATA_ADDRESS, 80)
        await stack.enter_async_context(service.serve(listening=listening))
        await stack.enter_async_context(time_server(await network.bound(_TIME_ADDRESS, 123, socket.SOCK_DGRAM)))
        volume = stack.enter_context(copied(disk))
        with volume.open("r+b") as stream:
            stream.truncate(5 * 1024**3)
        logs = tmp_path_factory.mktemp("guest")
        disks = (volume_id.replace("-", ""), "store-left", "store-right")
        machine = await stack.enter_async_context(emulated(volume, logs, words, network, disks=disks))
        yield Guest(machine=machine, service=service, server=shared_server, image=image, aws=scape.aws)


def user_data(reference: str) -> bytes:
    return (
        "#taupage-ami-config\napplication_id: greeter\napplication_version: '1.0'\nruntime: Docker\n"
        f"source: {reference}\nports: {{{free_port()}: 8080}}\nhealth_check_path: /health\n"
        f"health_check_timeout_seconds: 300\nstop_timeout: 1\nmint_bucket: {_BUCKET}\n"
        "volumes:\n"
        "  ebs: {/dev/sdf: guest-data}\n"
        "  raid: {/dev/md/pair: {level: 0, devices: [/dev/store-left, /dev/store-right]}}\n"
        "mounts:\n"
        "  /data: {partition: /dev/sdf, filesystem: xfs, erase_on_boot: true}\n"
        "  /pair: {partition: /dev/md/pair, erase_on_boot: true}\n"
    ).encode()


async def _clone(directory: Path) -> Path:
    """Make a clone of the repository that the image is made from; return it."""
    directory.mkdir()
    git = ("git", "-C", directory, "-c", "user.name=Ada", "-c", "user.email=ada@example.org")
    await run(*git, "init", "--quiet")
    await run(*git, "remote", "add", "origin", f"{_REPOSITORY}.git")
    await run(*git, "commit", "--quiet", "--allow-empty", "--message", "Begin")
    return directory


async def test_the_disk_carries_the_statement_about_itself(disk: Path) -> None:
    payload = (disk.parent / "statement.json").read_bytes()
    stated = AmiProvenance.parse(payload)
    names = {one.name for one in stated.packages}
    assert {"docker.io", "systemd", "whence-agent", "aiohttp"} <= names
    assert "whence-aggregator" not in names
    assert (stated.name, stated.repository) == ("Whence-AMI-debian-12-amd64-20261127", _REPOSITORY)
    assert stated.root_digest == sha256_digest((disk.parent / "root.mtree").read_bytes())
    tags = json.loads((disk.parent / "image.json").read_text("utf-8"))["Tags"]
    assert (tags["whence:statement"], tags["CommitID"]) == (sha256_digest(payload), stated.commit_id)
    place = f"{disk}?offset={35 * 1024 * 1024}"
    carried = json.loads(await run("/usr/sbin/debugfs", "-R", f"cat /{AMI_FILE_PATH}", place))
    assert carried["statement_digest"] == sha256_digest(payload)


async def test_firmware_boots_the_disk_and_its_root_grows_to_the_volume(guest: Guest) -> None:
    machine = guest.machine
    await machine.answers()
    assert "GNU GRUB" in machine.console
    assert await machine.run("findmnt", "--noheadings", "--output", "FSTYPE", "/") == "ext4\n"
    assert int((await machine.run("df", "--output=size", "--block-size=1M", "/")).split()[-1]) > 4_500
    names = (
        "kernel/kptr_restrict",
        "kernel/dmesg_restrict",
        "kernel/kexec_load_disabled",
        "net/ipv4/conf/all/accept_redirects",
    )
    values = await machine.run("cat", *(f"/proc/sys/{name}" for name in names))
    assert values.split() == ["2", "1", "1", "0"]


async def test_the_agent_in_the_guest_boots_its_instance_and_the_trace_is_whole(guest: Guest, scape: Landscape) -> None:
    machine = guest.machine
    status = await machine.until("ok", "failed")
    assert status["state"] == "ok", status["reasons"]
    assert await machine.running() == ""
    assert await machine.run("systemctl", "is-active", "chrony", "docker") == "active\nactive\n"
    assert await machine.containers() == {"taupageapp": "running"}
    assert await machine.inspected("{{.AppArmorProfile}}") == "docker-default"
    assert "SUCCESS: running greeter 1.0" in machine.console
    lineage = await guest.server.settled(guest.service.instance_id)
    links = {link["link"]: link for link in lineage["links"]}
    assert links["image"]["state"] == "confirmed"
    assert links["image"]["value"]["digest"] == guest.image.digest
    assert links["commit"]["value"]["commit"] == scape.sources.commits[0]
    assert links["team"]["value"]["team_id"] == "hello"


async def test_volumes_are_formatted_and_mounted_by_the_confined_helper(guest: Guest) -> None:
    machine = guest.machine
    await machine.until("ok")
    shown = await machine.run("findmnt", "--noheadings", "--raw", "--output", "TARGET,SOURCE,FSTYPE")
    mounts = {line.split()[0]: line.split()[1:] for line in shown.splitlines() if line.startswith("/mounts/")}
    assert {place: kind for place, (_, kind) in mounts.items()} == {"/mounts/data": "xfs", "/mounts/pair": "ext4"}
    assert mounts["/mounts/data"][0].startswith("/dev/nvme")
    assert "raid0" in await machine.run("mdadm", "--detail", mounts["/mounts/pair"][0])
    writing = "echo kept > /data/file && echo kept > /pair/file"
    await machine.run("docker", "exec", "--user", "999", "taupageapp", "/bin/busybox", "sh", "-c", writing)
    assert await machine.run("cat", "/mounts/data/file", "/mounts/pair/file") == "kept\nkept\n"


@pytest.mark.parametrize("years", [10, -10])
async def test_a_clock_that_jumps_by_years_ends_nothing_and_is_set_right(guest: Guest, years: int) -> None:
    machine = guest.machine
    began, ran = await machine.until("ok", "degraded"), await machine.inspected(_LIFE)
    traced, stated = await guest.states(), await guest.statements()
    await machine.run("systemctl", "stop", "chrony")
    await machine.run("date", "--set", f"{years:+d} years")
    await guest.change_password(f"of {years}")  # which reaches the application while the clock is wrong
    await machine.run("docker", "update", f"--cpu-shares={500 + years}", "taupageapp")  # which is stated at once
    async with asyncio.timeout(machine.seconds_max):
        while not await guest.has_password(f"of {years}"):
            await pause(machine.look_seconds)
        while await guest.statements() == stated:
            await pause(machine.look_seconds)
    assert abs(int(await machine.run("date", "+%s")) - time.time()) > 9 * 365 * 86_400
    assert (await machine.until("degraded"))["started_at"] == began["started_at"]

    await machine.run("systemctl", "start", "chrony")
    async with asyncio.timeout(machine.seconds_max):
        while abs(int(await machine.run("date", "+%s")) - time.time()) > 30:
            await pause(machine.look_seconds)
    assert (await machine.until("ok", "degraded"))["started_at"] == began["started_at"]
    assert await machine.inspected(_LIFE) == ran
    assert await guest.states() == traced
    assert await machine.running() == ""


async def test_the_disk_has_a_loader_for_bios_and_one_for_uefi(disk: Path) -> None:
    table = await run("/usr/sbin/sfdisk", "--dump", disk)
    assert table.count("start=") == 3
    with disk.open("rb") as stream:
        first = stream.read(512)
    assert first[0x5C:0x64] == (2048).to_bytes(8, "little")  # where GRUB's core begins
    assert first[510:] == b"\x55\xaa"
    listed = await run("mdir", "-b", "-i", f"{disk}@@{2 * 1024 * 1024}", "::EFI/BOOT")
    assert "BOOTX64.EFI" in listed
    await run("/usr/sbin/e2fsck", "-n", "-f", f"{disk}?offset={35 * 1024 * 1024}")
