"""Read one value by the type of its key. A reader reports a problem and returns None if the value is invalid."""

from __future__ import annotations

import re

from whence_common.errors import one_line
from whence_common.user_data.findings import DocumentProblems
from whence_common.user_data.nodes import MappingNode, Node, ScalarNode, SequenceNode
from whence_common.user_data.schema import ValueKind
from whence_common.user_data.secret_shapes import holds_secret, is_secret_name

_SHAPES = {
    "text": "text",
    "flag": "true or false",
    "soft-flag": "true or false",
    "integer": "a whole number",
    "size": "a size like 512m or 2g",
    "list": "a list",
    "mapping": "a mapping",
}
_LINE_BREAKS = re.compile(r"[\r\n\x00]")
_SIZE = re.compile(r"(?P<number>[0-9]{1,15}(?:\.[0-9]{1,3})?)\s?(?P<unit>[bkmgt]?)i?b?\Z", re.IGNORECASE)
_UNITS = {"": 1, "b": 1, "k": 1024, "m": 1024**2, "g": 1024**3, "t": 1024**4}
_SIZE_BYTES_MAX = 2**50
_ITEMS_MAX = 200


def describe(node: Node) -> str:
    """Return a node's type in words."""
    if isinstance(node, SequenceNode):
        return "a list"
    if isinstance(node, MappingNode):
        return "a mapping"
    if isinstance(node.value, bool):
        return f"the boolean {str(node.value).lower()}"
    if isinstance(node.value, (int, float)):
        return f"the number {one_line(str(node.value), 30)}"
    if node.value is None:
        return "nothing"
    return "text" if isinstance(node.value, str) else "a date"


def quotable(path: str, value: str, characters_max: int) -> str:
    """Return a value for a message, or … if it may be secret: messages leave the machine."""
    return "…" if is_secret_name(path) or holds_secret(value) else one_line(value, characters_max)


def is_null(node: Node) -> bool:
    """Return whether a node is null, which counts as absent for every known key."""
    return isinstance(node, ScalarNode) and node.value is None


def text(node: Node, path: str, findings: DocumentProblems) -> str | None:
    """Return text. A number is accepted with a warning if its text is unchanged by parsing (`5`, `0.3`)."""
    if not isinstance(node, ScalarNode):
        wrong_shape(node, path, "text", findings)
        return None
    if isinstance(node.value, str):
        if _LINE_BREAKS.search(node.value):
            findings.error(node, path, "text-several-lines", f"{path} has several lines", "write it on one line")
            return None
        return node.value
    shown = quotable(path, node.text, 60)
    quoted = f'write {path.rpartition(".")[2]}: "{shown}"'
    number = isinstance(node.value, (int, float)) and not isinstance(node.value, bool)
    if number and str(node.value) == node.text:
        findings.warning(node, path, "text-unquoted-number", f"{path} is text, but written as a number", quoted)
        return node.text
    read = "another type" if shown == "…" else f"{shown} as {describe(node)}"
    findings.error(node, path, "text-not-text", f"{path} must be text, but YAML reads {read}", quoted)
    return None


def flag(node: Node, path: str, findings: DocumentProblems) -> bool | None:
    if isinstance(node, ScalarNode) and isinstance(node.value, bool):
        return node.value
    wrong_shape(node, path, "flag", findings)
    return None


def soft_flag(node: Node, path: str, findings: DocumentProblems) -> bool | None:
    """Return a flag. Quoted words such as "true" and "no" are accepted with a warning."""
    if isinstance(node, ScalarNode) and isinstance(node.value, str):
        words = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}
        stated = words.get(node.text.lower())
        if stated is not None:
            message = f"{path} is text; it is read as {str(stated).lower()}"
            findings.warning(node, path, "flag-quoted", message, "remove the quotes")
            return stated
    return flag(node, path, findings)


def size(node: Node, path: str, findings: DocumentProblems) -> int | None:
    """Return a size in bytes: a number, optionally with a binary unit (k, m, g, t)."""
    match = _SIZE.match(node.text) if isinstance(node, ScalarNode) and not isinstance(node.value, bool) else None
    number = float(match["number"]) * _UNITS[match["unit"].lower()] if match is not None else 0.0
    if not 1 <= number <= _SIZE_BYTES_MAX:
        shown = quotable(path, node.text, 40) if isinstance(node, ScalarNode) else describe(node)
        findings.error(node, path, "size-malformed", f"{path}: {shown} is not a size", "write it like 512m or 2g")
        return None
    return int(number)


def texts(node: Node, path: str, findings: DocumentProblems) -> tuple[str, ...]:
    """Return a list of texts. A single text is refused: Taupage iterated over its characters."""
    if not isinstance(node, SequenceNode):
        wrong_shape(node, path, "list", findings)
        return ()
    if len(node.items) > _ITEMS_MAX:
        findings.error(node, path, "list-too-long", f"{path} has more than {_ITEMS_MAX} entries", "shorten it")
        return ()
    read = [text(item, f"{path}.{number}", findings) for number, item in enumerate(node.items)]
    return tuple(one for one in read if one is not None)


def choice(node: Node, path: str, findings: DocumentProblems, choices: tuple[str, ...]) -> str | None:
    """Return a text that is one of `choices`."""
    value = text(node, path, findings)
    if value is None or value in choices:
        return value
    message = f"{path} {quotable(path, value, 40)!r} is unknown"
    findings.error(node, path, "value-unknown", message, "write one of: " + ", ".join(choices))
    return None


def integer(node: Node, path: str, findings: DocumentProblems, *, least: int, most: int) -> int | None:
    """Return a whole number in decimal digits, quoted or not. YAML's other forms, 22:22 and 0x50, are refused."""
    if not isinstance(node, ScalarNode) or isinstance(node.value, bool):
        wrong_shape(node, path, "integer", findings)
        return None
    if not re.fullmatch(r"0|[1-9][0-9]{0,17}", node.text):
        wrong_shape(node, path, "integer", findings)
        return None
    number = int(node.text)
    if not least <= number <= most:
        findings.error(node, path, "number-out-of-range", f"{path} is {number}", f"use a number from {least} to {most}")
        return None
    return number


def shape_fits(node: Node, kind: ValueKind) -> bool:
    """Return whether a value has its kind's YAML type; the value itself is not validated."""
    if kind == "any":
        return True
    if kind == "list":
        return isinstance(node, SequenceNode)
    if kind == "mapping":
        return isinstance(node, MappingNode)
    if not isinstance(node, ScalarNode):
        return False
    return kind != "flag" or isinstance(node.value, bool)


def wrong_shape(node: Node, path: str, kind: ValueKind, findings: DocumentProblems) -> None:
    wanted = _SHAPES.get(kind, kind)
    quoted_flag = kind == "flag" and isinstance(node, ScalarNode) and isinstance(node.value, str)
    fix = "remove the quotes" if quoted_flag else f"write {wanted}"
    findings.error(node, path, f"{kind}-expected", f"{path} must be {wanted}, but is {describe(node)}", fix)
