"""Collects problems, so that readers can continue after the first one."""

from __future__ import annotations

from whence_common.problems import Problem
from whence_common.user_data.nodes import Node


class DocumentProblems:
    """The problems of one document, in the order in which they were found."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []
        self._seen: set[Problem] = set()

    def error(self, at: Node | None, path: str, code: str, message: str, fix: str) -> None:
        self._add("error", at, path, code, message, fix)

    def warning(self, at: Node | None, path: str, code: str, message: str, fix: str) -> None:
        self._add("warning", at, path, code, message, fix)

    def _add(self, severity: str, at: Node | None, path: str, code: str, message: str, fix: str) -> None:
        problem = Problem(
            severity="warning" if severity == "warning" else "error",
            code=code,
            line=at.line if at is not None else 1,
            column=at.column if at is not None else 1,
            path=path,
            message=message,
            fix=fix,
        )
        if problem not in self._seen:  # two readers may report the same problem
            self._seen.add(problem)
            self.problems.append(problem)
