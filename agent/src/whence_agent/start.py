"""The start: the status endpoint answers before the rest of the agent is loaded, so this module imports little.

Everything else that a boot needs (AWS, registries, the Engine, signatures) is loaded by `wiring`, which takes longer
than a request for the status may.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from socket import gethostname

from whence_agent.adapters.systemd import SystemdNotifier
from whence_agent.progress.progress import Progress
from whence_agent.redaction import Redactor
from whence_agent.settings import Settings
from whence_agent.status.connections import StatusConnections
from whence_agent.status.endpoint import StatusEndpoint
from whence_common.clock import to_instant, utc_now
from whence_common.runtime.lifecycle import Service

_KERNEL_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    """What exists from the start on. `status` is the status endpoint's service, which already listens."""

    progress: Progress
    notifier: SystemdNotifier
    status: Service


@asynccontextmanager
async def answering(settings: Settings, redactor: Redactor, *, notify_socket: str | None) -> AsyncIterator[Started]:
    """Start the status endpoint before anything else. Raises OSError if it cannot listen."""
    notifier = SystemdNotifier(address=notify_socket)
    progress = Progress(
        now=utc_now,
        monotonic=time.monotonic,
        boot_id=_boot_id(),
        started_at=to_instant(utc_now()),
        on_stage=lambda name: notifier.notify(status=f"stage {name}"),
    )
    endpoint = StatusEndpoint(
        progress=progress, redactor=redactor, address=settings.status_address, port=settings.status_port,
        connections=StatusConnections(monotonic=time.monotonic), names=(gethostname(), *settings.status_hosts),
    )  # fmt: skip
    serving = asyncio.create_task(endpoint.run(), name="status")
    listening = asyncio.create_task(endpoint.listening.wait())

    async def status() -> None:
        await serving

    try:
        await asyncio.wait({serving, listening}, return_when=asyncio.FIRST_COMPLETED)
        if serving.done():
            await serving
        yield Started(progress=progress, notifier=notifier, status=status)
    finally:
        for task in (serving, listening):
            task.cancel()
        await asyncio.gather(serving, listening, return_exceptions=True)


def _boot_id() -> str:
    try:
        return _KERNEL_BOOT_ID.read_text(encoding="ascii").strip()
    except OSError:
        return str(uuid.uuid4())
