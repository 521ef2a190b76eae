"""Supervision: sees within moments that a container is not what it was, says so, and starts what has failed again."""

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
TELL_SECONDS = 600.0
TELL_MAX = 30
"""Statements of change in so many seconds: whoever starts containers without end must not fill the ledger."""


class Supervision:
    """Watches the declared containers. `on_end` hears of the application's end, `on_failure` of a hopeless case."""

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
        self._untold = False
        self._told: deque[float] = deque()
        self._followed_to = 0.0
        """The instant of the newest event, by the engine's clock; before the first, of the first declaration: a signal
        that the stream missed would make the engine's end look like the container's own."""

    def watch(self, name: str, *, digest: str, main: bool, joins: str = "") -> None:
        """Declare a container; everything else that runs is drift. `joins` is the one whose network it shares."""
        self._followed_to = self._followed_to or self._progress.now().timestamp()
        restarts = Restarts(started=self._progress.monotonic())
        self._watched[name] = Watched(name=name, main=main, joins=joins, digest=digest, restarts=restarts)

    async def run(self) -> None:
        """Look for ever, from the end of the boot on; the engine's events make it look at once."""
        await self._progress.boot.booted.wait()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._follow())
            group.create_task(EnginePulse(life=self._life, state=self._progress.watched).run())
            while True:
                self._wake.clear()  # before the look: what happens during it asks for another
                await self.look()
                await pause(self._until_next(), self._wake)

    async def look(self) -> None:
        """Look once; an engine that does not answer is a problem on the status endpoint, not a change."""
        self._pulse.beat("supervision", silent_seconds_max=_LOOK_SECONDS_MAX)
        try:
            await self._life.ping()
            if await self._undeclared():  # not `|=`: what events set during the question must stay
                self._untold = True
            for watched in self._watched.values():
                found = await self._engine.inspect(watched.name)
                self._untold |= self._compare(watched, found)
            self._progress.watched.clear_engine_error()
            self._tell()
            await self._recovery.go_on(self._watched)
        except EngineFailed as exc:
            if exc.message != self._progress.watched.engine_error:
                log.warning("the engine does not answer", extra=fields(error=exc.message))
            self._progress.watched.record_engine_error(exc.message)
        self._untold |= self._recovery.untold
        self._recovery.untold = False
        self._tell()

    def seen(self, event: EngineEvent) -> bool:
        """Take one of the engine's events; give whether it is drift that nobody has been told of."""
        watched = self._watched.get(event.name)
        if event.action == "start" and not self._is_known(event):
            log.warning("an undeclared container runs", extra=fields(container=event.name, image=event.image))
            return self._drift.found("container-undeclared", event.name, image=event.image)
        if event.action != "exec_start" or watched is None:
            return False
        if watched.checks.may_be_own(event, self._progress.monotonic()):
            return False
        return self._drift.found("exec", event.name, detail=event.detail)

    def happened(self, event: EngineEvent) -> None:
        """Take an event as it comes from the engine: what it says of ends, and what of drift."""
        self._followed_to = max(self._followed_to, event.at)
        if event.name in self._watched:
            self._recovery.saw(self._watched[event.name], event)
        if self.seen(event):
            log.warning("drift", extra=fields(kind=event.action, container=event.name))
            self._untold = True
        self._wake.set()

    def engine_left(self) -> None:
        """Take note that the engine ended its events."""
        self._recovery.engine_left(self._watched)
        self._wake.set()

    async def _follow(self) -> None:
        while True:
            try:
                async for event in self._engine.events(since=self._followed_to):
                    self.happened(event)
            except EngineFailed:
                self.engine_left()
            await pause(_RECONNECT_SECONDS)

    async def _undeclared(self) -> bool:
        """Find what runs and has not been told: started before the events were followed, or between two of them."""
        found = [self.seen(event) for event in await self._engine.running()]
        return any(found)

    def _is_known(self, event: EngineEvent) -> bool:
        if event.name in self._watched:
            return True
        if any(fnmatch.fnmatchcase(event.name, pattern) for pattern in self._platform_containers):
            return True
        told = {(one.container, one.image) for one in self._progress.watched.drift}
        return (event.name, event.image) in told

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

    def _tell(self) -> None:
        """State what changed, but not more often than the bound; what waits is in the next statement."""
        now = self._progress.monotonic()
        while self._told and now - self._told[0] > TELL_SECONDS:
            self._told.popleft()
        if not self._untold or self._progress.watched.ending or len(self._told) >= TELL_MAX:
            return  # the statement of the end holds it all
        self._told.append(now)
        self._untold = False
        self._reporter.report("change")

    def _until_next(self) -> float:
        """Wait until the next start is due; what is overdue waits for something else, and that is an event."""
        now = self._progress.monotonic()
        due = [one.restart_at for one in self._watched.values() if one.restart_at is not None and one.restart_at > now]
        return max(0.05, min(self._watch_seconds, min(due, default=float("inf")) - now))


def _became_healthy(before: ContainerFacts | None, after: ContainerFacts) -> bool:
    """Return whether nothing changed but that the engine's first checks went well, as they should."""
    if before is None or (before.engine_health, after.engine_health) != ("starting", "healthy"):
        return False
    return msgspec.structs.replace(before, engine_health="healthy") == after


def _named(changed: set[str], found: ContainerState) -> str:
    """Name what changed, and which change it was: another value of the same part is another finding."""
    values = "".join(found.configuration.get(name, "-")[:64] for name in sorted(changed))
    return f"{', '.join(sorted(changed))} ({sha256_digest(values.encode())[7:15]})"
