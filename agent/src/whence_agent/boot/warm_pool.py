"""Whether this machine enters its group's warm pool, where no load balancer would serve it."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass

from whence_agent.patience import Patience
from whence_agent.ports import Metadata, MetadataUnavailable
from whence_agent.progress.stage import StageProgress
from whence_agent.watch.lifecycle_states import in_pool
from whence_common.runtime.logs import fields

log = logging.getLogger(__name__)

POOL_SECONDS_MAX = 30.0
"""How long a boot waits for the machine's lifecycle state."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WarmPool:
    metadata: Metadata
    patience: Patience

    async def state(self) -> str | None:
        """Return the machine's state in the warm pool; empty outside one; None if it is unknown."""
        try:
            async with asyncio.timeout(POOL_SECONDS_MAX):
                found = await self.patience.keep_trying(
                    self.metadata.notices, StageProgress(name="warm pool"), waiting_for="the metadata service"
                )
        except (MetadataUnavailable, TimeoutError) as exc:
            log.warning("warm pool unknown: no lifecycle state", extra=fields(reason=str(exc)))
            return None
        return found.lifecycle_state if in_pool(found.lifecycle_state) else ""
