"""Explain the keys of user data as text: for `whence-agent explain`, and as the table in the agent's README."""

from __future__ import annotations

from whence_common.user_data.keys import KEYS
from whence_common.user_data.schema import Fate, Key, closest

_FATES: dict[Fate, str] = {
    "acted": "acted on",
    "mapped": "mapped to a current mechanism",
    "retired": "no longer has an effect",
    "platform": "set by the platform",
    "kept": "passed to the application",
}
_SHAPES = {
    "text": "text",
    "flag": "true or false",
    "soft-flag": "true or false",
    "integer": "whole number",
    "size": "size, like 512m",
    "list": "list",
    "mapping": "mapping",
    "any": "anything",
}


def explain(name: str) -> str | None:
    """Return the explanation of a key, by its dotted path, and of the keys below it; None for an unknown key."""
    key = KEYS.get(name) or KEYS.get(_generic(name))
    if key is None:
        return None
    lines = [f"{key.name}: {_SHAPES[key.kind]}{', required' if key.required else ''}, {_FATES[key.fate]}"]
    lines += [f"  {key.does}"]
    lines += [f"  default: {key.default}"] if key.default else []
    lines += [f"  Taupage: {key.stock}"] if key.stock else ["  Taupage had no such key."]
    lines += [f"  why they differ: {key.why}"] if key.why else []
    lines += [f"  {one.name}: {one.does}" for one in KEYS.values() if one.name.startswith(key.name + ".")]
    return "\n".join(lines)


def suggestions(name: str) -> list[str]:
    """Return known keys that are similar to this name."""
    return closest(KEYS, name) or [key for key in KEYS if key.endswith(f".{name}")][:3]


def table() -> str:
    """Return the Markdown table of all keys."""
    rows = ["| key | what Taupage did | what Whence does | why they differ |", "|---|---|---|---|"]
    rows += [f"| `{key.name}` | {key.stock or '–'} | {_does(key)} | {key.why or '–'} |" for key in KEYS.values()]
    return "\n".join(rows)


def _does(key: Key) -> str:
    default = f" Default: {key.default}." if key.default else ""
    prefix = {"retired": "No effect, with a warning: ", "platform": "Ignored with a warning: "}.get(key.fate, "")
    return f"{prefix}{key.does}{default}"


def _generic(name: str) -> str:
    """Return the key that a path matches: mounts./data.partition matches mounts.*.partition."""
    for key in KEYS:
        head, star, tail = key.partition(".*")
        if (
            star
            and name.startswith(head + ".")
            and (name.endswith(tail) if tail else name.count(".") == head.count(".") + 1)
        ):
            return key
    return name
