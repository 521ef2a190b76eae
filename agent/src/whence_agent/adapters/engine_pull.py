"""A pull's progress from the engine's events, which differ between Docker's image stores and Podman. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from whence_agent.ports import PullProgress
from whence_common.errors import one_line

_KEPT = ("Pull complete", "Already exists")
_FETCHED = (*_KEPT, "Download complete", "Verifying Checksum", "Extracting")
_LAYERS_MAX = 1_000
EXTRACTING_FACTOR = 10.0
"""Extraction may be silent this many times longer than a download: Docker's containerd store before 28 and Podman
report nothing until a large layer is extracted, and the last flush to a slow disk takes minutes."""


@dataclass(slots=True, kw_only=True)
class _Layer:
    status: str = ""
    current: int = 0
    total: int = 0


@dataclass(slots=True, kw_only=True)
class PullWatch:
    """Processes the events of one pull. `stall_seconds_max` is the longest time without progress in a download."""

    stall_seconds_max: float
    _layers: dict[str, _Layer] = field(default_factory=dict, init=False)

    def take(self, event: Mapping[str, Any]) -> bool:
        """Process an event; return whether it shows progress."""
        name, status = event.get("id"), event.get("status")
        if not isinstance(name, str) or not isinstance(status, str) or status.startswith("Pulling from"):
            return False
        if name not in self._layers and len(self._layers) >= _LAYERS_MAX:
            return False
        known = self._layers.setdefault(name, _Layer())
        before = (known.status, known.current)
        known.status = one_line(status, 60)
        detail = event.get("progressDetail")
        if known.status == "Downloading" and isinstance(detail, Mapping):
            known.current, known.total = _count(detail.get("current")), _count(detail.get("total"))
        elif known.status in _FETCHED:
            known.current = known.total
        # extraction has its own counts of bytes or seconds, which are not the download's
        return known.status == "Extracting" or before != (known.status, known.current)

    def progress(self) -> PullProgress:
        """Return the present progress."""
        layers = self._layers.values()
        return PullProgress(
            layers=len(layers),
            layers_fetched=sum(one.status in _FETCHED for one in layers),
            layers_kept=sum(one.status in _KEPT for one in layers),
            bytes_fetched=sum(one.current for one in layers),
            bytes_total=sum(one.total for one in layers),
        )

    def silence_seconds_max(self) -> float:
        """Return the longest time that may pass until the next progress."""
        extracting = self._layers and (
            any(one.status == "Extracting" for one in self._layers.values())
            or all(one.status in _FETCHED for one in self._layers.values())
        )
        return self.stall_seconds_max * (EXTRACTING_FACTOR if extracting else 1.0)


def _count(value: object) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 < value < 2**60 else 0
