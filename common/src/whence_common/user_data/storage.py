"""Disks in user data: EBS volumes, RAID arrays, mounts. Only devices that are named here are formatted."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from whence_common.errors import one_line
from whence_common.user_data import readers
from whence_common.user_data.mount_options import read_mount_options
from whence_common.user_data.section import Section

FileSystem = Literal["ext2", "ext3", "ext4", "xfs", "tmpfs"]
FILE_SYSTEMS: tuple[FileSystem, ...] = ("ext2", "ext3", "ext4", "xfs", "tmpfs")
RAID_LEVELS = ("0", "1", "4", "5", "6", "10")
_DEVICE = re.compile(r"/dev/[a-z0-9][a-z0-9/_-]{0,62}\Z")
_EBS_DEVICE = re.compile(r"/dev/(?:sd|xvd|hd)[a-z]{1,2}[0-9]{0,2}\Z")
"""The device names that EC2 accepts; the instance may use another name for the device."""
_PATH = re.compile(r"(?:/[A-Za-z0-9._@%+-]{1,255})+/?\Z")
_PATH_CHARACTERS_MAX = 512
_MOUNTS_MAX = 50
_NOT_MOUNTED_OVER = frozenset(
    {"/meta", "/proc", "/sys", "/dev", "/etc", "/usr", "/bin", "/sbin", "/lib", "/boot",
     "/etc/hosts", "/etc/hostname", "/etc/resolv.conf"}
)  # fmt: skip
"""Directories of the system and the agent, and files that the engine writes into each container."""
_NOT_MOUNTED_BELOW = ("/meta/", "/proc/", "/sys/")
_LEVEL_NAMES = {
    "raid0": "0", "stripe": "0", "raid1": "1", "mirror": "1", "raid4": "4", "raid5": "5", "raid6": "6", "raid10": "10",
}  # fmt: skip
"""mdadm's names of the levels, which Taupage accepted."""
_DEVICES_LEAST = {"6": 4}
_DEVICES_MAX = 128
_ARRAYS_MAX = 16
_NAME_CHARACTERS_MAX = 255


@dataclass(frozen=True, slots=True, kw_only=True)
class RaidArray:
    device: str
    level: str
    devices: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Mount:
    """Without `device` and tmpfs, a directory of the host. With `erase` None, the volume's tag decides."""

    path: str
    device: str | None
    file_system: FileSystem
    options: tuple[str, ...]
    erase: bool | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Storage:
    volumes: tuple[tuple[str, str], ...] = ()
    """Pairs of device and Name tag."""
    arrays: tuple[RaidArray, ...] = ()
    mounts: tuple[Mount, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.volumes or self.arrays or self.mounts)


def read_storage(root: Section) -> Storage:
    """Return the `volumes` and `mounts`."""
    section = root.section("volumes")
    volumes = _volumes(section) if section is not None else ()
    arrays = _arrays(section) if section is not None else ()
    mounts = _mounts(root)
    _used_once(root, volumes, arrays, mounts)
    return Storage(volumes=volumes, arrays=arrays, mounts=mounts)


def twins(device: str) -> tuple[str, ...]:
    """Return the names of one device: /dev/sdX and /dev/xvdX are the same disk."""
    for one, other in (("/dev/sd", "/dev/xvd"), ("/dev/xvd", "/dev/sd")):
        if device.startswith(one):
            return device, other + device.removeprefix(one)
    return (device,)


def _volumes(section: Section) -> tuple[tuple[str, str], ...]:
    ebs = section.section("ebs")
    if ebs is None:
        return ()
    read = []
    for device in ebs.node.entries:
        name = ebs.text(device)
        if name is None:
            continue
        if not _EBS_DEVICE.match(device):
            _no_device(ebs, device, device)
        elif not name or len(name) > _NAME_CHARACTERS_MAX:
            ebs.error(
                device, "volume-name-malformed", "the Name tag is empty or too long", "write the volume's Name tag"
            )
        else:
            read.append((device, name))
    return tuple(read)


def _arrays(section: Section) -> tuple[RaidArray, ...]:
    raid = section.section("raid")
    if raid is None:
        return ()
    read = []
    if len(raid.node.entries) > _ARRAYS_MAX:
        raid.error("", "arrays-too-many", f"there are more than {_ARRAYS_MAX} arrays", "use fewer")
    for device, array in raid.sections():
        if not re.fullmatch(r"/dev/md[0-9]{1,3}|/dev/md/[a-z0-9_-]{1,32}", device):
            _no_device(raid, device, device)
        level, devices = array.choice("level", *RAID_LEVELS, *_LEVEL_NAMES), array.texts("devices")
        level = _LEVEL_NAMES.get(level or "", level)
        for one in devices:
            if not _DEVICE.match(one):
                _no_device(array, "devices", one)
        least = _DEVICES_LEAST.get(level or "", 2)
        if array.get("devices") is not None and not least <= len(set(devices)) <= _DEVICES_MAX:
            message = f"{array.path} needs from {least} to {_DEVICES_MAX} devices"
            array.error("devices", "raid-devices", message, f"name at least {least}")
        if level is not None:
            read.append(RaidArray(device=device, level=level, devices=devices))
    return tuple(read)


def _mounts(root: Section) -> tuple[Mount, ...]:
    section = root.section("mounts")
    read: list[Mount] = []
    if section is not None and len(section.node.entries) > _MOUNTS_MAX:
        section.error("", "mounts-too-many", f"there are more than {_MOUNTS_MAX} mounts", "use fewer")
    for path, mount in section.sections(null_as_empty=True) if section is not None else ():
        assert section is not None
        malformed = not _PATH.match(path) or len(path) > _PATH_CHARACTERS_MAX
        if malformed or ".." in path.split("/") or "." in path.split("/"):
            section.error(
                path, "mount-path-malformed", f"{one_line(path, 60)!r} is not an absolute path", "write it like /data"
            )
            continue
        place = path.rstrip("/")
        if place in _NOT_MOUNTED_OVER or place.startswith(_NOT_MOUNTED_BELOW):
            message = f"{path} is reserved for the system or the agent"
            section.error(path, "mount-path-refused", message, "mount it elsewhere")
        if any(place == one.path for one in read):
            section.error(path, "mount-path-twice", f"{place} is mounted twice", "keep one")
        read.append(_mount(place, mount))
    for one in read:
        above = next((other for other in read if one.path.startswith(f"{other.path}/") and "ro" in other.options), None)
        if above is not None and section is not None:
            message = f"{one.path} cannot be created in {above.path}, which is mounted read-only"
            section.error("", "mount-below-read-only", message, "remove ro, or mount it elsewhere")
    return tuple(sorted(read, key=lambda one: one.path))


def _mount(path: str, section: Section) -> Mount:
    device = section.text("partition")
    system = section.choice("filesystem", *FILE_SYSTEMS) or "ext4"
    if system == "tmpfs" and device not in (None, "none"):
        section.warning("partition", "mount-tmpfs-device", "tmpfs needs no device", "write partition: none")
    elif system != "tmpfs" and device is not None and not _DEVICE.match(device):
        _no_device(section, "partition", device)
    node = section.get("erase_on_boot")
    erase = readers.flag(node, section.name_of("erase_on_boot"), section.findings) if node is not None else None
    return Mount(
        path=path,
        device="none" if system == "tmpfs" else device,
        file_system=next(one for one in FILE_SYSTEMS if one == system),
        options=read_mount_options(section, system),
        erase=erase,
    )


def _used_once(
    root: Section, volumes: tuple[tuple[str, str], ...], arrays: tuple[RaidArray, ...], mounts: tuple[Mount, ...]
) -> None:
    """Report devices, volumes and names that are used more than once."""
    used: dict[str, str] = {}
    uses = [(device, array.device) for array in arrays for device in array.devices]
    uses += [(mount.device, mount.path) for mount in mounts if mount.device not in (None, "none") and mount.device]
    for device, user in uses:
        name = twins(device)[-1] if device.startswith("/dev/sd") else device
        if name in used:
            message = f"{one_line(device, 60)} is used by {used[name]} and by {user}"
            root.error(
                "mounts" if root.get("mounts") is not None else "volumes", "device-twice", message, "use it once"
            )
        used[name] = user
    devices = [twins(device)[-1] if device.startswith("/dev/sd") else device for device, _ in volumes]
    if len(set(devices)) < len(devices):
        root.error("volumes", "device-twice", "volumes.ebs has one device twice, as sd and as xvd", "use two devices")
    names = [name for _, name in volumes]
    for name in {name for name in names if names.count(name) > 1}:
        message = f"the volume {one_line(name, 60)} is attached twice"
        root.error("volumes", "volume-twice", message, "name two volumes")


def _no_device(section: Section, name: str, device: str) -> None:
    section.error(name, "device-malformed", f"{one_line(device, 60)!r} is not a device", "write it like /dev/xvdf")
