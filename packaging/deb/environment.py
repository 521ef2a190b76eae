"""Fill a package's own Python environment: wheels by hash, for the target's Python and processor, and nothing else.

The files of a wheel are neither stripped nor changed, so they can be compared with the wheel that the lock names.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import struct
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from email.parser import HeaderParser
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from targets import Target

_OF_PIP = ("direct_url.json", "INSTALLER", "RECORD", "REQUESTED")
"""What pip notes about this installation; the paths in it are those of the machine that builds."""
_ELF_HEADER = struct.Struct("<4sBB10xHH")
_LIBC_LEAST = 17


class BuildRefused(Exception):
    """A package would not work where it is meant to; the message states the fix."""


def fill(target: Target, folder: Path, *, lock: Path, ours: Sequence[Path], wheelhouse: Path) -> None:
    """Install the lock's wheels and ours into a folder. Raises BuildRefused, and CalledProcessError of pip."""
    options = [*target.pip_options, "--quiet", "--no-deps", "--only-binary=:all:"]
    locked = ["--require-hashes", "-r", str(lock)]
    install = ["install", "--no-compile", "--no-index", "--target", str(folder)]
    wheelhouse.mkdir(parents=True, exist_ok=True)
    from_wheelhouse = (*install, "--find-links", str(wheelhouse), *options, *locked)
    try:
        with _locked(wheelhouse, fcntl.LOCK_SH):
            _pip(*from_wheelhouse, quiet=True)
    except subprocess.CalledProcessError:  # the wheelhouse lacks some
        with _locked(wheelhouse, fcntl.LOCK_EX):
            _pip("download", "--dest", str(wheelhouse), *options, *locked)
        with _locked(wheelhouse, fcntl.LOCK_SH):
            _pip(*from_wheelhouse)
    _pip(*install, "--upgrade", *options, *map(str, ours))
    shutil.rmtree(folder / "bin", ignore_errors=True)
    for name in _OF_PIP:
        for noted in folder.glob(f"*.dist-info/{name}"):
            noted.unlink()
    _check_libraries(target, folder)
    _check_complete(target, folder)


@contextmanager
def _locked(folder: Path, how: int) -> Iterator[None]:
    """Hold a lock on a folder: builds of several targets share it, and none may read a wheel that is not whole."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, how)
        yield
    finally:
        os.close(descriptor)


def _pip(*words: str, quiet: bool = False) -> None:
    subprocess.run(
        [sys.executable, "-m", "pip", "--disable-pip-version-check", *words],
        check=True,
        stderr=subprocess.DEVNULL if quiet else None,
    )


def distributions(folder: Path) -> Iterator[tuple[str, str, str]]:
    """Yield name, version and license of each distribution, by name."""
    for metadata in sorted(folder.glob("*.dist-info/METADATA")):
        found = HeaderParser().parsestr(metadata.read_text(encoding="utf-8"))
        stated = found["License-Expression"] or found["License"] or ""
        classified = [one.rpartition(" :: ")[2] for one in found.get_all("Classifier", []) if one.startswith("License")]
        license_ = stated if 0 < len(stated) < 60 else " or ".join(classified) or "see its files"
        yield found["Name"], found["Version"], license_


def libc_least(folder: Path) -> str:
    """Return the oldest glibc that every wheel in a folder accepts, such as 2.34, by the tags in their WHEEL files."""
    needed = _LIBC_LEAST
    for wheel in folder.glob("*.dist-info/WHEEL"):
        tags = HeaderParser().parsestr(wheel.read_text(encoding="utf-8")).get_all("Tag", [])
        platforms = [one for tag in tags for one in tag.rpartition("-")[2].split(".")]
        minors = [int(one.split("_")[2]) for one in platforms if one.startswith("manylinux_2_")]
        if not any(one in ("any", "manylinux2014_x86_64", "manylinux2014_aarch64") for one in platforms):
            needed = max(needed, min(minors))
    return f"2.{needed}"


def _check_libraries(target: Target, folder: Path) -> None:
    for library in sorted(folder.rglob("*.so*")):
        abi = f".cpython-{target.abi.removeprefix('cp')}-"
        if not (abi in library.name or library.name.endswith(".abi3.so")):
            raise BuildRefused(f"{library.name} is not for Python {target.python}: run `make lock`")
        with library.open("rb") as file:
            magic, bits, order, _, machine = _ELF_HEADER.unpack(file.read(_ELF_HEADER.size))
        if (magic, bits, order, machine) != (b"\x7fELF", 2, 1, target.elf_machine):
            raise BuildRefused(f"{library.name} is not for {target.architecture}: run `make lock`")


def _check_complete(target: Target, folder: Path) -> None:
    """Refuse an environment that lacks what a distribution needs on the target.

    pip resolves with the markers of the Python that runs it, so a lock may lack what only another Python needs.
    """
    versions = {canonicalize_name(name): version for name, version, _ in distributions(folder)}
    environment = {
        "python_version": target.python, "python_full_version": f"{target.python}.0", "extra": "",
        "implementation_name": "cpython", "platform_python_implementation": "CPython", "os_name": "posix",
        "sys_platform": "linux", "platform_system": "Linux", "platform_machine": target.machine,
    }  # fmt: skip
    for metadata in sorted(folder.glob("*.dist-info/METADATA")):
        found = HeaderParser().parsestr(metadata.read_text(encoding="utf-8"))
        for line in found.get_all("Requires-Dist", []):
            needed = Requirement(line)
            if needed.marker is not None and not needed.marker.evaluate(environment):
                continue
            present = versions.get(canonicalize_name(needed.name))
            if present is None or not needed.specifier.contains(present, prereleases=True):
                fix = f"add it to the dependencies with its marker, and run `make lock` with Python {target.python}"
                raise BuildRefused(f"{found['Name']} needs {line!r} on Python {target.python}: {fix}")
