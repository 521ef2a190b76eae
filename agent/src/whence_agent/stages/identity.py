"""Stage identity: who this machine is, by IMDSv2."""

from __future__ import annotations

from collections.abc import Callable

from whence_agent.ports import Metadata, MetadataUnavailable
from whence_agent.progress import Progress
from whence_common.backoff import Backoff
from whence_common.identity_document import InstanceIdentity, read_unverified
from whence_common.pause import pause


async def read_identity(
    metadata: Metadata, progress: Progress, *, backoff: Backoff, check: Callable[[InstanceIdentity], None]
) -> bytes:
    """Read identity and raw user data, trying again until the stage's deadline; give the user data.

    `check` sees the identity before anybody else acts on it. The document is not verified here: it describes our own
    machine, and the aggregator verifies AWS's signature.
    """
    attempt = 0
    while True:
        try:
            found = await metadata.read()
        except MetadataUnavailable as exc:
            progress.stages["identity"].reason = exc.diagnostics()
            if not exc.retryable:
                raise
            attempt += 1
            await pause(backoff.seconds(attempt))
            continue
        break
    progress.stages["identity"].reason = ""
    identity = read_unverified(found.document)
    check(identity)
    progress.observed.identity = identity
    progress.observed.identity_blob = found.signature
    progress.identified.set()
    return found.user_data or b""
