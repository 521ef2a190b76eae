"""Tasks of mint: one for each application, which is due again when something is due for its credentials."""

from __future__ import annotations

from collections.abc import Callable

from whence_aggregator.mint.rotation import MintProgress, Rotation
from whence_aggregator.work.task import Again, Task

UNDER_WAY_MAX = 8
"""Applications whose credentials one process rotates at the same time, of all providers: for `Work.under_way_max`.

The host of a task is its provider, so that one that hangs occupies few places (lanes.py).
"""
JITTER = 0.1
JITTER_SECONDS_MAX = 30.0
SPREAD_SECONDS = 60.0
"""Over which applications come back after a provider's pause, the longest overdue first."""


class MintWork:
    """Does tasks of mint. A task whose lease was lost is harmless: each step compares revisions."""

    def __init__(self, *, rotation: Rotation, random: Callable[[], float]) -> None:
        self._rotation = rotation
        self._random = random

    async def do(self, task: Task) -> Again | None:
        progress = await self._rotation.run(task.subject)
        if progress is None:
            return None
        return Again(seconds=self._seconds(progress), reason=progress.reason, asked=progress.is_asked)

    def _seconds(self, progress: MintProgress) -> float:
        if progress.is_asked:
            jitter = min(progress.seconds * JITTER, JITTER_SECONDS_MAX)
            return progress.seconds + jitter * self._random()
        # the longest overdue is first, so that none is last each time
        return progress.seconds + SPREAD_SECONDS / (1.0 + progress.overdue_seconds / 600.0)
