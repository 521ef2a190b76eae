"""A disk of the same root is the same whenever it is made: none of its times is later than the image's."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from landscape.whole import ROOT

sys.path.insert(0, str(ROOT / "packaging/ami"))
from disk_times import limit_times, set_times

AT = 1_790_000_000
OFFSET = 1024 * 1024
SBIN = {**os.environ, "PATH": f"/usr/sbin:{os.environ['PATH']}"}


def made(root: Path, disk: Path) -> bytes:
    """Make a file system of a root in a disk; return the disk."""
    with disk.open("wb") as stream:
        stream.truncate(OFFSET + 4 * 1024 * 1024)
    limit_times(root, AT)
    options = f"offset={OFFSET},hash_seed=e25802e5-146c-51cd-90c3-3b8ca8e95d73"
    made_at = {**SBIN, "E2FSPROGS_FAKE_TIME": str(AT)}
    command = (
        "mkfs.ext4",
        "-q",
        "-F",
        "-U",
        "5f1d1a70-7c60-5f0c-9f58-0c4d5b1f6f2a",
        "-E",
        options,
        "-d",
        root,
        disk,
        "4M",
    )
    subprocess.run(command, check=True, capture_output=True, env=made_at)
    set_times(disk, OFFSET, AT)
    return disk.read_bytes()


def root_of(directory: Path, *, younger: int) -> Path:
    """Make a root whose files were modified in another order, and one of them long ago."""
    root = directory / f"root-{younger}"
    (root / "etc").mkdir(parents=True)
    for name in ("new", "old"):
        (root / "etc" / name).write_text(name)
    (root / "link").symlink_to("etc/new")
    os.utime(root / "etc/new", (AT + younger, AT + younger))
    os.utime(root / "etc/old", (AT + younger, 1_000_000_000))
    return root


def shown(disk: Path, path: str) -> str:
    place = f"{disk}?offset={OFFSET}"
    done = subprocess.run(
        ["debugfs", "-R", f"stat {path}", place], check=True, capture_output=True, text=True, env=SBIN
    )  # fmt: skip
    return done.stdout


def test_two_roots_of_the_same_content_make_the_same_disk(tmp_path: Path) -> None:
    disks = [made(root_of(tmp_path, younger=one), tmp_path / f"disk-{one}") for one in (1, 100_000)]
    assert disks[0] == disks[1]
    checked = subprocess.run(
        ["e2fsck", "-fn", f"{tmp_path / 'disk-1'}?offset={OFFSET}"], capture_output=True, text=True, env=SBIN, check=False
    )  # fmt: skip
    assert checked.returncode == 0, checked.stdout


def test_a_file_keeps_the_time_at_which_it_was_modified_if_that_is_earlier(tmp_path: Path) -> None:
    made(root_of(tmp_path, younger=5), tmp_path / "disk")
    old, new = shown(tmp_path / "disk", "/etc/old"), shown(tmp_path / "disk", "/etc/new")
    assert f"mtime: 0x{1_000_000_000:08x}" in old
    assert f"mtime: 0x{AT:08x}" in new
    for one in (old, new):
        assert f"ctime: 0x{AT:08x}:00000000" in one
