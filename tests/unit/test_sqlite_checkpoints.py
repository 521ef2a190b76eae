"""The thread that moves pages from SQLite's log to the database file."""

from __future__ import annotations

import sqlite3
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from whence_aggregator.storage.sqlite_checkpoints import Checkpoints

SECONDS_MAX = 20.0


def is_closed(checkpoints: Checkpoints, *, after_seconds: float = 0.0) -> bool:
    closing = threading.Timer(after_seconds, checkpoints.close)
    closing.daemon = True
    closing.start()
    closing.join(SECONDS_MAX)
    return not closing.is_alive()


def written(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("pragma journal_mode=wal")
    connection.execute("pragma wal_autocheckpoint=0")
    connection.execute("create table one (value)")
    return connection


@pytest.fixture
def hasty() -> Iterator[None]:
    """Have threads take turns as often as they can, so that few trials find a race."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("hasty")
def test_it_closes_when_its_pause_ends_at_the_same_moment(tmp_path: Path) -> None:
    written(tmp_path / "any.db").close()
    for trial in range(400):
        checkpoints = Checkpoints(tmp_path / "any.db", pause_seconds=0.001)
        checkpoints.committed()
        assert is_closed(checkpoints, after_seconds=0.0009 + trial % 20 / 1e5)


def test_it_closes_in_its_pause(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path / "any.db", pause_seconds=3_600.0)
    checkpoints.committed()
    assert is_closed(checkpoints)


def test_it_closes_when_nothing_was_committed(tmp_path: Path) -> None:
    assert is_closed(Checkpoints(tmp_path / "any.db"))


def test_what_was_committed_is_moved_to_the_file(tmp_path: Path) -> None:
    connection = written(tmp_path / "any.db")
    before = (tmp_path / "any.db").stat().st_size
    checkpoints = Checkpoints(tmp_path / "any.db", pause_seconds=0.0)
    checkpoints.committed()
    deadline = time.monotonic() + SECONDS_MAX
    while (tmp_path / "any.db").stat().st_size == before and time.monotonic() < deadline:
        pass
    assert (tmp_path / "any.db").stat().st_size > before
    assert is_closed(checkpoints)
    connection.close()
