"""The one port behind which sources of the organisation stand."""

from __future__ import annotations

from typing import Protocol

from whence_aggregator.organisation.values import Snapshot


class OrganisationSource(Protocol):
    async def read(self) -> Snapshot:
        """Read the source, whole or in part. Raises SourceUnavailable where nothing of it can be used."""
