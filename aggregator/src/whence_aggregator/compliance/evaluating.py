"""The service that keeps verdicts current: it judges instances in pages, and sweeps them for silent agents."""

from __future__ import annotations

import logging
import time
from collections import deque

from whence_aggregator.compliance.evaluate import PAGE_INSTANCES, Evaluator
from whence_aggregator.ports import StorageUnavailable
from whence_common.runtime.logs import fields
from whence_common.runtime.pause import pause

log = logging.getLogger(__name__)

EVALUATE_AFTER_SECONDS = 0.4
"""An instance with several new statements is judged once for all of them; what is new is visible within a second."""
EVALUATION_REST = 0.5
"""While ingest commits, evaluation of a backlog rests for this part of the time that a page took."""
BUSY_WAKES = 10
"""Ingest is busy when it commits more often than this per second."""
ALONE_WAKES = 5
"""With fewer commits in the last second, a backlog may take a second core from ingest."""
BUSY_REST, BUSY_REST_SECONDS_MAX = 30.0, 5.0
"""While ingest is busy, those that made statements wait so many times as long as their last page took."""
BUSY_SECONDS_MAX = 0.5
"""While it waits, what a fact marked is looked for so often: it is to be visible within a second."""
SWEEP_SECONDS = 15.0


class Evaluating:
    """Runs the evaluator; several replicas may run it."""

    def __init__(self, evaluator: Evaluator) -> None:
        self._evaluator = evaluator
        self._replaced: list[Evaluator] = []
        self._wakes = 0
        self._woken = deque[float](maxlen=ALONE_WAKES)
        """When ingest committed last."""

    def replace(self, evaluator: Evaluator) -> None:
        """Judge by another evaluator from the next page on: the rules were changed."""
        self._replaced.append(self._evaluator)
        self._evaluator = evaluator

    def wake(self) -> None:
        """Record that ingest committed, so that there are instances to judge."""
        self._wakes += 1
        self._woken.append(time.monotonic())

    def _is_alone(self) -> bool:
        """Return whether ingest hardly commits."""
        return len(self._woken) < ALONE_WAKES or time.monotonic() - self._woken[0] > 1.0

    async def run(self) -> None:
        """Judge until cancelled. Ingest has priority: while it is busy, evaluation pauses longer."""
        try:
            await self._run()
        finally:
            for one in (*self._replaced, self._evaluator):
                await one.close()

    async def _run(self) -> None:
        swept, busy, rests_until, looks_after = -SWEEP_SECONDS, False, 0.0, BUSY_SECONDS_MAX
        while True:
            while self._replaced:
                await self._replaced.pop().close()
            began, wakes = time.monotonic(), self._wakes
            try:
                if began - swept >= SWEEP_SECONDS:
                    swept = began
                    await self._evaluator.sweep()
                marked, looks_after = busy and began < rests_until, BUSY_SECONDS_MAX
                if marked:
                    judged = await self._evaluator.work_on_marked()
                else:
                    judged = await self._evaluator.work(few=busy, alone=self._is_alone())
                if not marked or judged >= PAGE_INSTANCES:
                    rests_until = began + min((time.monotonic() - began) * BUSY_REST, BUSY_REST_SECONDS_MAX)
                if marked and judged >= PAGE_INSTANCES:
                    looks_after = BUSY_REST_SECONDS_MAX  # a fleet that is marked takes no more than statements do
            except StorageUnavailable as exc:
                log.error("storage unavailable", extra=fields(code=exc.code, message=exc.message))
                judged = 0
            took = time.monotonic() - began
            rest = took * EVALUATION_REST if self._wakes != wakes else 0.0
            await pause(max(rest, 0.01) if judged >= PAGE_INSTANCES else EVALUATE_AFTER_SECONDS)
            busy = self._wakes - wakes > BUSY_WAKES * (time.monotonic() - began)
            while (since := time.monotonic() - began) < min(took * BUSY_REST, looks_after) and (
                self._wakes - wakes > BUSY_WAKES * since
            ):
                await pause(took)
