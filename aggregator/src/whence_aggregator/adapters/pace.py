"""A minimum rate for a body that streams: a body that is slower is given up."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import dataclass

from whence_aggregator.ports import SourceUnavailable

_KIB = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Floor:
    """How many bytes must arrive in each window of waiting time."""

    bytes_per_second_min: int
    window_seconds: float


LAYER_FLOOR = Floor(bytes_per_second_min=32 * _KIB, window_seconds=20.0)


class TooSlow(SourceUnavailable):
    """A body arrived more slowly than its floor."""


class ResponsePace:
    """Checks the rate of a body over the time spent waiting for it; the reader's own time does not count. Pure."""

    def __init__(self, floor: Floor) -> None:
        self._floor = floor
        self._waited = 0.0
        self._came = 0

    @property
    def left_seconds(self) -> float:
        """Return how long the reader may still wait in this window."""
        return max(self._floor.window_seconds - self._waited, 0.0)

    def took(self, waited_seconds: float, came_bytes: int) -> None:
        """Count a wait and the bytes that arrived. Raises TooSlow at the end of a window with too few bytes."""
        self._waited += waited_seconds
        self._came += came_bytes
        if self._waited < self._floor.window_seconds:
            return
        if self._came < self._floor.bytes_per_second_min * self._waited:
            least = f"{self._floor.bytes_per_second_min / _KIB:g} KiB"
            raise TooSlow("source-too-slow", f"less than {least} a second arrived in {self._waited:.0f} seconds")
        self._waited, self._came = 0.0, 0


async def paced(chunks: AsyncIterator[bytes], floor: Floor, *, seconds: Callable[[], float]) -> AsyncIterator[bytes]:
    """Yield chunks as they arrive. `seconds` is a monotonic clock. Raises TooSlow."""
    pace = ResponsePace(floor)
    while True:
        coming = asyncio.ensure_future(anext(chunks, None))
        try:
            chunk = await _within(coming, pace, seconds)
        finally:
            if not coming.done():
                coming.cancel()
                with suppress(asyncio.CancelledError):
                    await coming
        if chunk is None:
            return
        yield chunk


async def _within(
    coming: asyncio.Future[bytes | None], pace: ResponsePace, seconds: Callable[[], float]
) -> bytes | None:
    while True:
        began = seconds()
        done, _ = await asyncio.wait({coming}, timeout=pace.left_seconds)
        waited = seconds() - began
        if not done:
            pace.took(max(waited, pace.left_seconds), 0)
            continue
        chunk = coming.result()
        if chunk is not None:
            pace.took(waited, len(chunk))
        return chunk
