"""The processor of this machine, as the kernel describes it."""

from __future__ import annotations

import platform
from pathlib import Path

from whence_agent.adapters.processor import Processor, flags_of

_CPUINFO = Path("/proc/cpuinfo")
_BYTES_MAX = 64 * 1024
"""The first processor's part of it; machines have hundreds."""


def this_processor() -> Processor:
    """Return what runs here; what cannot be read counts as not there."""
    try:
        with _CPUINFO.open("rb") as stream:
            text = stream.read(_BYTES_MAX).decode("utf-8", "replace")
    except OSError:
        text = ""
    return Processor.of(platform.machine(), flags_of(text))
