"""The image's disk, booted by firmware in QEMU: the loader, the kernel and the settings that a container cannot show."""

from __future__ import annotations

import json
import shutil
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from fakes.metadata_service import MetadataService
from fakes.time_server import time_server
from landscape.booted_images import agent_settings, shown_ports
from landscape.emulated import EmulatedMachine, accelerator, copied, emulated, make_reachable
from landscape.image_roots import AMI, image_layers, layered
from landscape.images import BuiltImage
from landscape.instance_network import METADATA_ADDRESS, instance_network
from landscape.processes import free_port, run
from landscape.programs import Aggregator
from landscape.whole import Landscape
from whence_common.ami_file import AMI_FILE_PATH
from whence_common.ami_provenance import AmiProvenance
from whence_common.digest import sha256_digest

pytestmark = [pytest.mark.timeout(900), pytest.mark.root]
_REPOSITORY = "https://git.example.org/platform/images"
_TIME_ADDRESS = "169.254.169.123"


@pytest.fixture(scope="module")
async def disk(scape: Landscape, shared_server: Aggregator, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The image's disk, with the landscape's settings and a way in for the test."""
    out = tmp_path_factory.mktemp("disk")
    async with layered(out, *await image_layers()) as root:
        make_reachable(root, shown_ports(scape, shared_server))
        settings = {**agent_settings(scape, shared_server), "status_address": "0.0.0.0"}
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
        service = await stack.enter_async_context(scape.instance(user_data(image.reference)))
        listening = await network.bound(METADATA_ADDRESS, 80)
        await stack.enter_async_context(service.serve(listening=listening))
        await stack.enter_async_context(time_server(await network.bound(_TIME_ADDRESS, 123, socket.SOCK_DGRAM)))
        volume = stack.enter_context(copied(disk))
        with volume.open("r+b") as stream:
            stream.truncate(5 * 1024**3)
        logs = tmp_path_factory.mktemp("guest")
        machine = await stack.enter_async_context(emulated(volume, logs, words, network))
        yield Guest(machine=machine, service=service, server=shared_server, image=image)


def user_data(reference: str) -> bytes:
    return (
        "#taupage-ami-config\napplication_id: greeter\napplication_version: '1.0'\nruntime: Docker\n"
        f"source: {reference}\nports: {{{free_port()}: 8080}}\nhealth_check_path: /health\n"
        "health_check_timeout_seconds: 300\nstop_timeout: 1\n"
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
    assert "SUCCESS: running greeter 1.0" in machine.console
    lineage = await guest.server.settled(guest.service.instance_id)
    links = {link["link"]: link for link in lineage["links"]}
    assert links["image"]["state"] == "confirmed"
    assert links["image"]["value"]["digest"] == guest.image.digest
    assert links["commit"]["value"]["commit"] == scape.sources.commits[0]
    assert links["team"]["value"]["team_id"] == "hello"


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
