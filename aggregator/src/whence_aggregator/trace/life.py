"""The life of an instance, derived from the newest EC2 listing and its newest statement. Pure.

A listing shows states as they were when it began or later; a statement recorded after that is newer evidence.
"""

from __future__ import annotations

from typing import Literal, cast, get_args

Life = Literal["pending", "running", "stopping", "stopped", "shutting-down", "terminated", "unknown"]
LIVES: tuple[Life, ...] = get_args(Life)
ENDED: tuple[Life, ...] = ("shutting-down", "terminated")
"""States that an instance does not leave for another life."""
GONE = "gone"
"""The inventory's state of an instance that the API no longer lists: it was terminated."""
CLOCK_SLACK_MILLIS = 1_000
"""The time of recording is accurate to about a second, and is never later than the recording itself."""


def listed_life(state: str) -> Life:
    """Return the life for a listed state; a state that EC2 does not document is `unknown`."""
    if state == GONE:
        return "terminated"
    return next((life for life in LIVES if life == state), "unknown")


def as_life(text: str) -> Life:
    """Return the life in a row's column."""
    return cast(Life, text)


def life_of(*, listed: str, asked_at: int, cause: str, spoke_at: int) -> Life:
    """Return an instance's life.

    `listed` is the state in the newest listing, empty when the instance was in no listing; `asked_at` is when that
    listing began. `cause` is the cause of its newest statement, empty before the first; `spoke_at` is when that was
    recorded. Times are milliseconds of the aggregator's clock.
    """
    if not listed:
        return "stopped" if cause == "stop" else "unknown"
    life = listed_life(listed)
    if not cause or spoke_at < asked_at - CLOCK_SLACK_MILLIS:
        return life
    if cause == "stop":
        return "stopping" if life in ("pending", "running") else life
    return "unknown" if life in ("stopping", "stopped") else life
