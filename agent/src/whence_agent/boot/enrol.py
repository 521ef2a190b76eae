"""Stage enrol: binds the instance's key at the aggregator, if it answers quickly."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from whence_agent.boot.stage import Observation, ObservedSoFar, StageHandle
from whence_agent.ports_aggregator import AggregatorUnavailable


@dataclass(frozen=True, slots=True, kw_only=True)
class EnrolStage:
    """Never fails a boot: if the aggregator is unreachable, delivery enrols later."""

    enrol: Callable[[], Awaitable[None]]
    seconds_max: float
    name: str = "enrol"

    def is_wanted(self, so_far: ObservedSoFar) -> bool:
        return True

    async def run(self, so_far: ObservedSoFar, handle: StageHandle) -> Observation:
        """Enrol once, within `seconds_max`; without success the observation is deferred."""
        try:
            async with asyncio.timeout(self.seconds_max):
                await self.enrol()
        except AggregatorUnavailable as exc:
            return Observation(deferred=True, note=exc.diagnostics())
        except TimeoutError:
            return Observation(deferred=True, note="the aggregator did not answer in time")
        return Observation()
