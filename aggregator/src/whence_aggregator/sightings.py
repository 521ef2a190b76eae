"""When an instance was last heard of. Not in the log, so each row carries a seal: a MAC under the heartbeat secret."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable

from whence_aggregator.ports import Parameters, Row
from whence_common.clock import Now

Heard = tuple[str, int]
"""(instance id, number of the binding whose key spoke)."""
_SEAL_BYTES = 16


class Sightings:
    """Makes and checks sealed rows of `last_seen`."""

    def __init__(self, secret: bytes) -> None:
        self._key = hmac.digest(secret, b"whence-last-seen-v1", hashlib.sha256)

    def rows(self, heard: Iterable[Heard], seen_at: int) -> list[Parameters]:
        """Give one row an instance, of the newest binding that was heard."""
        return [
            {
                "instance_id": instance_id,
                "seen_at": seen_at,
                "enrolment": enrolment,
                "seal": self._seal(instance_id, seen_at, enrolment),
            }
            for instance_id, enrolment in dict(sorted(heard)).items()
        ]

    def holds(self, row: Row) -> bool:
        """Say whether a row is as it was written."""
        seal = self._seal(row["instance_id"], row["seen_at"], row["enrolment"])
        return hmac.compare_digest(seal, bytes(row["seal"]))

    def _seal(self, instance_id: str, seen_at: int, enrolment: int) -> bytes:
        """Seal a row; 0 stands where rows were written before bindings were kept."""
        stated = f"{instance_id} {seen_at}" + (f" {enrolment}" if enrolment else "")
        return hmac.digest(self._key, stated.encode(), "sha256")[:_SEAL_BYTES]


class Listening:
    """Since when agents can be heard without a break: since the start, or since what they sent could last not be kept.

    Silence that falls into a break is the aggregator's own.
    """

    def __init__(self, now: Now) -> None:
        self._now = now
        self.since = now()

    def broken(self) -> None:
        """Note that something an agent sent could not be kept."""
        self.since = self._now()
