"""Writes that the disk refused while containers run: shown on the status, and retried."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from whence_agent.progress.boot_progress import BootProgress
from whence_common.runtime.logs import fields

log = logging.getLogger(__name__)


@dataclass(slots=True, kw_only=True)
class DiskRetries:
    progress: BootProgress
    pending: dict[str, Callable[[], Awaitable[None]]] = field(default_factory=dict)
    """The writes still to be done, by their name on the status."""

    async def keep(self, what: str, work: Callable[[], Awaitable[None]]) -> None:
        """Run a write now, and again at each `try_again` until it succeeds."""
        self.pending[what] = work
        await self.try_again()

    async def try_again(self) -> None:
        """Run every write that is still pending."""
        for what, work in list(self.pending.items()):
            try:
                await work()
            except OSError as exc:
                self.progress.record_disk_fault(what, f"{what} cannot be written to disk: {exc}")
                log.error("disk write failed", extra=fields(what=what, error=str(exc)))
            else:
                del self.pending[what]
                self.progress.clear_disk_fault(what)

    def forget(self) -> None:
        """Drop all pending writes, because no container runs."""
        for what in self.pending:
            self.progress.clear_disk_fault(what)
        self.pending.clear()
