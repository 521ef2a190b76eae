"""Since when the aggregator has been able to receive from agents: the basis for judging silence and clocks."""

from __future__ import annotations

from datetime import datetime, timedelta

from whence_common.clock import Now

CLOCK_OFF_SECONDS = 300
"""AWS refuses requests that are signed with a larger clock skew: five minutes."""


class Listening:
    """Since when agents can be heard without a break: since the start, or since a message could last not be stored.

    Silence during a break is the aggregator's fault. `heard_until` is when agents were heard last before the start;
    None if no agent was heard.
    """

    def __init__(self, now: Now, *, silent_after_seconds: float, heard_until: datetime | None = None) -> None:
        self._now = now
        self.silent_after = timedelta(seconds=silent_after_seconds)
        self.since = now()
        self._heard_until = heard_until or self.since

    @property
    def heard_until(self) -> datetime:
        return self._heard_until

    def follow(self, *, since: datetime, heard_until: datetime) -> None:
        """Take the times of the process that receives from agents."""
        self.since, self._heard_until = since, heard_until

    def broken(self) -> None:
        """Record that a message of an agent could not be stored."""
        now = self._now()
        if self.since <= now - self.silent_after:
            self._heard_until = now
        self.since = now

    @property
    def silent_before(self) -> datetime:
        """Return the time before which an agent must have been heard last to be silent now.

        After a break agents have `silent_after` to be heard again: until then, agents that were speaking before it
        still count as speaking.
        """
        before = self._now() - self.silent_after
        return before if self.since <= before else min(before, self._heard_until - self.silent_after)
