"""Files that were made for a visitor, such as a report: held in memory for a while, for that visitor to save."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from whence_common.clock import Now, utc_now

HELD_SECONDS = 900.0
BYTES_MAX = 64 * 1024 * 1024
"""Of all files of all visitors; the oldest are dropped first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _HeldSet:
    until: datetime
    size: int
    files: Mapping[str, bytes]


class HeldFiles:
    """Holds files by visitor and digest. What one visitor made is not handed to another, who may read less."""

    def __init__(self, *, now: Now = utc_now) -> None:
        self._now = now
        self._sets: OrderedDict[tuple[str, frozenset[str]], _HeldSet] = OrderedDict()
        self._size = 0

    def hold(self, visitor: str, files: Mapping[str, bytes]) -> bool:
        """Hold files by their digests; return whether there is room for them."""
        size = sum(map(len, files.values()))
        if size > BYTES_MAX:
            return False
        key = (visitor, frozenset(files))
        self._drop(key)
        self._sets[key] = _HeldSet(
            until=self._now() + timedelta(seconds=HELD_SECONDS), size=size, files=dict(files)
        )  # fmt: skip
        self._size += size
        for each in list(self._sets):
            if self._size > BYTES_MAX or self._sets[each].until <= self._now():
                self._drop(each)
        return True

    def find(self, visitor: str, digest: str) -> bytes | None:
        """Return a file that was made for a visitor; None if it is not held, or not any more."""
        for (owner, digests), held in reversed(self._sets.items()):
            if owner == visitor and digest in digests and held.until > self._now():
                return held.files[digest]
        return None

    def _drop(self, key: tuple[str, frozenset[str]]) -> None:
        held = self._sets.pop(key, None)
        self._size -= held.size if held is not None else 0
