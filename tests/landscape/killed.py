"""A coroutine that ends at one of its awaits, as a process that is killed there."""

from __future__ import annotations

from collections.abc import Coroutine, Generator
from typing import Any


class Killed(BaseException):
    """The process was killed at this point."""


class killed_at:  # noqa: N801 - reads as what it does where it is awaited
    """Awaits a coroutine, and raises Killed in it at its n-th suspension; `passed` counts them."""

    def __init__(self, at: int, call: Coroutine[Any, Any, Any]) -> None:
        self._at = at
        self._call = call
        self.passed = 0

    def __await__(self) -> Generator[Any, Any, Any]:
        inner = self._call.__await__()
        raised = False
        try:
            waited = next(inner)
            while True:
                self.passed += 1
                if self.passed == self._at and not raised:
                    raised = True
                    waited = inner.throw(Killed())
                    continue
                try:
                    sent = yield waited
                except BaseException as exc:  # noqa: BLE001 - what the event loop throws goes on to the coroutine
                    waited = inner.throw(exc)
                else:
                    waited = inner.send(sent)
        except StopIteration as stopped:
            return stopped.value
