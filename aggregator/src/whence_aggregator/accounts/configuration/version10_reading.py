"""Sections of version 10 as sections of version 11: what is ignored goes with a remark, what is refused is an error."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from msgspec.inspect import Field, StructType, Type

from whence_aggregator.accounts.configuration import version10
from whence_aggregator.accounts.configuration.merging import is_null
from whence_aggregator.accounts.configuration.version10 import KEYS10
from whence_common.errors import one_line
from whence_common.problems import Problem, Severity
from whence_common.settings_typed import inside, kinds
from whence_common.user_data import nodes
from whence_common.user_data.nodes import MappingNode, Node, ScalarNode, SequenceNode

_IMAGE = re.compile(r"\{\{(?:ami_id|base_ami_config)\}\}")


@dataclass
class Translation:
    """Translates sections to the fields of `kind`, the structure of an account's section, and collects problems.

    A key that the structure has is passed on as it is, except where the table maps it.
    """

    kind: Type
    problems: list[Problem] = field(default_factory=list)

    def section(self, node: MappingNode, path: str) -> MappingNode:
        """Return the section in version 11."""
        out = MappingNode(line=node.line, column=node.column)
        for name, value in node.entries.items():
            at, where = node.keys[name], f"{path}.{one_line(name, 80)}"
            if name in version10.EXTENSIONS:
                out.entries[name], out.keys[name] = value, at
            elif name not in version10.top_level():
                self._add("error", at, where, f"{where}: unknown key of version 10", version10.near("", name))
            elif name == "saml_admin_login_role" and "access" in node.entries:
                self._remark(at, where, name)
            elif name in version10.GLOBAL_ONLY and path != "global":
                message = f"{where} has no effect: it is read from the global section only"
                self._add("warning", at, where, message, "move it to the global section", "key-version-10")
            else:
                self._entry(out, name, value, at, where)
        self._imply(out, is_global=path == "global")
        return out

    def _imply(self, out: MappingNode, *, is_global: bool) -> None:
        """Add what Seven Seconds does without a key: to the global section, and to keys that replace those there."""
        for name, implied in version10.IMPLIED.items():
            node, kind = out.entries.get(name), next(inside(self.kind, name), None)
            if kind is None or not (is_global or node is not None):
                continue
            if isinstance(implied, dict):
                own = MappingNode(line=0, column=0) if node is None or is_null(node) else node
                if isinstance(own, MappingNode):
                    out.entries[name] = own.with_defaults({key: one for key, one in implied.items() if _has(kind, key)})
            elif node is None or is_null(node):
                out.entries[name] = nodes.from_python(implied)
            out.keys.setdefault(name, ScalarNode(line=0, column=0, text=name, value=name, plain=True))

    def _entry(self, out: MappingNode, name: str, value: Node, at: ScalarNode, where: str) -> None:
        if name == "saml_admin_login_role" and not is_null(value):
            self._remark(at, where, name)
            name = "access"
            value = _mapping(value, {"role": value})
        elif name == "acm":
            value = self._certificates(value, where)
        elif not _has(self.kind, name) and KEYS10[name].fate != "acted":
            self._without_effect(name, value, at, where)
            return
        elif name == "vpc":
            self._image_tags(value, where)
        out.entries[name], out.keys[name] = self._below(name, value, where), at

    def _without_effect(self, name: str, value: Node, at: ScalarNode, where: str) -> None:
        if KEYS10[name].fate == "refused":
            if nodes.to_python(value) not in (False, None):
                self._add("error", at, where, f"{where}: {KEYS10[name].now}", KEYS10[name].write, "key-refused")
        else:
            self._remark(at, where, name)
            self._check(name, value, where)

    def _check(self, name: str, value: Node, where: str) -> None:
        """Refuse unknown keys below a key that has no effect: a misspelt key is reported by its place."""
        if name in version10.FREE_BELOW or not version10.has_children(name) or not isinstance(value, MappingNode):
            return
        for key, inner in value.entries.items():
            below, path = version10.child(name, key), f"{where}.{one_line(key, 80)}"
            if below is None:
                fix = version10.near(name, key)
                self._add("error", value.keys[key], path, f"{path}: unknown key of version 10", fix)
            else:
                self._check(below, inner, path)

    def _below(self, name: str, value: Node, where: str) -> Node:
        """Return a value without the keys directly below it that have no effect and that the structure lacks."""
        kind = next(inside(self.kind, name), None)
        if kind is None or not isinstance(value, MappingNode):
            return value
        out = MappingNode(line=value.line, column=value.column)
        for key, inner in value.entries.items():
            known = KEYS10.get(f"{name}.{key}")
            if known is not None and known.fate == "ignored" and _is_structure(kind) and not _has(kind, key):
                self._remark(value.keys[key], f"{where}.{key}", known.name)
            else:
                out.entries[key], out.keys[key] = inner, value.keys[key]
        return out

    def _certificates(self, value: Node, where: str) -> Node:
        """Return a list of certificates: one may stand alone, and alternative names had domains to write to."""
        if is_null(value):
            return value
        items = value.items if isinstance(value, SequenceNode) else [value]
        found = [
            self._certificate(one, f"{where}[{number}]") if isinstance(one, MappingNode) else one
            for number, one in enumerate(items)
        ]
        return SequenceNode(line=value.line, column=value.column, items=found)

    def _certificate(self, node: MappingNode, where: str) -> MappingNode:
        out = MappingNode(line=node.line, column=node.column)
        for name, value in node.entries.items():
            if name == "validation_domain":
                self._remark(node.keys[name], f"{where}.{name}", f"acm[].{name}")
                continue
            if name == "subject_alternative_names" and isinstance(value, MappingNode):
                value = SequenceNode(line=value.line, column=value.column, items=list(value.keys.values()))
            out.entries[name], out.keys[name] = value, node.keys[name]
        return out

    def _image_tags(self, value: Node, where: str) -> None:
        tags = value.entries.get("tags") if isinstance(value, MappingNode) else None
        for name, one in tags.entries.items() if isinstance(tags, MappingNode) else ():
            if isinstance(one, ScalarNode) and _IMAGE.search(one.text):
                path = f"{where}.tags.{one_line(name, 80)}"
                message = f"{path}: {{{{ami_id}}}} and {{{{base_ami_config}}}} have no value: a VPC has no image"
                self._add("error", one, path, message, "remove the tag", "key-refused")

    def _remark(self, at: ScalarNode, where: str, name: str) -> None:
        known = KEYS10[name]
        verb = "is now" if known.fate == "mapped" else "has no effect:"
        self._add("warning", at, where, f"{where} {verb} {known.now}", known.write, "key-version-10")

    def _add(
        self, severity: Severity, at: ScalarNode, where: str, message: str, fix: str, code: str = "settings-invalid"
    ) -> None:  # fmt: skip
        found = Problem(
            severity=severity, code=code, line=at.line, column=at.column, path=where, message=message, fix=fix
        )
        self.problems.append(found)


def _mapping(at: Node, entries: dict[str, Node]) -> MappingNode:
    keys = {name: ScalarNode(line=at.line, column=at.column, text=name, value=name, plain=True) for name in entries}
    return MappingNode(line=at.line, column=at.column, entries=entries, keys=keys)


def _has(kind: Type, name: str) -> bool:
    return any(one.name == name for one in _fields(kind))


def _is_structure(kind: Type) -> bool:
    return any(isinstance(one, StructType) for one in kinds(kind))


def _fields(kind: Type) -> Iterator[Field]:
    for one in kinds(kind):
        if isinstance(one, StructType):
            yield from one.fields
