"""How often tests marked `endurance` repeat: whole in `make endurance`, a sample in `make test`, with the same assertions."""

from __future__ import annotations

import os

WHOLE = os.environ.get("WHENCE_ENDURANCE") == "1"
SECONDS_MAX = 3600
"""Of one test when it runs whole."""


def repeated(*, sample: int, whole: int) -> int:
    """Return how many examples or repetitions a test makes in this run, or each how many-th case it takes."""
    return whole if WHOLE else sample
