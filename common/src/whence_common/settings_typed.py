"""Convert a settings file's values to a typed structure, and find every invalid value with its place.

msgspec stops at the first error. The value that it names is removed from a copy, which is then converted again.
"""

from __future__ import annotations

import copy
import difflib
import re
from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

import msgspec
from msgspec.inspect import DictType, Field, ListType, Metadata, StructType, Type, UnionType, VarTupleType, type_info

from whence_common.errors import one_line
from whence_common.problems import Problem
from whence_common.user_data import nodes
from whence_common.user_data.nodes import MappingNode, Node, SequenceNode

T = TypeVar("T")
Path = tuple[str | int, ...]

PROBLEMS_MAX = 100
FIX = "see the table of settings in the program's README"
_NAMES_SHOWN_MAX = 12
_QUOTE = re.compile(r"must be text, but is (?:a whole number|a number|true or false)\Z")
_QUOTE_FIX = "write the value in quotes"
_AT = re.compile(r"(.*) - at `\$(.*)`\Z", re.DOTALL)
_AT_KEY = re.compile(r"(.*) - at `key` in `\$(.*)`\Z", re.DOTALL)
_STEP = re.compile(r"\.([A-Za-z0-9_]+)|\[([0-9]+)\]|(\[\.\.\.\])")
_EXPECTED = re.compile(r"Expected `(.*)`, got `(.*)`\Z")
_FIELD = re.compile(r"Object (missing required|contains unknown) field `(.*)`\Z", re.DOTALL)
_ENUM = re.compile(r"Invalid enum value (.*)\Z", re.DOTALL)
_WORDS = {
    "object": "a mapping (name: value)", "array": "a list", "str": "text", "int": "a whole number", "float": "a number",
    "bool": "true or false", "null": "empty",
}  # fmt: skip


def typed(
    root: MappingNode, structure: type[T], renamed: Mapping[str, str]
) -> tuple[T | None, tuple[Problem, ...], frozenset[str]]:
    """Return the settings without their invalid values, the problems, and the names of the known settings left out.

    The settings are None if a required one is missing. `renamed` maps the settings of earlier versions to their new
    names.
    """
    reader = _Reader(root, structure, renamed)
    value: T | None = reader.read()
    return value, tuple(reader.problems), frozenset(reader.left_out)


class _Reader:
    def __init__(self, root: MappingNode, structure: type[Any], renamed: Mapping[str, str]) -> None:
        self._renamed = renamed
        self._root = copy.deepcopy(root)
        self._numbers = dict(_numbered(self._root))
        self._structure = structure
        self.problems: list[Problem] = []
        self.left_out: set[str] = set()

    def read(self) -> Any:
        for _ in range(PROBLEMS_MAX):
            document = nodes.to_python(self._root)
            try:
                return msgspec.convert(document, self._structure)
            except msgspec.ValidationError as exc:
                text = str(exc)
                match, key = _AT.match(text), _AT_KEY.match(text)
                message, written = (match[1], match[2]) if match is not None else (text, "")
                message, written = (
                    (f"this name is not valid: {key[1]}", f"{key[2]}[...]") if key is not None else (message, written)
                )
                path = self._path(document, written, text)
            if not self._note(path, message):
                return None
        return None

    def _path(self, document: Any, written: str, text: str) -> Path:
        """Return the place of msgspec's error. msgspec does not name the entry of a mapping, so each is tried alone."""
        path: Path = ()
        found = document
        for name, number, any_ in _STEP.findall(written):
            step: str | int = name or (int(number) if number else "")
            if any_:
                alone = (key for key in found if self._error(_with(document, path, {key: found[key]})) == text)
                step = next(alone, "")
            if isinstance(found, dict) and step not in found:
                break
            path, found = (*path, step), found[step]
        return path

    def _error(self, document: Any) -> str:
        try:
            msgspec.convert(document, self._structure)
        except msgspec.ValidationError as exc:
            return str(exc)
        return ""

    def _note(self, path: Path, message: str) -> bool:
        """Record one error and leave out its value; return whether anything is left to convert."""
        field = _FIELD.match(message)
        if field is None:
            self._problem(path, _in_words(message))
            return self._leave_out(path)
        if field[1] == "contains unknown":
            path = (*path, field[2])
            now = self._renamed.get(self._shown(path))
            if now is not None:
                self._problem(path, f"this setting is now {now}", f"write {now} in place of {field[2]}")
                return self._leave_out(path)
            names = [one.name for one in self._fields(path[:-1])]
            close = difflib.get_close_matches(field[2], names, n=1)
            known = f"write one of: {', '.join(names)}" if 0 < len(names) <= _NAMES_SHOWN_MAX else FIX
            self._problem(path, "unknown setting", f"did you mean {close[0]}?" if close else known)
            return self._take_out(path)  # nothing reads it, so what is left is judged whole
        there = _node(self._root, path)
        assert isinstance(there, MappingNode)
        for one in self._fields(path):
            if one.required and one.name not in there.entries and self._shown((*path, one.name)) not in self.left_out:
                self._problem((*path, one.name), "is required, but not set")
        return self._leave_out(path)

    def _fields(self, path: Path) -> tuple[Field, ...]:
        """Return the fields of the structure at a path."""
        found: Type = type_info(self._structure)
        for step in path:
            found = next(inside(found, step))
        of = next((one for one in kinds(found) if isinstance(one, StructType)), None)
        return of.fields if of is not None else ()

    def _problem(self, path: Path, message: str, fix: str = FIX) -> None:
        line, column = place(self._root, path)
        shown = self._shown(path)
        stated = f"{one_line(shown, 100)}: {message}" if shown else message
        fix = _QUOTE_FIX if _QUOTE.match(message) else fix
        self.problems.append(
            Problem(
                severity="error", code="settings-invalid", line=line, column=column, path=shown, message=stated, fix=fix
            )
        )

    def _shown(self, path: Path) -> str:
        steps = []
        for number, step in enumerate(path, start=1):
            if isinstance(step, int):
                steps.append(f"[{self._numbers[id(_node(self._root, path[:number]))]}]")
            else:
                steps.append(f".{step}")
        return "".join(steps).lstrip(".")

    def _leave_out(self, path: Path) -> bool:
        if path:
            self.left_out.add(self._shown(path))
        return self._take_out(path)

    def _take_out(self, path: Path) -> bool:
        if not path:
            return False
        parent = _node(self._root, path[:-1])
        if isinstance(parent, MappingNode):
            del parent.entries[str(path[-1])]
        elif isinstance(parent, SequenceNode):
            del parent.items[int(path[-1])]
        return True


def place(root: MappingNode, path: Path) -> tuple[int, int]:
    """Return line and column of the last step of a path that the document has; (0, 0) if it has none."""
    found: Node = root
    at = (0, 0)
    for step in path:
        if isinstance(found, MappingNode) and step in found.entries:
            key = found.keys[str(step)]
            found, at = found.entries[str(step)], (key.line, key.column)
        elif isinstance(found, SequenceNode) and isinstance(step, int) and step < len(found.items):
            found = found.items[step]
            at = (found.line, found.column)
        else:
            break
    return at


def _numbered(node: Node) -> Iterator[tuple[int, int]]:
    """Yield each list item's identity and its number, which does not change when an earlier item is left out."""
    if isinstance(node, SequenceNode):
        yield from ((id(one), number) for number, one in enumerate(node.items))
    inside = (
        node.items if isinstance(node, SequenceNode) else node.entries.values() if isinstance(node, MappingNode) else ()
    )
    for one in inside:
        yield from _numbered(one)


def _node(root: MappingNode, path: Path) -> Node:
    found: Node = root
    for step in path:
        found = found.entries[str(step)] if isinstance(found, MappingNode) else found.items[int(step)]  # type: ignore[union-attr]  # msgspec went this way
    return found


def _with(document: Any, path: Path, value: Any) -> Any:
    """Return a copy of a document with another value at a path."""
    if not path:
        return value
    inner = _with(document[path[0]], path[1:], value)
    if isinstance(document, dict):
        return {**document, path[0]: inner}
    return [inner if number == path[0] else one for number, one in enumerate(document)]


def kinds(found: Type) -> tuple[Type, ...]:
    """Return the types that a value may have, without descriptions."""
    found = found.type if isinstance(found, Metadata) else found
    return found.types if isinstance(found, UnionType) else (found,)


def inside(found: Type, step: str | int) -> Iterator[Type]:
    """Yield the types of a field, of an entry or of an item."""
    for kind in kinds(found):
        if isinstance(kind, StructType):
            yield from (one.type for one in kind.fields if one.name == step)
        elif isinstance(kind, DictType) and isinstance(step, str):
            yield kind.value_type
        elif isinstance(kind, (ListType, VarTupleType)) and isinstance(step, int):
            yield kind.item_type


def _in_words(message: str) -> str:
    expected, enum = _EXPECTED.match(message), _ENUM.match(message)
    if expected is not None:
        kinds = [_WORDS.get(one, one) for one in expected[1].split(" | ") if one != "null"]
        return f"must be {' or '.join(kinds)}, but is {_WORDS.get(expected[2], expected[2])}"
    if enum is not None:
        return f"{one_line(enum[1], 60)} is not an allowed value"
    return one_line(message, 200)
