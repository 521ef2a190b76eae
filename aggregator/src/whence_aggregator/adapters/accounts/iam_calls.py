"""What calls of IAM have in common: lists in pages, tags, and what is missing."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping
from typing import Any

from botocore.exceptions import ClientError

from whence_aggregator.accounts.resources import Json
from whence_common.errors import RoadError

_PAGE_ENTRIES = 500
_PAGES_MAX = 200
"""IAM may return pages with fewer entries than asked for, also empty ones."""


async def pages(iam: Any, operation: str, name: str, **asked: Any) -> list[dict[str, Any]]:
    """Return a whole list. Raises RoadError for a list without an end."""
    found: list[dict[str, Any]] = []
    count = 0
    async for page in iam.get_paginator(operation).paginate(**asked, PaginationConfig={"PageSize": _PAGE_ENTRIES}):
        found += page.get(name, ())
        count += 1
        if count >= _PAGES_MAX and page.get("IsTruncated"):
            raise RoadError("account-too-many", f"IAM's list {name} has over {_PAGES_MAX} pages", retryable=False)
    return found


def tags_of(described: Mapping[str, Any]) -> dict[str, str]:
    return {str(one["Key"]): str(one.get("Value", "")) for one in described.get("Tags", ())}


def tag_list(tags: Json) -> list[dict[str, str]]:
    """Return the tags of a state as IAM takes them."""
    assert isinstance(tags, Mapping)
    return [{"Key": name, "Value": str(value)} for name, value in tags.items()]


async def without_missing(call: Awaitable[Any]) -> None:
    """Make a call that removes something; one that is gone already is no error."""
    try:
        await call
    except ClientError as exc:
        if exc.response.get("Error", {}).get("Code") != "NoSuchEntity":
            raise
