"""Boots in bad weather: random faults of 1 to 60 s in everything that a boot needs, eight boots at a time.

Each boot whose faults end before the deadlines of its stages must end `ok`; each other one must name the true cause;
none may hang, and no statement may be lost. `--seed` repeats a run, `--only` one boot of it.
"""

from __future__ import annotations

import asyncio
import json
import random
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fakes.weather import KINDS, Climate, Forecast
from landscape.weather import Outcome, sky
from landscape.weather_verdict import GOOD, Verdict
from landscape.whole import landscape

BOOTS = 200
_COLUMNS: tuple[Verdict, ...] = ("ok", "true cause", "wrong cause", "gave up", "hung", "lost")


@dataclass(frozen=True, slots=True, kw_only=True)
class Weather:
    """Which boots to do. Without a seed one is drawn, and printed."""

    seed: int | None = None
    boots: int = BOOTS
    only: tuple[int, ...] = ()
    scale: float = 1.0

    async def measure(self, directory: Path, *, rounds: int, limit: Path) -> None:
        """Print a table by kind of fault, and each boot that went wrong. Raises SystemExit when one did."""
        seed = random.randrange(1_000_000) if self.seed is None else self.seed
        climate = Climate().scaled(self.scale)
        forecasts = [climate.forecast(seed, number) for number in self.only or range(self.boots)]
        print(f"seed {seed}, {len(forecasts)} boots, times scaled by {self.scale:g}", flush=True)
        began = time.monotonic()
        async with landscape() as scape, sky(scape, directory) as above:

            async def boot(forecast: Forecast) -> Outcome:
                outcome = await above.boot(forecast)
                if outcome.verdict not in GOOD or self.only:
                    print(_told(outcome, seed, whole=bool(self.only)), flush=True)
                return outcome

            outcomes = await asyncio.gather(*map(boot, forecasts))
        print(table(outcomes))
        wrong = [outcome.forecast.number for outcome in outcomes if outcome.verdict not in GOOD]
        print(f"{len(outcomes)} boots in {time.monotonic() - began:.0f} s")
        again = f'make bench ARGS="weather --seed {seed} --scale {self.scale:g} --only {" ".join(map(str, wrong))}"'
        if wrong:
            raise SystemExit(f"{len(wrong)} of {len(outcomes)} boots went wrong; repeat them: {again}")


def table(outcomes: Sequence[Outcome]) -> str:
    """Return a line for each kind of fault; a boot with two kinds is in both, and once in the sum."""
    head = f"{'fault':11}{'boots':>7}" + "".join(f"{name:>13}" for name in _COLUMNS)
    head += f"{'median s':>10}{'max s':>8}{'restarted':>11}"
    lines = [head]
    for kind in (*KINDS, "all"):
        of_kind = [one for one in outcomes if kind in ("all", *(fault.kind for fault in one.forecast.faults))]
        if not of_kind:
            continue
        counts = "".join(f"{sum(one.verdict == name for one in of_kind):>13}" for name in _COLUMNS)
        seconds = [one.seen.seconds for one in of_kind]
        restarted = sum(one.seen.starts > 1 for one in of_kind)
        times = f"{statistics.median(seconds):>10.1f}{max(seconds):>8.1f}{restarted:>11}"
        lines.append(f"{kind:11}{len(of_kind):>7}{counts}{times}")
    return "\n".join(lines)


def _told(outcome: Outcome, seed: int, *, whole: bool) -> str:
    seen = outcome.seen
    lines = [
        f"seed {seed}, {outcome.forecast}: {outcome.verdict} after {seen.seconds:.1f} s, {seen.starts} starts: {outcome.why}",
        f"  status: {json.dumps(seen.status)}",
    ]
    return "\n".join([*lines, seen.log] if whole else lines)
