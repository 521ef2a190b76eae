"""When an instance was last heard of. Not in the log, so each row carries a seal: a MAC under the heartbeat secret."""

from __future__ import annotations

import hashlib
import hmac

from whence_aggregator.ports import Parameters, Row

_SEAL_BYTES = 16


class Sightings:
    """Makes and checks sealed rows of `last_seen`."""

    def __init__(self, secret: bytes) -> None:
        self._key = hmac.digest(secret, b"whence-last-seen-v1", hashlib.sha256)

    def row(self, instance_id: str, seen_at: int) -> Parameters:
        return {"instance_id": instance_id, "seen_at": seen_at, "seal": self._seal(instance_id, seen_at)}

    def holds(self, row: Row) -> bool:
        """Say whether a row is as it was written."""
        return hmac.compare_digest(self._seal(row["instance_id"], row["seen_at"]), bytes(row["seal"]))

    def _seal(self, instance_id: str, seen_at: int) -> bytes:
        return hmac.digest(self._key, b"%s %d" % (instance_id.encode(), seen_at), "sha256")[:_SEAL_BYTES]
