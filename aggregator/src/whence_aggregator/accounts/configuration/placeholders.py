"""`{account_id}` and `{account_name}` in the texts of a section. Texts are replaced, never formatted."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from whence_common.errors import InputError, one_line
from whence_common.problems import Problem
from whence_common.user_data import nodes
from whence_common.user_data.nodes import MappingNode, Node, ScalarNode, SequenceNode

ACCOUNT_PLACEHOLDERS = ("account_id", "account_name")
STEP_PLACEHOLDERS = ("region", "bucket_name")
"""Replaced by the steps that know them."""
FREE = frozenset(
    ("policy", "assume_role_policy", "inline_policies", "key_policy", "statement", "tags", "description")
)  # fmt: skip
"""Below these keys other words in braces are text, as in version 10."""
_TOKEN = re.compile(r"\$\{[^{}]*\}|\{\{[^{}]*\}\}|\{([A-Za-z0-9_.!:>\[\]-]*)\}")
_BEGIN = "{account_"


class _Known(NamedTuple):
    value: Any
    is_template: bool
    size: int


class Texts:
    """Plain values of nodes with their placeholders replaced. Parts of `shared` without placeholders are read once."""

    def __init__(self, shared: MappingNode) -> None:
        self._shared = shared  # their identities are keys, so they must live
        self._known: dict[int, _Known] = {}
        self._learn(shared)

    def size(self, node: Node) -> int:
        """Return the number of values in a node."""
        known = self._known.get(id(node))
        return known.size if known is not None else 1 + sum(self.size(one) for one in _children(node))

    def plain(self, node: Node, names: Mapping[str, str]) -> Any:
        """Return the plain value. Raises InputError if two names of a mapping become one."""
        known = self._known.get(id(node))
        if known is not None and not known.is_template:
            return known.value
        if isinstance(node, MappingNode):
            found = {replace(name, names): self.plain(one, names) for name, one in node.entries.items()}
            if len(found) != len(node.entries):
                _same_names(node)
            return found
        if isinstance(node, SequenceNode):
            return [self.plain(one, names) for one in node.items]
        value = nodes.to_python(node)
        return replace(value, names) if isinstance(value, str) else value

    def _learn(self, node: Node) -> _Known:
        inner = [self._learn(one) for one in _children(node)]
        own = node.text if isinstance(node, ScalarNode) else ""
        names = list(node.entries) if isinstance(node, MappingNode) else []
        is_template = any(one.is_template for one in inner) or any(_BEGIN in one for one in (own, *names))
        values = [one.value for one in inner]
        value: Any = (
            dict(zip(names, values, strict=True)) if isinstance(node, MappingNode)
            else values if isinstance(node, SequenceNode) else nodes.to_python(node)
        )  # fmt: skip
        known = _Known(value, is_template, 1 + sum(one.size for one in inner))
        self._known[id(node)] = known
        return known


def replace(text: str, names: Mapping[str, str]) -> str:
    """Return the text with placeholders replaced. `${account_id}` and `{{account_id}}` stay as they are."""
    if "{" not in text:
        return text
    return _TOKEN.sub(lambda token: names.get(token[1] or "", token[0]), text)


def with_names(node: Node, names: Mapping[str, str]) -> Node:
    """Return a copy of a node with its placeholders replaced and its places kept."""
    if isinstance(node, MappingNode):
        return MappingNode(
            line=node.line, column=node.column,
            entries={replace(name, names): with_names(one, names) for name, one in node.entries.items()},
            keys={replace(name, names): one for name, one in node.keys.items()},
        )  # fmt: skip
    if isinstance(node, SequenceNode):
        return SequenceNode(line=node.line, column=node.column, items=[with_names(one, names) for one in node.items])
    if not isinstance(node.value, str):
        return node
    value = replace(node.value, names)
    return ScalarNode(line=node.line, column=node.column, text=value, value=value, plain=node.plain)


def unknown(node: Node, path: str) -> Iterator[Problem]:
    """Yield a problem for each word in braces that no one replaces, outside of the keys that are FREE."""
    for place, text, where in _texts(node, path):
        for token in _TOKEN.finditer(text):
            word = token[1]
            if word is None or word in ACCOUNT_PLACEHOLDERS + STEP_PLACEHOLDERS:
                continue
            near = difflib.get_close_matches(word[:60], ACCOUNT_PLACEHOLDERS + STEP_PLACEHOLDERS, n=1)
            fix = f"did you mean {{{near[0]}}}?" if near else "write {account_id}, {account_name}, or the value itself"
            message = f"{where}: the placeholder {one_line(token[0], 60)} is not known"
            yield Problem(
                severity="error", code="placeholder-unknown", line=place.line, column=place.column, path=where,
                message=message, fix=fix,
            )  # fmt: skip


def _texts(node: Node, path: str) -> Iterator[tuple[ScalarNode, str, str]]:
    if isinstance(node, MappingNode):
        for name, one in node.entries.items():
            if name not in FREE:
                where = f"{path}.{one_line(name, 80)}"
                yield node.keys[name], name, where
                yield from _texts(one, where)
    elif isinstance(node, SequenceNode):
        for number, one in enumerate(node.items):
            yield from _texts(one, f"{path}[{number}]")
    elif isinstance(node.value, str):
        yield node, node.value, path


def _children(node: Node) -> list[Node]:
    if isinstance(node, MappingNode):
        return list(node.entries.values())
    return node.items if isinstance(node, SequenceNode) else []


def _same_names(node: MappingNode) -> None:
    shown = ", ".join(one_line(name, 60) for name in node.entries if _BEGIN in name)
    message = f"a name is twice in a mapping after placeholders are replaced: {shown}"
    raise InputError("placeholder-duplicate", message, fix="keep one of the two")
