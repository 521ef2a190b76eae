"""The merged sections of a configuration, and the settings that they state."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import msgspec

from whence_aggregator.accounts.configuration.account import AccountSettings
from whence_aggregator.accounts.configuration.placeholders import Texts, with_names
from whence_aggregator.accounts.configuration.root import Root
from whence_common.errors import InputError, one_line
from whence_common.problems import Problem
from whence_common.settings_typed import FIX, typed
from whence_common.user_data.nodes import MappingNode, Node, ScalarNode, SequenceNode

_FIX = "whence-accounts explain lists the keys"
_ID = re.compile(r"[0-9]{12}")
_ID_FIX = 'write its 12 digits in quotes: "012345678901"'


class Sections:
    """`own` has the merged section of each account in the file; other accounts have the global section `base`."""

    def __init__(
        self, *, root: Root, base: MappingNode, own: dict[str, MappingNode], structure: type[AccountSettings]
    ) -> None:
        self.root = root.node
        self.own = own
        self.texts = Texts(base)
        self._base = base
        self._keys = {name: key for name, (key, _) in root.accounts.items()}
        self._structure = structure
        self._read: dict[tuple[str, str], AccountSettings] = {}
        self._of_global: frozenset[tuple[int, int]] | None = None
        self._defaults = {
            one.name: one.default
            for one in msgspec.structs.fields(structure)
            if isinstance(one.default, str) and "{" in one.default
        }

    def settings(self, name: str, account_id: str) -> AccountSettings:
        """Return the settings of an account. Raises InputError, for the accounts of a list."""
        known = self._read.get((name, account_id))
        if known is not None:
            return known
        try:
            return self._convert(name, account_id)
        except msgspec.ValidationError:
            first = next(iter(self.problems(name, account_id)))
            raise InputError(first.code, first.message, fix=first.fix) from None

    def problems(self, name: str, account_id: str) -> list[Problem]:
        """Return the problems of an account's section; an empty name stands for any account."""
        section = self.own.get(name, self._base)
        found = self._of_id(name, section.entries.get("id"))
        try:
            self._read[name, account_id] = self._convert(name, account_id)
        except msgspec.ValidationError:
            found += self._explained(name, account_id, section)
        except InputError as exc:
            found.append(self._placed(name, "", self._keys.get(name, section), exc.message, exc.fix))
        return found

    def _of_id(self, name: str, stated: Node | None) -> list[Problem]:
        """Judge the id by itself: YAML reads one without quotes as a number, in base 8 if it begins with 0."""
        if stated is None:
            return []
        if not isinstance(stated, ScalarNode) or not isinstance(stated.value, str):
            return [self._placed(name, "id", stated, "must be text")]
        if not _ID.fullmatch(stated.value):
            return [self._placed(name, "id", stated, f"{one_line(stated.value, 20)!r} is not the id of an account")]
        return []

    def _convert(self, name: str, account_id: str) -> AccountSettings:
        names = {"account_id": account_id, "account_name": name}
        document: dict[str, Any] = self.texts.plain(self.own.get(name, self._base), names)
        document = {**document, "id": account_id}
        for key, default in self._defaults.items():
            document.setdefault(key, default.replace("{account_id}", account_id).replace("{account_name}", name))
        return msgspec.convert(document, self._structure)

    def _explained(self, name: str, account_id: str, section: MappingNode) -> list[Problem]:
        names = {"account_id": account_id, "account_name": name}
        node = with_names(section, names)
        assert isinstance(node, MappingNode)
        key = ScalarNode(line=0, column=0, text="id", value="id", plain=True)
        node.entries["id"] = ScalarNode(line=0, column=0, text=account_id, value=account_id, plain=False)
        node.keys.setdefault("id", key)
        _, problems, _ = typed(node, self._structure, {})
        return [self._named(one, name) for one in problems]

    def _named(self, one: Problem, name: str) -> Problem:
        """Return a problem with its path in the file."""
        if self._of_global is None:
            self._of_global = frozenset(_places(self._base))
        key = self._keys.get(name)
        is_global = not name or (one.line, one.column) in self._of_global
        if not one.line and key is not None:
            one, is_global = replace(one, line=key.line, column=key.column), False
        where = "global" if is_global else f"accounts.{name}"
        fix = _FIX if one.fix == FIX else one.fix
        return replace(one, path=f"{where}.{one.path}", message=f"{where}.{one.message}", fix=fix)

    def _placed(self, name: str, path: str, at: Node, message: str, fix: str = _ID_FIX) -> Problem:
        where = f"accounts.{name}{'.' if path else ''}{path}"
        return Problem(
            severity="error", code="settings-invalid", line=at.line, column=at.column, path=where,
            message=f"{where}: {message}", fix=fix,
        )  # fmt: skip


def _places(node: Node) -> Iterator[tuple[int, int]]:
    if isinstance(node, MappingNode):
        for name, one in node.entries.items():
            yield node.keys[name].line, node.keys[name].column
            yield from _places(one)
    elif isinstance(node, SequenceNode):
        for one in node.items:
            yield one.line, one.column
            yield from _places(one)
