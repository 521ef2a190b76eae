"""The counter of heartbeats: increases with each heartbeat of a key, also over restarts, without a sync for each.

Numbers are reserved in blocks: `heartbeats.json` next to the key holds the first number that was never reserved. A
restart continues there and leaves the rest of the block unused. The counter of a restored state directory is too low;
then the aggregator refuses a heartbeat and states the last number that it accepted, and the agent continues after it.
"""

from __future__ import annotations

import logging

from whence_agent.report.instance_key import InstanceKey
from whence_common.counting import is_number
from whence_common.runtime.logs import fields

log = logging.getLogger(__name__)

BLOCK = 64
"""With one heartbeat a minute, about one sync an hour; a restart skips at most so many numbers."""
_RECORD = "heartbeats"


class HeartbeatCounter:
    """Assigns numbers to the heartbeats of a key; a new key begins at 1."""

    def __init__(self, key: InstanceKey) -> None:
        self._key = key
        self._key_id = ""
        self._next = self._unreserved = 1

    def take(self) -> int:
        """Return a number that was never used for this key.

        After a disk error, heartbeats continue with unreserved numbers. If the agent restarts then, the aggregator
        refuses the numbers that it has accepted already.
        """
        if self._key.id != self._key_id:
            self._load()
        if self._next >= self._unreserved:
            self._reserve_from(self._next)
        number = self._next
        self._next += 1
        return number

    def follow(self, last_taken: int, *, ahead: bool) -> None:
        """Continue after the last number that the aggregator accepted.

        `ahead`: the aggregator refused a number that is too far above that one; only then the counter goes back.
        """
        wanted = last_taken + 1
        if not _is_usable(wanted) or (wanted <= self._next and not ahead):
            return
        log.warning("the heartbeat counter follows the aggregator", extra=fields(was=self._next, now=wanted))
        self._reserve_from(wanted)

    def _load(self) -> None:
        found = self._key.remembered(_RECORD).get("unreserved")
        self._next = self._unreserved = found if isinstance(found, int) and _is_usable(found) else 1
        self._key_id = self._key.id

    def _reserve_from(self, first: int) -> None:
        """Reserve a block on disk before any of its numbers is used."""
        self._next = first
        try:
            self._key.remember(_RECORD, {"unreserved": first + BLOCK})
            self._unreserved = first + BLOCK
        except OSError as exc:
            self._unreserved = first
            log.error("heartbeat numbers cannot be reserved on disk", extra=fields(error=str(exc)))


def _is_usable(first: int) -> bool:
    return is_number(first) and is_number(first + BLOCK)
