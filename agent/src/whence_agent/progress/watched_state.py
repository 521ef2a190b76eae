"""The watch's facet: the containers as they were seen last, what nobody asked for, and what is about to end them."""

from __future__ import annotations

from dataclasses import dataclass, field

from whence_common.statement import ContainerFacts, DriftFacts


@dataclass(slots=True, kw_only=True)
class WatchedState:
    """Written by the room `watch`; the boot hands over the containers that it started."""

    container: ContainerFacts | None = None
    sidecars: dict[str, ContainerFacts] = field(default_factory=dict)
    drift: tuple[DriftFacts, ...] = ()
    crash_loops: dict[str, str] = field(default_factory=dict)
    """How often a container failed and how, by its name, while it does not recover."""
    engine_error: str = ""
    notices: str = ""
    pool: str = ""
    """The state in its group's warm pool that Auto Scaling has for this machine, while it has one."""
    ending: str = ""
    """Why the containers were drained, once they are."""

    def containers(self) -> list[ContainerFacts]:
        """Return what is known of each declared container, the application first."""
        return [one for one in (self.container, *self.sidecars.values()) if one is not None]

    def record_container(self, facts: ContainerFacts, *, main: bool) -> None:
        """Take a container as it is now: the application, or the sidecar of that name."""
        if main:
            self.container = facts
        else:
            self.sidecars[facts.name] = facts

    def clear_containers(self) -> None:
        """Note that no declared container runs or is kept."""
        self.container, self.sidecars = None, {}

    def record_drift(self, drift: tuple[DriftFacts, ...]) -> None:
        """Take all findings, the newest last."""
        self.drift = drift

    def record_crash_loop(self, name: str, message: str) -> None:
        """Note that a container fails again and again."""
        self.crash_loops[name] = message

    def end_crash_loop(self, name: str) -> bool:
        """Note that a container is stable; return whether it was in a crash loop."""
        return self.crash_loops.pop(name, None) is not None

    def record_engine_error(self, error: str) -> None:
        """Note what the engine does not do."""
        self.engine_error = error

    def clear_engine_error(self) -> None:
        """Note that the engine answered."""
        self.engine_error = ""

    def record_notice(self, notice: str) -> None:
        """Note what the cloud recommends."""
        self.notices = notice

    def record_pool(self, state: str) -> None:
        """Note the machine's state in its group's warm pool; empty when it is in none."""
        self.pool = state

    def begin_ending(self, reason: str) -> None:
        """Note that the containers are drained from now on, and why."""
        self.ending = reason
