"""One value read as what its key asks for. A reader gives None after it has reported why."""

from __future__ import annotations

import re

from whence_common.errors import one_line
from whence_common.user_data.findings import Findings
from whence_common.user_data.schema import Kind
from whence_common.user_data.strict_yaml import Mapping, Node, Scalar, Sequence

_SHAPES = {
    "text": "text",
    "flag": "true or false",
    "integer": "a whole number",
    "list": "a list",
    "mapping": "a mapping",
}
_LINE_BREAKS = re.compile(r"[\r\n\x00]")


def describe(node: Node) -> str:
    """Name what a node is, in a reader's words."""
    if isinstance(node, Sequence):
        return "a list"
    if isinstance(node, Mapping):
        return "a mapping"
    if isinstance(node.value, bool):
        return f"the boolean {str(node.value).lower()}"
    if isinstance(node.value, (int, float)):
        return f"the number {one_line(str(node.value), 30)}"
    if node.value is None:
        return "nothing"
    return "text" if isinstance(node.value, str) else "a date"


def is_null(node: Node) -> bool:
    """Null means absent for every known key."""
    return isinstance(node, Scalar) and node.value is None


def text(node: Node, path: str, findings: Findings) -> str | None:
    """Read text. Another scalar passes with a warning when it prints back exactly as written (`5`, `0.3`)."""
    if not isinstance(node, Scalar):
        wrong_shape(node, path, "text", findings)
        return None
    if isinstance(node.value, str):
        if _LINE_BREAKS.search(node.value):
            findings.error(node, path, "text-several-lines", f"{path} spans lines", "write it on one line")
            return None
        return node.value
    quoted = f'write {path.rpartition(".")[2]}: "{one_line(node.text, 60)}"'
    number = isinstance(node.value, (int, float)) and not isinstance(node.value, bool)
    if number and str(node.value) == node.text:
        findings.warning(node, path, "text-unquoted-number", f"{path} is written as a number; it is text", quoted)
        return node.text
    findings.error(
        node,
        path,
        "text-not-text",
        f"{path} is text, but YAML reads {one_line(node.text, 60)} as {describe(node)}",
        quoted,
    )
    return None


def flag(node: Node, path: str, findings: Findings) -> bool | None:
    if isinstance(node, Scalar) and isinstance(node.value, bool):
        return node.value
    wrong_shape(node, path, "flag", findings)
    return None


def integer(node: Node, path: str, findings: Findings, *, least: int, most: int) -> int | None:
    """Read a whole number in decimal digits, quoted or not, so that 22:22 and 0x50 are no surprise."""
    if not isinstance(node, Scalar) or isinstance(node.value, bool):
        wrong_shape(node, path, "integer", findings)
        return None
    if not re.fullmatch(r"0|[1-9][0-9]{0,9}", node.text):
        wrong_shape(node, path, "integer", findings)
        return None
    number = int(node.text)
    if not least <= number <= most:
        findings.error(node, path, "number-out-of-range", f"{path} is {number}", f"use a number from {least} to {most}")
        return None
    return number


def shape_fits(node: Node, kind: Kind) -> bool:
    """Say whether a value has the shape of its kind, without reading it further."""
    if kind == "any":
        return True
    if kind == "list":
        return isinstance(node, Sequence)
    if kind == "mapping":
        return isinstance(node, Mapping)
    if not isinstance(node, Scalar):
        return False
    return kind != "flag" or isinstance(node.value, bool)


def wrong_shape(node: Node, path: str, kind: Kind, findings: Findings) -> None:
    wanted = _SHAPES.get(kind, kind)
    quoted_flag = kind == "flag" and isinstance(node, Scalar) and isinstance(node.value, str)
    fix = "remove the quotes" if quoted_flag else f"write {wanted}"
    findings.error(node, path, f"{kind}-expected", f"{path} must be {wanted}, but is {describe(node)}", fix)
