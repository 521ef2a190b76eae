"""The helper on real loop devices with real mkfs, fsck and mount: what is named is done, and nothing else is touched."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from landscape.disks import Disks, disks, machine_helper
from landscape.processes import NotReady, run
from whence_agent.adapters.machine import MachineSocket
from whence_agent.machine.disks import Disks as MachineDisks
from whence_agent.machine.place import MachinePaths
from whence_agent.machine.programs import Programs
from whence_agent.machine.protocol import (
    REQUEST_BYTES_MAX,
    ArrayRequest,
    HostRequest,
    MachineFailed,
    MountRequest,
    StorageRequest,
)
from whence_common.user_data.mount_options import is_mount_option, plain_options

pytestmark = pytest.mark.root


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Disks]:
    if os.geteuid() != 0:
        pytest.skip("disks need root")
    async with disks(tmp_path) as made:
        try:
            await made.add("probe")
        except NotReady as exc:
            pytest.skip(f"this machine gives no loop devices: {exc}")
        yield made


@pytest.fixture
async def helper(place: Disks, tmp_path: Path) -> AsyncIterator[MachineSocket]:
    async with machine_helper(tmp_path, tmp_path, dev=place.dev, mounts=place.mounts) as socket:
        yield MachineSocket(path=str(socket), disks_path=str(socket))


def mount(path: str = "/data", device: str | None = "/dev/xvdf", **changes: Any) -> MountRequest:
    values: dict[str, Any] = {
        "file_system": "ext4",
        "options": ["noatime"],
        "erase": False,
        "owner": (999, 999),
        **changes,
    }
    return MountRequest(path=path, device=device, **values)


def asked(*mounts: MountRequest, **more: Any) -> StorageRequest:
    return StorageRequest(mounts=list(mounts), **more)


async def refused(helper: MachineSocket, request: Any) -> str:
    with pytest.raises(MachineFailed) as caught:
        await helper.prepare(request)
    return caught.value.code


@pytest.mark.parametrize("system", ["ext4", "xfs"])
async def test_a_disk_to_be_erased_is_formatted_once_and_survives_the_agents_restart(
    place: Disks, helper: MachineSocket, system: str
) -> None:
    await place.add("xvdf")
    done = await helper.prepare(asked(mount(file_system=system, erase=True)))
    assert done == [f"formatted /dev/xvdf as {system}", f"mounted /dev/xvdf at {place.mounts}/data"]
    found = await place.mounted("/data")
    assert found.startswith(system)
    assert {"nosuid", "nodev", "noatime"} <= set(found.split()[1].split(","))
    assert (place.mounts / "data").stat().st_mode & 0o777 == 0o777
    (place.mounts / "data" / "kept").write_text("x", encoding="ascii")
    assert await helper.prepare(asked(mount(file_system=system, erase=True))) == []
    assert (place.mounts / "data" / "kept").exists()


@pytest.mark.parametrize("system", ["ext4", "xfs"])
async def test_a_disk_with_data_is_checked_mounted_and_keeps_it(
    place: Disks, helper: MachineSocket, system: str
) -> None:
    await place.add("xvdf")
    await helper.prepare(asked(mount(file_system=system, erase=True)))
    (place.mounts / "data" / "kept").write_text("x", encoding="ascii")
    await place.unmount("/data")
    assert await helper.prepare(asked(mount(file_system=system))) == [f"mounted /dev/xvdf at {place.mounts}/data"]
    assert (place.mounts / "data" / "kept").exists()


async def test_an_old_name_and_an_nvme_name_find_the_same_disk(place: Disks, helper: MachineSocket) -> None:
    await place.add("xvdf")
    await helper.prepare(asked(mount(device="/dev/sdf", erase=True)))
    await place.add("disk/by-id/nvme-Amazon_Elastic_Block_Store_vol0123456789abcdef0")
    volumes = {"/dev/xvdg": "vol-0123456789abcdef0"}
    await helper.prepare(asked(mount("/more", "/dev/xvdg", erase=True), volumes=volumes))
    assert (await place.mounted("/more")).startswith("ext4")


async def test_a_blank_disk_that_nobody_said_to_erase_is_never_formatted(place: Disks, helper: MachineSocket) -> None:
    loop = await place.add("xvdf")
    assert await refused(helper, asked(mount())) == "device-without-file-system"
    assert loop.read_bytes()[:1_000_000] == bytes(1_000_000)


async def test_another_file_system_or_a_partition_table_is_never_overwritten(
    place: Disks, helper: MachineSocket
) -> None:
    await place.add("xvdf")
    await helper.prepare(asked(mount(file_system="xfs", erase=True)))
    await place.unmount("/data")
    assert await refused(helper, asked(mount(file_system="ext4"))) == "device-other-file-system"
    loop = await place.add("xvdg")
    entry = bytes([0, 0, 2, 0, 0x83, 0, 0, 0]) + (2048).to_bytes(4, "little") + (1000).to_bytes(4, "little")
    loop.write_bytes(bytes(446) + entry + bytes(48) + b"\x55\xaa")
    assert await refused(helper, asked(mount("/g", "/dev/xvdg"))) == "device-other-file-system"


async def test_a_disk_in_use_is_neither_formatted_nor_mounted_again(place: Disks, helper: MachineSocket) -> None:
    await place.add("xvdf")
    await helper.prepare(asked(mount(erase=True)))
    (place.mounts / "data" / "kept").write_text("x", encoding="ascii")
    assert await refused(helper, asked(mount("/other", erase=True))) == "device-in-use"
    assert (place.mounts / "data" / "kept").exists()


async def test_the_disk_that_this_machine_runs_from_is_in_use(place: Disks, helper: MachineSocket) -> None:
    root = (await run("findmnt", "-n", "-o", "SOURCE", "/")).strip()
    if not root.startswith("/dev/"):
        pytest.skip(f"the root of this machine is {root}, no disk")
    (place.dev / "xvdf").symlink_to(root)
    assert await refused(helper, asked(mount(erase=True))) == "device-in-use"


async def test_memory_and_plain_directories_need_no_disk(place: Disks, helper: MachineSocket) -> None:
    memory = mount("/scratch", "none", file_system="tmpfs", options=["size=1m"])
    assert await helper.prepare(asked(memory, mount("/plain", None))) == [f"mounted tmpfs at {place.mounts}/scratch"]
    assert await helper.prepare(asked(memory)) == []
    assert "size=1024k" in await place.mounted("/scratch")
    assert (place.mounts / "plain").stat().st_mode & 0o777 == 0o777


SIZED = {
    "ext2": ["stripe=8", "errors=remount-ro", "barrier=1"], "ext3": ["commit=5", "stripe=8", "errors=continue", "barrier=0"],
    "ext4": ["commit=5", "stripe=8", "errors=continue", "barrier=0"],
    "xfs": ["logbufs=8", "logbsize=256k", "logbsize=32768", "allocsize=64k", "allocsize=1g"],
    "tmpfs": ["size=1m", "size=50%", "nr_inodes=1k", "mode=1777"],
}  # fmt: skip


@pytest.mark.parametrize("system", ["ext2", "ext3", "ext4", "xfs", "tmpfs"])
async def test_the_kernel_takes_each_option_that_the_judge_takes(place: Disks, tmp_path: Path, system: str) -> None:
    device = "none"
    if system != "tmpfs":
        device = str(await place.add("xvdf"))
        await run(f"mkfs.{system}", "-q", device)
    refused_by_kernel = []
    (place.mounts / "data").mkdir(parents=True)
    for option in (*sorted(plain_options(system)), *SIZED[system]):
        assert is_mount_option(option)
        try:
            await run("mount", "-t", system, "-o", option, device, place.mounts / "data")
            await run("umount", place.mounts / "data")
        except NotReady as exc:
            if "bad option" in str(exc):  # not: busy, as another mount namespace still holds it
                refused_by_kernel.append(option)
    assert refused_by_kernel == []


async def test_a_mount_below_another_is_made_after_it(place: Disks, helper: MachineSocket) -> None:
    await place.add("xvdf")
    await place.add("xvdg")
    below, above = mount("/data/logs", "/dev/xvdg", erase=True), mount("/data", "/dev/xvdf", erase=True)
    await helper.prepare(asked(below, above))
    assert await place.mounted("/data/logs")
    assert [path.name for path in (place.mounts / "data").iterdir() if path.name != "lost+found"] == ["logs"]


@pytest.mark.parametrize(
    "request_, code",
    [
        (asked(mount("/../etc")), "mount-path-malformed"),
        (asked(mount("relative")), "mount-path-malformed"),
        (asked(mount(device="/dev/../etc/passwd")), "device-malformed"),
        (asked(mount(device="/dev/xvdz")), "device-missing"),
        (asked(mount(file_system="ext4 -F")), "file-system-unknown"),
        (asked(mount(options=["suid"])), "mount-option-refused"),
        (asked(mount(options=["loop=/etc/shadow"])), "mount-option-refused"),
        (asked(mount(owner=(0, 0), erase=True)), "owner-malformed"),
        (asked(mount(device="/dev/file")), "device-not-block"),
        (asked(mount(), volumes={"/dev/xvdf": "../../x"}), "device-malformed"),
        (asked(arrays=[ArrayRequest(device="/dev/md0", level="1", devices=["/dev/xvdf"])]), "array-malformed"),
        (asked(arrays=[ArrayRequest(device="/dev/sda", level="1", devices=["/dev/a", "/dev/b"])]), "array-malformed"),
        (HostRequest(sysctl={"kernel.modules_disabled": "1"}), "sysctl-not-allowed"),
        (HostRequest(sysctl={"../../etc/x": "1"}), "sysctl-malformed"),
        (HostRequest(sysctl={"vm.swappiness": "1; id"}), "sysctl-malformed"),
        (HostRequest(remove_keys_of=["root"]), "user-malformed"),
        (HostRequest(ssh_ports=[0]), "ssh-ports-malformed"),
        (HostRequest(huge_pages="sometimes"), "huge-pages-malformed"),
    ],
)
async def test_the_helper_believes_nothing_it_is_sent(
    place: Disks, helper: MachineSocket, request_: Any, code: str
) -> None:
    (place.dev / "file").write_text("no device", encoding="ascii")
    assert await refused(helper, request_) == code


async def test_a_symlink_among_the_mounts_is_never_followed(
    place: Disks, helper: MachineSocket, tmp_path: Path
) -> None:
    place.mounts.mkdir()
    (place.mounts / "data").symlink_to(tmp_path)
    assert await refused(helper, asked(mount("/data/x", None))) == "mount-path-link"


async def test_a_directory_that_is_replaced_while_its_disk_is_formatted_is_never_mounted_or_opened_elsewhere(
    place: Disks, tmp_path: Path
) -> None:
    """The mkfs of this test exchanges the directory for a link, as a container could that writes above it."""
    await place.add("xvdf")
    victim, bin_ = tmp_path / "victim", tmp_path / "bin"
    victim.mkdir(mode=0o700)
    bin_.mkdir()
    data = place.mounts / "data"
    swap = f"mv {data} {data}.away && ln -s {victim} {data}"
    (bin_ / "mkfs.ext4").write_text(f'#!/bin/sh\n{swap}\nexec /usr/sbin/mkfs.ext4 "$@"\n', encoding="ascii")
    (bin_ / "mkfs.ext4").chmod(0o755)
    said: list[str] = []
    helper = MachineDisks(
        place=MachinePaths(dev=place.dev, mounts=place.mounts, wait_seconds_max=1),
        programs=Programs(say=said.append, path=f"{bin_}:/usr/sbin:/usr/bin:/sbin:/bin"),
    )
    with pytest.raises(MachineFailed) as caught:
        helper.prepare(asked(mount(erase=True)))
    assert caught.value.code == "mount-path-link"
    assert victim.stat().st_mode & 0o777 == 0o700
    assert not any(line.split()[4] == str(victim) for line in Path("/proc/self/mountinfo").read_text().splitlines())


async def test_an_xfs_volume_that_has_grown_is_filled(place: Disks, helper: MachineSocket) -> None:
    loop = await place.add("xvdf")
    await helper.prepare(asked(mount(file_system="xfs", erase=True)))
    before = os.statvfs(place.mounts / "data").f_blocks
    await place.unmount("/data")
    with (tmp_file := next((place.dev.parent / "disks").glob("xvdf"))).open("r+b") as stream:
        stream.truncate(tmp_file.stat().st_size + 160 * 1024 * 1024)
    await run("losetup", "--set-capacity", loop)
    await helper.prepare(asked(mount(file_system="xfs")))
    assert os.statvfs(place.mounts / "data").f_blocks > before


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"nonsense\n",
        b"{}\n",
        b'{"type": "storage", "more": 1}\n',
        b"[" * 60_000 + b"\n",
        b"x" * (REQUEST_BYTES_MAX + 1),
    ],
)
async def test_a_request_that_is_none_is_answered_as_such(place: Disks, tmp_path: Path, line: bytes) -> None:
    async with machine_helper(tmp_path, tmp_path, dev=place.dev, mounts=place.mounts) as socket:
        reader, writer = await asyncio.open_unix_connection(str(socket))
        writer.write(line)
        writer.write_eof()
        answer = await reader.read()
        writer.close()
    assert b"request-malformed" in answer
