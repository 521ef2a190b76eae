"""Metrics in the OpenMetrics text format: enough of it for gauges and counters with labels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

CONTENT_TYPE = "application/openmetrics-text; version=1.0.0; charset=utf-8"


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """One sample. Counters are named without `_total`; it is added when written."""

    name: str
    kind: Literal["gauge", "counter"]
    help: str
    value: float
    labels: Mapping[str, str] = field(default_factory=dict)


def render(metrics: list[Metric]) -> str:
    """Write samples as one exposition; samples of one name must stand together."""
    lines: list[str] = []
    described = ""
    for metric in metrics:
        if metric.name != described:
            lines.append(f"# TYPE {metric.name} {metric.kind}")
            lines.append(f"# HELP {metric.name} {metric.help}")
            described = metric.name
        labels = ",".join(f'{name}="{_escaped(value)}"' for name, value in metric.labels.items())
        suffix = "_total" if metric.kind == "counter" else ""
        lines.append(
            f"{metric.name}{suffix}{{{labels}}} {metric.value:g}"
            if labels
            else f"{metric.name}{suffix} {metric.value:g}"
        )
    return "\n".join([*lines, "# EOF", ""])


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
