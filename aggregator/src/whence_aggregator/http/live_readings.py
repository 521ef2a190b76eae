"""One reading of the overview for all viewers with the same rights, repeated while any is there."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping

import msgspec

from whence_aggregator.http.shared_answers import Rights
from whence_common.errors import WhenceError

log = logging.getLogger(__name__)

_PAUSE_FACTOR = 20.0
"""What takes long is read less often, so that reading takes at most a twentieth of the time."""
Parts = Mapping[str, str]
ReadParts = Callable[[], Awaitable[Parts]]
"""Reads the parts of the page as one viewer. Raises WhenceError."""


class LiveReading:
    """The newest parts, for viewers with the same rights; each viewer lends the means to read them."""

    def __init__(self, *, seconds_min: float, pause: Callable[[float], Awaitable[object]]) -> None:
        self._seconds_min = seconds_min
        self._pause = pause
        self._readers: list[ReadParts] = []
        self._before: Parts = {}
        self._change = b""
        self._changed = asyncio.Event()
        self.parts: Parts = {}

    @property
    def is_watched(self) -> bool:
        return bool(self._readers)

    def join(self, reader: ReadParts) -> None:
        self._readers.append(reader)

    def leave(self, reader: ReadParts) -> None:
        self._readers.remove(reader)

    async def run(self) -> None:
        """Read while there are viewers."""
        while self._readers:
            began = time.monotonic()
            reader = self._readers[0]
            try:
                self._show(await reader())
            except WhenceError as exc:
                log.info("the overview could not be read for its viewers: %s", exc.code)
                if reader in self._readers:  # perhaps another viewer's token is still valid
                    self._readers.remove(reader)
                    self._readers.append(reader)
            except Exception:
                log.exception("the overview failed for its viewers by a bug")
            await self._pause(max(self._seconds_min, _PAUSE_FACTOR * (time.monotonic() - began)))

    async def next(self, seen: Parts, *, seconds_max: float) -> Parts:
        """Return the parts once they are not those that were seen, or the same after a while."""
        if not self.parts or self.parts is seen:
            changed = self._changed
            try:
                async with asyncio.timeout(seconds_max):
                    await changed.wait()
            except TimeoutError:
                return self.parts
        return self.parts

    def event(self, seen: Parts) -> bytes:
        """Return the event with what is not as it was seen; most viewers have seen the same."""
        return self._change if seen is self._before else _event(seen, self.parts)

    def _show(self, parts: Parts) -> None:
        if parts != self.parts:
            self._before, self.parts = self.parts, dict(parts)
            self._change = _event(self._before, self.parts)
            changed, self._changed = self._changed, asyncio.Event()
            changed.set()


class LiveReadings:
    """The readings, one for each set of rights that a viewer has."""

    def __init__(self, *, seconds_min: float, pause: Callable[[float], Awaitable[object]]) -> None:
        self._seconds_min = seconds_min
        self._pause = pause
        self._all: dict[Rights, tuple[LiveReading, asyncio.Task[None]]] = {}

    def join(self, rights: Rights, reader: ReadParts) -> LiveReading:
        """Return the reading for a viewer; the first one begins it."""
        reading, _ = self._all.get(rights, (None, None))
        if reading is None:
            reading = LiveReading(seconds_min=self._seconds_min, pause=self._pause)
            reading.join(reader)
            self._all[rights] = reading, asyncio.create_task(reading.run())
        else:
            reading.join(reader)
        return reading

    def leave(self, rights: Rights, reader: ReadParts) -> None:
        """Have a viewer leave; the last one ends the reading."""
        reading, task = self._all[rights]
        reading.leave(reader)
        if not reading.is_watched:
            del self._all[rights]
            task.cancel()


def _event(seen: Parts, parts: Parts) -> bytes:
    changed = {name: content for name, content in parts.items() if seen.get(name) != content}
    return b"event: parts\ndata: " + msgspec.json.encode(changed) + b"\n\n"
