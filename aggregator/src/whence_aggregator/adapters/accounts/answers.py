"""Answers of AWS that mean absence."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping
from typing import Any

from botocore.exceptions import ClientError

from whence_aggregator.accounts.resources import Json


async def answered(call: Awaitable[Mapping[str, Any]], *absent: str) -> Mapping[str, Any] | None:
    """Return the answer of a call; None for an error with one of the codes. Raises what the SDK raises otherwise."""
    try:
        return await call
    except ClientError as exc:
        if exc.response.get("Error", {}).get("Code") in absent:
            return None
        raise


def tags_of(listed: Any, key: str = "Key", value: str = "Value") -> dict[str, str]:
    """Return tags of AWS's list."""
    return {str(one[key]): str(one[value]) for one in listed or ()}


def tag_list(tags: Json, key: str = "Key", value: str = "Value") -> list[dict[str, str]]:
    """Return tags, a mapping, as AWS's list."""
    assert isinstance(tags, Mapping)
    return [{key: name, value: str(text)} for name, text in tags.items()]
