"""The packages of a root: Debian's with their origins by apt's lists, and the Python packages of whence-agent."""

from __future__ import annotations

import gzip
import json
import lzma
import os
from collections.abc import Iterable, Iterator, Mapping
from email.parser import BytesHeaderParser
from pathlib import Path
from typing import BinaryIO

from whence_common.ami_provenance import UNKNOWN, AmiPackage, python_name
from whence_common.errors import InputError
from whence_common.installed_packages import (
    STATUS_PATH,
    UPDATES_PATH,
    InstalledPackage,
    is_update,
    parse_status,
    status_lines,
)

AGENT_HOME = "usr/lib/whence-agent"
_LISTS = "var/lib/apt/lists"
_METADATA_BYTES_MAX = 256 * 1024
_RELEASE_BYTES_MAX = 1024 * 1024
_OPENERS = {"": open, ".gz": gzip.open, ".xz": lzma.open}
Origin = tuple[str, str, str]
"""Origin, suite and component."""
PackageKey = tuple[str, str, str]
"""Name, architecture and version."""
_NOTED_BYTES_MAX = 4 * 1024 * 1024


def debian_packages(root: Path) -> list[InstalledPackage]:
    """Return the packages that dpkg installed in a root. Raises InputError or OSError."""
    updates = root / UPDATES_PATH
    if updates.is_dir() and any(is_update(one.name) for one in updates.iterdir()):
        raise InputError(
            "dpkg-interrupted", f"{updates} has what dpkg did not finish", fix="run dpkg --configure -a in the root"
        )
    with (root / STATUS_PATH).open("rb") as stream:
        found = parse_status(status_lines(stream))
    if not found:
        raise InputError("root-empty", f"{root / STATUS_PATH} lists no package", fix="pass the image's root")
    return found


def all_packages(root: Path, noted: Mapping[PackageKey, Origin] | None = None) -> list[AmiPackage]:
    """Return all packages of a root, sorted. Raises InputError or OSError.

    `noted`: origins that `write_origins` noted while the root had apt's lists; None: it has them.
    """
    installed, distribution = debian_packages(root), _distribution(root)
    origins = noted if noted is not None else origins_of(root)
    found = []
    for one in installed:
        origin, suite, component = origins.get((one.name, one.architecture, one.version), (UNKNOWN,) * 3)
        found.append(
            AmiPackage(
                system="deb", name=one.name, architecture=one.architecture, version=one.version,
                distribution=distribution, origin=origin, suite=suite, component=component,
            )
        )  # fmt: skip
    return sorted([*found, *_python_packages(root / AGENT_HOME)])


def origins_of(root: Path) -> dict[PackageKey, Origin]:
    """Return the origins of the installed packages by the lists of apt. Raises InputError or OSError."""
    return _origins(root / _LISTS, {(one.name, one.architecture, one.version) for one in debian_packages(root)})


def write_origins(root: Path, file: Path) -> None:
    """Note the origins of a root's packages in a file, before its lists are removed. Raises InputError or OSError."""
    noted = sorted([*key, *origin] for key, origin in origins_of(root).items())
    write_atomically(file, json.dumps(noted, indent=0).encode("ascii"))


def read_origins(file: Path) -> dict[PackageKey, Origin]:
    """Return origins that were noted. Raises InputError or OSError."""
    with file.open("rb") as stream:
        content = stream.read(_NOTED_BYTES_MAX + 1)
    try:
        if len(content) > _NOTED_BYTES_MAX:
            raise ValueError("it is too large")
        return {(a, b, c): (d, e, f) for a, b, c, d, e, f in json.loads(content)}
    except (ValueError, TypeError, RecursionError) as exc:
        raise InputError(
            "origins-malformed", f"{file} does not have the origins of packages", fix="note them again"
        ) from exc


def _distribution(root: Path) -> str:
    """Return the distribution with its release, as in `debian-12`; empty if os-release does not state both."""
    try:
        text = (root / "usr/lib/os-release").read_text("utf-8", "replace")
    except FileNotFoundError:
        return ""
    stated = dict(line.partition("=")[::2] for line in text.splitlines())
    named, release = (stated.get(one, "").strip("\"'") for one in ("ID", "VERSION_ID"))
    return f"{named}-{release}".replace(".", "-") if named and release else named


def _python_packages(home: Path) -> Iterator[AmiPackage]:
    """Yield the Python packages below a folder. Raises InputError for one that states no name or version."""
    for metadata in sorted(home.rglob("*.dist-info/METADATA")):
        with metadata.open("rb") as stream:
            stated = BytesHeaderParser().parsebytes(stream.read(_METADATA_BYTES_MAX).partition(b"\n\n")[0])
        name, version = stated.get("Name"), stated.get("Version")
        if not name or not version:
            raise InputError("metadata-malformed", f"{metadata} states no Name and Version")
        yield AmiPackage(system="pypi", name=python_name(name), architecture="", version=version.strip())


def _origins(lists: Path, wanted: set[tuple[str, str, str]]) -> dict[tuple[str, str, str], Origin]:
    """Return the origins of the wanted versions. What two sources state differently is unknown."""
    found: dict[tuple[str, str, str], Origin] = {}
    for path in sorted(lists.glob("*_Packages*")) if lists.is_dir() else ():
        suffix = path.name.partition("_Packages")[2]
        if suffix not in _OPENERS:
            continue
        origin = _origin_of(path)
        with _OPENERS[suffix](path, "rb") as stream:  # type: ignore[operator]  # each of them opens a file of bytes
            for key in _offered(stream):
                if key in wanted:
                    found[key] = _agreed(found.get(key), origin)
    return found


def _agreed(known: Origin | None, other: Origin) -> Origin:
    if known is None:
        return other
    one, two, three = (mine if mine == theirs else UNKNOWN for mine, theirs in zip(known, other, strict=True))
    return one, two, three


def _origin_of(path: Path) -> Origin:
    """Return origin and suite as the release of a list states them, and the component that its name states."""
    release, _, rest = path.name.partition("_binary-")[0].rpartition("_")
    component = rest if "_dists_" in path.name else UNKNOWN
    for name in (f"{release}_InRelease", f"{release}_Release"):
        file = path.parent / name
        if file.is_file():
            with file.open("rb") as stream:
                stated = _fields(stream.read(_RELEASE_BYTES_MAX).splitlines())
            return stated.get("Origin", UNKNOWN), stated.get("Suite", UNKNOWN), component or UNKNOWN
    return UNKNOWN, UNKNOWN, component or UNKNOWN


def _fields(lines: Iterable[bytes]) -> dict[str, str]:
    stated: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(b":")
        if colon and name in (b"Origin", b"Suite"):
            stated.setdefault(name.decode(), value.strip().decode("utf-8", "replace")[:100] or UNKNOWN)
    return stated


def _offered(stream: BinaryIO) -> Iterator[tuple[str, str, str]]:
    """Yield name, architecture and version of each stanza of a list of packages."""
    stanza: dict[bytes, str] = {}
    for line in stream:
        if not line.strip():
            yield stanza.get(b"Package", ""), stanza.get(b"Architecture", ""), stanza.get(b"Version", "")
            stanza = {}
        name, colon, value = line.partition(b":")
        if colon and name in (b"Package", b"Architecture", b"Version"):
            stanza[name] = value.strip().decode("utf-8", "replace")
    yield stanza.get(b"Package", ""), stanza.get(b"Architecture", ""), stanza.get(b"Version", "")


def make_folder(file: Path) -> None:
    """Create the folder of a file of an image. Raises OSError."""
    file.parent.mkdir(mode=0o755, parents=True, exist_ok=True)


def write_atomically(file: Path, content: bytes) -> None:
    """Write a file of an image, readable for all. Raises OSError."""
    temporary = file.with_name(file.name + ".new")
    with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o644), "wb") as stream:
        stream.write(content)
    temporary.chmod(0o644)
    temporary.replace(file)
