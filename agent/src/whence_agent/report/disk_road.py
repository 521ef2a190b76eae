"""Disk errors as retryable errors: delivery waits for the state directory, and stages wait for free space."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from whence_agent.ports_aggregator import AggregatorUnavailable
from whence_common.errors import RoadError

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


class DiskFull(RoadError):
    """A file could not be written because its disk, or the quota on it, is full."""


@contextmanager
def disk_as_unavailable() -> Iterator[None]:
    """Raise OSError as AggregatorUnavailable, so that it is retried and the status shows the reason."""
    try:
        yield
    except TimeoutError:  # a subclass of OSError, but here a caller's deadline
        raise
    except OSError as exc:
        message = f"the state directory cannot be written: {exc}"
        fix = "check the disk and the permissions of the directory"
        raise AggregatorUnavailable("state-unwritable", message, fix=fix) from exc


@contextmanager
def full_disk_as_retryable(directory: str) -> Iterator[None]:
    """Raise the OSError of a full disk as DiskFull, so that a stage waits for space. Others are raised unchanged."""
    try:
        yield
    except OSError as exc:
        if exc.errno not in _FULL:
            raise
        message = f"the disk of {directory} is full ({exc})"
        raise DiskFull("disk-full", message, fix=f"free space: df -h {directory}") from exc
