"""A disk that refuses what delivery must keep: to delivery it is one more reason why statements wait."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from whence_agent.ports import AggregatorUnavailable


@contextmanager
def disk_as_road() -> Iterator[None]:
    """Raise what the disk refuses as AggregatorUnavailable: it is tried again, and the status says why."""
    try:
        yield
    except TimeoutError:  # an OSError to Python, and somebody's deadline here
        raise
    except OSError as exc:
        message = f"the state directory cannot be written: {exc}"
        raise AggregatorUnavailable("state-unwritable", message, fix="see the disk and the permissions") from exc
