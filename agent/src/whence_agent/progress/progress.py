"""All facets: the only source of the status endpoint and of every statement."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from whence_agent.progress.boot_progress import BootProgress
from whence_agent.progress.credential_status import CredentialStatus
from whence_agent.progress.delivered import Delivered
from whence_agent.progress.watched_state import WatchedState
from whence_common.ami_facts import AmiFacts
from whence_common.clock import Now
from whence_common.problems import Problem
from whence_common.statement import (
    ApplicationFacts,
    ContainerFacts,
    CredentialFacts,
    DriftFacts,
    ImageFacts,
    ScmSourceFacts,
    UserDataFacts,
)

if TYPE_CHECKING:
    from whence_common.identity_document import InstanceIdentity


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """A snapshot of what has been observed on this machine."""

    identity: InstanceIdentity | None
    identity_blob: str
    user_data: UserDataFacts | None
    application: ApplicationFacts | None
    image: ImageFacts | None
    container: ContainerFacts | None
    sidecars: Mapping[str, ContainerFacts]
    drift: tuple[DriftFacts, ...]
    ami: AmiFacts | None
    scm_source: ScmSourceFacts | None
    credentials: CredentialFacts | None
    problems: tuple[Problem, ...]
    quotes: Mapping[int, str]


class Progress:
    """One facet for each package that observes. Used on the event loop only."""

    def __init__(
        self,
        *,
        now: Now,
        monotonic: Callable[[], float],
        boot_id: str,
        started_at: str,
        on_stage: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.now: Final = now
        self.monotonic: Final = monotonic
        self.boot_id: Final = boot_id
        self.started_at: Final = started_at
        self.boot: Final = BootProgress(now=now, monotonic=monotonic, on_stage=on_stage)
        self.watched: Final = WatchedState()
        self.delivered: Final = Delivered()
        self.credentials: Final = CredentialStatus()

    @property
    def observed(self) -> Observed:
        """Return a snapshot of all facets."""
        boot, watched = self.boot.observed, self.watched
        return Observed(
            identity=boot.identity,
            identity_blob=boot.identity_blob,
            user_data=boot.user_data,
            application=boot.application,
            image=boot.image,
            container=watched.container,
            sidecars=dict(watched.sidecars),
            drift=watched.drift,
            ami=watched.ami,
            scm_source=boot.scm_source,
            credentials=self.credentials.facts,
            problems=boot.problems,
            quotes=boot.quotes,
        )

    def start_again(self) -> None:
        """Begin another try of the boot. Drift and credentials remain; containers and errors are cleared."""
        self.boot.start_again()
        self.watched.clear_containers()
        self.watched.clear_engine_error()
        self.delivered.record_unsent_signals("")

    def identity(self) -> InstanceIdentity:
        """Return the instance's identity. To be called after the identity stage only."""
        found = self.boot.observed.identity
        assert found is not None
        return found

    def region(self) -> str:
        """Return the region. To be called after the identity stage only."""
        return self.identity().region

    def instance_id(self) -> str:
        """Return the instance's id. To be called after the identity stage only."""
        return self.identity().instance_id
