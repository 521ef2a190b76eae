"""Which entries name a person. Pure.

A text names somebody where it has the uid, name or e-mail address as a word of its own, whatever the case.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from whence_aggregator.organisation.changes import MEMBERS
from whence_common.errors import InputError

PERSON_CHARACTERS_MIN, PERSON_CHARACTERS_MAX = 2, 200
_DEPTH_MAX = 64
_BEFORE, _AFTER = r"(?<![\w.+@-])", r"(?![\w@-]|[.+]\w)"


class PersonUnusable(InputError):
    """A text that cannot name a person."""


class Persons:
    """What somebody is called: uids, names and e-mail addresses."""

    def __init__(self, names: Sequence[str]) -> None:
        """Raises PersonUnusable."""
        for one in names:
            if not PERSON_CHARACTERS_MIN <= len(one) <= PERSON_CHARACTERS_MAX or not one.isprintable():
                limits = f"{PERSON_CHARACTERS_MIN} to {PERSON_CHARACTERS_MAX}"
                raise PersonUnusable("person-unusable", f"--person must be {limits} printable characters")
        words = "|".join(re.escape(one.strip()) for one in names)
        self._pattern = re.compile(f"{_BEFORE}(?:{words})(?:{_AFTER})", re.IGNORECASE) if words else None

    @property
    def nobody(self) -> bool:
        return self._pattern is None

    def named_in(self, text: str) -> bool:
        return self._pattern is not None and self._pattern.search(text) is not None

    def named_by(self, kind: str, event: Mapping[str, Any]) -> bool:
        """Return whether an entry names the person in what removing its body would remove."""
        return any(map(self.named_in, _texts(_personal(kind, event))))


def _personal(kind: str, event: Mapping[str, Any]) -> object:
    """Return the members in which people are named; repositories and teams are no people."""
    match kind:
        case "fact":
            value = event.get("value")
            return {k: v for k, v in value.items() if k != "repository"} if isinstance(value, dict) else None
        case _ if kind == MEMBERS:
            return event.get("members")
        case "application":
            return [event.get("recorded_by"), event.get("kio"), event.get("tickets")]
        case "push" | "untag":
            return {name: one for name, one in event.items() if name not in ("repository", "registry", "tag")}
    return event


def _texts(value: object, depth: int = 0) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping) and depth < _DEPTH_MAX:
        for one in value.values():
            yield from _texts(one, depth + 1)
    elif isinstance(value, list) and depth < _DEPTH_MAX:
        for one in value:
            yield from _texts(one, depth + 1)
