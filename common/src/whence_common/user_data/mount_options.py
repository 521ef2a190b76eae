"""Mount options: only harmless ones, and only those that the file system's kernel driver supports."""

from __future__ import annotations

import re

from whence_common.errors import one_line
from whence_common.user_data.section import Section

_ALL = """
_netdev async atime auto defaults diratime dirsync exec lazytime noatime noauto nodev nodiratime noexec nofail
norelatime nosuid nouser relatime ro rw strictatime sync
"""
_EXT = "acl user_xattr barrier nobarrier discard nodiscard noquota"
_JOURNAL = f"{_EXT} data=ordered data=writeback data=journal"
_OF_ALL = frozenset(_ALL.split())
_OF_ONE = {
    name: frozenset(options.split())
    for name, options in {
        "ext2": _EXT,
        "ext3": _JOURNAL,
        "ext4": f"{_JOURNAL} journal_checksum nodelalloc",
        "xfs": "discard nodiscard inode64 largeio nolargeio nouuid noquota",
        "tmpfs": "inode64",
    }.items()
}
_SIZED = {
    "ext2": r"stripe=[0-9]{1,9}|errors=(?:continue|remount-ro|panic)|barrier=[01]",
    "ext3": r"commit=[0-9]{1,6}|stripe=[0-9]{1,9}|errors=(?:continue|remount-ro|panic)|barrier=[01]",
    "ext4": r"commit=[0-9]{1,6}|stripe=[0-9]{1,9}|errors=(?:continue|remount-ro|panic)|barrier=[01]",
    "xfs": r"logbufs=[2-8]|logbsize=(?:16k|32k|64k|128k|256k|16384|32768|65536|131072|262144)|"
    r"allocsize=(?:4|8|16|32|64|128|256|512)k|allocsize=(?:1|2|4|8|16|32|64|128|256|512)m|allocsize=1g",
    "tmpfs": r"size=(?:[0-9]{1,15}[kmg]?|[0-9]{1,3}%)|nr_inodes=[0-9]{1,12}[kmg]?|mode=[0-7]{1,4}",
}
_NOACL = frozenset({"noacl"})
_GONE = {"xfs": frozenset({"barrier", "nobarrier"}), "ext2": _NOACL, "ext3": _NOACL, "ext4": _NOACL}
"""Current kernels refuse to mount with these: barriers and access lists can no longer be switched off."""
_OPTIONS_MAX = 40


def is_mount_option(option: str) -> bool:
    """Return whether an option is allowed for any file system."""
    return any(_fits(option, system) for system in _OF_ONE)


def plain_options(file_system: str) -> frozenset[str]:
    """Return a file system's options without numeric arguments."""
    return _OF_ALL | _OF_ONE[file_system]


def read_mount_options(section: Section, file_system: str) -> tuple[str, ...]:
    """Return the allowed `options` that the file system supports, and report the others. Spaces are removed."""
    text = section.text("options") or ""
    read = []
    for option in dict.fromkeys(option for option in text.replace(" ", "").split(",") if option):
        if option in _GONE.get(file_system, ()):
            message = f"{section.name_of('options')}: {option} is ignored, since {file_system} no longer has it"
            section.warning("options", "mount-option-gone", message, "remove it")
        elif _fits(option, file_system):
            read.append(option)
        elif is_mount_option(option):
            message = f"{section.name_of('options')}: {file_system} does not support {option}; the mount would fail"
            section.error("options", "mount-option-of-another", message, "remove it, or correct filesystem")
        else:
            message = f"{section.name_of('options')}: {one_line(option, 40)} is not allowed"
            section.error("options", "mount-option-refused", message, "remove it")
    if len(read) > _OPTIONS_MAX:
        section.error("options", "mount-option-refused", f"there are more than {_OPTIONS_MAX} options", "use fewer")
    return tuple(read)


def _fits(option: str, file_system: str) -> bool:
    return option in plain_options(file_system) or re.fullmatch(_SIZED[file_system], option) is not None
