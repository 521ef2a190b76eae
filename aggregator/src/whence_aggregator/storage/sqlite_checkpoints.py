"""Checkpoints of SQLite's write-ahead log in a separate thread: in a commit, they would delay it."""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
from pathlib import Path

from whence_common.runtime.logs import fields

log = logging.getLogger(__name__)

PAUSE_SECONDS = 1.0
FRAMES_MAX = 65_536
"""With more pages than this in the log, writers wait until the log is restarted."""
_BUSY_SECONDS_MAX = 5.0


class Checkpoints:
    """Moves pages from the log to the database file while others write. `close` before the last connection."""

    def __init__(self, path: Path, *, pause_seconds: float = PAUSE_SECONDS) -> None:
        self._path = path
        self._pause_seconds = pause_seconds
        self._changed = threading.Condition()
        self._is_due = False
        self._is_closing = False
        self._thread = threading.Thread(target=self._run, name="sqlite-checkpoints", daemon=True)
        self._thread.start()

    def committed(self) -> None:
        """Record that a transaction was committed."""
        with self._changed:
            if not self._is_due:  # in the pause the thread is not to be woken by each commit
                self._is_due = True
                self._changed.notify()

    def close(self) -> None:
        """End the thread, after a running checkpoint is done."""
        with self._changed:
            self._is_closing = True
            self._changed.notify()
        self._thread.join()

    def _is_wanted(self) -> bool:
        """Wait for a commit, and for the pause after it; return False once this is closing."""
        with self._changed:
            self._changed.wait_for(lambda: self._is_due or self._is_closing)
            self._changed.wait_for(lambda: self._is_closing, self._pause_seconds)
            self._is_due = False
            return not self._is_closing

    def _run(self) -> None:
        connection: sqlite3.Connection | None = None
        while self._is_wanted():
            try:
                if connection is None:
                    connection = sqlite3.connect(self._path, timeout=_BUSY_SECONDS_MAX, isolation_level=None)
                began = time.monotonic()
                _, frames, _ = connection.execute("pragma wal_checkpoint(passive)").fetchone()
                if frames > FRAMES_MAX:
                    connection.execute("pragma wal_checkpoint(passive)")  # so that little is left to wait for
                    connection.execute("pragma wal_checkpoint(restart)")
                log.debug("checkpoint", extra=fields(frames=frames, seconds=round(time.monotonic() - began, 3)))
            except sqlite3.Error as exc:
                log.warning("checkpoint failed", extra=fields(error=str(exc)[:200]))  # commits go on; tried again
        if connection is not None:
            connection.close()
