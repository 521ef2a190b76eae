"""POSTs of notifications: to a checked address, without redirects, within bounds. Nothing shows more than the host."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import urlsplit

import aiohttp
from yarl import URL

from whence_aggregator.notifications.outcome import DeliveryOutcome, outcome_of_status
from whence_common.backoff import retry_after_seconds
from whence_common.registry_address import Lookup, kind_of
from whence_common.registry_redirects import Pinned, as_named, pinned

SECONDS_MAX = 20.0
"""For one answer, of which only the status and Retry-After are read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpPoster:
    """Posts to one receiver. `private_addresses`: its host may have an address that is not public."""

    session: aiohttp.ClientSession
    lookup: Lookup
    private_addresses: bool

    async def post(self, url: str, headers: Mapping[str, str], body: bytes, now: datetime) -> DeliveryOutcome:
        host = urlsplit(url).hostname or ""
        try:
            async with asyncio.timeout(SECONDS_MAX):
                to = await self._target(url, host)
                if to is None:
                    reason = f"{host} has an address that is not public (set private_addresses: true if that is meant)"
                    return DeliveryOutcome(kind="failed", code="private-address", reason=reason)
                async with self.session.post(
                    URL(to.url, encoded=True), data=body, headers={**headers, "Host": to.host}, allow_redirects=False,
                    server_hostname=to.server_hostname, timeout=aiohttp.ClientTimeout(total=SECONDS_MAX),
                ) as answer:  # fmt: skip
                    stated = retry_after_seconds(answer.headers.get("Retry-After", ""), now=now)
                    return outcome_of_status(answer.status, host=host, retry_after_seconds=stated)
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as exc:
            what = "took too long" if isinstance(exc, TimeoutError) else f"does not answer ({type(exc).__name__})"
            return DeliveryOutcome(kind="failed", code="unreachable", reason=f"{host} {what}")

    async def _target(self, url: str, host: str) -> Pinned | None:
        """Return where to connect: an address that was checked, since a later lookup may differ; None: not allowed."""
        if self.private_addresses:
            return as_named(url)
        addresses = await self.lookup(host)
        if not addresses or any(kind_of(one) != "public" for one in addresses):
            return None
        return pinned(url, addresses[0])
