"""A raw disk with the root in it that firmware boots: GPT, GRUB for BIOS and for UEFI. No loop device, no mount.

BIOS: the boot sector loads GRUB's core from a partition of its own (GNU GRUB manual, "BIOS installation"). UEFI: the
same core is EFI/BOOT/BOOTX64.EFI or BOOTAA64.EFI of the EFI system partition. Both read /boot/grub/grub.cfg.
"""

from __future__ import annotations

import os
import struct
import subprocess
import tempfile
import uuid
from pathlib import Path

from disk_times import limit_times, set_times

_MIB = 1024 * 1024
_SECTOR = 512
_BIOS_MIB, _ESP_MIB = (1, 1), (2, 33)
"""(start, size) of the partitions before the root."""
_ROOT_MIB = 35
_ROOT_TYPES = {"amd64": "4F68BCE3-E8CD-4DB1-96E7-FBCAF984B709", "arm64": "B921B045-1DF0-41C3-AF44-4C6F280D3FAE"}
"""Discoverable Partitions Specification: systemd-repart grows the root by its type."""
_FIRMWARE = {"amd64": ("x86_64-efi", "BOOTX64.EFI"), "arm64": ("arm64-efi", "BOOTAA64.EFI")}
"""GRUB's platform, and the file that UEFI loads."""
_MODULES = (
    "part_gpt",
    "ext2",
    "search",
    "search_fs_uuid",
    "normal",
    "linux",
    "configfile",
    "echo",
    "test",
    "serial",
    "terminal",
)
_KERNEL_SECTOR, _DRIVE_CHECK = 0x5C, 0x66
"""Of boot.img (grub/i386/pc/boot.h): the place of the core's first sector, and a check for old BIOSes."""
_BLOCK_LIST = 0x1F4
"""Of the core's first sector: the sector at which the rest of the core begins."""
_CONFIGURATION = """\
set default=0
set timeout=1
serial --unit=0 --speed=115200
terminal_input serial console
terminal_output serial console
if [ -e /vmlinuz ]; then set at=/; else set at=/boot/; fi
menuentry Whence {{
  linux ${{at}}vmlinuz root=UUID={root} ro console=tty0 console=ttyS0,115200 {options}
  initrd ${{at}}initrd.img
}}
menuentry 'Whence, with the kernel before' {{
  linux ${{at}}vmlinuz.old root=UUID={root} ro console=tty0 console=ttyS0,115200 {options}
  initrd ${{at}}initrd.img.old
}}
"""
_FSTAB = "UUID={root} / ext4 rw,errors=remount-ro,x-systemd.growfs 0 1\n"


def write_boot_files(root: Path, *, seed: str, options: str) -> None:
    """Write the root's fstab and GRUB's configuration; `options` are for the kernel."""
    held = {"root": identify(seed, "root"), "options": options}
    (root / "boot/grub").mkdir(parents=True, exist_ok=True)
    (root / "boot/grub/grub.cfg").write_text(_CONFIGURATION.format(**held), encoding="utf-8")
    (root / "etc/fstab").write_text(_FSTAB.format(**held), encoding="utf-8")


def make_disk(root: Path, disk: Path, *, architecture: str, seed: str, size_mib: int, at: int) -> None:
    """Write the disk. `seed` makes all its identifiers; no time in it is later than `at`, in seconds since 1970.

    Raises CalledProcessError with what the tool printed.
    """
    identity = identify(seed, "root")
    with tempfile.TemporaryDirectory(prefix="whence-disk-") as directory:
        work = Path(directory)
        disk.unlink(missing_ok=True)
        with disk.open("wb") as stream:
            stream.truncate(size_mib * _MIB)
        _partition(disk, architecture, seed, size_mib)
        early = f"search --no-floppy --fs-uuid --set=root {identity}\nset prefix=($root)/boot/grub\nnormal\n"
        platform, name = _FIRMWARE[architecture]
        core = _core(root, work, platform, early, ())
        _write_esp(disk, core, work, name, volume=identify(seed, "esp")[:8], at=at)
        if architecture == "amd64":
            _write_bios(root, disk, work, early)
        limit_times(root, at)
        bytes_at = f"offset={_ROOT_MIB * _MIB},hash_seed={identify(seed, 'hash')}"
        blocks = f"{size_mib - _ROOT_MIB - 1}M"
        _run(
            "mkfs.ext4", "-q", "-F", "-L", "whence", "-U", identity, "-E", bytes_at, "-d", str(root), str(disk), blocks,
            at=at,
        )  # fmt: skip
        set_times(disk, _ROOT_MIB * _MIB, at)


def identify(seed: str, name: str) -> str:
    """Return a UUID that is always the same for one seed and name."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"urn:whence:image:{seed}:{name}"))


def _partition(disk: Path, architecture: str, seed: str, size_mib: int) -> None:
    lines = ["label: gpt", f"label-id: {identify(seed, 'disk')}"]
    parts = [
        ("bios", *_BIOS_MIB, "21686148-6449-6E6F-744E-656564454649"),
        ("esp", *_ESP_MIB, "C12A7328-F81F-11D2-BA4B-00A0C93EC93B"),
        ("root", _ROOT_MIB, size_mib - _ROOT_MIB - 1, _ROOT_TYPES[architecture]),
    ]
    for name, start, size, kind in parts:
        lines.append(
            f"start={start}MiB, size={size}MiB, type={kind}, name={name}, uuid={identify(seed, name + '-part')}"
        )
    _run("sfdisk", "--quiet", "--no-reread", str(disk), given="\n".join(lines))


def _write_esp(disk: Path, core: Path, work: Path, name: str, *, volume: str, at: int) -> None:
    esp = work / "esp"
    with esp.open("wb") as stream:
        stream.truncate(_ESP_MIB[1] * _MIB)
    _run("mkfs.vfat", "--invariant", "-F", "32", "-s", "1", "-i", volume, "-n", "ESP", str(esp))
    _run("mmd", "-i", str(esp), "::EFI", "::EFI/BOOT", at=at)
    _run("mcopy", "-i", str(esp), str(core), f"::EFI/BOOT/{name}", at=at)
    _place(disk, esp.read_bytes(), _ESP_MIB[0] * _MIB)


def _write_bios(root: Path, disk: Path, work: Path, early: str) -> None:
    core = bytearray(_core(root, work, "i386-pc", early, ("biosdisk",)).read_bytes())
    if len(core) > _BIOS_MIB[1] * _MIB:
        raise ValueError(f"GRUB's core has {len(core)} bytes, more than its partition")
    first = _BIOS_MIB[0] * _MIB // _SECTOR
    struct.pack_into("<Q", core, _BLOCK_LIST, first + 1)
    boot = bytearray((root / "usr/lib/grub/i386-pc/boot.img").read_bytes()[:440])
    struct.pack_into("<Q", boot, _KERNEL_SECTOR, first)
    boot[_DRIVE_CHECK : _DRIVE_CHECK + 2] = b"\x90\x90"
    _place(disk, bytes(boot), 0)
    _place(disk, bytes(core), first * _SECTOR)


def _core(root: Path, work: Path, platform: str, early: str, more: tuple[str, ...]) -> Path:
    """Make GRUB's core by the image's own GRUB, so that the machine which makes the image needs none."""
    within = Path(tempfile.mkdtemp(prefix="whence-grub-", dir=root / "tmp"))
    try:
        (within / "early.cfg").write_text(early, encoding="utf-8")
        inside = f"/tmp/{within.name}"
        _run(
            "chroot", str(root), "grub-mkimage", "-O", platform, "-p", "/boot/grub", "-c", f"{inside}/early.cfg",
            "-o", f"{inside}/core", *_MODULES, *more,
        )  # fmt: skip
        core = work / f"core-{platform}"
        core.write_bytes((within / "core").read_bytes())
        return core
    finally:
        for file in within.iterdir():
            file.unlink()
        within.rmdir()


def _place(disk: Path, content: bytes, offset: int) -> None:
    with disk.open("r+b") as stream:
        stream.seek(offset)
        stream.write(content)


def _run(*command: str, given: str = "", at: int | None = None) -> None:
    environment = {**os.environ, "PATH": f"/usr/sbin:/sbin:{os.environ.get('PATH', '')}", "MTOOLS_SKIP_CHECK": "1"}
    environment |= {"E2FSPROGS_FAKE_TIME": str(at), "SOURCE_DATE_EPOCH": str(at)} if at is not None else {}
    subprocess.run(command, check=True, input=given, text=True, capture_output=True, env=environment)
