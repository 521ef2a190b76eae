"""The definition of a key, and the JSON Schema for editors. The keys are in `keys_container` and `keys_machine`."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import Literal

ValueKind = Literal["text", "flag", "soft-flag", "integer", "size", "list", "mapping", "any"]
"""flag: an unquoted boolean. soft-flag: a quoted one is accepted with a warning. size: 64m, 1g or bytes."""
Fate = Literal["acted", "mapped", "retired", "platform", "kept"]
"""acted: has its documented effect. mapped: implemented by a current mechanism. retired: accepted without effect.
platform: only the platform sets it. kept: passed to the application."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """One key. `name` is its dotted path; a `*` stands for a name that the writer chooses."""

    name: str
    kind: ValueKind
    fate: Fate
    does: str
    """What Whence does with it, or why it has no effect."""
    stock: str
    """What Taupage did; empty for a key that Taupage did not have."""
    why: str = ""
    """Why the two differ; empty if they do not."""
    default: str = ""
    required: bool = False

    @property
    def parent(self) -> str:
        return self.name.rpartition(".")[0]

    @property
    def leaf(self) -> str:
        return self.name.rpartition(".")[2]


def rows(kind: ValueKind, fate: Fate, *table: tuple[str, ...]) -> list[Key]:
    """Return keys of one kind and fate from rows of (name, default, does, stock[, why])."""
    return [
        Key(name=row[0], kind=kind, fate=fate, default=row[1], does=row[2], stock=row[3], why="".join(row[4:]))
        for row in table
    ]


def children(keys: dict[str, Key], parent: str) -> dict[str, Key]:
    """Return the direct children of a dotted path, by their last name."""
    return {key.leaf: key for key in keys.values() if key.parent == parent}


def closest(keys: dict[str, Key], name: str) -> list[str]:
    """Return similar names of known keys, the most similar first."""
    return difflib.get_close_matches(name[:100], keys, n=3, cutoff=0.75)


_JSON_TYPES: dict[ValueKind, dict[str, object]] = {
    "text": {"type": ["string", "number"]},
    "flag": {"type": "boolean"},
    "soft-flag": {"type": ["boolean", "string"]},
    "integer": {"type": ["integer", "string"]},
    "size": {"type": ["string", "integer"]},
    "list": {"type": "array"},
    "mapping": {"type": "object"},
    "any": {},
}
_CHOICES: dict[str, list[str]] = {
    "runtime": ["Docker"],
    "shutdown": ["never", "on-exit", "on-success"],
    "token_source": ["client", "web-identity", "both"],
    "on_failure": ["hold", "terminate", "unhealthy", "retry"],
    "healthcheck.type": ["elb", "alb", "target-group", "none"],
}


def json_schema(keys: dict[str, Key]) -> dict[str, object]:
    """Return the JSON Schema 2020-12. Unknown keys are allowed, since applications read their own."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "User data of an instance booted by whence-agent",
        **_object(keys, ""),
    }


def _object(keys: dict[str, Key], parent: str) -> dict[str, object]:
    below = children(keys, parent)
    shape: dict[str, object] = {"type": "object"}
    if "*" in below:
        shape["additionalProperties"] = _shape(keys, below["*"])
        return shape
    shape["properties"] = {name: _shape(keys, key) for name, key in below.items()}
    required = [name for name, key in below.items() if key.required]
    return {**shape, "required": required, "additionalProperties": True} if required else shape


def _shape(keys: dict[str, Key], key: Key) -> dict[str, object]:
    shape: dict[str, object] = dict(_JSON_TYPES[key.kind])
    if key.kind == "mapping" and children(keys, key.name):
        shape = _object(keys, key.name)
    if key.name in _CHOICES:
        shape = {"enum": _CHOICES[key.name]}
    return {**shape, "description": key.does, "deprecated": key.fate in ("retired", "platform")}
