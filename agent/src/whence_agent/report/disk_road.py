"""A disk that refuses is one more side that is waited for: statements wait for it, and stages wait for room."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from whence_agent.ports_aggregator import AggregatorUnavailable
from whence_common.errors import RoadError

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


class DiskFull(RoadError):
    """Something could not be kept because its disk, or the quota on it, is full."""


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


@contextmanager
def room_on(directory: str) -> Iterator[None]:
    """Raise what a full disk refuses as DiskFull: a stage waits for room. Other OSErrors are left as they are."""
    try:
        yield
    except OSError as exc:
        if exc.errno not in _FULL:
            raise
        message = f"the disk of {directory} is full ({exc})"
        raise DiskFull("disk-full", message, fix=f"make room: df -h {directory}") from exc
