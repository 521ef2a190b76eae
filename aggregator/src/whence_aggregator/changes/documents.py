"""The difference between two masked documents of user data, key by key. Pure.

A value is shown only if neither document masks it: what one side takes for a secret is not shown from the other side
either. No length and no hash of a masked value is shown, because both help to guess it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from whence_common.user_data.masking import MASKED

CHANGES_MAX = 500
_VALUE_CHARACTERS_MAX = 500
_PATH_CHARACTERS_MAX = 300
_ABSENT: Any = object()
How = Literal["changed", "only_a", "only_b"]
_MIRRORED: dict[How, How] = {"changed": "changed", "only_a": "only_b", "only_b": "only_a"}


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyChange:
    """A key that differs. `path` is a JSON pointer (RFC 6901)."""

    path: str
    how: How
    masked: bool = False
    a: Any = None
    b: Any = None

    def mirrored(self) -> KeyChange:
        return replace(self, how=_MIRRORED[self.how], a=self.b, b=self.a)

    def to_wire(self) -> dict[str, Any]:
        return {"path": self.path, "how": self.how, "masked": self.masked, "a": self.a, "b": self.b}


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentDifference:
    """The keys that differ; of the `masked` ones, which a document masks, it is not known whether they differ."""

    changes: tuple[KeyChange, ...] = ()
    masked: tuple[str, ...] = ()
    cut: bool = False
    """Whether there are more keys than are listed."""

    def mirrored(self) -> DocumentDifference:
        return replace(self, changes=tuple(one.mirrored() for one in self.changes))


def differing(a: Mapping[str, Any], b: Mapping[str, Any], *, changes_max: int = CHANGES_MAX) -> DocumentDifference:
    """Return the keys that differ, in order of their paths."""
    changes: list[KeyChange] = []
    masked: list[str] = []
    for path, one, other in _leaves(a, b, ""):
        if len(changes) + len(masked) >= changes_max:
            return DocumentDifference(changes=tuple(changes), masked=tuple(masked), cut=True)
        shown = path[:_PATH_CHARACTERS_MAX]
        hidden = MASKED in path or _is_masked(one) or _is_masked(other)
        if hidden and one is not _ABSENT and other is not _ABSENT:
            masked.append(shown)
        else:
            changes.append(_change(shown, one, other, hidden=hidden))
    return DocumentDifference(changes=tuple(changes), masked=tuple(masked))


def _change(path: str, one: Any, other: Any, *, hidden: bool) -> KeyChange:
    how: How = "only_b" if one is _ABSENT else "only_a" if other is _ABSENT else "changed"
    return KeyChange(path=path, how=how, masked=hidden, a=_shown(one, hidden), b=_shown(other, hidden))


def _leaves(one: Any, other: Any, path: str) -> Iterator[tuple[str, Any, Any]]:
    """Yield the places that differ or are masked, down to those that have no keys or items on both sides."""
    if _has_keys(one, other):
        one, other = ({} if side is _ABSENT else side for side in (one, other))
        for name in sorted({*one, *other}):
            step = f"{path}/{str(name).replace('~', '~0').replace('/', '~1')}"
            yield from _leaves(one.get(name, _ABSENT), other.get(name, _ABSENT), step)
    elif _has_items(one, other):
        one, other = ([] if side is _ABSENT else side for side in (one, other))
        for number in range(max(len(one), len(other))):
            yield from _leaves(_item(one, number), _item(other, number), f"{path}/{number}")
    elif one is _ABSENT or other is _ABSENT or _is_masked(one) or not _equal(one, other):
        yield path, one, other


def _has_keys(one: Any, other: Any) -> bool:
    """Return whether both sides have keys, or one has some and the other is not there."""
    return _both(one, other, Mapping)


def _has_items(one: Any, other: Any) -> bool:
    return _both(one, other, list)


def _both(one: Any, other: Any, kind: type) -> bool:
    there = [side for side in (one, other) if side is not _ABSENT]
    return all(isinstance(side, kind) for side in there) and (len(there) == 2 or any(there))


def _item(items: Sequence[Any], number: int) -> Any:
    return items[number] if number < len(items) else _ABSENT


def _equal(one: Any, other: Any) -> bool:
    """Return whether two values are equal as JSON: `true` is not 1, nor inside of a list or an object."""
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return one.keys() == other.keys() and all(_equal(one[name], other[name]) for name in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_equal, one, other))
    return isinstance(one, bool) is isinstance(other, bool) and bool(one == other)


def _is_masked(value: Any) -> bool:
    """Return whether a value is masked, or holds something that is."""
    if isinstance(value, Mapping):
        return any(_is_masked(name) or _is_masked(inner) for name, inner in value.items())
    if isinstance(value, list):
        return any(map(_is_masked, value))
    return isinstance(value, str) and MASKED in value


def _shown(value: Any, hidden: bool) -> Any:
    if value is _ABSENT:
        return None
    if hidden:
        return MASKED
    if isinstance(value, str):
        return value[:_VALUE_CHARACTERS_MAX]
    if isinstance(value, Mapping | list):
        return "an object" if isinstance(value, Mapping) else "a list"
    return value
