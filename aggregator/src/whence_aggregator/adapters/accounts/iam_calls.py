"""What calls of IAM have in common: the size of pages, tags, and what is missing."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping
from typing import Any

from botocore.exceptions import ClientError

from whence_aggregator.accounts.resources import Json

PAGE = {"PageSize": 500}
"""IAM may return pages with fewer entries than asked for, also empty ones."""


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
