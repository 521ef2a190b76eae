"""Print the time that a build states, in seconds: SOURCE_DATE_EPOCH, else the last commit, else the changelog.

The specification is https://reproducible-builds.org/specs/source-date-epoch/.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
_RELEASED = re.compile(r"^## [0-9][0-9.]*, (\d{4}-\d{2}-\d{2})$", re.MULTILINE)
"""A chapter as packaging/release/version.py begins it."""
_FIX = "set SOURCE_DATE_EPOCH to the seconds since 1970 of the release"


class EpochUnknown(Exception):
    """Nothing states when the sources were made."""


def source_date_epoch(environment: Mapping[str, str], root: Path = ROOT) -> int:
    """Return the seconds since 1970. Raises EpochUnknown."""
    if given := environment.get("SOURCE_DATE_EPOCH"):
        if not re.fullmatch(r"[0-9]{1,11}", given):
            raise EpochUnknown(f"SOURCE_DATE_EPOCH is not a number of seconds: {_FIX}")
        return int(given)
    command = ["git", "-C", str(root), "log", "-1", "--format=%ct"]
    # A clone has its own .git; without it git would answer for a repository around the folder.
    if (root / ".git").exists() and (said := subprocess.run(command, capture_output=True, check=False)).returncode == 0:
        return int(said.stdout)
    if found := _RELEASED.search((root / "CHANGELOG.md").read_text(encoding="utf-8")):
        return int(datetime.strptime(found[1], "%Y-%m-%d").replace(tzinfo=UTC).timestamp())
    raise EpochUnknown(f"{root} is not a clone, and no heading of CHANGELOG.md has a date: {_FIX}")


if __name__ == "__main__":
    try:
        print(source_date_epoch(os.environ))
    except EpochUnknown as exc:
        sys.exit(f"epoch: {exc}")
