"""Metrics of this process that the kernel counts, under the names of Prometheus' own clients."""

from __future__ import annotations

import os
import resource
from collections.abc import Sequence
from pathlib import Path

from whence_common.open_metrics import Family, Sample, gauge

_PROC = Path("/proc/self")
_AFTER_NAME = 2
"""Indexes from the third field of /proc/self/stat on: the name before it may contain anything (proc(5))."""
_UTIME, _STIME, _START, _RSS = (number - 1 - _AFTER_NAME for number in (14, 15, 22, 24))


def process_families(proc: Path = _PROC, boot: Path = Path("/proc/stat")) -> Sequence[Family]:
    """Return memory, processor time, open files and start time. Raises OSError when there is no /proc."""
    stat = (proc / "stat").read_text("ascii", "replace").rpartition(") ")[2].split()
    ticks = os.sysconf("SC_CLK_TCK")
    booted = next(int(line.split()[1]) for line in boot.read_text("ascii").splitlines() if line.startswith("btime "))
    seconds = (int(stat[_UTIME]) + int(stat[_STIME])) / ticks
    files_max, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return (
        gauge("process_resident_memory_bytes", "Memory in use.", int(stat[_RSS]) * os.sysconf("SC_PAGE_SIZE")),
        Family(
            name="process_cpu_seconds", kind="counter", help="Processor time, user and system.",
            samples=(Sample(seconds),),
        ),
        gauge("process_open_fds", "Open files and connections.", sum(1 for _ in (proc / "fd").iterdir())),
        gauge("process_max_fds", "Most open files that are allowed.", files_max),
        gauge("process_start_time_seconds", "Start of the process, since 1970.", booted + int(stat[_START]) / ticks),
    )  # fmt: skip
