"""Stage identity: reads the instance's identity and user data by IMDSv2."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from whence_agent.boot.stage import Observation, ObservedSoFar, StageHandle
from whence_agent.patience import Patience
from whence_agent.ports import InstanceMetadata, Metadata, MetadataUnavailable
from whence_common.errors import InputError
from whence_common.identity_document import InstanceIdentity, read_unverified

ABSENT_ANSWERS_LEAST = 4
ABSENT_SECONDS_MAX = 20.0
"""User data counts as absent only after so many 404 answers over so long, or over a quarter of the stage's time: the
metadata service of an instance that has just started may not have it yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Identified(Observation):
    """The instance's identity, AWS's signature in base64, and the raw user data; empty without user data."""

    identity: InstanceIdentity
    signature: str
    user_data: bytes


@dataclass(slots=True, kw_only=True)
class _Absence:
    """How often, and since when, the metadata service has answered that there is no user data."""

    seconds_least: float
    answers: int = 0
    since: float = 0.0

    def is_confirmed(self, now: float) -> bool:
        """Count another 404 answer; return whether there were enough of them."""
        self.answers += 1
        self.since = self.since or now
        return self.answers >= ABSENT_ANSWERS_LEAST and now - self.since >= self.seconds_least


@dataclass(frozen=True, slots=True, kw_only=True)
class IdentityStage:
    """Reads identity and raw user data, with retries until the stage's deadline.

    `check` is called with the identity before any other module uses it. The document is not verified here: it
    describes this machine, and the aggregator verifies AWS's signature.
    """

    metadata: Metadata
    patience: Patience
    monotonic: Callable[[], float]
    check: Callable[[InstanceIdentity], None]
    name: str = "identity"

    def is_wanted(self, so_far: ObservedSoFar) -> bool:
        return True

    async def run(self, so_far: ObservedSoFar, handle: StageHandle) -> Identified:
        """Return the identity and the user data. Raises MetadataUnavailable."""
        left = ABSENT_SECONDS_MAX * 4 if handle.stage.deadline is None else handle.stage.deadline - self.monotonic()
        absence = _Absence(seconds_least=min(ABSENT_SECONDS_MAX, left / 4))

        async def once() -> tuple[InstanceMetadata, InstanceIdentity]:
            return await self._once(absence)

        found, identity = await self.patience.keep_trying(once, handle.stage, waiting_for="the metadata service")
        note = ""
        if found.user_data is None:
            note = f"the metadata service answered {absence.answers} times that there is no user data"
        self.check(identity)
        return Identified(identity=identity, signature=found.signature, user_data=found.user_data or b"", note=note)

    async def _once(self, absence: _Absence) -> tuple[InstanceMetadata, InstanceIdentity]:
        found = await self.metadata.read()
        try:
            identity = read_unverified(found.document)
        except InputError as exc:
            message = f"the metadata service's identity document cannot be read: {exc.message}"
            raise MetadataUnavailable(exc.code, message) from exc
        if found.user_data is None and not absence.is_confirmed(self.monotonic()):
            message = "there is no user data (HTTP 404)"
            raise MetadataUnavailable("user-data-absent", message, fix="check the launch template")
        return found, identity
