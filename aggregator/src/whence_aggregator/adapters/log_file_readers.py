"""Reads log files in threads, or in processes of their own: inflating and decoding take most of the time."""

from __future__ import annotations

import asyncio
import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool

from whence_aggregator.events.log_file import LogFile, read_log_file
from whence_aggregator.events.refused import TrailRefused
from whence_aggregator.ports import SourceUnavailable

READ_SECONDS_MAX = 120.0


class InThreads:
    """Reads in a thread of the program."""

    async def read(self, content: bytes) -> LogFile:
        """Read a log file. Raises TrailRefused."""
        return await asyncio.to_thread(read_log_file, content)


class InProcesses:
    """Reads in processes, which are started when the first file comes, and again after one died."""

    def __init__(self, processes: int) -> None:
        self._processes = processes
        self._pool: ProcessPoolExecutor | None = None

    async def read(self, content: bytes) -> LogFile:
        """Read a log file. Raises TrailRefused, and SourceUnavailable when its process died or took too long."""
        pool = self._pool
        if pool is None:
            pool = self._pool = ProcessPoolExecutor(
                self._processes, mp_context=multiprocessing.get_context("forkserver")
            )
        try:
            async with asyncio.timeout(READ_SECONDS_MAX):
                found = await asyncio.get_running_loop().run_in_executor(pool, _read, content)
        except (BrokenProcessPool, TimeoutError) as exc:
            if self._pool is pool:
                self._pool = None
                pool.shutdown(wait=False, cancel_futures=True)
            message = "the process that read a log file died, or took too long"
            raise SourceUnavailable("trail-reader", message) from exc
        if isinstance(found, tuple):
            raise TrailRefused(*found)
        return found

    async def close(self) -> None:
        """End the processes."""
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)
            self._pool = None


def _read(content: bytes) -> LogFile | tuple[str, str]:
    """Read in the process; an error with more than one argument does not come back as an exception."""
    try:
        return read_log_file(content)
    except TrailRefused as exc:
        return exc.code, exc.message
