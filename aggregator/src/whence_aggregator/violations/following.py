"""The service that keeps violations current: soon after verdicts, and all of them from time to time."""

from __future__ import annotations

import logging
import time

from whence_aggregator.ports import StorageUnavailable
from whence_aggregator.violations.recording import ViolationRecorder
from whence_common.runtime.logs import fields
from whence_common.runtime.pause import pause

log = logging.getLogger(__name__)

FOLLOW_SECONDS = 1.0
FOLLOW_REST = 4.0
"""After a pass it rests so many times as long as the pass took."""
EVERYTHING_SECONDS = 60.0
"""How often everything is compared: findings, owners, instances that changed their version, expired exemptions."""


class Following:
    """Runs the recorder; several replicas may run it."""

    def __init__(self, recorder: ViolationRecorder) -> None:
        self._recorder = recorder

    async def run(self) -> None:
        """Follow verdicts until cancelled."""
        newest, whole = -1, -EVERYTHING_SECONDS
        while True:
            began = time.monotonic()
            try:
                if began - whole >= EVERYTHING_SECONDS:
                    await self._recorder.follow_all()
                    whole = began
                newest = await self._recorder.follow_moved(newest)
            except StorageUnavailable as exc:
                log.error("storage unavailable", extra=fields(code=exc.code, message=exc.message))
            await pause(max(FOLLOW_SECONDS, (time.monotonic() - began) * FOLLOW_REST))
