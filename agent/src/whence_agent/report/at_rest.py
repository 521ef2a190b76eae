"""Returns memory that only the boot needed to the system, once, after the boot."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection
from dataclasses import dataclass

from whence_agent.progress.progress import Progress
from whence_common.runtime.logs import fields
from whence_common.runtime.memory import FileMapping
from whence_common.runtime.pause import pause

log = logging.getLogger(__name__)

SETTLE_SECONDS = 5.0
"""Pause after the boot, by the end of which its statement is delivered and each watch has run once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AtRest:
    """A service that returns memory to the system when the boot is over."""

    progress: Progress
    mappings: Callable[[], Collection[FileMapping]]
    give_back: Callable[[Collection[FileMapping]], None]
    resident_bytes: Callable[[], int]
    settle_seconds: float = SETTLE_SECONDS

    async def run(self) -> None:
        await self.progress.boot.booted.wait()
        mapped = self.mappings()
        await pause(self.settle_seconds)
        before = self.resident_bytes()
        self.give_back(mapped)
        log.info("memory released", extra=fields(before_bytes=before, after_bytes=self.resident_bytes()))
        await asyncio.Event().wait()
