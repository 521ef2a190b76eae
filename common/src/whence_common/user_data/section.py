"""One mapping of user data, at the top or nested, read by key. Unknown keys are reported when it is created."""

from __future__ import annotations

from collections.abc import Iterator

from whence_common.errors import one_line
from whence_common.user_data import readers
from whence_common.user_data.findings import DocumentProblems
from whence_common.user_data.keys import KEYS
from whence_common.user_data.nodes import MappingNode, Node, ScalarNode
from whence_common.user_data.schema import Key, children, closest

_ENTRIES_MAX = 200


class Section:
    """A mapping whose keys are the children of `schema_path`. Null counts as absent for every known key."""

    def __init__(
        self, node: MappingNode, findings: DocumentProblems, *, path: str = "", schema_path: str | None = None
    ) -> None:
        self.node = node
        self.path = path
        self.findings = findings
        self._schema_path = path if schema_path is None else schema_path
        self.keys = children(KEYS, self._schema_path)
        self._check_keys()

    def get(self, name: str) -> Node | None:
        node = self.node.entries.get(name)
        return None if node is None or readers.is_null(node) else node

    def name_of(self, name: str) -> str:
        """Return the dotted path of a key in this document."""
        return f"{self.path}.{name}" if self.path else name

    def text(self, name: str) -> str | None:
        node = self.get(name)
        return None if node is None else readers.text(node, self.name_of(name), self.findings)

    def flag(self, name: str, *, default: bool = False) -> bool:
        node = self.get(name)
        value = None if node is None else readers.flag(node, self.name_of(name), self.findings)
        return default if value is None else value

    def soft_flag(self, name: str) -> bool:
        node = self.get(name)
        return node is not None and readers.soft_flag(node, self.name_of(name), self.findings) is True

    def integer(self, name: str, *, least: int, most: int) -> int | None:
        node = self.get(name)
        path = self.name_of(name)
        return None if node is None else readers.integer(node, path, self.findings, least=least, most=most)

    def size(self, name: str) -> int | None:
        node = self.get(name)
        return None if node is None else readers.size(node, self.name_of(name), self.findings)

    def texts(self, name: str) -> tuple[str, ...]:
        node = self.get(name)
        return () if node is None else readers.texts(node, self.name_of(name), self.findings)

    def choice(self, name: str, *choices: str) -> str | None:
        node = self.get(name)
        return None if node is None else readers.choice(node, self.name_of(name), self.findings, choices)

    def section(self, name: str) -> Section | None:
        """Return a nested mapping as a section; None if it is absent or not a mapping."""
        node = self.get(name)
        if node is None:
            return None
        if not isinstance(node, MappingNode):
            readers.wrong_shape(node, self.name_of(name), "mapping", self.findings)
            return None
        schema_path = f"{self._schema_path}.{name}" if self._schema_path else name
        return Section(node, self.findings, path=self.name_of(name), schema_path=schema_path)

    def sections(self, *, null_as_empty: bool = False) -> Iterator[tuple[str, Section]]:
        """Yield the entries of a mapping with free names."""
        for name, node in list(self.node.entries.items())[:_ENTRIES_MAX]:
            path = self.name_of(one_line(name, 60))
            if readers.is_null(node) and null_as_empty:
                node = MappingNode(line=node.line, column=node.column)
            if readers.is_null(node):
                continue
            if isinstance(node, MappingNode):
                yield name, Section(node, self.findings, path=path, schema_path=f"{self._schema_path}.*")
            else:
                readers.wrong_shape(node, path, "mapping", self.findings)

    def error(self, name: str, code: str, message: str, fix: str) -> None:
        """Report an error of a key's value, at the value's place."""
        at = self.get(name) or self.node.keys.get(name) or self.node
        self.findings.error(at, self.name_of(name) if name else self.path, code, message, fix)

    def warning(self, name: str, code: str, message: str, fix: str) -> None:
        at = self.get(name) or self.node.keys.get(name) or self.node
        self.findings.warning(at, self.name_of(name) if name else self.path, code, message, fix)

    def _check_keys(self) -> None:
        """Report unknown, retired and platform keys, wrong types of these, and missing required keys."""
        if "*" in self.keys:
            if len(self.node.entries) > _ENTRIES_MAX:
                message = f"{self.path} has more than {_ENTRIES_MAX} entries"
                self.findings.error(self.node, self.path, "mapping-too-long", message, "shorten it")
            return
        if not self.keys:
            return
        for name, node in self.node.entries.items():
            key, at = self.keys.get(name), self.node.keys[name]
            if key is None:
                self._unknown(name, at)
            elif not readers.is_null(node):
                self._fate(key, node, at)
        for key in self.keys.values():
            if key.required and self.get(key.leaf) is None:
                fix = f"add {key.leaf}: … ({key.does})"
                at_null = self.node.keys.get(key.leaf) or (self.node if self.path else None)
                path = self.name_of(key.leaf)
                self.findings.error(at_null, path, "key-missing", f"{path} is missing", fix)

    def _fate(self, key: Key, node: Node, at: ScalarNode) -> None:
        path = self.name_of(key.leaf)
        if key.fate in ("retired", "platform", "kept") and not readers.shape_fits(node, key.kind):
            readers.wrong_shape(node, path, key.kind, self.findings)
        if key.fate == "retired":
            message = f"{path} has no effect: {key.does}"
            self.findings.warning(at, path, "key-retired", message, "remove it")
        elif key.fate == "platform":
            message = f"{path} is set by the platform; this value is ignored"
            self.findings.warning(at, path, "key-of-platform", message, "remove it")

    def _unknown(self, name: str, at: ScalarNode) -> None:
        shown = one_line(self.name_of(name), 80)
        close = closest(self.keys, name)
        if close:
            fix = f"did you mean {close[0]}?"
        elif self.path:
            fix = "the keys here are: " + ", ".join(sorted(self.keys))[:200]
        else:
            fix = "keep it if the application reads it; otherwise remove it"
        self.findings.warning(at, shown, "key-unknown", f"unknown key {shown}; it is passed on unchanged", fix)
