"""Draining: deregisters from the load balancer, stops the containers, states it, and may power the machine off."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, field

import msgspec

from whence_agent.machine.protocol import MachineFailed, PowerOffRequest
from whence_agent.ports import Engine, EngineFailed, Machine
from whence_agent.ports_cloud import CloudRefused, LoadBalancers, NobodyWaits
from whence_agent.progress.progress import Progress
from whence_agent.progress.stage import StageProgress
from whence_agent.report.announcement import Announcer
from whence_agent.report.delivery import Delivery
from whence_agent.report.reporter import Reporter
from whence_common.runtime.logs import fields
from whence_common.user_data.lifecycle import LoadBalancer, Shutdown

log = logging.getLogger(__name__)

DEREGISTER_SECONDS_MAX = 10.0
DELIVER_SECONDS_MAX = 10.0
STOP_SECONDS_SPARE = 20


@dataclass(slots=True, kw_only=True)
class Ending:
    """Drains once, for the first of: a spot notice, Auto Scaling, the machine's shutdown, the application's end."""

    engine: Engine
    machine: Machine
    load_balancers: LoadBalancers
    announcer: Announcer
    reporter: Reporter
    delivery: Delivery
    progress: Progress
    load_balancer: LoadBalancer | None = None
    shutdown: Shutdown = "never"
    containers: dict[str, int] = field(default_factory=dict)
    """The declared containers, the application first, each with its stop timeout in seconds."""
    once: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def drain(self, reason: str) -> None:
        """Deregister the application, stop all containers, deliver a `stop` statement. Each step has a timeout."""
        async with self.once:
            if self.progress.watched.ending or self.progress.observed.identity is None:
                return
            self.progress.watched.begin_ending(reason)
            log.warning("draining", extra=fields(reason=reason))
            await self._deregister()
            for name, seconds in self.containers.items():
                await self._stop(name, seconds)
            self.reporter.report("stop")
            await self.delivery.flush(seconds_max=DELIVER_SECONDS_MAX)
            await self.announcer.terminating()

    async def application_ended(self, exit_code: int | None) -> None:
        """Drain, and power the machine off, if `shutdown` of user data requires it."""
        if self.shutdown == "never" or (self.shutdown == "on-success" and exit_code != 0):
            return
        reason = f"the application ended with {exit_code}, and shutdown is {self.shutdown}"
        await self.drain(reason)
        try:
            await self.machine.prepare(PowerOffRequest(reason=reason))
        except MachineFailed as exc:
            self.progress.delivered.record_unsent_signals(f"the machine could not be powered off: {exc.diagnostics()}")
            log.error("power-off failed", extra=fields(reason=exc.message))

    async def _deregister(self) -> None:
        target = self.load_balancer
        if target is None:
            return
        instance_id = self.progress.instance_id()
        try:
            async with asyncio.timeout(DEREGISTER_SECONDS_MAX):
                await self.announcer.patience.keep_trying(
                    lambda: self.load_balancers.deregister(target.kind, target.name, instance_id=instance_id),
                    StageProgress(name="ending"),
                    waiting_for=f"the load balancer {target.name}",
                )
        except NobodyWaits as exc:
            log.info("not registered in the load balancer", extra=fields(reason=exc.message))
        except (CloudRefused, TimeoutError) as exc:
            log.error("deregistration from the load balancer failed", extra=fields(reason=str(exc)))

    async def _stop(self, name: str, seconds: int) -> None:
        try:
            async with asyncio.timeout(seconds + STOP_SECONDS_SPARE):
                await self.engine.stop(name, seconds_max=seconds, remove=False)
        except (EngineFailed, TimeoutError) as exc:
            log.error("the container may still run", extra=fields(container=name, error=str(exc)))
            return
        self._record_stopped(name)

    def _record_stopped(self, name: str) -> None:
        watched = self.progress.watched
        for facts in watched.containers():
            if facts.name == name:
                watched.record_container(
                    msgspec.structs.replace(facts, state="exited"), main=facts is watched.container
                )
