"""Ages of tags that were pushed before the front existed: as their images state, otherwise by their versions."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from whence_common.clock import parse_instant, to_instant

CREATED = "org.opencontainers.image.created"
_FIRST = datetime(2013, 1, 1, tzinfo=UTC)
"""The first year of docker: reproducible builds state 1970 or 1980, which is not an age."""
_TOKEN = re.compile(r"(-?)([0-9]+)|([A-Za-z]+)")
UNKNOWN_AGE = to_instant(datetime.fromtimestamp(0, UTC))


@dataclass(frozen=True, slots=True, kw_only=True)
class AgedTag:
    """A tag, and when its image states to have been built; None when it states no plausible time."""

    tag: str
    made_at: datetime | None


def made_at(config: Mapping[str, Any], annotations: Mapping[str, str], now: datetime) -> datetime | None:
    """Return when an image was built, by its configuration or its annotation."""
    for stated in (config.get("created"), annotations.get(CREATED)):
        if not isinstance(stated, str):
            continue
        try:
            moment = parse_instant(stated)
        except ValueError:
            continue
        if _FIRST <= moment <= now:
            return moment
    return None


def by_age(tags: Sequence[AgedTag]) -> list[tuple[str, str]]:
    """Return tags with their times, the oldest first.

    A tag of unknown age has the age of the version before it, and is never newer than a later version of known age.
    """
    found: list[tuple[str, str]] = []
    before = UNKNOWN_AGE
    for one in sorted(tags, key=lambda one: _version(one.tag)):
        if one.made_at is not None:
            before = to_instant(one.made_at)
        found.append((one.tag, before))
    return sorted(found, key=lambda one: one[1])


def _version(tag: str) -> tuple[tuple[int, int, str], ...]:
    """Order 1.9 before 1.10, and 1.0-rc1 before 1.0 before 1.0-2 before 1.0.1."""
    found = []
    for dash, number, word in _TOKEN.findall(tag):
        found.append((0, 0, word) if word else (2 if dash else 3, int(number), ""))
    return (*found, (1, 0, tag))
