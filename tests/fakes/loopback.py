"""Serving of a fake on loopback."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web


@asynccontextmanager
async def loopback(application: web.Application, *, shutdown_seconds: float = 1.0) -> AsyncIterator[str]:
    """Serve an application for the block's duration; yield `127.0.0.1:PORT`."""
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=shutdown_seconds)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()
