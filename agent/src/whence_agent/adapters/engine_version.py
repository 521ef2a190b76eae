"""Choose the version of the Engine's API: the newest that both sides support. Pure."""

from __future__ import annotations

import re

NEWEST = (1, 51)
"""The newest version that the contract tests cover (Docker 28.5). Later ones may remove fields."""
_VERSION = re.compile(r"(\d{1,3})\.(\d{1,3})\Z")


def choose_version(*, newest: str, oldest: str) -> str:
    """Return the version to use, by the engine's `ApiVersion` and `MinAPIVersion`; either may be missing.

    With an engine that no longer supports ours, its oldest version is used. Docker 20.10 and Podman have 1.41; Docker
    29 supports 1.44 and later.
    """
    chosen = min(NEWEST, _parse(newest) or NEWEST)
    return ".".join(map(str, max(chosen, _parse(oldest) or chosen)))


def _parse(version: str) -> tuple[int, int] | None:
    match = _VERSION.match(version)
    return (int(match[1]), int(match[2])) if match else None
