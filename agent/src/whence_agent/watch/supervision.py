"""Supervision: detects changes of containers within moments, reports them, and restarts containers that failed."""

from __future__ import annotations

import asyncio
import fnmatch
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Sequence

import msgspec

from whence_agent.ports import ContainerState, ContainerWatch, EngineEvent, EngineFailed
from whence_agent.ports_engine import EngineLife
from whence_agent.progress.progress import Progress
from whence_agent.pulse import Pulse
from whence_agent.report.reporter import Reporter
from whence_agent.watch.drift import Drift
from whence_agent.watch.engine_pulse import EnginePulse
from whence_agent.watch.recovery import Recovery
from whence_agent.watch.restarts import Restarts
from whence_agent.watch.watched import Watched
from whence_common.digest import sha256_digest
from whence_common.runtime.logs import fields
from whence_common.runtime.pause import pause
from whence_common.statement import ContainerFacts

log = logging.getLogger(__name__)

_RECONNECT_SECONDS = 2.0
_LOOK_SECONDS_MAX = 300.0
CHANGES_SECONDS = 600.0
CHANGES_MAX = 30
"""At most so many statements of changes in so many seconds, so that endless changes do not fill the ledger."""


class Supervision:
    """Watches the declared containers. `on_end` is called for the application's end, `on_failure` for a failure."""

    def __init__(
        self,
        *,
        engine: ContainerWatch,
        life: EngineLife,
        progress: Progress,
        reporter: Reporter,
        pulse: Pulse,
        watch_seconds: float,
        platform_containers: Sequence[str],
        on_end: Callable[[int | None], Awaitable[None]],
        on_failure: Callable[[str], Awaitable[None]],
    ) -> None:
        self._engine = engine
        self._life = life
        self._progress = progress
        self._reporter = reporter
        self._pulse = pulse
        self._watch_seconds = watch_seconds
        self._platform_containers = platform_containers
        self._drift = Drift(now=progress.now, state=progress.watched)
        self._recovery = Recovery(
            engine=engine, life=life, progress=progress, report=lambda: reporter.report("change"), on_end=on_end,
            on_failure=on_failure,
        )  # fmt: skip
        self._watched: dict[str, Watched] = {}
        self._wake = asyncio.Event()
        self._is_changed = False
        self._reported_at: deque[float] = deque()
        self._followed_to = 0.0
        """The time of the newest event by the engine's clock, or of the first declaration. Events are read from here
        on: without the signal, a stop with the engine would look like the container's own end."""

    def watch(self, name: str, *, digest: str, main: bool, joins: str = "") -> None:
        """Declare a container; every other one that runs is drift. `joins` names the one whose network it shares."""
        self._followed_to = self._followed_to or self._progress.now().timestamp()
        restarts = Restarts(started=self._progress.monotonic())
        self._watched[name] = Watched(name=name, main=main, joins=joins, digest=digest, restarts=restarts)

    async def run(self) -> None:
        """Inspect from the end of the boot on, until cancelled; an event of the engine causes an inspection at once."""
        await self._progress.boot.booted.wait()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._follow())
            group.create_task(EnginePulse(life=self._life, state=self._progress.watched).run())
            while True:
                self._wake.clear()  # before the inspection: an event during it causes another one
                await self.look()
                await pause(self._until_next(), self._wake)

    async def look(self) -> None:
        """Inspect all containers once. An engine that does not answer is shown on the status and is not a change."""
        self._pulse.beat("supervision", silent_seconds_max=_LOOK_SECONDS_MAX)
        try:
            await self._life.ping()
            if await self._undeclared():  # not `|=`, which would lose what events set during the await
                self._is_changed = True
            for watched in self._watched.values():
                found = await self._engine.inspect(watched.name)
                self._is_changed |= self._compare(watched, found)
            self._progress.watched.clear_engine_error()
            self._report_change()
            await self._recovery.recover(self._watched)
        except EngineFailed as exc:
            if exc.message != self._progress.watched.engine_error:
                log.warning("the engine does not answer", extra=fields(error=exc.message))
            self._progress.watched.record_engine_error(exc.message)
        self._is_changed |= self._recovery.is_changed
        self._recovery.is_changed = False
        self._report_change()

    def is_new_drift(self, event: EngineEvent) -> bool:
        """Record an event if it is drift; return whether it is a new finding."""
        watched = self._watched.get(event.name)
        if event.action == "start" and not self._is_known(event):
            log.warning("undeclared container", extra=fields(container=event.name, image=event.image))
            return self._drift.found("container-undeclared", event.name, image=event.image)
        if event.action != "exec_start" or watched is None:
            return False
        if watched.checks.may_be_own(event, self._progress.monotonic()):
            return False
        return self._drift.found("exec", event.name, detail=event.detail)

    def record_event(self, event: EngineEvent) -> None:
        """Record an event of the engine: for recovery, and as drift if it is."""
        self._followed_to = max(self._followed_to, event.at)
        if event.name in self._watched:
            self._recovery.record_event(self._watched[event.name], event)
        if self.is_new_drift(event):
            log.warning("drift", extra=fields(kind=event.action, container=event.name))
            self._is_changed = True
        self._wake.set()

    def record_engine_end(self) -> None:
        """Record that the engine's event stream has ended."""
        self._recovery.record_engine_end(self._watched)
        self._wake.set()

    async def _follow(self) -> None:
        while True:
            try:
                async for event in self._engine.events(since=self._followed_to):
                    self.record_event(event)
            except EngineFailed:
                self.record_engine_end()
            await pause(_RECONNECT_SECONDS)

    async def _undeclared(self) -> bool:
        """Record running containers whose start event was missed as drift; return whether there is a new finding."""
        found = [self.is_new_drift(event) for event in await self._engine.running()]
        return any(found)

    def _is_known(self, event: EngineEvent) -> bool:
        if event.name in self._watched:
            return True
        if any(fnmatch.fnmatchcase(event.name, pattern) for pattern in self._platform_containers):
            return True
        known = {(one.container, one.image) for one in self._progress.watched.drift}
        return (event.name, event.image) in known

    def _compare(self, watched: Watched, found: ContainerState | None) -> bool:
        self._pulse.beat("supervision", silent_seconds_max=_LOOK_SECONDS_MAX)
        before = watched.facts(self._progress.watched)
        if found is None:
            if before is None or before.state == "gone":
                return False
            self._drift.found("container-removed", watched.name)
            watched.record(self._progress.watched, msgspec.structs.replace(before, state="gone"))
            return True
        after = msgspec.structs.replace(
            found.facts,
            declared_digest="" if watched.main else watched.digest,
            restarts=watched.restarts.total,
            health=before.health if before is not None else "",
            error=before.error if before is not None and found.facts.state != "running" else "",
        )
        drifted = self._drifted(watched, found)
        if after == before:
            return drifted
        watched.record(self._progress.watched, after)
        log.log(logging.INFO if after.state == "running" else logging.WARNING, "the container changed",
                extra=fields(container=watched.name, state=after.state, exit_code=after.exit_code,
                             health=after.engine_health))  # fmt: skip
        return drifted or not _became_healthy(before, after)

    def _drifted(self, watched: Watched, found: ContainerState) -> bool:
        drifted = False
        if found.facts.image_digest != watched.digest:
            drifted = self._drift.found("image-replaced", watched.name, detail=found.facts.image_digest)
        declared = found.configuration if watched.configuration is None else watched.configuration
        watched.configuration = declared
        if changed := {name for name, _ in declared.items() ^ found.configuration.items()}:
            drifted |= self._drift.found("configuration-changed", watched.name, detail=_named(changed, found))
        for exec_ in watched.checks.settle(found.checks, self._progress.monotonic()):
            drifted |= self._drift.found("exec", watched.name, detail=exec_.detail)
        return drifted

    def _report_change(self) -> None:
        """State what changed, within the limit of statements; the next statement contains what is left."""
        now = self._progress.monotonic()
        while self._reported_at and now - self._reported_at[0] > CHANGES_SECONDS:
            self._reported_at.popleft()
        if not self._is_changed or self._progress.watched.ending or len(self._reported_at) >= CHANGES_MAX:
            return  # the `stop` statement contains everything
        self._reported_at.append(now)
        self._is_changed = False
        self._reporter.report("change")

    def _until_next(self) -> float:
        """Return the seconds until the next restart is due; an overdue restart waits for an event."""
        now = self._progress.monotonic()
        due = [one.restart_at for one in self._watched.values() if one.restart_at is not None and one.restart_at > now]
        return max(0.05, min(self._watch_seconds, min(due, default=float("inf")) - now))


def _became_healthy(before: ContainerFacts | None, after: ContainerFacts) -> bool:
    """Return whether the only change is that the engine's first health checks succeeded, which is expected."""
    if before is None or (before.engine_health, after.engine_health) != ("starting", "healthy"):
        return False
    return msgspec.structs.replace(before, engine_health="healthy") == after


def _named(changed: set[str], found: ContainerState) -> str:
    """Return the names of the changed parts and a digest of their values, so that each change is a finding."""
    values = "".join(found.configuration.get(name, "-")[:64] for name in sorted(changed))
    return f"{', '.join(sorted(changed))} ({sha256_digest(values.encode())[7:15]})"
