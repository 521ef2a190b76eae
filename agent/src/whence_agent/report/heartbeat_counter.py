"""The counter of heartbeats: grows with each one of a key, also over restarts, without a sync to disk for each.

Numbers are reserved in blocks: `heartbeats.json` beside the key holds the first number that was never given out. A
restart goes on there and leaves the rest of the block unused. A state directory that was restored is behind; then the
aggregator refuses a heartbeat, states the last number it took, and the agent goes on after that one.
"""

from __future__ import annotations

import logging

from whence_agent.report.instance_key import InstanceKey
from whence_common.counting import is_number
from whence_common.runtime.logs import fields

log = logging.getLogger(__name__)

BLOCK = 64
"""At a heartbeat a minute one sync an hour; a restart skips so many at most."""
_RECORD = "heartbeats"


class HeartbeatCounter:
    """Gives out numbers for the heartbeats of a key; another key begins at 1."""

    def __init__(self, key: InstanceKey) -> None:
        self._key = key
        self._key_id = ""
        self._next = self._unreserved = 1

    def take(self) -> int:
        """Return a number that was never given out for this key.

        A disk that refuses silences no machine: it goes on unreserved. Should it restart then, the aggregator refuses
        the numbers that it took already.
        """
        if self._key.id != self._key_id:
            self._load()
        if self._next >= self._unreserved:
            self._go_on_at(self._next)
        number = self._next
        self._next += 1
        return number

    def follow(self, last_taken: int, *, ahead: bool) -> None:
        """Go on after the last number that the aggregator took.

        `ahead`: the aggregator refused a number because it is too far above that one, so go back; never otherwise.
        """
        wanted = last_taken + 1
        if not _is_usable(wanted) or (wanted <= self._next and not ahead):
            return
        log.warning("the heartbeat counter follows the aggregator", extra=fields(was=self._next, now=wanted))
        self._go_on_at(wanted)

    def _load(self) -> None:
        found = self._key.remembered(_RECORD).get("unreserved")
        self._next = self._unreserved = found if isinstance(found, int) and _is_usable(found) else 1
        self._key_id = self._key.id

    def _go_on_at(self, first: int) -> None:
        """Make a block durable before any of its numbers is used."""
        self._next = first
        try:
            self._key.remember(_RECORD, {"unreserved": first + BLOCK})
            self._unreserved = first + BLOCK
        except OSError as exc:
            self._unreserved = first
            log.error("heartbeat numbers cannot be reserved on disk", extra=fields(error=str(exc)))


def _is_usable(first: int) -> bool:
    return is_number(first) and is_number(first + BLOCK)
