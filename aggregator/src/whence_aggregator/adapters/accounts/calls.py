"""Calls that several providers make: many at once, and our own resources by their tag."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterable, Sequence
from typing import TypeVar

from whence_aggregator.accounts.resources import OWN_TAG, OWN_VALUE
from whence_aggregator.adapters.accounts.place import AwsPlace
from whence_aggregator.adapters.accounts.whole_lists import whole_list

T = TypeVar("T")
_AT_ONCE = 8
_TYPES = ("logs:log-group", "s3", "sns", "sqs")
"""All that is found by its tag: asked together, so that a pass asks each region once."""


async def gathered(calls: Iterable[Awaitable[T]]) -> Sequence[T]:
    """Return the answers of calls, of which a few are made at once."""
    limit = asyncio.Semaphore(_AT_ONCE)

    async def one(call: Awaitable[T]) -> T:
        async with limit:
            return await call

    return await asyncio.gather(*map(one, calls))


async def own_arns(place: AwsPlace, *services: str, region: str | None = None) -> frozenset[str]:
    """Return the ARNs of our own resources of these services, such as `sqs`, in a region; by default that of the place.

    AWS lists a new resource after a moment: what is wanted must be read by its name.
    """
    tagging = await place.client("resourcegroupstaggingapi", region)
    found = await whole_list(
        tagging, "get_resources", "ResourceTagMappingList", TagFilters=[{"Key": OWN_TAG, "Values": [OWN_VALUE]}],
        ResourceTypeFilters=list(_TYPES),
    )  # fmt: skip
    return frozenset(one["ResourceARN"] for one in found if one["ResourceARN"].split(":")[2] in services)
