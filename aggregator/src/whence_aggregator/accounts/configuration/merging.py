"""The section of one account over the global one, as nodes that keep their places."""

from __future__ import annotations

from msgspec.inspect import NoneType, StructType, Type

from whence_common.settings_typed import inside, kinds
from whence_common.user_data.nodes import MappingNode, Node, ScalarNode, SequenceNode

EMPTY = MappingNode(line=0, column=0)


def merged(base: MappingNode, over: MappingNode, kind: Type | None) -> MappingNode:
    """Return `over` over `base`: mappings are merged, every other value is replaced, and null removes an entry.

    A null stays where the type `kind` accepts it, and for unknown fields of a structure, which are errors. Parts of
    `base` are shared, not copied: the time depends on the size of `over`, and on the width of `base` beside it.
    """
    entries, keys = dict(base.entries), dict(base.keys)
    for name, node in over.entries.items():
        inner, is_field = _inner(kind, name)
        if is_null(node) and not is_field:
            entries.pop(name, None)
            keys.pop(name, None)
            continue
        below = entries.get(name)
        entries[name] = _over(below if isinstance(below, MappingNode) else EMPTY, node, inner)
        keys[name] = over.keys[name]
    return MappingNode(line=over.line, column=over.column, entries=entries, keys=keys)


def replaced(base: MappingNode, over: MappingNode) -> MappingNode:
    """Return `over` over `base` as version 10 does: a key of `over` replaces the whole value, also with null."""
    return base.updated(over)


def is_null(node: Node) -> bool:
    return isinstance(node, ScalarNode) and node.value is None


def _over(base: MappingNode, node: Node, kind: Type | None) -> Node:
    if isinstance(node, MappingNode):
        return merged(base, node, kind)
    if isinstance(node, SequenceNode):
        inner = next(inside(kind, 0), None) if kind is not None else None
        return SequenceNode(
            line=node.line, column=node.column, items=[_over(EMPTY, item, inner) for item in node.items]
        )
    return node


def _inner(kind: Type | None, name: str) -> tuple[Type | None, bool]:
    """Return the type of an entry, and whether a null is a value there."""
    if kind is None:
        return None, False
    inner = next(inside(kind, name), None)
    if inner is None:
        return None, any(isinstance(one, StructType) for one in kinds(kind))
    return inner, any(isinstance(one, NoneType) for one in kinds(inner))
