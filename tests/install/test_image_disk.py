"""The image's disk, booted by firmware in QEMU: the loader, the kernel and the settings that a container cannot show."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import pytest

from landscape.emulated import accelerator, copied, emulated
from landscape.endurance import WHOLE
from landscape.image_roots import AMI, image_layers
from landscape.processes import run
from landscape.roots import layered
from whence_common.ami_file import AMI_FILE_PATH
from whence_common.ami_provenance import AmiProvenance
from whence_common.digest import sha256_digest

pytestmark = [pytest.mark.timeout(900), pytest.mark.root]
_BOOT_SECONDS_MAX = 600.0
"""An emulated guest of two processors takes a minute to its first services on an idle machine, and four on a busy one."""
_ENDED = "TEST ENDED"
_REPOSITORY = "https://git.example.org/platform/images"
_EARLY = (
    "echo ROOT $(findmnt --noheadings --output FSTYPE /)",
    "echo MIB $(df --output=size --block-size=1M / | tail -1)",
    "for one in kernel/kptr_restrict kernel/dmesg_restrict kernel/kexec_load_disabled "
    "net/ipv4/conf/all/accept_redirects; do echo SYSCTL $$one $(cat /proc/sys/$$one); done",
)
_LATE = (
    "echo FAILED $(systemctl --failed --plain --no-legend | wc -l)",
    "echo CHRONY $(systemctl is-active chrony)",
    "echo ENGINE $(systemctl is-active docker)",
)
_UNIT = """\
[Unit]
DefaultDependencies=no
After={after}
[Service]
Type=oneshot
StandardOutput=tty
TTYPath=/dev/ttyS0
ExecStart=/bin/sh -c '{commands}'
"""


@pytest.fixture(scope="module")
async def disk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The image's disk, with a unit more that prints what the test reads: early, or with everything when it runs whole."""
    out = tmp_path_factory.mktemp("disk")
    after = "docker.service chrony.service" if WHOLE else "sysinit.target"
    target = "multi-user.target.wants" if WHOLE else "basic.target.wants"
    async with layered(out, *await image_layers()) as root:
        units = root / "etc/systemd/system"
        shown = "; ".join((*_EARLY, *(_LATE if WHOLE else ()), f"echo {_ENDED}"))
        (units / "showing.service").write_text(_UNIT.format(after=after, commands=shown), encoding="ascii")
        wants = units / target
        wants.mkdir(exist_ok=True)
        (wants / "showing.service").symlink_to("/etc/systemd/system/showing.service")
        patient = units / "docker.service.d/zz-test.conf"  # an emulated processor is twenty times slower
        patient.write_text("[Service]\nTimeoutStartSec=infinity\n", encoding="ascii")
        clone = await _clone(out / "clone")
        options = ("--only", "disk", "--out", out, "--version", "20261127", "--git", clone)
        await run(sys.executable, AMI / "image.py", *options)
        shutil.copy(root / "vmlinuz", out / "vmlinuz")
    return out / "disk.raw"


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


@pytest.mark.endurance
async def test_firmware_boots_the_disk_and_its_root_grows_to_the_volume(disk: Path, tmp_path: Path) -> None:
    words = await accelerator(disk.parent / "vmlinuz")
    with copied(disk) as volume:
        with volume.open("r+b") as stream:
            stream.truncate(5 * 1024**3)
        async with emulated(volume, tmp_path, words) as guest:
            await guest.prints(_ENDED, seconds_max=_BOOT_SECONDS_MAX)
            lines = [line.strip() for line in guest.console.splitlines()]
    assert "GNU GRUB" in guest.console
    assert "ROOT ext4" in lines
    (mib,) = [int(line.split()[1]) for line in lines if line.startswith("MIB ")]
    assert mib > 4_500
    wanted = [
        "SYSCTL kernel/kptr_restrict 2", "SYSCTL kernel/dmesg_restrict 1", "SYSCTL kernel/kexec_load_disabled 1",
        "SYSCTL net/ipv4/conf/all/accept_redirects 0", *(("FAILED 0", "CHRONY active", "ENGINE active") if WHOLE else ()),
    ]  # fmt: skip
    assert [line for line in wanted if line not in lines] == []


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
