"""Numbers that only grow: a heartbeat's counter, a statement's sequence. Bounded, and bounded in how far they leap.

Without the second bound one message with the highest number would leave no room for any after it: its sender, or
whoever had its key for a moment, would have silenced the instance for as long as its key lives.
"""

from __future__ import annotations

NUMBER_MAX = 2**53 - 1
"""The largest that every JSON reader keeps exactly."""
LEAP_MAX = 2**24
"""How far a number may be above the last one. A heartbeat a second reaches NUMBER_MAX in 17 years of nothing else, and
an honest agent skips one number for each statement it had to drop, or a block for each restart."""


def is_number(value: int) -> bool:
    return 0 < value <= NUMBER_MAX
