"""CloudTrail's public keys, by ListPublicKeys in the region whose digest files they signed."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from whence_aggregator.adapters.aws_clients import CALL_FAILURES, AssumedRole, ServiceClients
from whence_aggregator.events.ports import TrailPublicKey

_KEYS_MAX = 1_000


class CloudTrailKeys:
    """Asks CloudTrail for public keys."""

    def __init__(self, *, clients: ServiceClients, role: AssumedRole | None) -> None:
        self._clients = clients
        self._role = role

    async def listed(self, region: str, *, starts_at: int, ends_at: int) -> Sequence[TrailPublicKey]:
        """Return the keys of a period, in milliseconds. Raises SourceUnavailable."""
        found: list[TrailPublicKey] = []
        try:
            trail = await self._clients.get("cloudtrail", region, self._role)
            pages = trail.get_paginator("list_public_keys").paginate(
                StartTime=datetime.fromtimestamp(starts_at / 1000, UTC),
                EndTime=datetime.fromtimestamp(ends_at / 1000, UTC),
                PaginationConfig={"MaxItems": _KEYS_MAX},
            )
            async for page in pages:
                found += [
                    TrailPublicKey(fingerprint=str(one["Fingerprint"]), content=bytes(one["Value"]))
                    for one in page.get("PublicKeyList", [])
                ]
        except CALL_FAILURES as exc:
            place = f"CloudTrail's public keys in {region}"
            raise self._clients.failed(region, self._role, place, exc) from exc
        return found
