"""Run services together. A service is an `async def run()` that ends only by cancellation; if one fails, all stop."""

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
"""How long stopping may take after a second signal."""


async def run_until_signal(
    services: Mapping[str, Service],
    *,
    on_stopping: Callable[[], Awaitable[None]] | None = None,
    may_reload: Callable[[], bool] | None = None,
    give_up: Callable[[], None] | None = None,
) -> Ended:
    """Run services until SIGTERM, SIGINT or an accepted SIGHUP, then cancel them and wait for their clean-up.

    `may_reload` decides on a SIGHUP while the services run; without it, the signal's default action ends the process.
    With `give_up`, a second SIGTERM or SIGINT cancels `on_stopping`; `give_up` is called if stopping then takes too
    long, and must end the process.
    A service that fails or returns stops all others, and its error is raised here.
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
    """Await `work` until it completes or `hurry` is set, which cancels it."""
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
