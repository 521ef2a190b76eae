"""Stage identity: who this machine is, by IMDSv2, and its user data."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from whence_agent.patience import Patience
from whence_agent.ports import InstanceMetadata, Metadata, MetadataUnavailable
from whence_agent.progress import Progress, StageProgress
from whence_common.errors import InputError
from whence_common.identity_document import InstanceIdentity, read_unverified

ABSENT_ANSWERS_LEAST = 4
ABSENT_SECONDS_MAX = 20.0
"""User data is absent only after so many answers of 404 over so long, or over a quarter of the stage's time: the
metadata service of an instance that has just started may not have it yet."""


@dataclass(slots=True, kw_only=True)
class _Absence:
    """How often, and since when, the service said that there is no user data."""

    seconds_least: float
    answers: int = 0
    since: float = 0.0

    def is_believed(self, now: float) -> bool:
        """Count another answer of 404; return whether there were enough of them."""
        self.answers += 1
        self.since = self.since or now
        return self.answers >= ABSENT_ANSWERS_LEAST and now - self.since >= self.seconds_least


async def read_identity(
    metadata: Metadata,
    progress: Progress,
    stage: StageProgress,
    *,
    patience: Patience,
    check: Callable[[InstanceIdentity], None],
) -> bytes:
    """Read identity and raw user data, trying again until the stage's deadline; return the user data, empty for none.

    `check` sees the identity before anybody else acts on it. The document is not verified here: it describes our own
    machine, and the aggregator verifies AWS's signature.
    """
    left = ABSENT_SECONDS_MAX * 4 if stage.deadline is None else stage.deadline - progress.monotonic()
    absence = _Absence(seconds_least=min(ABSENT_SECONDS_MAX, left / 4))

    async def once() -> tuple[InstanceMetadata, InstanceIdentity]:
        found = await metadata.read()
        try:
            identity = read_unverified(found.document)
        except InputError as exc:
            message = f"the metadata service's identity document cannot be read: {exc.message}"
            raise MetadataUnavailable(exc.code, message) from exc
        if found.user_data is None and not absence.is_believed(progress.monotonic()):
            raise MetadataUnavailable("user-data-absent", "there is no user data (HTTP 404)", fix="look at the launch")
        return found, identity

    found, identity = await patience.keep_trying(once, stage, waiting_for="the metadata service")
    if found.user_data is None:
        stage.reason = f"the metadata service answered {absence.answers} times that there is no user data"
    check(identity)
    progress.observed.identity = identity
    progress.observed.identity_blob = found.signature
    progress.identified.set()
    return found.user_data or b""
