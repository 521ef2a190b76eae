"""Which files of a root are the packages', which they or the machine make, and which nobody accounts for."""

from __future__ import annotations

import fnmatch
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from landscape.processes import run

NAMES = ("whence-agent", "whence-aggregator")
MADE = (
    "/usr/lib/whence-a*/__pycache__", "/usr/lib/whence-a*/__pycache__/*.pyc",  # by postinst, compiled
    "/var/lib/whence-agent", "/etc/taupage.yaml", "/mounts", "/mounts/.whence*",  # by tmpfiles.d
    "/var/lib/private/whence-*", "/var/lib/whence-*",  # state directories of the services
    "/etc/systemd/system/*.wants/whence-*", "/var/lib/systemd/deb-systemd-helper-enabled/*whence-*",
    "/var/lib/systemd/deb-systemd-helper-enabled/sockets.target.wants",  # enabled units
    "/var/lib/dpkg/info/whence-*",
)  # fmt: skip
"""What is there after a run and in no package: who makes it is said."""
OF_THE_MACHINE = (
    "/var/log/*", "/var/cache/*", "/var/lib/apt/*", "/var/lib/dpkg/[!i]*", "/etc/machine-id", "/var/lib/dbus/*", "/root/*",
    "/var/lib/systemd/[!d]*", "/var/lib/private", "/etc/.pwd.lock", "/etc/passwd-", "/etc/group-", "/etc/shadow-", "/etc/gshadow-", "/booted",
    "/etc/.updated", "/var/.updated", "/var/tmp/*", "/etc/systemd/system/booted.service", "/etc/systemd/system/default.target.wants*",
    "/etc/systemd/system/*.target.wants", "/etc/resolv.conf", "/etc/localtime", "/etc/hostname",
)  # fmt: skip
"""What dpkg, apt, a boot and the harness of these tests leave, whatever package is installed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Installed:
    """A root with both packages, and its layers, the uppermost first. `before` is every path that was in it before, when
    what they depend on was there."""

    root: Path
    layers: tuple[Path, ...]
    before: frozenset[str]


def none_of(found: Iterable[str], patterns: Iterable[str]) -> list[str]:
    """Return, in order, what no pattern accounts for."""
    return sorted(one for one in found if not any(fnmatch.fnmatchcase(one, pattern) for pattern in patterns))


async def owned(root: Path) -> set[str]:
    """Return every path that dpkg knows of the packages."""
    listed = await run("dpkg-query", f"--root={root}", "--listfiles", *NAMES)
    return {line for line in listed.splitlines() if line.startswith("/")}


def paths(root: Path) -> Iterator[str]:
    """Yield every path in a root, without /proc and what else is of the kernel."""
    for directory, folders, files in os.walk(root):
        place = Path(directory).relative_to(root)
        if place == Path():
            folders[:] = [one for one in folders if one not in ("proc", "sys", "dev", "run", "tmp")]
        yield from (f"/{(place / one).as_posix()}" for one in (*folders, *files))
