"""Problems: each is one mistake in a document that a person wrote, with its place and its fix."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from whence_common.visible import printable

Severity = Literal["error", "warning"]
_QUOTED_CHARACTERS_MAX = 160


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One problem. `line` and `column` count from 1; 0 means the whole document."""

    severity: Severity
    code: str
    """Stable, so that tools can compare it."""
    line: int
    column: int
    path: str
    """Dotted path of the key, `environment.PORT`; empty for the document itself."""
    message: str
    fix: str

    def to_wire(self) -> dict[str, object]:
        return {
            "severity": self.severity,
            "code": self.code,
            "line": self.line,
            "column": self.column,
            "path": self.path,
            "message": self.message,
            "fix": self.fix,
        }


def in_document_order(problems: Iterable[Problem]) -> tuple[Problem, ...]:
    """Return problems sorted by place, errors before warnings at the same place."""
    return tuple(sorted(problems, key=lambda p: (p.line, p.column, p.severity, p.code)))


def has_errors(problems: Iterable[Problem]) -> bool:
    return any(problem.severity == "error" for problem in problems)


def render(problems: Sequence[Problem], *, name: str, lines: Sequence[str]) -> str:
    """Return problems as text, each with its source line and a caret below the place.

    `lines` are the document's lines; if they are empty, no line is quoted.
    """
    parts: list[str] = []
    for problem in problems:
        place = f"{name}:{problem.line}:{problem.column}" if problem.line else name
        parts.append(f"{place}: {problem.severity}[{problem.code}]: {printable(problem.message)}")
        if 0 < problem.line <= len(lines):
            quoted = lines[problem.line - 1].replace("\t", " ")[:_QUOTED_CHARACTERS_MAX]
            parts.append(f"{problem.line:5d} | {printable(quoted)}")
            if 0 < problem.column <= len(quoted) + 1:
                parts.append(f"      | {' ' * (problem.column - 1)}^")
        if problem.fix:
            parts.append(f"      = {printable(problem.fix)}")
    return "\n".join(parts)
