"""Counters and histograms of a running program. The number of series of each is bounded."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence

from whence_common.open_metrics import Family, Sample

SERIES_MAX = 2_000
"""The largest number of label combinations of a meter; further combinations are counted under `other`."""
OTHER = "other"
SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""Upper bounds of the buckets for durations."""


class Counter:
    """Counts events by their labels.

    `known` are series that are exported as 0 from the start: a rate needs a value before the first event.
    """

    def __init__(
        self, name: str, help_: str, labels: Sequence[str] = (), *, hidden: Sequence[str] = (),
        known: Sequence[tuple[str, ...]] = (), series_max: int = SERIES_MAX,
    ) -> None:  # fmt: skip
        self._about = name, help_
        self._labels = tuple(labels)
        self._hidden = frozenset(hidden)
        self._series_max = series_max
        self._counts: dict[tuple[str, ...], float] = dict.fromkeys(known if labels else [()], 0.0)

    def add(self, *values: str, by: float = 1.0) -> None:
        if values not in self._counts and len(self._counts) >= self._series_max:
            values = (OTHER,) * len(values)
        self._counts[values] = self._counts.get(values, 0.0) + by

    def family(self) -> Family:
        name, help_ = self._about
        samples = [
            Sample(count, dict(zip(self._labels, values, strict=True))) for values, count in self._counts.items()
        ]
        return Family(name=name, kind="counter", help=help_, samples=samples, hidden=self._hidden)


class Series:
    """Durations of one label combination, by bucket."""

    __slots__ = ("buckets", "seconds")

    def __init__(self) -> None:
        self.buckets = [0] * (len(SECONDS) + 1)
        self.seconds = 0.0

    def observe(self, seconds: float) -> None:
        self.buckets[bisect_left(SECONDS, seconds)] += 1
        self.seconds += seconds


class Histogram:
    """Durations in seconds, by labels."""

    def __init__(
        self, name: str, help_: str, labels: Sequence[str] = (), *, hidden: Sequence[str] = (),
        series_max: int = SERIES_MAX,
    ) -> None:  # fmt: skip
        self._about = name, help_
        self._labels = tuple(labels)
        self._hidden = frozenset(hidden)
        self._series_max = series_max
        self._series: dict[tuple[str, ...], Series] = {}

    def observe(self, seconds: float, *values: str) -> None:
        self.series(*values).observe(seconds)

    def series(self, *values: str) -> Series:
        """Return the series of these labels; frequent callers keep it."""
        series = self._series.get(values)
        if series is None:
            if len(self._series) >= self._series_max:
                values = (OTHER,) * len(values)
            series = self._series.setdefault(values, Series())
        return series

    def family(self) -> Family:
        name, help_ = self._about
        samples: list[Sample] = []
        for values, series in self._series.items():
            labels = dict(zip(self._labels, values, strict=True))
            below = 0
            for bound, count in zip((*SECONDS, math.inf), series.buckets, strict=True):
                below += count
                samples.append(Sample(below, {**labels, "le": "+Inf" if math.isinf(bound) else repr(bound)}, "_bucket"))
            samples += [Sample(below, labels, "_count"), Sample(series.seconds, labels, "_sum")]
        return Family(name=name, kind="histogram", help=help_, samples=samples, hidden=self._hidden)
