"""Lists of AWS, read whole or not at all."""

from __future__ import annotations

from typing import Any

from whence_aggregator.adapters.accounts.shared_reads import SharingClient
from whence_common.errors import RoadError

ITEMS_MAX = 20_000
PAGES_MAX = 2_000
"""Empty pages count too: AWS may send any number of them."""


async def whole_list(
    client: Any, operation: str, key: str, *, items_max: int = ITEMS_MAX, **asked: Any
) -> list[dict[str, Any]]:
    """Return what all pages of a list have under `key`. Raises RoadError for a list that is too long.

    In a pass a list is read once for all who ask the same; its items are not altered.
    """
    if not isinstance(client, SharingClient):
        return await _read(client, operation, key, asked, items_max)
    return list(await client.shared(operation, asked, lambda: _read(client, operation, key, asked, items_max)))


async def _read(client: Any, operation: str, key: str, asked: dict[str, Any], items_max: int) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    pages = 0
    async for page in client.get_paginator(operation).paginate(**asked):
        pages += 1
        found += page.get(key) or []
        if len(found) > items_max or pages > PAGES_MAX:
            message = f"{operation} lists more than {items_max} items or {PAGES_MAX} pages"
            raise RoadError("account-list-too-long", message, retryable=False)
    return found
