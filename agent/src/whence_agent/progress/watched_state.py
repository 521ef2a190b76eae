"""The facet of the watch: the containers as inspected last, drift, and announced ends of the instance."""

from __future__ import annotations

from dataclasses import dataclass, field

from whence_common.ami_facts import AmiFacts
from whence_common.statement import ContainerFacts, DriftFacts


@dataclass(slots=True, kw_only=True)
class WatchedState:
    """The state of the containers. Written by the package `watch`; the boot records the containers that it started."""

    container: ContainerFacts | None = None
    sidecars: dict[str, ContainerFacts] = field(default_factory=dict)
    drift: tuple[DriftFacts, ...] = ()
    crash_loops: dict[str, str] = field(default_factory=dict)
    """Containers in a crash loop, by name, each with the number and kind of its failures."""
    engine_error: str = ""
    notices: str = ""
    pool: str = ""
    """The machine's lifecycle state in its group's warm pool; empty outside one."""
    ending: str = ""
    """Why the containers are drained; empty before."""
    ami: AmiFacts | None = None
    """The machine's image and its packages; None before the first reading, and if the image names no statement."""

    def containers(self) -> list[ContainerFacts]:
        """Return the facts of each declared container, the application first."""
        return [one for one in (self.container, *self.sidecars.values()) if one is not None]

    def record_container(self, facts: ContainerFacts, *, main: bool) -> None:
        """Record a container's state: the application's, or that of the sidecar with this name."""
        if main:
            self.container = facts
        else:
            self.sidecars[facts.name] = facts

    def clear_containers(self) -> None:
        """Record that no declared container exists."""
        self.container, self.sidecars = None, {}

    def record_drift(self, drift: tuple[DriftFacts, ...]) -> None:
        """Record all findings of drift, the newest last."""
        self.drift = drift

    def record_crash_loop(self, name: str, message: str) -> None:
        """Record that a container is in a crash loop."""
        self.crash_loops[name] = message

    def end_crash_loop(self, name: str) -> bool:
        """Record that a container is stable; return whether it was in a crash loop."""
        return self.crash_loops.pop(name, None) is not None

    def record_engine_error(self, error: str) -> None:
        """Record the engine's last error."""
        self.engine_error = error

    def clear_engine_error(self) -> None:
        """Record that the engine has answered."""
        self.engine_error = ""

    def record_notice(self, notice: str) -> None:
        """Record a recommendation of AWS."""
        self.notices = notice

    def record_pool(self, state: str) -> None:
        """Record the machine's state in its group's warm pool; empty outside one."""
        self.pool = state

    def record_ami(self, facts: AmiFacts | None) -> None:
        """Record the machine's image, and which packages differ from it."""
        self.ami = facts

    def begin_ending(self, reason: str) -> None:
        """Record that draining begins, and why."""
        self.ending = reason
