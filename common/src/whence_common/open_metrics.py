"""Metrics in the OpenMetrics text format: gauges, counters, histograms and infos. Labels may be hidden."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

CONTENT_TYPE = "application/openmetrics-text; version=1.0.0; charset=utf-8"
MetricKind = Literal["gauge", "counter", "histogram", "info"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """One sample. A counter's name is without `_total`, which is added to the output."""

    name: str
    kind: MetricKind
    help: str
    value: float
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Sample:
    """A value with its labels. `suffix` is appended to the family's name, such as `_bucket`."""

    value: float
    labels: Mapping[str, str] = field(default_factory=dict)
    suffix: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """All samples of one metric, possibly none. `hidden` are labels that only authorized callers may see."""

    name: str
    kind: MetricKind
    help: str
    samples: Sequence[Sample] = ()
    hidden: frozenset[str] = frozenset()

    def public(self) -> Family:
        """Return the family without its hidden labels; samples that become equal are added up."""
        if not self.hidden:
            return self
        sums: dict[tuple[str, tuple[tuple[str, str], ...]], float] = {}
        for sample in self.samples:
            shown = tuple((name, value) for name, value in sample.labels.items() if name not in self.hidden)
            sums[sample.suffix, shown] = sums.get((sample.suffix, shown), 0.0) + sample.value
        samples = tuple(Sample(value, dict(shown), suffix) for (suffix, shown), value in sums.items())
        return replace(self, samples=samples, hidden=frozenset())


def gauge(name: str, help_: str, value: float | None) -> Family:
    """Return a gauge without labels; without a sample if `value` is None."""
    return Family(name=name, kind="gauge", help=help_, samples=() if value is None else (Sample(value),))


def render(metrics: Sequence[Metric]) -> str:
    """Return the exposition of these samples, grouped by name."""
    families: dict[str, Family] = {}
    for one in metrics:
        known = families.get(one.name, Family(name=one.name, kind=one.kind, help=one.help))
        families[one.name] = replace(known, samples=(*known.samples, Sample(one.value, one.labels)))
    return render_families(families.values())


def render_families(families: Iterable[Family]) -> str:
    """Return the exposition of these families; their names must be distinct."""
    lines: list[str] = []
    for family in families:
        lines.append(f"# TYPE {family.name} {family.kind}")
        lines.append(f"# HELP {family.name} {_escaped(family.help)}")
        suffix = {"counter": "_total", "info": "_info"}.get(family.kind, "")
        for sample in family.samples:
            labels = ",".join(f'{name}="{_escaped(value)}"' for name, value in sample.labels.items())
            shown = f"{{{labels}}}" if labels else ""
            lines.append(f"{family.name}{sample.suffix or suffix}{shown} {number(sample.value)}")
    return "\n".join([*lines, "# EOF", ""])


def number(value: float) -> str:
    """Return a number as text without loss of precision."""
    if math.isinf(value) or math.isnan(value):
        return {math.inf: "+Inf", -math.inf: "-Inf"}.get(value, "NaN")
    return str(int(value)) if value == int(value) and abs(value) < 1e15 else repr(float(value))


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
