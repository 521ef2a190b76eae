"""User data as lines, with its problems at the lines of the keys that they are about. Pure.

The ledger has the document as the agent read it, masked, and not its text: keys are sorted, and only those with a
problem have the number of their line. So a line shows its number where it is known, and none elsewhere.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

MASKED = "MASKED"
_LINES_MAX = 500
_LINE_CHARACTERS_MAX = 2000
_PLAIN = re.compile(r"[A-Za-z_/][A-Za-z0-9_./@:%+=,-]*\Z|\d+\.\d+\.[\d.]+\Z")
_WORDS = frozenset({"true", "false", "null", "yes", "no", "on", "off", "~"})
"""Texts that YAML reads as something else unless they are quoted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownProblem:
    is_error: bool
    code: str
    line: int
    column: int
    message: str
    fix: str

    @classmethod
    def of(cls, problem: Mapping[str, Any]) -> ShownProblem:
        line, column = (problem.get(name) for name in ("line", "column"))
        return cls(
            is_error=problem.get("severity") == "error",
            code=str(problem.get("code") or ""),
            line=line if isinstance(line, int) else 0,
            column=column if isinstance(column, int) else 0,
            message=str(problem.get("message") or ""),
            fix=str(problem.get("fix") or ""),
        )


@dataclass(slots=True, kw_only=True)
class UserDataLine:
    """One line. `number` is its line in the text; 0 where it is not known."""

    text: str
    path: str
    number: int = 0
    is_masked: bool = False
    problems: list[ShownProblem] = field(default_factory=list)

    @property
    def is_wrong(self) -> bool:
        return any(one.is_error for one in self.problems)


@dataclass(frozen=True, slots=True, kw_only=True)
class UserDataShown:
    """The lines, and the problems of the whole document or of keys that it does not have."""

    lines: Sequence[UserDataLine]
    elsewhere: Sequence[ShownProblem]
    errors: int
    warnings: int
    masked: int
    is_cut: bool


def user_data_shown(document: object, problems: Sequence[object]) -> UserDataShown:
    """Return the document's lines; none if it could not be read."""
    found = list(_lines(document, "", 0)) if isinstance(document, Mapping) else []
    lines, elsewhere = found[:_LINES_MAX], []
    shown = [(str(one.get("path") or ""), ShownProblem.of(one)) for one in problems if isinstance(one, Mapping)]
    for path, problem in shown:
        line = _line_of(path, lines)
        if line is None:
            elsewhere.append(problem)
        else:
            line.problems.append(problem)
            line.number = line.number or problem.line
    errors = sum(one.is_error for _, one in shown)
    return UserDataShown(
        lines=lines, elsewhere=elsewhere, errors=errors, warnings=len(shown) - errors,
        masked=sum(one.is_masked for one in lines), is_cut=len(found) > len(lines),
    )  # fmt: skip


def _line_of(path: str, lines: Sequence[UserDataLine]) -> UserDataLine | None:
    """Return the line of a path, or of the nearest key above it."""
    while path:
        for line in lines:
            if line.path == path:
                return line
        path = path.rpartition(".")[0]
    return None


def _lines(value: object, path: str, depth: int) -> Iterator[UserDataLine]:
    """Yield the lines of a mapping's or a list's members."""
    indent = "  " * depth
    members = (
        [(f"{_text(str(key))}:", f"{path}.{key}" if path else str(key), one) for key, one in value.items()]
        if isinstance(value, Mapping)
        else [("-", f"{path}.{number}", one) for number, one in enumerate(value if isinstance(value, list) else ())]
    )
    for name, where, one in members:
        if isinstance(one, Mapping | list) and one:
            yield UserDataLine(text=f"{indent}{name}", path=where)
            yield from _lines(one, where, depth + 1)
        elif one == MASKED:
            yield UserDataLine(text=f"{indent}{name}", path=where, is_masked=True)
        else:
            yield UserDataLine(text=_cut(f"{indent}{name} {_scalar(one)}".rstrip()), path=where)


def _scalar(value: object) -> str:
    """Return a value as YAML: a text that YAML would read as something else is quoted."""
    if value is None:
        return ""
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, Mapping | list):
        return "{}" if isinstance(value, Mapping) else "[]"
    return json.dumps(value)


def _text(text: str) -> str:
    plain = _PLAIN.match(text) is not None and text.lower() not in _WORDS and not text.endswith(":")
    return text if plain else json.dumps(text, ensure_ascii=False)


def _cut(line: str) -> str:
    if len(line) <= _LINE_CHARACTERS_MAX:
        return line
    return f"{line[:_LINE_CHARACTERS_MAX]}… ({len(line):,} characters)"
