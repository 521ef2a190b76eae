"""Wait for an event, or until a timeout."""

from __future__ import annotations

import asyncio


async def pause(seconds: float, wake: asyncio.Event | None = None) -> bool:
    """Wait at most `seconds`; return True if `wake` was set before. The event is not cleared."""
    try:
        async with asyncio.timeout(seconds):
            await (wake or asyncio.Event()).wait()
    except TimeoutError:
        return False
    return True
