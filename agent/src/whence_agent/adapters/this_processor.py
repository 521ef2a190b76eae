"""Read this machine's processor from the kernel."""

from __future__ import annotations

import platform
from pathlib import Path

from whence_agent.adapters.processor import Processor, flags_of

_CPUINFO = Path("/proc/cpuinfo")
_BYTES_MAX = 64 * 1024
"""Enough for the first processor's entry; machines may have hundreds."""


def this_processor() -> Processor:
    """Return this machine's processor; unreadable flags count as missing."""
    try:
        with _CPUINFO.open("rb") as stream:
            text = stream.read(_BYTES_MAX).decode("utf-8", "replace")
    except OSError:
        text = ""
    return Processor.of(platform.machine(), flags_of(text))
