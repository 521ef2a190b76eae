"""Which branches and tags of a repository count as protected, according to whom, and as of when."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from whence_aggregator.ports import ProtectedNames, SourceUnavailable
from whence_aggregator.trackers.protection import ProtectionReader
from whence_common.clock import Now, to_instant
from whence_common.errors import one_line
from whence_common.scm_source import SourceRepository

SETTINGS = "settings"
"""In place of a host in `by`: the operator states it."""
_REASON_CHARACTERS_MAX = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class ProtectionStatement:
    """What one source states: the settings or a code host. `unread`: the host did not answer; `reason` states why."""

    by: str
    names: ProtectedNames
    read_at: str
    reason: str = ""
    unread: bool = False

    def to_wire(self) -> dict[str, Any]:
        return {
            "by": self.by, "branches": list(self.names.branches), "tags": list(self.names.tags),
            "read_at": self.read_at, "reason": self.reason, "unread": self.unread,
        }  # fmt: skip


class ProtectionSources:
    """The settings of each Git server, and the code hosts that are read."""

    def __init__(
        self, *, settings: Mapping[str, ProtectedNames], hosts: Mapping[str, ProtectionReader], now: Now
    ) -> None:
        self._settings = settings
        self._hosts = hosts
        self._now = now

    async def of(self, place: SourceRepository) -> list[ProtectionStatement]:
        """Return what is stated about a repository; a host that does not answer is an unread statement."""
        now = to_instant(self._now())
        found = []
        names = self._settings.get(place.host, ProtectedNames())
        if names != ProtectedNames():
            found.append(ProtectionStatement(by=SETTINGS, names=names, read_at=now))
        reader = self._hosts.get(place.host)
        if reader is None:
            return found
        try:
            stated = await reader.protected(place.path)
        except SourceUnavailable as exc:
            reason = one_line(exc.message, _REASON_CHARACTERS_MAX)
            found.append(ProtectionStatement(
                by=place.host, names=ProtectedNames(), read_at=now, reason=reason, unread=True
            ))  # fmt: skip
        else:
            names = ProtectedNames(branches=stated.branches, tags=stated.tags)
            found.append(ProtectionStatement(by=place.host, names=names, read_at=now, reason=stated.reason))
        return found


def covers(protection: Sequence[Mapping[str, Any]], ref: str) -> bool:
    """Return whether a recorded statement protects a branch or tag (`heads/main`, `tags/v1`)."""
    kind, _, name = ref.partition("/")
    member = {"heads": "branches", "tags": "tags"}.get(kind, "")
    return any(fnmatchcase(name, str(pattern)) for one in protection for pattern in one.get(member, ()))


def steady(protection: Sequence[Mapping[str, Any]]) -> list[tuple[object, ...]]:
    """Return what is stated, without the time and without hosts that did not answer: their change is news."""
    return [(one["by"], *one["branches"], "", *one["tags"]) for one in protection if not one["unread"]]


def carried(before: Sequence[Mapping[str, Any]], now: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return what is stated now; for a host that did not answer, its last statement, with its time."""
    known = {one["by"]: one for one in before if not one["unread"]}
    return [dict(known.get(one["by"], one)) if one["unread"] else dict(one) for one in now]
