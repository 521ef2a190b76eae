"""A package's description of itself: its control file, changelog, copyright, checksums and configuration files."""

from __future__ import annotations

import gzip
import hashlib
import re
import textwrap
from collections.abc import Iterable
from datetime import UTC, datetime
from email.utils import format_datetime
from pathlib import Path

from environment import distributions, libc_least
from packages import MAINTAINER, Package
from targets import Target

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = Path(__file__).resolve().parent / "scripts"
_CONTROL = """Package: {name}
Version: {version}
Architecture: {architecture}
Maintainer: {maintainer}
Installed-Size: {size}
Depends: {python}, libc6 (>= {libc}), systemd, ca-certificates, {depends}
"""
_MIDDLE = """Section: admin
Priority: optional
Homepage: https://whence.example.org
"""
_COPYRIGHT = """This package was built from the sources of Whence.

Copyright © 2026 the Whence developers
License: Apache-2.0

On Debian systems, the complete text of the Apache License, version 2.0, is in
/usr/share/common-licenses/Apache-2.0.

{home} also contains these Python packages, as their authors published them.
The copyright and license of each is in {home}/NAME-VERSION.dist-info:

"""


def describe(package: Package, root: Path, *, target: Target, version: str, epoch: int) -> None:
    """Write DEBIAN/ and /usr/share/doc of a package whose other files are in place."""
    home = root / package.home[1:]
    documents = root / "usr/share/doc" / package.name
    documents.mkdir(parents=True, exist_ok=True)
    changes = changelog(package.name, version, (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), epoch)
    (documents / "changelog.Debian.gz").write_bytes(gzip.compress(changes.encode(), 9, mtime=0))
    listed = "".join(f"  {name} {one}: {license_}\n" for name, one, license_ in distributions(home))
    (documents / "copyright").write_text(_COPYRIGHT.format(home=package.home) + listed, encoding="utf-8")

    control = root / "DEBIAN"
    control.mkdir()
    files = sorted(path for path in root.rglob("*") if path.is_file() and control not in path.parents)
    head = _CONTROL.format(
        name=package.name, version=version, architecture=target.architecture, maintainer=MAINTAINER,
        size=_kibibytes(files), python=target.depends, libc=libc_least(home), depends=package.depends,
    )  # fmt: skip
    (control / "control").write_text(head + package.relations + _MIDDLE + package.description, encoding="utf-8")
    places = [path.relative_to(root).as_posix() for path in files]
    (control / "conffiles").write_text(
        "".join(f"/{one}\n" for one in places if one.startswith("etc/")), encoding="utf-8"
    )
    sums = [f"{hashlib.md5((root / one).read_bytes(), usedforsecurity=False).hexdigest()}  {one}\n" for one in places]
    (control / "md5sums").write_text("".join(sums), encoding="utf-8")
    for name in ("postinst", "prerm", "postrm"):
        (control / name).write_bytes((SCRIPTS / f"{package.name}.{name}").read_bytes())


def _kibibytes(files: Iterable[Path]) -> int:
    """Return Installed-Size as dpkg-gencontrol counts it: each file rounded up."""
    return sum(-(-path.stat().st_size // 1024) for path in files)


def changelog(name: str, version: str, text: str, epoch: int) -> str:
    """Return Debian's form of the newest version in CHANGELOG.md: its general part, and the part of this package."""
    newest = re.split(r"^## .*\n", text, flags=re.MULTILINE)[1]
    general, *parts = re.split(r"^### ", newest, flags=re.MULTILINE)
    own = [part.partition("\n")[2] for part in parts if part.splitlines()[0].strip() == name]
    lines = [f"{name} ({version}) stable; urgency=medium", ""]
    for entry in _entries("\n".join([general, *own])):
        lines += textwrap.wrap(
            entry, 78, initial_indent="  * ", subsequent_indent="    ", break_long_words=False, break_on_hyphens=False
        )
    written = format_datetime(datetime.fromtimestamp(epoch, UTC))
    return "\n".join([*lines, "", f" -- {MAINTAINER}  {written}", ""])


def _entries(markdown: str) -> list[str]:
    """Return the paragraphs and items of a text in Markdown, each in one line, without its links."""
    plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", markdown)
    entries: list[str] = []
    for block in re.split(r"\n\s*\n|^\s*- ", plain, flags=re.MULTILINE):
        if words := " ".join(block.split()):
            entries.append(words)
    return entries
