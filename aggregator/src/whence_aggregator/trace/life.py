"""Whether an instance lives, from what the EC2 API last listed and what its newest statement said. Pure.

A listing shows states as they were when it began or later; a statement that was recorded after that beginning is newer
evidence, and is weighed against it.
"""

from __future__ import annotations

from typing import Literal, cast, get_args

Life = Literal["pending", "running", "stopping", "stopped", "shutting-down", "terminated", "unknown"]
LIVES: tuple[Life, ...] = get_args(Life)
ENDED: tuple[Life, ...] = ("shutting-down", "terminated")
"""States from which no instance comes back."""
GONE = "gone"
"""The inventory's state of an instance that the API lists no more. It lists all others, so this one was terminated."""
CLOCK_SLACK_MILLIS = 1_000
"""The time of recording is known to about a second, and is never later than the recording itself."""


def listed_life(state: str) -> Life:
    """Return the life that a listed state means; a state that EC2 has never documented is unknown."""
    if state == GONE:
        return "terminated"
    return next((life for life in LIVES if life == state), "unknown")


def as_life(text: str) -> Life:
    """Return what a row holds, which is a life."""
    return cast(Life, text)


def life_of(*, listed: str, asked_at: int, cause: str, spoke_at: int) -> Life:
    """Return an instance's life.

    `listed` is the state of the newest listing, empty when no listing ever showed the instance; `asked_at` is when
    that listing began. `cause` is the cause of its newest statement, empty before the first; `spoke_at` is when that
    was recorded. Times are milliseconds of the aggregator's clock.
    """
    if not listed:
        return "stopped" if cause == "stop" else "unknown"
    life = listed_life(listed)
    if not cause or spoke_at < asked_at - CLOCK_SLACK_MILLIS:
        return life
    if cause == "stop":
        return "stopping" if life in ("pending", "running") else life
    return "unknown" if life in ("stopping", "stopped") else life
