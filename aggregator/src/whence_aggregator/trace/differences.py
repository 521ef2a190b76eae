"""The difference between two masked documents of user data: only values that both show can be compared. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from whence_common.errors import one_line
from whence_common.user_data.masking import MASKED

_PATHS_MAX = 5
_PATH_CHARACTERS_MAX = 80
_ABSENT = object()


def difference(stated: Mapping[str, Any] | None, listed: Mapping[str, Any] | None) -> str:
    """Return how user data with different digests differs, as far as the masked documents show it."""
    if stated is None or listed is None:
        return "they cannot be compared: one of them is not stored as a document"
    found = list(_compared(stated, listed, ""))
    differing = [path for path, hidden in found if not hidden]
    hidden = [path for path, hidden in found if hidden]
    if differing:
        beside = "; masked values cannot be compared" if hidden else ""
        return f"they differ in {_named(differing)}{beside}"
    if hidden:
        return f"the difference is not shown: it is in masked values ({_named(hidden)}), or in comments and spacing"
    return "the difference is not shown: it is in comments, spacing or order"


def _compared(one: Any, other: Any, path: str) -> Iterator[tuple[str, bool]]:
    """Yield the paths that differ or are masked on one side, each with whether it is masked."""
    if one is _ABSENT or other is _ABSENT:
        yield path, MASKED in path
    elif _is_masked(one) or _is_masked(other):
        yield path, True
    elif isinstance(one, Mapping) and isinstance(other, Mapping):
        for name in sorted({*one, *other}):
            yield from _compared(one.get(name, _ABSENT), other.get(name, _ABSENT), f"{path}.{name}" if path else name)
    elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        for number, pair in enumerate(zip(one, other, strict=True)):
            yield from _compared(*pair, f"{path}.{number}")
    elif one != other or isinstance(one, bool) is not isinstance(other, bool):
        yield path, False


def _is_masked(value: Any) -> bool:
    return isinstance(value, str) and MASKED in value


def _named(paths: list[str]) -> str:
    more = f" and {len(paths) - _PATHS_MAX} more" if len(paths) > _PATHS_MAX else ""
    return ", ".join(one_line(path, _PATH_CHARACTERS_MAX) for path in paths[:_PATHS_MAX]) + more
