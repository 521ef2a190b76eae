"""The weather bench, shortened: boots of real agents through transient faults, and through some that last too long."""

from __future__ import annotations

import asyncio
from pathlib import Path

from fakes.weather import Climate, Fault, Forecast, Kind
from landscape.weather import Outcome, sky
from landscape.whole import Landscape

_SHORT = Climate(shortest_seconds=0.5, longest_seconds=2.0, begin_seconds=1.0, deadlines_seconds=(60.0,))
_SEED = 18
_LONG_SECONDS = 20.0
_LONG: dict[Kind, str] = {
    "metadata": "503", "registry": "429-retry-after", "s3": "throttle", "kms": "throttle", "engine": "missing",
    "dns": "no-such-name", "clock": "an-hour-off",
}  # fmt: skip


async def test_boots_succeed_after_a_transient_fault_of_any_kind(scape: Landscape, tmp_path: Path) -> None:
    async with sky(scape, tmp_path) as above:
        outcomes = await asyncio.gather(*(above.boot(_SHORT.forecast(_SEED, number)) for number in range(9)))
    assert [_told(one) for one in outcomes if one.verdict != "ok"] == []


async def test_a_fault_that_outlasts_a_deadline_is_named_by_the_failed_boot(scape: Landscape, tmp_path: Path) -> None:
    forecasts = [
        Forecast(number=number, faults=(Fault(kind=kind, how=how, starts=0.0, lasts=_LONG_SECONDS),), stage_seconds=6.0)
        for number, (kind, how) in enumerate(_LONG.items())
    ]
    async with sky(scape, tmp_path) as above:
        outcomes = await asyncio.gather(*map(above.boot, forecasts))
    assert [_told(one) for one in outcomes if one.verdict != "true cause"] == []


def _told(outcome: Outcome) -> str:
    return f"{outcome.forecast}: {outcome.verdict}: {outcome.why}"
