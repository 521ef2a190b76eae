"""A service is `async def run()` that ends only by cancellation; services live and die together."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Literal

from whence_common.runtime.logs import fields

log = logging.getLogger(__name__)

Service = Callable[[], Awaitable[None]]
Ended = Literal["stop", "reload"]
GIVE_UP_SECONDS_MAX = 2.0
"""How long the end may take once a second signal asks for it at once."""


async def run_until_signal(
    services: Mapping[str, Service],
    *,
    on_stopping: Callable[[], Awaitable[None]] | None = None,
    may_reload: Callable[[], bool] | None = None,
    give_up: Callable[[], None] | None = None,
) -> Ended:
    """Run services until SIGTERM, SIGINT or an accepted SIGHUP, then cancel them and wait for their clean-up.

    `may_reload` judges a SIGHUP while everything runs on; without it the signal ends the process, as it always did.
    With `give_up`, a second SIGTERM or SIGINT ends `on_stopping` at once; `give_up` is called when that takes too long,
    and must end the process.
    A service that fails, or that returns, stops all the others and its error leaves this call.
    """
    stop, hurry = asyncio.Event(), asyncio.Event()
    ended: list[Ended] = []
    loop = asyncio.get_running_loop()

    def end(how: Ended) -> None:
        if stop.is_set():
            if how == "stop" and give_up is not None and not hurry.is_set():
                log.warning("ending at once", extra=fields(services=list(services)))
                hurry.set()
                loop.call_later(GIVE_UP_SECONDS_MAX, give_up)
            return
        if how == "reload" and may_reload is not None and not may_reload():
            return
        ended.append(how)
        stop.set()

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
                await _unless(hurry, on_stopping())
            for task in tasks:
                task.cancel()
    finally:
        for number in numbers:
            with suppress(ValueError):
                loop.remove_signal_handler(number)
    return ended[0]


async def _unless(hurry: asyncio.Event, work: Awaitable[None]) -> None:
    """Do work to its end, or until there is no time left for it."""
    working, hurried = asyncio.ensure_future(work), asyncio.create_task(hurry.wait())
    try:
        await asyncio.wait({working, hurried}, return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            working.result()
    finally:
        for task in (working, hurried):
            task.cancel()
        await asyncio.gather(working, hurried, return_exceptions=True)


async def _endless(name: str, service: Service) -> None:
    await service()
    raise AssertionError(f"service {name} returned; it must run until it is cancelled")
