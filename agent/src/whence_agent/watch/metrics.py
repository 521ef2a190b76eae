"""Memory and disk use of this machine as CloudWatch metrics, if user data enables them."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable
from pathlib import Path

from whence_agent.ports_cloud import CloudRefused, MetricSink
from whence_agent.progress.progress import Progress
from whence_common.runtime.logs import fields
from whence_common.runtime.pause import pause

log = logging.getLogger(__name__)

NAMESPACE = "System/Linux"


class HostMetrics:
    """Publishes the metrics every few minutes; a refusal of AWS is logged once and has no other effect."""

    def __init__(
        self, *, sink: MetricSink, progress: Progress, seconds: float, read: Callable[[], dict[str, float]]
    ) -> None:
        self._sink = sink
        self._progress = progress
        self._seconds = seconds
        self._read = read
        self._enabled = False
        self._refused = ""

    def enable(self) -> None:
        """Publish from the next round on."""
        self._enabled = True

    async def run(self) -> None:
        """Publish metrics until cancelled."""
        await self._progress.boot.booted.wait()
        while True:
            if self._enabled:
                await self.put()
            await pause(self._seconds)

    async def put(self) -> None:
        """Publish the metrics once."""
        try:
            await self._sink.put(NAMESPACE, self._read(), dimensions={"InstanceId": self._progress.instance_id()})
        except CloudRefused as exc:
            if exc.message != self._refused:
                log.warning("metrics are refused", extra=fields(reason=exc.diagnostics()))
            self._refused = exc.message


def read_host(meminfo: Path = Path("/proc/meminfo"), disk: Path = Path("/")) -> dict[str, float]:
    """Return the use of memory and of the root disk in percent."""
    kilobytes = {}
    for line in meminfo.read_text(encoding="ascii").splitlines():
        name, _, rest = line.partition(":")
        kilobytes[name] = int(rest.split()[0])
    usage = shutil.disk_usage(disk)
    return {
        "MemoryUtilization": round(100 * (1 - kilobytes["MemAvailable"] / kilobytes["MemTotal"]), 2),
        "DiskSpaceUtilization": round(100 * usage.used / usage.total, 2),
    }
