"""The packages of a Debian root, as dpkg's status file lists them. Pure.

Source of the format: deb-control(5) and dpkg's `/var/lib/dpkg/status`, stanzas that empty lines separate. What dpkg has
changed since, it keeps in numbered files in `/var/lib/dpkg/updates` until it ends; after an interruption they stay.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sized
from typing import BinaryIO

import msgspec

from whence_common.errors import InputError

STATUS_PATH = "var/lib/dpkg/status"
UPDATES_PATH = "var/lib/dpkg/updates"
UPDATES_MAX = 1_000
"""dpkg writes its status file anew after 250."""
STATUS_BYTES_MAX = 64 * 1024 * 1024
PACKAGES_MAX = 10_000
_LINE_BYTES_MAX = 1024 * 1024
_NAME = re.compile(r"[a-z0-9][a-z0-9+.-]{0,199}\Z")
_ARCHITECTURE = re.compile(r"[a-z0-9][a-z0-9-]{0,39}\Z")
_VERSION = re.compile(r"[!-~]{1,256}\Z")
_ABSENT = ("not-installed", "config-files")
"""States of packages of which no program or library is on the disk; in all others, some may be."""
_UPDATE = re.compile(r"[0-9]{1,8}\Z")
_WANTED = (b"Package", b"Status", b"Version", b"Architecture")


class StatusInvalid(InputError):
    """dpkg's status file cannot be read as one."""


class InstalledPackage(msgspec.Struct, frozen=True, order=True):
    """A package of a machine, by its name and architecture."""

    name: str
    architecture: str
    version: str

    @property
    def key(self) -> tuple[str, str]:
        return self.name, self.architecture


def parse_status(lines: Iterable[bytes], updates: Iterable[bytes] = ()) -> list[InstalledPackage]:
    """Return the packages on the disk, in order. Raises StatusInvalid, which names the line.

    `updates`: the lines of dpkg's updates, in the order of their names, with an empty line after each file.
    """
    found: dict[tuple[str, str], InstalledPackage] = {}
    for number, stanza in _stanzas(lines):
        if _is_absent(stanza):
            continue
        package = _package(stanza, number)
        if package.key in found:
            message = f"line {number}: {package.name}:{package.architecture} is listed twice"
            raise StatusInvalid("dpkg-status-malformed", message, fix=_FIX)
        found[package.key] = package
        _check_number(found)
    for number, stanza in _stanzas(updates):
        if _is_absent(stanza):
            name, architecture = (stanza.get(one, b"").decode("utf-8", "replace") for one in _WANTED[::3])
            found.pop((name, architecture), None)
        else:
            package = _package(stanza, number)
            found[package.key] = package
            _check_number(found)
    return sorted(found.values())


def is_update(name: str) -> bool:
    """Return whether a file in dpkg's folder of updates is one; others are not finished."""
    return _UPDATE.match(name) is not None


def status_lines(stream: BinaryIO) -> Iterator[bytes]:
    """Yield the lines of an open file for `parse_status`; a line that is too long is not read to its end."""
    while line := stream.readline(_LINE_BYTES_MAX + 1):
        yield line


def packages_digest(packages: Iterable[InstalledPackage]) -> str:
    """Return the digest of a list of packages: of one line `name architecture version` for each, sorted."""
    lines = (f"{one.name} {one.architecture} {one.version}\n" for one in sorted(packages))
    return "sha256:" + hashlib.sha256("".join(lines).encode()).hexdigest()


def is_package_name(text: str) -> bool:
    return _NAME.match(text) is not None


def is_package_version(text: str) -> bool:
    """Return whether a text is printable and short; not every one is a version that can be compared."""
    return _VERSION.match(text) is not None


def is_architecture(text: str) -> bool:
    return _ARCHITECTURE.match(text) is not None


_FIX = "compare with: dpkg-query --show --showformat '${Package} ${Architecture} ${Version} ${Status}\\n'"


def _stanzas(lines: Iterable[bytes]) -> Iterator[tuple[int, Mapping[bytes, bytes]]]:
    """Yield the wanted fields of each stanza, with the number of its first line."""
    fields: dict[bytes, bytes] = {}
    first, size = 1, 0
    for number, line in enumerate(lines, start=1):
        size += len(line)
        if size > STATUS_BYTES_MAX or len(line) > _LINE_BYTES_MAX:
            message = f"line {number}: the file is larger than {STATUS_BYTES_MAX} bytes, or a line is too long"
            raise StatusInvalid("dpkg-status-too-large", message)
        if not line.strip():
            if fields:
                yield first, fields
            fields, first = {}, number + 1
            continue
        name, colon, value = line.partition(b":")
        if line[:1] in b" \t" or name not in _WANTED:
            continue
        if name in fields or not colon:
            raise StatusInvalid("dpkg-status-malformed", f"line {number}: {name.decode()} is repeated", fix=_FIX)
        fields[name] = value.strip()
    if fields:
        yield first, fields


def _is_absent(stanza: Mapping[bytes, bytes]) -> bool:
    return stanza.get(b"Status", b"").split()[-1:] in ([one.encode()] for one in _ABSENT)


def _check_number(found: Sized) -> None:
    if len(found) > PACKAGES_MAX:
        raise StatusInvalid("dpkg-status-too-large", f"more than {PACKAGES_MAX} packages are installed")


def _package(stanza: Mapping[bytes, bytes], number: int) -> InstalledPackage:
    name, architecture, version = (
        stanza.get(one, b"").decode("utf-8", "replace") for one in (b"Package", b"Architecture", b"Version")
    )
    if not is_package_name(name) or not is_architecture(architecture) or not is_package_version(version):
        message = f"line {number}: the stanza has no well-formed Package, Architecture and Version: {name[:60]!r}"
        raise StatusInvalid("dpkg-status-malformed", message, fix=_FIX)
    return InstalledPackage(name, architecture, version)
