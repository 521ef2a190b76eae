"""The nodes of a YAML document: scalars, sequences and mappings, each with its line and column."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias


@dataclass(frozen=True, slots=True, kw_only=True)
class ScalarNode:
    """`value` is the value of `text` in YAML 1.1; `plain` states that it is not quoted."""

    line: int
    column: int
    text: str
    value: Any
    plain: bool
    size: int = 1


@dataclass(slots=True, kw_only=True)
class SequenceNode:
    line: int
    column: int
    items: list[Node] = field(default_factory=list)
    size: int = 1
    closed: bool = False


@dataclass(slots=True, kw_only=True)
class MappingNode:
    """`entries` by the text of the key, in order; `keys` has the node of each key."""

    line: int
    column: int
    entries: dict[str, Node] = field(default_factory=dict)
    keys: dict[str, ScalarNode] = field(default_factory=dict)
    merged: list[Node] = field(default_factory=list)
    pending: ScalarNode | None = None
    discard: bool = False
    size: int = 1
    closed: bool = False

    def updated(self, later: MappingNode) -> MappingNode:
        """Return a copy in which the entries of `later` take precedence."""
        return MappingNode(
            line=self.line,
            column=self.column,
            entries={**self.entries, **later.entries},
            keys={**self.keys, **later.keys},
        )

    def with_defaults(self, defaults: Mapping[str, Any]) -> MappingNode:
        """Return a copy with these values for absent and null entries. Their nodes have line 0."""
        absent = {
            name: from_python(value)
            for name, value in defaults.items()
            if not isinstance(node := self.entries.get(name), (SequenceNode, MappingNode))
            and (node is None or node.value is None)
        }
        if not absent:
            return self
        keys = {name: self.keys.get(name) or from_python(name) for name in absent}
        return self.updated(MappingNode(line=0, column=0, entries=absent, keys=keys))  # type: ignore[arg-type]


Node: TypeAlias = ScalarNode | SequenceNode | MappingNode


def to_python(node: Node) -> Any:
    """Return a node as dict, list, str, int, float, bool or None; dates stay text."""
    if isinstance(node, MappingNode):
        return {name: to_python(value) for name, value in node.entries.items()}
    if isinstance(node, SequenceNode):
        return [to_python(item) for item in node.items]
    return node.value if isinstance(node.value, (str, int, float, bool)) or node.value is None else node.text


def from_python(value: Any) -> Node:
    """Return the node of a plain value. It has line 0."""
    if isinstance(value, dict):
        entries = {str(name): from_python(inner) for name, inner in value.items()}
        keys = {name: ScalarNode(line=0, column=0, text=name, value=name, plain=True) for name in entries}
        return MappingNode(line=0, column=0, entries=entries, keys=keys)
    if isinstance(value, list):
        return SequenceNode(line=0, column=0, items=[from_python(inner) for inner in value])
    text = str(value).lower() if isinstance(value, bool) else "" if value is None else str(value)
    return ScalarNode(line=0, column=0, text=text, value=value, plain=not isinstance(value, str))
