"""The paths of devices on this machine, and the check that a device is not in use."""

from __future__ import annotations

import os
import re
import stat
import time
from dataclasses import dataclass
from pathlib import Path

from whence_agent.machine.protocol import MachineFailed
from whence_common.errors import one_line
from whence_common.user_data.storage import twins

_DEVICE = re.compile(r"/dev/[a-z0-9][a-z0-9/_-]{0,62}\Z")
_VOLUME = re.compile(r"vol-[0-9a-f]{8,17}\Z")
_LOOK_SECONDS = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class MachinePaths:
    """The directories `dev`, `mounts` and `root`; tests use their own."""

    dev: Path = Path("/dev")
    mounts: Path = Path("/mounts")
    root: Path = Path("/")
    wait_seconds_max: float = 60.0

    def device(self, name: str, volume: str | None = None) -> Path:
        """Return the block device of a name; waits for it up to `wait_seconds_max`. Raises MachineFailed."""
        if not _DEVICE.match(name) or ".." in name or (volume is not None and not _VOLUME.match(volume)):
            raise MachineFailed("device-malformed", f"{one_line(name, 60)!r} is not a device")
        ends = time.monotonic() + self.wait_seconds_max
        while True:
            for candidate in self._candidates(name, volume):
                if candidate.exists():
                    return _block_device(candidate, name)
            if time.monotonic() >= ends:
                break
            time.sleep(_LOOK_SECONDS)
        waited = f"within {self.wait_seconds_max:g} seconds"
        raise MachineFailed("device-missing", f"{name} did not appear {waited}", fix="attach it, or correct its name")

    def exists(self, name: str) -> bool:
        return any(candidate.exists() for candidate in self._candidates(name, None))

    def unused(self, device: Path, name: str) -> None:
        """Check that a device is neither mounted nor part of another device. Raises MachineFailed."""
        number = device.stat().st_rdev
        used = {os.makedev(*map(int, line.split()[2].split(":"))) for line in _mount_lines()}
        block = Path(f"/sys/dev/block/{os.major(number)}:{os.minor(number)}").resolve()
        below = [number, *_numbers(block)]
        if used & set(below) or list((block / "holders").glob("*")):
            fix = "use another device; a device in use is not formatted or mounted again"
            raise MachineFailed("device-in-use", f"{name} is in use on this machine", fix=fix)

    def source_of(self, mount_id: int | None) -> str | None:
        """Return a mount's source: a device, or the name of a file system without one; None if there is no mount."""
        for line in _mount_lines() if mount_id is not None else ():
            parts = line.split()
            if int(parts[0]) == mount_id:
                return _unescaped(parts[parts.index("-") + 2])
        return None

    def _candidates(self, name: str, volume: str | None) -> list[Path]:
        named = [self.dev / twin.removeprefix("/dev/") for twin in twins(name)]
        if volume is None:
            return named
        serial = "nvme-Amazon_Elastic_Block_Store_" + volume.replace("-", "")
        return [self.dev / "disk" / "by-id" / serial, *named]


def _block_device(path: Path, name: str) -> Path:
    real = path.resolve()
    if not stat.S_ISBLK(real.stat().st_mode):
        raise MachineFailed("device-not-block", f"{name} is not a block device")
    return real


def _numbers(block: Path) -> list[int]:
    """Return the device numbers of a disk's partitions."""
    found = []
    for entry in block.glob("*/dev"):
        if (entry.parent / "partition").exists():
            major, minor = entry.read_text(encoding="ascii").split(":")
            found.append(os.makedev(int(major), int(minor)))
    return found


def _mount_lines() -> list[str]:
    return Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines()


def _unescaped(text: str) -> str:
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), text)
