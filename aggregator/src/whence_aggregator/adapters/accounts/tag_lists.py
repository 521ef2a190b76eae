"""Tags as AWS's APIs list them: pairs of `Key` and `Value`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from whence_aggregator.accounts.resources import Json


def tag_list(tags: Json) -> list[dict[str, str]]:
    """Return tags as a list; none for None."""
    assert tags is None or isinstance(tags, Mapping)
    return [{"Key": key, "Value": str(value)} for key, value in (tags or {}).items()]


def tags_of(listed: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """Return tags by key."""
    return {str(one["Key"]): str(one.get("Value", "")) for one in listed}
