"""Waiting with a bound: for an event or for the time, whichever comes first."""

from __future__ import annotations

import asyncio


async def pause(seconds: float, wake: asyncio.Event | None = None) -> bool:
    """Wait at most so long; give True when `wake` was set first. The event is left as it is."""
    try:
        async with asyncio.timeout(seconds):
            await (wake or asyncio.Event()).wait()
    except TimeoutError:
        return False
    return True
