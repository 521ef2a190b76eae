"""How far a pull is, by the events that an engine streams: Docker's stores and Podman word them differently. Pure."""

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
"""Extracting may be silent for so many times longer than a download: of a large layer Docker's containerd store (before
28) and Podman state nothing until it is done, and the last flush to a slow disk takes minutes."""


@dataclass(slots=True, kw_only=True)
class _Layer:
    status: str = ""
    current: int = 0
    total: int = 0


@dataclass(slots=True, kw_only=True)
class PullWatch:
    """Takes the events of one pull. `stall_seconds_max` is how long a download may stand still."""

    stall_seconds_max: float
    _layers: dict[str, _Layer] = field(default_factory=dict, init=False)

    def take(self, event: Mapping[str, Any]) -> bool:
        """Take an event; return whether it shows progress, rather than repeats what was known."""
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
        # extraction counts bytes or seconds of its own, which say nothing about what was downloaded
        return known.status == "Extracting" or before != (known.status, known.current)

    def progress(self) -> PullProgress:
        """Return how far the pull is now."""
        layers = self._layers.values()
        return PullProgress(
            layers=len(layers),
            layers_fetched=sum(one.status in _FETCHED for one in layers),
            layers_kept=sum(one.status in _KEPT for one in layers),
            bytes_fetched=sum(one.current for one in layers),
            bytes_total=sum(one.total for one in layers),
        )

    def silence_seconds_max(self) -> float:
        """Return for how long there may be no progress from here on."""
        extracting = self._layers and (
            any(one.status == "Extracting" for one in self._layers.values())
            or all(one.status in _FETCHED for one in self._layers.values())
        )
        return self.stall_seconds_max * (EXTRACTING_FACTOR if extracting else 1.0)


def _count(value: object) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 < value < 2**60 else 0
