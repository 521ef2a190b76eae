"""Supervision: sees within moments that a container is not what it was, says so, and starts what has failed again."""

from __future__ import annotations

import asyncio
import fnmatch
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import msgspec

from whence_agent.drift import Drift
from whence_agent.ports import ContainerState, ContainerWatch, EngineEvent, EngineFailed
from whence_agent.progress import Progress
from whence_agent.pulse import Pulse
from whence_agent.reporter import Reporter
from whence_agent.restarts import STABLE_SECONDS, Restarts
from whence_common.logs import fields
from whence_common.pause import pause
from whence_common.statement import ContainerFacts

log = logging.getLogger(__name__)

_RECONNECT_SECONDS = 2.0
_LOOK_SECONDS_MAX = 300.0
_ENDED = ("exited", "dead")
TELL_SECONDS = 600.0
TELL_MAX = 30
"""Statements of change in so many seconds: whoever starts containers without end must not fill the ledger."""


@dataclass(slots=True, kw_only=True)
class _Watched:
    main: bool
    shares_network: bool
    """Its network is the application's: it is lost with every start of that."""
    digest: str
    restarts: Restarts
    configuration: str = ""
    restart_at: float | None = None
    judged: bool = False
    """Whether the present end has been judged already."""


class Supervision:
    """Watches the declared containers. `on_end` hears of the application's end, `on_crash_loop` of a hopeless case."""

    def __init__(
        self,
        *,
        engine: ContainerWatch,
        progress: Progress,
        reporter: Reporter,
        pulse: Pulse,
        watch_seconds: float,
        platform_containers: Sequence[str],
        on_end: Callable[[int | None], Awaitable[None]],
        on_crash_loop: Callable[[str], Awaitable[None]],
    ) -> None:
        self._engine = engine
        self._progress = progress
        self._reporter = reporter
        self._pulse = pulse
        self._watch_seconds = watch_seconds
        self._platform_containers = platform_containers
        self._on_end = on_end
        self._on_crash_loop = on_crash_loop
        self._drift = Drift(progress=progress)
        self._watched: dict[str, _Watched] = {}
        self._wake = asyncio.Event()
        self._untold = False
        self._told: deque[float] = deque()

    def watch(self, name: str, *, digest: str, main: bool, shares_network: bool = False) -> None:
        """Declare a container; everything else that runs is drift."""
        restarts = Restarts(started=self._progress.monotonic())
        self._watched[name] = _Watched(main=main, shares_network=shares_network, digest=digest, restarts=restarts)

    async def run(self) -> None:
        """Look for ever, from the end of the boot on; the engine's events make it look at once."""
        await self._progress.booted.wait()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._follow())
            while True:
                self._wake.clear()  # before the look: what happens during it asks for another
                await self.look()
                self._pulse.beat("supervision", silent_seconds_max=_LOOK_SECONDS_MAX)
                await pause(self._until_next(), self._wake)

    async def look(self) -> None:
        """Look once; an engine that does not answer is a problem on the status endpoint, not a change."""
        try:
            changed = await self._undeclared()
            for name, watched in self._watched.items():
                changed |= self._compare(name, watched, await self._engine.inspect(name))
                await self._restart_when_due(name, watched)
        except EngineFailed as exc:
            if exc.message != self._progress.engine_error:
                log.warning("the engine does not answer", extra=fields(error=exc.message))
            self._progress.engine_error = exc.message
            return
        engine_was_away = bool(self._progress.engine_error)
        self._progress.engine_error = ""
        self._untold |= changed
        self._tell()
        await self._judge_ends(engine_was_away=engine_was_away)

    def seen(self, event: EngineEvent) -> bool:
        """Take one of the engine's events; give whether it is drift that nobody has been told of."""
        if event.action == "start" and not self._is_known(event):
            log.warning("an undeclared container runs", extra=fields(container=event.name, image=event.image))
            return self._drift.found("container-undeclared", event.name, image=event.image)
        if event.action == "exec_start" and event.name in self._watched:
            return self._drift.found("exec", event.name, detail=event.detail)
        return False

    async def _follow(self) -> None:
        while True:
            try:
                async for event in self._engine.events():
                    if self.seen(event):
                        log.warning("drift", extra=fields(kind=event.action, container=event.name))
                        self._untold = True
                    self._wake.set()
            except EngineFailed:
                self._wake.set()
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
        told = {(one.container, one.image) for one in self._progress.observed.drift}
        return (event.name, event.image) in told

    def _compare(self, name: str, watched: _Watched, found: ContainerState | None) -> bool:
        before = self._facts(name)
        if found is None:
            if before is None or before.state == "gone":
                return False
            self._drift.found("container-removed", name)
            self._set(name, msgspec.structs.replace(before, state="gone"))
            return True
        after = msgspec.structs.replace(
            found.facts,
            declared_digest="" if watched.main else watched.digest,
            restarts=watched.restarts.total,
            health=before.health if before is not None else "",
        )
        drifted = self._drifted(name, watched, found)
        if after == before:
            return drifted
        self._set(name, after)
        log.log(logging.INFO if after.state == "running" else logging.WARNING, "the container changed",
                extra=fields(container=name, state=after.state, exit_code=after.exit_code))  # fmt: skip
        return True

    def _drifted(self, name: str, watched: _Watched, found: ContainerState) -> bool:
        drifted = False
        if found.facts.image_digest != watched.digest:
            drifted = self._drift.found("image-replaced", name, detail=found.facts.image_digest)
        if watched.configuration and found.configuration != watched.configuration:
            drifted |= self._drift.found("configuration-changed", name, detail=found.configuration[:12])
        watched.configuration = watched.configuration or found.configuration
        return drifted

    def _tell(self) -> None:
        """State what changed, but not more often than the bound; what waits is in the next statement."""
        now = self._progress.monotonic()
        while self._told and now - self._told[0] > TELL_SECONDS:
            self._told.popleft()
        if not self._untold or self._progress.ending or len(self._told) >= TELL_MAX:
            return  # the statement of the end holds it all
        self._told.append(now)
        self._untold = False
        self._reporter.report("change")

    async def _judge_ends(self, *, engine_was_away: bool) -> None:
        for name, watched in self._watched.items():
            facts = self._facts(name)
            if facts is None or facts.state not in _ENDED:
                watched.judged = False
                self._forgive(name, watched)
                continue
            if watched.judged or self._progress.ending:
                continue
            watched.judged = True
            if engine_was_away:  # it went down with its engine, whatever code it gave
                watched.restart_at = self._progress.monotonic()
                self._wake.set()
                continue
            verdict = watched.restarts.ended(self._progress.monotonic(), facts.exit_code)
            if verdict.restart_seconds is not None:
                watched.restart_at = self._progress.monotonic() + verdict.restart_seconds
            if verdict.crash_loop and not self._progress.crash_loop:
                message = f"{name} has failed {watched.restarts.failures} times in a row, last with {facts.exit_code}"
                self._progress.crash_loop = message
                log.error("crash loop", extra=fields(container=name, failures=watched.restarts.failures))
                self._reporter.report("change")
                await self._on_crash_loop(message)
            if watched.main:
                await self._on_end(facts.exit_code)

    def _forgive(self, name: str, watched: _Watched) -> None:
        """Take the verdict back once the container has run for long enough."""
        stable = self._progress.monotonic() - watched.restarts.started >= STABLE_SECONDS
        if stable and self._progress.crash_loop.startswith(f"{name} "):
            self._progress.crash_loop = ""
            self._reporter.report("change")

    async def _restart_when_due(self, name: str, watched: _Watched) -> None:
        if watched.restart_at is None or self._progress.ending or self._progress.monotonic() < watched.restart_at:
            return
        watched.restart_at = None
        facts = self._facts(name)
        if facts is None or facts.state not in _ENDED:
            return
        log.warning("starting again", extra=fields(container=name, failures=watched.restarts.failures))
        watched.restarts.restarted(self._progress.monotonic())
        watched.judged = False
        await self._engine.start(name)
        self._set(name, msgspec.structs.replace(facts, state="restarting", exit_code=None))
        for other, sidecar in self._watched.items():
            if watched.main and sidecar.shares_network:
                await self._engine.restart(other)
        self._wake.set()

    def _until_next(self) -> float:
        due = [one.restart_at for one in self._watched.values() if one.restart_at is not None]
        soonest = min(due, default=float("inf")) - self._progress.monotonic()
        return max(0.05, min(self._watch_seconds, soonest))

    def _facts(self, name: str) -> ContainerFacts | None:
        observed = self._progress.observed
        return observed.container if self._watched[name].main else observed.sidecars.get(name)

    def _set(self, name: str, facts: ContainerFacts) -> None:
        if self._watched[name].main:
            self._progress.observed.container = facts
        else:
            self._progress.observed.sidecars[name] = facts
