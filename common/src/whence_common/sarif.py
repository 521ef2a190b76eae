"""Problems as SARIF 2.1.0 (OASIS), which code hosts show beside the changed lines."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import quote

from whence_common.problems import Problem

_SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"


def to_sarif(problems: Sequence[Problem], *, file: str, tool: str, version: str) -> dict[str, object]:
    """Return one run with a result for each problem; a problem of the whole document has no region."""
    codes = sorted({problem.code for problem in problems})
    driver = {"name": tool, "version": version, "rules": [{"id": code} for code in codes]}
    return {
        "$schema": _SCHEMA,
        "version": "2.1.0",
        "runs": [{"tool": {"driver": driver}, "results": [_result(problem, file) for problem in problems]}],
    }


def _result(problem: Problem, file: str) -> dict[str, object]:
    place: dict[str, object] = {"artifactLocation": {"uri": quote(file)}}
    if problem.line > 0:
        place["region"] = {"startLine": problem.line, "startColumn": max(problem.column, 1)}
    return {
        "ruleId": problem.code,
        "level": problem.severity,
        "message": {"text": f"{problem.message}; {problem.fix}" if problem.fix else problem.message},
        "locations": [{"physicalLocation": place}],
    }
