"""The version: it stands in common/src/whence_common/__init__.py; where a copy cannot be avoided, `PLACES` names it.

`version.py` prints the version and fails if a copy differs. `version.py 0.2.0 [DATE]` begins a release: it sets the
version, cuts CHANGELOG.md ("Unreleased" becomes "0.2.0, 2026-12-01") and prints what is left to do.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CHANGELOG = "CHANGELOG.md"
_VERSION = re.compile(r"(0|[1-9][0-9]{0,4})\.(0|[1-9][0-9]{0,4})\.(0|[1-9][0-9]{0,4})\Z")
_UNRELEASED = "## Unreleased\n"
_IMAGE = r"whence[-/](?:aggregator|database|proxy):([0-9]+\.[0-9]+\.[0-9]+)"
_HEADING = re.compile(r"## (?P<version>[0-9][0-9.]*), (?P<date>[0-9]{4}-[0-9]{2}-[0-9]{2})$", re.MULTILINE)


class ReleaseRefused(Exception):
    """The release cannot be made; the message names place and fix."""


@dataclass(frozen=True, slots=True)
class Place:
    """A file with the version; `pattern` has one group, and matches at least once."""

    file: str
    pattern: str

    def read(self, root: Path) -> str:
        """Return the version in this file. Raises ReleaseRefused."""
        found = set(re.findall(self.pattern, (root / self.file).read_text(encoding="utf-8"), re.MULTILINE))
        if len(found) != 1:
            stated = f"states {' and '.join(sorted(found))}" if found else f"has nothing like {self.pattern!r}"
            raise ReleaseRefused(f"{self.file} {stated}: it must state one version")
        return str(found.pop())

    def write(self, root: Path, version: str) -> None:
        text = (root / self.file).read_text(encoding="utf-8")
        for found in reversed(list(re.finditer(self.pattern, text, re.MULTILINE))):
            text = text[: found.start(1)] + version + text[found.end(1) :]
        (root / self.file).write_text(text, encoding="utf-8")


SOURCE = Place("common/src/whence_common/__init__.py", r'^__version__ = "([^"]+)"$')
PLACES = (
    SOURCE,
    Place("agent/pyproject.toml", r'^    "whence-common==([^"]+)",$'),
    Place("aggregator/pyproject.toml", r'^    "whence-common==([^"]+)",$'),
    Place("aggregator/src/whence_aggregator/openapi.yaml", r"^  version: ([0-9.]+)$"),
    Place("packaging/container/compose.yaml", _IMAGE),
    Place("packaging/container/README.md", _IMAGE),
    Place("packaging/kubernetes/README.md", _IMAGE),
    Place("packaging/kubernetes/aggregator.yaml", _IMAGE),
    Place("packaging/kubernetes/tables.yaml", _IMAGE),
    Place("packaging/kubernetes/witness.yaml", _IMAGE),
)
"""The first is the source. A package's dependency, a published document and the images to start need a copy."""


def current(root: Path) -> str:
    """Return the version. Raises ReleaseRefused if a copy differs from it."""
    version = SOURCE.read(root)
    for place in PLACES:
        if (found := place.read(root)) != version:
            raise ReleaseRefused(
                f"{place.file} states {found}, {SOURCE.file} {version}: run packaging/release/version.py"
            )
    return version


def set_version(root: Path, version: str) -> None:
    """Write a version to all places. Raises ReleaseRefused if it is invalid, or not above the present one."""
    if not _VERSION.match(version):
        raise ReleaseRefused(f"{version!r} is not a version: write MAJOR.MINOR.PATCH, such as 0.2.0")
    before = current(root)
    if _numbers(version) < _numbers(before):
        raise ReleaseRefused(f"{version} is below the present version {before}")
    for place in PLACES:
        place.write(root, version)


def cut(changelog: str, version: str, day: date) -> str:
    """Return the changelog with an empty "Unreleased" above the new version. Raises ReleaseRefused."""
    if any(found["version"] == version for found in _HEADING.finditer(changelog)):
        raise ReleaseRefused(f"{CHANGELOG} has a chapter for {version} already")
    head, mark, rest = changelog.partition(_UNRELEASED)
    if not mark or not rest.partition("\n## ")[0].strip():
        raise ReleaseRefused(f"{CHANGELOG} states nothing under {_UNRELEASED.strip()!r}: write what changed")
    return f"{head}{_UNRELEASED}\n## {version}, {day.isoformat()}\n{rest}"


def released_on(changelog: str, version: str) -> date:
    """Return the date of a version's chapter. Raises ReleaseRefused if there is none."""
    for found in _HEADING.finditer(changelog):
        if found["version"] == version:
            return date.fromisoformat(found["date"])
    raise ReleaseRefused(
        f"{CHANGELOG} has no chapter for {version}: run packaging/release/version.py {version} and commit"
    )


def main(words: Sequence[str], root: Path = ROOT) -> int:
    try:
        if list(words) in (["-h"], ["--help"]):
            print(__doc__)
            return 0
        if not words:
            print(current(root))
            return 0
        if len(words) > 2:
            raise ReleaseRefused("usage: version.py [MAJOR.MINOR.PATCH [DATE]]")
        version = words[0]
        day = date.fromisoformat(words[1]) if len(words) == 2 else datetime.now(UTC).date()
        changelog = cut((root / CHANGELOG).read_text(encoding="utf-8"), version, day)
        set_version(root, version)
        (root / CHANGELOG).write_text(changelog, encoding="utf-8")
    except (ReleaseRefused, ValueError) as exc:
        print(f"version.py: {exc}", file=sys.stderr)
        return 1
    print(f"{version}: {', '.join(place.file for place in PLACES)} and {CHANGELOG} are changed. Then:")
    print(f'  git commit --all --message "Release {version}"\n  git tag v{version}\n  make release KEY=release.key')
    return 0


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(one) for one in version.split("."))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
