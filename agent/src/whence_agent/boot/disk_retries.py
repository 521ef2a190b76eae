"""What the disk refused while containers run: the status says so, and it is tried again."""

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
    """What is still to be done, by its name on the status."""

    async def keep(self, what: str, work: Callable[[], Awaitable[None]]) -> None:
        """Do what needs the disk, now or when it is tried again."""
        self.pending[what] = work
        await self.try_again()

    async def try_again(self) -> None:
        """Try again whatever the disk has refused."""
        for what, work in list(self.pending.items()):
            try:
                await work()
            except OSError as exc:
                self.progress.record_disk_fault(what, f"{what} cannot be kept on the disk: {exc}")
                log.error("the disk refuses", extra=fields(what=what, error=str(exc)))
            else:
                del self.pending[what]
                self.progress.clear_disk_fault(what)

    def forget(self) -> None:
        """Forget what is still to be done: no container runs."""
        for what in self.pending:
            self.progress.clear_disk_fault(what)
        self.pending.clear()
