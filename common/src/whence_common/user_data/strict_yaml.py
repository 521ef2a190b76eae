"""Parse YAML 1.1 as PyYAML does, with the place of every node, bounds, and without duplicate keys.

Scalars have their text and their value, so that a reader can distinguish `1.10` from `1.1` and `22:22` from 1342.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import yaml

from whence_common.errors import one_line
from whence_common.problems import Problem
from whence_common.user_data.nodes import MappingNode, Node, ScalarNode, SequenceNode

DEPTH_MAX = 20
NODES_MAX = 5_000
"""Counted with aliases expanded, so that a few lines cannot expand to a billion nodes."""

_NUMBER_BITS_MAX = 14_000
"""Python refuses to print numbers of more than 4300 decimal digits, which 0x… can express."""

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_STRING = "tag:yaml.org,2002:str"
_COLLECTIONS = ("tag:yaml.org,2002:seq", "tag:yaml.org,2002:map")


class _Stop(Exception):
    """Parsing cannot continue after this problem."""

    def __init__(self, problem: Problem, *, placed: bool = True) -> None:
        super().__init__(problem.message)
        self.problem = problem
        self.placed = placed


def parse(text: str, *, first_line: int = 1, nodes_max: int = NODES_MAX) -> tuple[Node | None, tuple[Problem, ...]]:
    """Return the document's root and all problems. The root is None if the document is empty or cannot be parsed.

    `first_line` is the number of the text's first line.
    """
    composer = _Composer(first_line, nodes_max)
    try:
        for event in _events(text):
            composer.accept(event)
    except _Stop as stop:
        line = stop.problem.line if stop.placed else stop.problem.line + first_line - 1
        return None, (*composer.problems, replace(stop.problem, line=line))
    return composer.root, tuple(composer.problems)


class _Composer:
    """Builds the node tree from parser events with an explicit stack instead of recursion."""

    def __init__(self, first_line: int, nodes_max: int) -> None:
        self._first_line = first_line
        self._nodes_max = nodes_max
        self.root: Node | None = None
        self.problems: list[Problem] = []
        self._stack: list[SequenceNode | MappingNode] = []
        self._anchors: dict[str, Node] = {}
        self._documents = 0
        self._nodes = 0
        self._resolver: Any = yaml.resolver.Resolver()
        self._constructor: Any = yaml.constructor.SafeConstructor()

    def accept(self, event: Any) -> None:
        line, column = event.start_mark.line + self._first_line, event.start_mark.column + 1
        if isinstance(event, yaml.DocumentStartEvent):
            self._documents += 1
            if self._documents > 1:
                raise _stop("yaml-several-documents", line, column, "a second document starts here", "keep one")
        elif isinstance(event, yaml.AliasEvent):
            self._alias(event, line, column)
        elif isinstance(event, yaml.ScalarEvent):
            self._add(self._scalar(event, line, column), event.anchor)
        elif isinstance(event, yaml.SequenceStartEvent):
            _check_tag(event.tag, _COLLECTIONS, line, column)
            self._open(SequenceNode(line=line, column=column), event.anchor)
        elif isinstance(event, yaml.MappingStartEvent):
            _check_tag(event.tag, _COLLECTIONS, line, column)
            self._open(MappingNode(line=line, column=column), event.anchor)
        elif isinstance(event, (yaml.SequenceEndEvent, yaml.MappingEndEvent)):
            self._close()

    def _open(self, node: SequenceNode | MappingNode, anchor: str | None) -> None:
        self._add(node, anchor)
        self._stack.append(node)
        if len(self._stack) > DEPTH_MAX:
            raise _stop(
                "yaml-too-deep",
                node.line,
                node.column,
                f"nested deeper than {DEPTH_MAX} levels",
                "flatten the document",
            )

    def _close(self) -> None:
        node = self._stack.pop()
        node.closed = True
        if isinstance(node, MappingNode):
            self._merge(node)
        if self._stack:
            self._stack[-1].size += node.size - 1
        self._count(node.size, node)

    def _alias(self, event: Any, line: int, column: int) -> None:
        target = self._anchors.get(event.anchor)
        if target is None:
            raise _stop(
                "yaml-alias-unknown",
                line,
                column,
                f"the anchor of the alias *{one_line(event.anchor, 40)} does not exist",
                "define the anchor before the alias",
            )
        if not isinstance(target, ScalarNode) and not target.closed:
            raise _stop(
                "yaml-alias-recursive",
                line,
                column,
                "an alias is inside its own anchor",
                "write the value out",
            )
        if self._stack:
            self._stack[-1].size += target.size - 1
        self._count(target.size, target)
        self._place(target, line, column)

    def _count(self, size: int, node: Node) -> None:
        self._nodes = max(self._nodes + 1, size)
        if self._nodes > self._nodes_max or any(open_node.size > self._nodes_max for open_node in self._stack):
            raise _stop(
                "yaml-too-many-nodes",
                node.line,
                node.column,
                f"the document has more than {self._nodes_max} values with aliases expanded",
                "write values out instead of repeating them by alias",
            )

    def _add(self, node: Node, anchor: str | None) -> None:
        if anchor is not None:
            self._anchors[anchor] = node
        self._count(1, node)
        self._place(node, node.line, node.column)

    def _place(self, node: Node, line: int, column: int) -> None:
        if not self._stack:
            self.root = node
            return
        parent = self._stack[-1]
        parent.size += 1
        if isinstance(parent, SequenceNode):
            parent.items.append(node)
        elif parent.pending is None:
            self._key(parent, node, line, column)
        else:
            self._value(parent, node)

    def _key(self, parent: MappingNode, node: Node, line: int, column: int) -> None:
        if not isinstance(node, ScalarNode):
            raise _stop(
                "yaml-key-not-scalar",
                line,
                column,
                "a list or mapping is used as a key",
                "write a plain name",
            )
        parent.pending = node
        parent.discard = False
        if node.plain and node.text == "<<":
            return
        if node.text in parent.keys:
            first = parent.keys[node.text]
            parent.discard = True
            self.problems.append(
                _problem(
                    "yaml-duplicate-key",
                    line,
                    column,
                    f"duplicate key {one_line(node.text, 60)!r}; the first is on line {first.line}",
                    "keep one of the two",
                    path=node.text,
                )
            )

    def _value(self, parent: MappingNode, node: Node) -> None:
        key, parent.pending = parent.pending, None
        assert key is not None
        if key.plain and key.text == "<<":
            parent.merged.append(node)
        elif not parent.discard:
            parent.keys[key.text] = key
            parent.entries[key.text] = node

    def _merge(self, node: MappingNode) -> None:
        for source in node.merged:
            for one in source.items if isinstance(source, SequenceNode) else [source]:
                if not isinstance(one, MappingNode):
                    raise _stop("yaml-merge-not-mapping", one.line, one.column, "<< merges mappings only", "remove it")
                for name, value in one.entries.items():
                    if name not in node.entries:
                        node.entries[name] = value
                        node.keys[name] = one.keys[name]
        node.merged = []

    def _scalar(self, event: Any, line: int, column: int) -> ScalarNode:
        plain = not event.style
        tag = event.tag
        _check_tag(tag, (_STRING,), line, column)
        resolved = self._resolver.resolve(yaml.ScalarNode, event.value, event.implicit)
        value: Any = event.value
        construct = _CONSTRUCTORS.get(resolved)
        if construct is not None and tag is None:
            try:
                found = construct(self._constructor, yaml.ScalarNode(resolved, event.value))
                if isinstance(found, int) and found.bit_length() > _NUMBER_BITS_MAX:
                    raise ValueError("the number is too long for Python to print")
                value = found
            except (ValueError, OverflowError, yaml.YAMLError):
                self.problems.append(
                    _problem(
                        "yaml-scalar-broken",
                        line,
                        column,
                        "the value looks like a number or date, but is invalid or too long",
                        "quote it",
                    )
                )
        return ScalarNode(line=line, column=column, text=event.value, value=value, plain=plain)


_CONSTRUCTORS: dict[str, Callable[[Any, Any], Any]] = {
    "tag:yaml.org,2002:null": yaml.constructor.SafeConstructor.construct_yaml_null,
    "tag:yaml.org,2002:bool": yaml.constructor.SafeConstructor.construct_yaml_bool,
    "tag:yaml.org,2002:int": yaml.constructor.SafeConstructor.construct_yaml_int,
    "tag:yaml.org,2002:float": yaml.constructor.SafeConstructor.construct_yaml_float,
    "tag:yaml.org,2002:timestamp": yaml.constructor.SafeConstructor.construct_yaml_timestamp,
}


def _check_tag(tag: str | None, known: tuple[str, ...], line: int, column: int) -> None:
    if tag is None or tag == "!" or tag in known:
        return
    message = f"the tag {one_line(tag, 60)!r} is not supported"
    raise _stop("yaml-tag", line, column, message, "remove the tag; quote text")


def _events(text: str) -> Iterator[Any]:
    try:
        yield from yaml.parse(text, Loader=_LOADER)
    except yaml.MarkedYAMLError as exc:
        mark = exc.problem_mark or exc.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark is not None else (1, 1)
        source = text.split("\n", line)[line - 1] if line <= text.count("\n") + 1 else ""
        indentation = source[: len(source) - len(source.lstrip())]
        if "\t" in indentation:
            raise _unplaced(
                "yaml-tab", line, indentation.index("\t") + 1, "the indentation has a tab", "indent with spaces"
            ) from exc
        raise _unplaced(
            "yaml-syntax",
            line,
            column,
            f"invalid YAML: {one_line(exc.problem or exc.context or 'cannot be parsed', 120)}",
            "check the indentation, and close every quote and bracket",
        ) from exc
    except yaml.reader.ReaderError as exc:
        before = text[: exc.position] if isinstance(exc.position, int) else ""
        column = len(before) - (before.rfind("\n") + 1) + 1
        raise _unplaced(
            "yaml-control-character",
            before.count("\n") + 1,
            column,
            "there is a control character",
            "remove it",
        ) from exc
    except yaml.YAMLError as exc:
        raise _unplaced("yaml-syntax", 1, 1, f"invalid YAML: {one_line(str(exc), 120)}", "check the syntax") from exc


def _problem(code: str, line: int, column: int, message: str, fix: str, *, path: str = "") -> Problem:
    return Problem(severity="error", code=code, line=line, column=column, path=path, message=message, fix=fix)


def _stop(code: str, line: int, column: int, message: str, fix: str) -> _Stop:
    return _Stop(_problem(code, line, column, message, fix))


def _unplaced(code: str, line: int, column: int, message: str, fix: str) -> _Stop:
    """Return a stop whose line is counted from the beginning of this text."""
    return _Stop(_problem(code, line, column, message, fix), placed=False)
