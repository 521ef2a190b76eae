"""Which version of the Engine's API is spoken: the newest that both sides know. Pure."""

from __future__ import annotations

import re

NEWEST = (1, 51)
"""The newest version that the contract tests have passed with (Docker 28.5). Later ones may take fields away."""
_VERSION = re.compile(r"(\d{1,3})\.(\d{1,3})\Z")


def choose_version(*, newest: str, oldest: str) -> str:
    """Choose from what an engine says of itself: `ApiVersion` and `MinAPIVersion`; either may be missing.

    An engine that no longer speaks ours is asked for its oldest one, which is the nearest. Docker 20.10 has 1.41, which
    is Podman's too; Docker 29 goes back to 1.44.
    """
    chosen = min(NEWEST, _parse(newest) or NEWEST)
    return ".".join(map(str, max(chosen, _parse(oldest) or chosen)))


def _parse(version: str) -> tuple[int, int] | None:
    match = _VERSION.match(version)
    return (int(match[1]), int(match[2])) if match else None
