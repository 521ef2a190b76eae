"""Statements that the aggregator has not acknowledged yet, on disk: bounded, checksummed, oldest first.

Each statement is a file, `<sequence>.statement`: 64 hex digits of the SHA-256 of the rest, a newline, the envelope.
When a bound is reached the oldest is dropped, counted and reported; the newest state matters most. Statements that the
aggregator refused permanently are stored in `refused`, as `<sequence>.<code>.statement`, bounded as well.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
from dataclasses import dataclass
from pathlib import Path

from whence_common.runtime.files import Disk, remove_temporaries, sync_directory, write_durably
from whence_common.runtime.logs import fields

log = logging.getLogger(__name__)

REFUSED_STATEMENTS_MAX = 100
REFUSED_BYTES_MAX = 4 * 1024 * 1024
_SUFFIX = ".statement"


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """One statement on disk."""

    sequence: int
    envelope: bytes


class Outbox:
    """The statements still to be delivered. `arrived` is set while there are any."""

    def __init__(self, directory: Path, *, statements_max: int, bytes_max: int, disk: Disk | None = None) -> None:
        self._disk = disk or Disk()
        self._directory = directory
        self._statements_max = statements_max
        self._bytes_max = bytes_max
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        remove_temporaries(directory)
        self._sizes = {int(path.stem): path.stat().st_size for path in directory.glob(f"*{_SUFFIX}") if _is_ours(path)}
        self.dropped, self.refused = self._read_counts()
        self.arrived = asyncio.Event()
        if self._sizes:
            self.arrived.set()

    def __len__(self) -> int:
        return len(self._sizes)

    def put(self, sequence: int, envelope: bytes) -> None:
        """Store a statement durably. Raises OSError; the stored statements remain then."""
        content = hashlib.sha256(envelope).hexdigest().encode() + b"\n" + envelope
        while self._sizes and not self._fits(len(content)):
            self._drop(min(self._sizes))
        write_durably(self._path(sequence), content, mode=0o600, disk=self._disk)
        self._sizes[sequence] = len(content)
        self.arrived.set()

    def oldest(self, *, after: int = -1) -> Waiting | None:
        """Return the oldest intact statement with a sequence above `after`; damaged ones are dropped and counted."""
        while (sequence := min((one for one in self._sizes if one > after), default=None)) is not None:
            try:
                content = self._path(sequence).read_bytes()
            except FileNotFoundError:
                content = b""
            checksum, _, envelope = content.partition(b"\n")
            if checksum.decode("ascii", "replace") == hashlib.sha256(envelope).hexdigest():
                return Waiting(sequence=sequence, envelope=envelope)
            log.error("statement on disk is damaged", extra=fields(sequence=sequence))
            self._drop(sequence)
        return None

    def remove(self, sequence: int) -> None:
        """Delete a statement whose receipt has been verified."""
        self._disk.step("removed")
        self._path(sequence).unlink(missing_ok=True)
        self._forget(sequence)

    @property
    def refused_directory(self) -> Path:
        return self._directory / "refused"

    def refuse(self, sequence: int, code: str) -> None:
        """Move a statement that the aggregator will never accept to `refused`. It counts as dropped. Raises OSError."""
        directory = self.refused_directory
        directory.mkdir(mode=0o700, exist_ok=True)
        self._count(refused=1)
        self._disk.step("refused")
        self._path(sequence).replace(directory / f"{sequence:016d}.{code}{_SUFFIX}")
        sync_directory(directory)
        sync_directory(self._directory)
        kept = sorted(directory.glob(f"*{_SUFFIX}"), reverse=True)
        size = 0
        for place, path in enumerate(kept):
            size += path.stat().st_size
            if place >= REFUSED_STATEMENTS_MAX or size > REFUSED_BYTES_MAX:
                path.unlink()
        self._forget(sequence)

    def set_aside(self, name: str) -> int:
        """Move all statements to `outbox-of-NAME` next to this directory, where they stay; return how many.

        The number of dropped statements moves too. Raises OSError.
        """
        target = self._directory.with_name(f"{self._directory.name}-of-{name[:16]}")
        target.mkdir(mode=0o700, exist_ok=True)
        for sequence in list(self._sizes):
            self._path(sequence).replace(target / self._path(sequence).name)
        for path in self.refused_directory.glob(f"*{_SUFFIX}"):
            (target / "refused").mkdir(mode=0o700, exist_ok=True)
            path.replace(target / "refused" / path.name)
        dropped = self._directory / "dropped.json"
        if dropped.exists():
            dropped.replace(target / dropped.name)
        sync_directory(target)
        sync_directory(self._directory)
        aside = len(self._sizes)
        self._sizes, self.dropped, self.refused = {}, 0, 0
        self.arrived.clear()
        return aside

    def _fits(self, size: int) -> bool:
        return len(self._sizes) < self._statements_max and sum(self._sizes.values()) + size <= self._bytes_max

    def _drop(self, sequence: int) -> None:
        log.error("statement dropped", extra=fields(sequence=sequence, waiting=len(self._sizes)))
        self._count()
        self.remove(sequence)

    def _count(self, *, refused: int = 0) -> None:
        self.dropped, self.refused = self.dropped + 1, self.refused + refused
        content = json.dumps({"dropped": self.dropped, "refused": self.refused}).encode()
        write_durably(self._directory / "dropped.json", content, mode=0o600, disk=self._disk)

    def _forget(self, sequence: int) -> None:
        self._sizes.pop(sequence, None)
        if not self._sizes:
            self.arrived.clear()

    def _read_counts(self) -> tuple[int, int]:
        try:
            found = json.loads((self._directory / "dropped.json").read_bytes())
            return int(found["dropped"]), int(found.get("refused", 0))
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return 0, 0

    def _path(self, sequence: int) -> Path:
        return self._directory / f"{sequence:016d}{_SUFFIX}"


def _is_ours(path: Path) -> bool:
    return path.stem.isascii() and path.stem.isdigit()
