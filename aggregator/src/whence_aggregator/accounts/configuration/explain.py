"""Explains the keys of a configuration, for `whence-accounts explain` and the table in the README."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from typing import Any

from whence_aggregator.accounts.configuration.account import AccountSettings
from whence_aggregator.accounts.configuration.shapes import Shape, shapes
from whence_aggregator.accounts.configuration.version10 import KEYS10, OPTIONS
from whence_common.errors import InputError, one_line

_PREFIX = re.compile(r"(?:global|accounts\.[^.]+)\.(?=.)")
_INDEX = re.compile(r"\[[0-9]*\]")
_NEAR_MAX = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """What a key means. The texts are empty where there is nothing to state."""

    key: str
    description: str
    type: str
    default: str
    is_required: bool
    bounds: tuple[str, ...]
    version10: str
    """What the key of version 10 of the same name means now."""


def explanations(structure: type[Any] = AccountSettings) -> dict[str, Explanation]:
    """Return all keys of a section; then those that only version 10 has."""
    found = {name: _of_shape(one) for name, one in shapes(structure).items()}
    for name in KEYS10:
        if name not in found:
            found[name] = Explanation(
                key=name, description="", type="", default="", is_required=False, bounds=(), version10=_version10(name)
            )
    return found


def explain(key: str, structure: type[Any] = AccountSettings) -> Explanation:
    """Return the explanation of one key, `roles.*.drop` or `accounts.hello.roles.auditor.drop`.

    Raises InputError with near names for an unknown key.
    """
    known = explanations(structure)
    wanted = _INDEX.sub("[]", _PREFIX.sub("", key[:500], count=1))
    if wanted in OPTIONS:
        return Explanation(
            key=wanted, description="", type="environment variable", default="", is_required=False, bounds=(),
            version10=OPTIONS[wanted],
        )  # fmt: skip
    for name, one in known.items():
        if _matches(name, wanted):
            return one
    near = difflib.get_close_matches(wanted, known, n=_NEAR_MAX, cutoff=0.5)
    near += [name for name in known if re.split(r"[.\]]", name)[-1] == wanted and name not in near][:_NEAR_MAX]
    fix = f"did you mean {', '.join(near)}?" if near else "whence-accounts explain lists the keys"
    raise InputError("key-unknown", f"unknown key {one_line(key, 100)}", fix=fix)


def render(one: Explanation) -> str:
    """Return an explanation as plain text."""
    required = ", required" if one.is_required else ""
    lines = [f"{one.key}: {one.type}{required}" if one.type else f"{one.key}: not a key of version 11"]
    lines += [f"  {one.description}"] if one.description else []
    lines += [f"  default: {one.default}"] if one.default else []
    lines += [f"  bounds: {'; '.join(one.bounds)}"] if one.bounds else []
    lines += [f"  version 10: {one.version10}"] if one.version10 else []
    return "\n".join(lines)


def render_all(structure: type[Any] = AccountSettings) -> str:
    """Return all keys as plain text, one a line."""
    known = explanations(structure)
    width = max(len(name) for name in known)
    return "\n".join(f"{name:{width}}  {one.description or one.version10}".rstrip() for name, one in known.items())


def table(structure: type[Any] = AccountSettings) -> str:
    """Return the Markdown table of the keys of a section, without those below them."""
    rows = ["| key | type | default | meaning |", "|---|---|---|---|"]
    for one in explanations(structure).values():
        if one.type and not set(".[") & set(one.key):
            default = "required" if one.is_required else f"`{one.default}`" if one.default else "–"
            rows.append(f"| `{one.key}` | {one.type} | {default} | {one.description} |")
    return "\n".join(rows)


def _of_shape(one: Shape) -> Explanation:
    return Explanation(
        key=one.name, description=one.description, type=one.type, default=one.default, is_required=one.is_required,
        bounds=one.bounds, version10=_version10(one.name),
    )  # fmt: skip


def _version10(name: str) -> str:
    key = KEYS10.get(name)
    if key is None:
        return ""
    fate = {"acted": "", "mapped": "", "ignored": "no effect: ", "refused": "refused: "}[key.fate]
    return f"{fate}{key.now}{f'; {key.write}' if key.write else ''}"


def _matches(name: str, wanted: str) -> bool:
    """Return whether a path with `*` for any name is the wanted one; names may contain dots."""
    if name == wanted:
        return True
    pattern = re.escape(name).replace(r"\*", r"[^\[\]]+?")
    return re.fullmatch(pattern, wanted) is not None
