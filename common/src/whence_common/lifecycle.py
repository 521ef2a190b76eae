"""A service is `async def run()` that ends only by cancellation; services live and die together."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress

from whence_common.logs import fields

log = logging.getLogger(__name__)

Service = Callable[[], Awaitable[None]]


async def run_until_signal(services: Mapping[str, Service], *, on_stopping: Callable[[], None] | None = None) -> None:
    """Run services until SIGTERM or SIGINT, then cancel them and wait for their clean-up.

    A service that fails, or that returns, stops all the others and its error leaves this call.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(_endless(name, service), name=name) for name, service in services.items()]
            await stop.wait()
            log.info("stopping", extra=fields(services=list(services)))
            if on_stopping is not None:
                on_stopping()
            for task in tasks:
                task.cancel()
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            with suppress(ValueError):
                loop.remove_signal_handler(number)


async def _endless(name: str, service: Service) -> None:
    await service()
    raise AssertionError(f"service {name} returned; it must run until it is cancelled")
