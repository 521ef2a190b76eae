"""When an instance was last heard of. Not in the log, so each row carries a seal: a MAC under the heartbeat secret."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable
from datetime import datetime, timedelta

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

    def sealed(self, row: Row) -> Parameters:
        """Give a row its seal anew: after the secret was lost."""
        stated = {name: row[name] for name in ("instance_id", "seen_at", "enrolment")}
        return {**stated, "seal": self._seal(**stated)}

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

    Silence that falls into a break is the aggregator's own. `heard_until` is when agents were heard last before the
    start; None means that none ever was.
    """

    def __init__(self, now: Now, *, silent_after_seconds: float, heard_until: datetime | None = None) -> None:
        self._now = now
        self.silent_after = timedelta(seconds=silent_after_seconds)
        self.since = now()
        self._heard_until = heard_until or self.since

    def broken(self) -> None:
        """Note that something an agent sent could not be kept."""
        now = self._now()
        if self.since <= now - self.silent_after:
            self._heard_until = now
        self.since = now

    @property
    def silent_before(self) -> datetime:
        """Return the time before which an agent must have been heard last to be silent now.

        After a break agents get `silent_after` to be heard again: until then, those that spoke before it still count
        as speaking.
        """
        before = self._now() - self.silent_after
        return before if self.since <= before else min(before, self._heard_until - self.silent_after)
