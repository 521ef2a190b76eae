"""Recovery of containers that do not run: why each ended, when it is started again, and when `on_failure` applies."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

import msgspec

from whence_agent.ports import ContainerWatch, EngineEvent, EngineFailed
from whence_agent.ports_engine import EngineLife, Remembered
from whence_agent.progress.progress import Progress
from whence_agent.watch.restarts import STABLE_SECONDS, RestartDecision
from whence_agent.watch.watched import ENDED, SeenEnd, Watched
from whence_common.clock import parse_instant
from whence_common.runtime.logs import fields
from whence_common.statement import ContainerFacts

log = logging.getLogger(__name__)

GONE_SECONDS = 60.0
"""A container that stays removed for so long is a failure; a manual replacement removes it first."""
RESTART_SECONDS = 2.0
"""A container that was stopped by hand has ended once it is down for so long; `docker restart` starts it earlier."""


@dataclass(slots=True, kw_only=True)
class Recovery:
    """Handles each end once. `on_end` is called for the application's end, `on_failure` for a failure that persists."""

    engine: ContainerWatch
    life: EngineLife
    progress: Progress
    report: Callable[[], None]
    on_end: Callable[[int | None], Awaitable[None]]
    on_failure: Callable[[str], Awaitable[None]]
    lives: int = 0
    """How often the engine's event stream ended, which is mostly a restart of the engine."""
    is_changed: bool = field(default=False)
    """Whether something changed that needs a statement."""

    def record_event(self, watched: Watched, event: EngineEvent) -> None:
        """Record an event of a declared container."""
        if event.action == "start":
            watched.end = SeenEnd()
        elif event.action == "kill":
            watched.end.killed = True
        elif event.action == "die":
            watched.end.died = True
        if event.action in ("die", "pause"):
            watched.checks.interrupted()

    def record_engine_end(self, watched: Mapping[str, Watched]) -> None:
        """Record that the engine's event stream has ended."""
        self.lives += 1
        for one in watched.values():
            one.checks.interrupted()

    async def recover(self, watched: Mapping[str, Watched]) -> None:
        """Handle containers that have ended, and start those that are due. Raises EngineFailed."""
        for one in watched.values():
            facts = one.facts(self.progress.watched)
            if self.progress.watched.ending:
                return
            if facts is None or facts.state == "gone":
                await self._handle_removed(one)
            elif facts.state in ENDED:
                await self._handle_ended(one, facts, watched)
            else:
                await self._handle_running(one, facts, watched)

    async def _handle_removed(self, watched: Watched) -> None:
        """Apply the policy to a removed container. It is not created again, because the removal was intended."""
        now = self.progress.monotonic()
        watched.restart_at = None
        watched.gone_at = now if watched.gone_at is None else watched.gone_at
        if now - watched.gone_at >= GONE_SECONDS and not watched.removal_reported:
            watched.removal_reported = True
            await self.on_failure(f"{watched.name} was removed")

    async def _handle_ended(self, watched: Watched, facts: ContainerFacts, all_: Mapping[str, Watched]) -> None:
        watched.gone_at = None
        if not watched.judged:
            await self._judge(watched, facts)
        now = self.progress.monotonic()
        if watched.restart_at is not None and now >= watched.restart_at and not self._waits(watched, all_):
            await self._start(watched, facts)

    async def _handle_running(self, watched: Watched, facts: ContainerFacts, all_: Mapping[str, Watched]) -> None:
        watched.gone_at, watched.stopped_at, watched.judged, watched.ran_in = None, None, False, self.lives
        due = watched.restart_at is None or self.progress.monotonic() >= watched.restart_at
        if due and self._lost_network(watched, facts, all_):
            await self._rejoin(watched)
            return
        if due:
            watched.restart_at = None
        stable = self.progress.monotonic() - watched.restarts.started >= STABLE_SECONDS
        if stable and self.progress.watched.end_crash_loop(watched.name):
            self.report()

    async def _judge(self, watched: Watched, facts: ContainerFacts) -> None:
        """Decide whether the container ended by itself or with the engine, and what follows."""
        now = self.progress.monotonic()
        watched.restart_at = None
        if watched.stopped_at is None and await self._went_down_with_engine(watched, facts):
            log.warning("stopped with the engine", extra=fields(container=watched.name, exit_code=facts.exit_code))
            watched.restarts.forgive_stable_run(now)
            watched.judged, watched.restart_at = True, now
            return
        if self._may_be_restarted_by_hand(watched, now):
            return
        watched.judged, watched.stopped_at = True, None
        await self._apply(watched, watched.restarts.ended(now, facts.exit_code), f"last with {facts.exit_code}")
        if watched.main:
            await self.on_end(facts.exit_code)

    def _may_be_restarted_by_hand(self, watched: Watched, now: float) -> bool:
        """Return whether it was stopped by hand within the last moments; the decision is deferred then."""
        if not watched.end.killed:
            return False
        watched.stopped_at = now if watched.stopped_at is None else watched.stopped_at
        if now - watched.stopped_at >= RESTART_SECONDS:
            return False
        watched.restart_at = watched.stopped_at + RESTART_SECONDS  # inspected again then, before anything is started
        return True

    async def _went_down_with_engine(self, watched: Watched, facts: ContainerFacts) -> bool:
        """Return whether the container stopped because the engine did. Raises EngineFailed.

        An engine that shuts down sends each container a signal first, and accepts no new connection; an engine that
        crashed has no event of the end. With live restore, containers do not stop with the engine.
        """
        seen = Remembered(died=watched.end.died, killed=watched.end.killed)
        if not seen.died:
            seen = await self._remembered(facts)
        if not seen.died:
            return not seen.live_restore
        if not seen.killed:
            return False
        if watched.ran_in != self.lives:
            return not (await self._remembered(facts)).live_restore
        try:
            await self.life.ping()
        except EngineFailed:
            return True
        return False

    async def _remembered(self, facts: ContainerFacts) -> Remembered:
        now = self.progress.now().timestamp()
        return await self.life.remembered(facts.container_id, since=_started(facts), until=now)

    async def _apply(self, watched: Watched, verdict: RestartDecision, last: str) -> None:
        if verdict.restart_seconds is not None:
            watched.restart_at = self.progress.monotonic() + verdict.restart_seconds
        if not verdict.crash_loop or watched.name in self.progress.watched.crash_loops:
            return
        message = f"{watched.name} has failed {watched.restarts.failures} times in a row, {last}"
        self.progress.watched.record_crash_loop(watched.name, message)
        log.error("crash loop", extra=fields(container=watched.name, failures=watched.restarts.failures))
        self.report()
        await self.on_failure(message)

    async def _start(self, watched: Watched, facts: ContainerFacts) -> None:
        log.warning(
            "restarting the container", extra=fields(container=watched.name, failures=watched.restarts.failures)
        )
        try:
            await self.engine.start(watched.name)
        except EngineFailed as exc:
            await self._handle_refusal(watched, exc)
            return
        watched.restarts.restarted(self.progress.monotonic())
        watched.restart_at, watched.judged, watched.end = None, False, SeenEnd()
        watched.ran_in = self.lives
        watched.record(
            self.progress.watched, msgspec.structs.replace(facts, state="restarting", exit_code=None, error="")
        )

    async def _rejoin(self, watched: Watched) -> None:
        """Restart a running container whose shared network does not exist any more."""
        log.warning("rejoining the network", extra=fields(container=watched.name, network=watched.joins))
        try:
            await self.engine.restart(watched.name)
        except EngineFailed as exc:
            await self._handle_refusal(watched, exc)
            return
        watched.restart_at, watched.end = None, SeenEnd()

    async def _handle_refusal(self, watched: Watched, exc: EngineFailed) -> None:
        """Count a start that the engine refused as a failure. Raises EngineFailed if the engine is unreachable."""
        if exc.code == "engine-unreachable":
            raise exc
        log.error("start refused by the engine", extra=fields(container=watched.name, error=exc.message))
        facts = watched.facts(self.progress.watched)
        if facts is not None and facts.error != exc.message:
            watched.record(self.progress.watched, msgspec.structs.replace(facts, error=exc.message))
            self.is_changed = True
        watched.judged = True
        await self._apply(watched, watched.restarts.refused(), f"last: {exc.message}")

    def _waits(self, watched: Watched, all_: Mapping[str, Watched]) -> bool:
        """Return whether a container must wait, because the one whose network it shares does not run."""
        target = all_.get(watched.joins)
        facts = target.facts(self.progress.watched) if target is not None else None
        return facts is not None and facts.state != "running"

    def _lost_network(self, watched: Watched, facts: ContainerFacts, all_: Mapping[str, Watched]) -> bool:
        """Return whether the container whose network it shares was started after it."""
        target = all_.get(watched.joins)
        other = target.facts(self.progress.watched) if target is not None else None
        if other is None or (facts.state, other.state) != ("running", "running"):
            return False
        return _started(other) > _started(facts)


def _started(facts: ContainerFacts) -> float:
    """Return when a container was started, in seconds since the epoch; 1 if the engine states no time."""
    try:
        return parse_instant(facts.started_at).timestamp()
    except ValueError:
        return 1.0
