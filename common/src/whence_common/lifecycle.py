"""A service is `async def run()` that ends only by cancellation; services live and die together."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Literal

from whence_common.logs import fields

log = logging.getLogger(__name__)

Service = Callable[[], Awaitable[None]]
Ended = Literal["stop", "reload"]


async def run_until_signal(
    services: Mapping[str, Service],
    *,
    on_stopping: Callable[[], Awaitable[None]] | None = None,
    may_reload: Callable[[], bool] | None = None,
) -> Ended:
    """Run services until SIGTERM, SIGINT or an accepted SIGHUP, then cancel them and wait for their clean-up.

    `may_reload` judges a SIGHUP while everything runs on; without it the signal ends the process, as it always did.
    A service that fails, or that returns, stops all the others and its error leaves this call.
    """
    stop = asyncio.Event()
    ended: list[Ended] = []

    def end(how: Ended) -> None:
        if how == "reload" and may_reload is not None and not may_reload():
            return
        ended.append(how)
        stop.set()

    loop = asyncio.get_running_loop()
    numbers: dict[signal.Signals, Ended] = {signal.SIGTERM: "stop", signal.SIGINT: "stop"}
    if may_reload is not None:
        numbers[signal.SIGHUP] = "reload"
    for number, how in numbers.items():
        loop.add_signal_handler(number, end, how)
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(_endless(name, service), name=name) for name, service in services.items()]
            await stop.wait()
            log.info("stopping", extra=fields(services=list(services), how=ended[0]))
            if on_stopping is not None and ended[0] == "stop":
                await on_stopping()
            for task in tasks:
                task.cancel()
    finally:
        for number in numbers:
            with suppress(ValueError):
                loop.remove_signal_handler(number)
    return ended[0]


async def _endless(name: str, service: Service) -> None:
    await service()
    raise AssertionError(f"service {name} returned; it must run until it is cancelled")
