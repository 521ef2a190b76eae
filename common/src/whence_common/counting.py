"""Numbers that only increase: a heartbeat's counter, a statement's sequence. Their value and each increase are bounded.

Without the bound on increases, one message with the highest number would make every later number invalid. A sender, or
an attacker who held its key for a moment, could silence the instance for the lifetime of its key.
"""

from __future__ import annotations

NUMBER_MAX = 2**53 - 1
"""The largest integer that every JSON reader represents exactly."""
LEAP_MAX = 2**24
"""How far a number may exceed the previous one. An agent skips one number for each statement that it dropped, and a
block of numbers for each restart; increasing by this bound every second, it reaches NUMBER_MAX after 17 years."""


def is_number(value: int) -> bool:
    return 0 < value <= NUMBER_MAX
