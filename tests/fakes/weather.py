"""Faults that pass, as real machines meet them: which there are, when each one blows, and what it is truly called."""

from __future__ import annotations

import random
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

Kind = Literal["metadata", "registry", "s3", "kms", "engine", "dns", "disk", "clock", "aggregator"]
KINDS: Mapping[Kind, tuple[str, ...]] = {
    "metadata": ("503", "503-retry-after", "429", "500", "refuse", "silence", "cut", "reset", "no-user-data-once"),
    "registry": ("503", "503-retry-after", "429-retry-after", "500", "refuse", "silence", "cut", "stall", "reset"),
    "s3": ("throttle", "500", "silence", "cut", "reset"),
    "kms": ("throttle", "500", "silence", "cut", "reset"),
    "engine": ("refuse", "missing", "reset", "silence"),
    "dns": ("no-such-name", "server-failure", "silence"),
    "disk": ("full",),
    "clock": ("an-hour-off",),
    "aggregator": ("503-retry-after", "429-retry-after", "refuse", "silence", "cut"),
}
"""How each part fails. `missing` is a socket whose file is not there; `stall` sends half of a body and then nothing;
`no-user-data-once` is HTTP 404 for user data, once."""
_SILENT = ("silence", "stall")
_ONCE = "no-user-data-once"
_PROMPT_SLACK_SECONDS = 16.0
"""A pause of the longest back-off, 15 s, and one try."""
_SILENT_SLACK_SECONDS = 45.0
"""The same, and the bound of a try that began while nothing answered; the registry's is 30 s."""
_TWO_FAULTS, _RETRIED = 0.3, 0.4
"""Shares of boots that have two faults, and whose policy is to try again."""
_TRUE: Mapping[Kind, re.Pattern[str]] = {
    "metadata": re.compile(r"metadata", re.IGNORECASE),
    "registry": re.compile(r"registry|localhost:\d+(?:/| for )demo/weather", re.IGNORECASE),
    "s3": re.compile(r"\bs3\b", re.IGNORECASE),
    "kms": re.compile(r"\bkms\b", re.IGNORECASE),
    "engine": re.compile(r"engine", re.IGNORECASE),
    "dns": re.compile(r"DNS|resol(?:v|ution)|looked up|address is not found|name or service", re.IGNORECASE),
    "disk": re.compile(r"no space left|disk is full|disk full", re.IGNORECASE),
    "clock": re.compile(r"\bclock\b", re.IGNORECASE),
    "aggregator": re.compile(r"(?!)"),  # the aggregator being away never fails a boot
}
"""What code, message and fix of a failure must name, by the kind of fault that caused it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One part of the machine's world fails for a while. Times are seconds after the start of the agent."""

    kind: Kind
    how: str
    starts: float
    lasts: float

    def __str__(self) -> str:
        return f"{self.kind}: {self.how} from {self.starts:.1f} s to {self.ends:.1f} s"

    @property
    def ends(self) -> float:
        return self.starts + self.lasts

    @property
    def slack_seconds(self) -> float:
        """So long before a stage's deadline it must be over, for the stage to be certain to succeed."""
        if self.how == _ONCE:
            return 0.0
        return _SILENT_SLACK_SECONDS if self.how in _SILENT else _PROMPT_SLACK_SECONDS

    def is_named_in(self, text: str) -> bool:
        """Return whether somebody who reads this text knows what to look at."""
        return _TRUE[self.kind].search(text) is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """One boot's faults, the deadline of each of its stages in seconds, and whether a failed boot is tried again."""

    number: int
    faults: tuple[Fault, ...]
    stage_seconds: float
    on_failure: Literal["hold", "retry"] = "hold"

    def __str__(self) -> str:
        policy = "; on_failure: retry" if self.on_failure == "retry" else ""
        return f"boot {self.number} ({'; '.join(map(str, self.faults))}; stages have {self.stage_seconds:g} s{policy})"

    @property
    def over(self) -> float:
        """When the last fault ends, in seconds after the start."""
        return max(fault.ends for fault in self.faults)

    def must_succeed(self, *, deadline: float) -> bool:
        """Return whether a stage with this deadline, in seconds after the start, has all the time that it needs."""
        return all(fault.ends + fault.slack_seconds <= deadline for fault in self.faults)


@dataclass(frozen=True, slots=True, kw_only=True)
class Climate:
    """How long faults last at most, when they begin at the latest, and which deadlines the stages of a boot may have."""

    shortest_seconds: float = 1.0
    longest_seconds: float = 60.0
    begin_seconds: float = 5.0
    deadlines_seconds: tuple[float, ...] = (90.0, 90.0, 20.0)

    def scaled(self, scale: float) -> Climate:
        """Return the same with every time multiplied. What the agent itself waits for is not scaled."""
        return Climate(
            shortest_seconds=self.shortest_seconds * scale, longest_seconds=self.longest_seconds * scale,
            begin_seconds=self.begin_seconds * scale,
            deadlines_seconds=tuple(seconds * scale for seconds in self.deadlines_seconds),
        )  # fmt: skip

    def forecast(self, seed: int, number: int) -> Forecast:
        """Draw a boot's faults: the same for the same seed and number, whatever else is drawn. Pure."""
        draw = random.Random(f"{seed}/{number}")
        kinds = [tuple(KINDS)[number % len(KINDS)]]  # each kind as often as every other
        if draw.random() < _TWO_FAULTS:
            kinds.append(draw.choice([kind for kind in KINDS if kind != kinds[0]]))
        faults = tuple(self._fault(draw, kind) for kind in kinds)
        return Forecast(
            number=number, faults=faults, stage_seconds=draw.choice(self.deadlines_seconds),
            on_failure="retry" if draw.random() < _RETRIED else "hold",
        )  # fmt: skip

    def _fault(self, draw: random.Random, kind: Kind) -> Fault:
        how = draw.choice(KINDS[kind])
        early = draw.random() < 0.5 or how == _ONCE
        starts, lasts = (
            draw.uniform(0.0, self.begin_seconds), draw.uniform(self.shortest_seconds, self.longest_seconds)
        )  # fmt: skip
        return Fault(
            kind=kind, how=how, starts=0.0 if early else round(starts, 2),
            lasts=self.shortest_seconds if how == _ONCE else round(lasts, 2),
        )  # fmt: skip


class Exposed(Protocol):
    """A part of the machine's world that can fail."""

    async def begin(self, fault: Fault) -> None:
        """Fail from now on."""

    async def end(self, fault: Fault) -> None:
        """Be well again."""
