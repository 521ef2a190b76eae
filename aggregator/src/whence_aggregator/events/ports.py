"""Ports of the trail's reader: queues, objects and public keys. None of them has a third-party type."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from whence_aggregator.events.log_file import LogFile


@dataclass(frozen=True, slots=True, kw_only=True)
class QueuedMessage:
    """A message of a queue. `receipt` extends or deletes it; `sent_at` is in milliseconds, 0 when not stated."""

    body: str
    receipt: str
    sent_at: int


class TrailQueue(Protocol):
    """A queue with notifications about a trail. Raises SourceUnavailable."""

    @property
    def url(self) -> str: ...

    @property
    def region(self) -> str: ...

    async def receive(self) -> Sequence[QueuedMessage]:
        """Wait for messages, for as long as a long poll takes; they are hidden from others for VISIBILITY_SECONDS."""

    async def extend(self, receipts: Sequence[str]) -> None:
        """Hide messages for another VISIBILITY_SECONDS."""

    async def delete(self, receipts: Sequence[str]) -> None: ...

    async def waiting(self) -> int:
        """Return about how many messages wait."""


VISIBILITY_SECONDS = 120


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadObject:
    """An object as it is stored. `signature` is that of a digest file, from the object's metadata."""

    content: bytes
    etag: str
    signature: str = ""
    generated_at: str = ""
    """Of a backfill digest file: when it was generated, from the object's metadata."""


class TrailObjects(Protocol):
    """The buckets with log and digest files."""

    async def read(self, bucket: str, key: str, *, unless_etag: str = "") -> ReadObject | None:
        """Return an object; None when it still has the ETag `unless_etag`.

        Raises SourceUnavailable, and TrailRefused for an object that does not exist (`object-missing`) or is too large.
        """


class LogFileReader(Protocol):
    async def read(self, content: bytes) -> LogFile:
        """Read a log file without holding up the event loop. Raises TrailRefused."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrailPublicKey:
    """A public key of CloudTrail in one region: PKCS#1 in DER."""

    fingerprint: str
    content: bytes


class TrailKeys(Protocol):
    async def listed(self, region: str, *, starts_at: int, ends_at: int) -> Sequence[TrailPublicKey]:
        """Return the keys that signed digest files in a period, in milliseconds. Raises SourceUnavailable."""
