"""Judge what an image is made of before its first step, because the steps take minutes.

Nothing is changed here.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from whence_agent.settings import read_settings
from whence_common.errors import InputError

STEPS = ("base", "provision", "disk")
_PROGRAMS = {
    "base": {"mmdebstrap": "mmdebstrap"},
    "provision": {"dpkg-deb": "dpkg", "systemd-nspawn": "systemd-container"},
    "disk": {"sfdisk": "fdisk", "mkfs.ext4": "e2fsprogs", "mkfs.vfat": "dosfstools", "mcopy": "mtools"},
}
_CREDENTIALS = "/run/credentials/whence-agent.service"


def find_mistakes(
    steps: tuple[str, ...], root: Path, *, architecture: str, package: Path | None, settings: Path | None,
    sources: Path | None,
) -> Iterator[str]:  # fmt: skip
    """Yield each reason why one of the steps would fail, or why the image would not boot; each names its fix."""
    if "base" in steps:
        if sources is not None and not sources.is_file():
            yield f"--sources {sources}: no such file"
        if mounted := list(_mounts_below(root)):
            yield f"an interrupted run left mounts in {root}: umount {' '.join(mounted)}"
    elif not root.is_dir():
        yield f"there is no {root}: the step base makes it"
    if "provision" in steps:
        yield from _mistakes_of_package(package, architecture)
        yield from _mistakes_of_settings(settings)
    if os.geteuid() != 0:
        yield "making an image needs root: run it as root"
    for step in steps:
        for program, debian in _PROGRAMS[step].items():
            if shutil.which(program) is None and shutil.which(program, path="/usr/sbin:/sbin") is None:
                yield f"{program} is missing: apt-get install {debian}"


def _mistakes_of_package(package: Path | None, architecture: str) -> Iterator[str]:
    if package is None:
        yield "--package is required for the step provision: name whence-agent's .deb (make deb)"
        return
    if not package.is_file():
        yield f"--package {package}: no such file: run `make deb`"
        return
    if shutil.which("dpkg-deb") is None:
        return
    command = ["dpkg-deb", "--show", "--showformat=${Package} ${Architecture}", str(package)]
    shown = subprocess.run(command, check=False, capture_output=True, text=True)
    if shown.returncode != 0:
        yield f"--package {package} is not a Debian package: {shown.stderr.strip()}"
    elif shown.stdout != f"whence-agent {architecture}":
        yield f"--package {package} is {shown.stdout}: the image needs whence-agent {architecture}"


def _mistakes_of_settings(settings: Path | None) -> Iterator[str]:
    if settings is None:
        yield "--settings is required for the step provision: name the platform's agent.yaml"
        return
    try:
        read_settings(settings.read_bytes(), name=str(settings), credentials_directory=_CREDENTIALS)
    except OSError as exc:
        yield f"--settings {settings}: {exc.strerror}: start from packaging/settings/agent.sample.yaml"
    except InputError as exc:
        yield f"--settings: the agent would not start with it: {exc.diagnostics()}"


def _mounts_below(root: Path) -> Iterator[str]:
    """Yield what is mounted in the root, the last first. Octal escapes are those of proc_pid_mountinfo(5)."""
    within = f"{root.resolve()}/"
    for line in reversed(Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines()):
        place = re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), line.split()[4])
        if place.startswith(within):
            yield place
