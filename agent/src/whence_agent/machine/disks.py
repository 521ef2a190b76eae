"""Disks: arrays, file systems, mounts. Formats only what the request says to erase, and nothing that is in use."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from whence_agent.machine.directories import Directory, directory
from whence_agent.machine.place import MachinePaths
from whence_agent.machine.programs import Programs
from whence_agent.machine.protocol import ArrayRequest, MachineFailed, MountRequest, StorageRequest
from whence_common.errors import one_line
from whence_common.user_data.mount_options import is_mount_option
from whence_common.user_data.storage import FILE_SYSTEMS, RAID_LEVELS

_PATH = re.compile(r"(/[A-Za-z0-9._@%+-]{1,255})+\Z")
_ARRAY = re.compile(r"/dev/md[0-9]{1,3}\Z|/dev/md/[a-z0-9_-]{1,32}\Z")
_MEMBER = "linux_raid_member"
_ALWAYS = ("nosuid", "nodev")
_FORMAT_SECONDS_MAX = 600.0
_CHECK_SECONDS_MAX = 1800.0
_SHORT_SECONDS_MAX = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Disks:
    place: MachinePaths
    programs: Programs

    def prepare(self, request: StorageRequest) -> list[str]:
        """Create the requested arrays and mounts; return what was done. Idempotent. Raises MachineFailed."""
        done: list[str] = []
        erased = {mount.device for mount in request.mounts if mount.erase}
        for array in request.arrays:
            done += self._array(array, request.volumes, may_overwrite=array.device in erased)
        for mount in sorted(request.mounts, key=lambda one: one.path):
            done += self._mount(mount, request.volumes)
        return done

    def _array(self, array: ArrayRequest, volumes: dict[str, str], *, may_overwrite: bool) -> list[str]:
        if not _ARRAY.match(array.device) or array.level not in RAID_LEVELS or len(set(array.devices)) < 2:
            raise MachineFailed(
                "array-malformed", f"{one_line(array.device, 60)!r} is not an array of at least two devices"
            )
        if self.place.exists(array.device):
            return []
        members = [self.place.device(name, volumes.get(name)) for name in array.devices]
        for member, name in zip(members, array.devices, strict=True):
            self.place.unused(member, name)
        types = {self._type(member) for member in members}
        if types == {_MEMBER}:
            self.programs.run("mdadm", "--assemble", array.device, *map(str, members), seconds_max=_SHORT_SECONDS_MAX)
            return [f"assembled {array.device}"]
        if _MEMBER in types and not may_overwrite:
            message = f"some devices of {array.device} are members of an array, and others are not"
            fix = "add the others by mdadm --add; or set erase_on_boot: true for the mount, which makes the array anew"
            raise MachineFailed("array-incomplete", message, fix=fix)
        if types != {""} and not may_overwrite:
            fix = "set erase_on_boot: true for the mount on this array if its members may be overwritten"
            raise MachineFailed("array-would-overwrite", f"a member of {array.device} contains data", fix=fix)
        self.programs.run(
            "mdadm", "--create", array.device, "--run", f"--level={array.level}", f"--raid-devices={len(members)}",
            *map(str, members), seconds_max=_SHORT_SECONDS_MAX,
        )  # fmt: skip
        return [f"created {array.device}"]

    def _mount(self, mount: MountRequest, volumes: dict[str, str]) -> list[str]:
        _check(mount)
        with directory(self.place.mounts, mount.path) as target:
            if mount.device is None:
                target.open_to_all()
                return []
            present = self.place.source_of(target.mount_id)
            if mount.file_system == "tmpfs":
                if present is None:
                    self._run_mount("tmpfs", mount.options, "none", target)
                return [] if present is not None else [f"mounted tmpfs at {target.path}"]
            return self._mount_device(
                mount, self.place.device(mount.device, volumes.get(mount.device)), present, target
            )

    def _mount_device(self, mount: MountRequest, device: Path, present: str | None, target: Directory) -> list[str]:
        assert mount.device is not None
        if present is not None and present.startswith("/") and Path(present).resolve() == device:
            return []  # the agent was restarted: the mounted device is in use, and is not erased
        if present is not None:
            raise MachineFailed("mount-taken", f"{present} is mounted at {target.path}", fix="use another path")
        self.place.unused(device, mount.device)
        done = self._format(device, mount) if mount.erase else self._repair(device, mount)
        self._run_mount(mount.file_system, mount.options, str(device), target)
        with target.reopened() as root:
            if os.fstat(root.descriptor).st_dev != device.stat().st_rdev:
                message = f"{target.path} was replaced while {mount.device} was being mounted"
                raise MachineFailed("mount-path-changed", message, fix="check which program writes there; boot again")
            self._grow(device, mount.file_system, root)
            if "ro" not in mount.options:
                root.open_to_all()
        return [*done, f"mounted {mount.device} at {target.path}"]

    def _format(self, device: Path, mount: MountRequest) -> list[str]:
        if mount.file_system == "xfs":
            options = ["-f", "-K"]
        else:
            owner = f",root_owner={mount.owner[0]}:{mount.owner[1]}" if mount.owner is not None else ""
            options = ["-F", "-q", "-E", f"nodiscard{owner}"]
        self.programs.run(f"mkfs.{mount.file_system}", *options, str(device), seconds_max=_FORMAT_SECONDS_MAX)
        return [f"formatted {mount.device} as {mount.file_system}"]

    def _repair(self, device: Path, mount: MountRequest) -> list[str]:
        found = self._type(device)
        if not found:
            fix = "set erase_on_boot: true once, or tag the volume Taupage:erase-on-boot=True"
            raise MachineFailed("device-without-file-system", f"{mount.device} has no file system", fix=fix)
        if found != mount.file_system:
            message = f"{mount.device} has {one_line(found, 30)}, not {mount.file_system}"
            raise MachineFailed("device-other-file-system", message, fix="correct filesystem")
        if mount.file_system == "xfs":
            self.programs.run("xfs_repair", str(device), seconds_max=_CHECK_SECONDS_MAX)
        else:
            self.programs.run("e2fsck", "-f", "-p", str(device), seconds_max=_CHECK_SECONDS_MAX, ends_with=(0, 1))
        return []

    def _run_mount(self, file_system: str, options: list[str], device: str, target: Directory) -> None:
        """Mount on the open directory. Without --no-canonicalize, mount would resolve the path again."""
        joined = ",".join([*_ALWAYS, *options])
        self.programs.run(
            "mount", "--no-canonicalize", "-t", file_system, "-o", joined, device, target.place,
            seconds_max=_SHORT_SECONDS_MAX, inherits=(target.descriptor,),
        )  # fmt: skip

    def _grow(self, device: Path, file_system: str, root: Directory) -> None:
        """Grow the file system to the volume's size; a failure is only reported, since the data is accessible."""
        command = ("xfs_growfs", root.place) if file_system == "xfs" else ("resize2fs", str(device))
        try:
            self.programs.run(*command, seconds_max=_FORMAT_SECONDS_MAX, inherits=(root.descriptor,))
        except MachineFailed as exc:
            self.programs.say(f"not grown: {exc.message}")

    def _type(self, device: Path) -> str:
        """Return the type that blkid finds on a device, not from its cache; empty if there is none."""
        code, output = self.programs.run(
            "blkid", "-p", "-o", "value", "-s", "TYPE", str(device), seconds_max=_SHORT_SECONDS_MAX, ends_with=(0, 2)
        )
        if code == 0 and output.strip():
            return output.strip().splitlines()[0]
        code, output = self.programs.run(
            "blkid", "-p", "-o", "value", "-s", "PTTYPE", str(device), seconds_max=_SHORT_SECONDS_MAX, ends_with=(0, 2)
        )
        return f"a partition table ({output.strip()})" if code == 0 and output.strip() else ""


def _check(mount: MountRequest) -> None:
    parts = mount.path.split("/")
    if not _PATH.match(mount.path) or ".." in parts or "." in parts:
        raise MachineFailed("mount-path-malformed", f"{one_line(mount.path, 60)!r} is not an absolute path")
    if mount.file_system not in FILE_SYSTEMS:
        raise MachineFailed(
            "file-system-unknown", f"{one_line(mount.file_system, 30)!r} is not a supported file system"
        )
    if not all(is_mount_option(option) for option in mount.options):
        raise MachineFailed("mount-option-refused", f"an option of {mount.path} is not allowed")
    if mount.owner is not None and not all(0 < part < 2**31 for part in mount.owner):
        raise MachineFailed("owner-malformed", "the owner must be a user and group id from 1 to 2^31 - 1")
