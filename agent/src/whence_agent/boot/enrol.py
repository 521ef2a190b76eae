"""Stage enrol: the instance's key is bound at the aggregator, if that is quickly done."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from whence_agent.boot.stage import Observation, ObservedSoFar, StageHandle
from whence_agent.ports_aggregator import AggregatorUnavailable


@dataclass(frozen=True, slots=True, kw_only=True)
class EnrolStage:
    """The aggregator being away never stops a boot: delivery enrols later."""

    enrol: Callable[[], Awaitable[None]]
    seconds_max: float
    name: str = "enrol"

    def is_wanted(self, so_far: ObservedSoFar) -> bool:
        return True

    async def run(self, so_far: ObservedSoFar, handle: StageHandle) -> Observation:
        """Enrol once, within its time."""
        try:
            async with asyncio.timeout(self.seconds_max):
                await self.enrol()
        except AggregatorUnavailable as exc:
            return Observation(deferred=True, note=exc.diagnostics())
        except TimeoutError:
            return Observation(deferred=True, note="the aggregator did not answer in time")
        return Observation()
