"""The root of a configuration file: its version, and the nodes of its sections."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass

from whence_aggregator.accounts.configuration.merging import EMPTY, is_null
from whence_common import settings_file
from whence_common.errors import one_line
from whence_common.problems import Problem
from whence_common.user_data.nodes import MappingNode, Node, ScalarNode

CONFIGURATION_BYTES_MAX = 2 * 1024 * 1024
NODES_MAX = 250_000
"""Keys and values with aliases expanded: 10,000 accounts with ten of each, beside large global sections."""
ACCOUNTS_MAX = 10_000
VERSIONS = (10, 11)
_LEAST = "write version: 11, global: {regions: […]} and accounts: {NAME: {id: …}}"
_NULL = ScalarNode(line=0, column=0, text="", value=None, plain=True)
_KEYS = ("version", "global", "accounts", "organizations")
_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9 _.,:@&()'+-]{0,98}[A-Za-z0-9_.)'+-])?")
_VERSION_FIX = "write version: 11, or version: 10 for a configuration of Seven Seconds"


@dataclass(frozen=True, slots=True, kw_only=True)
class Root:
    """`accounts` has the key and the section of each account."""

    version: int
    node: MappingNode
    shared: MappingNode
    accounts: dict[str, tuple[ScalarNode, MappingNode]]
    organizations: MappingNode | None


def read_root(content: bytes, *, name: str) -> tuple[Root | None, list[Problem]]:
    """Return the root and its problems; None if the version is not known. Raises SettingsInvalid for invalid YAML."""
    node = settings_file.mapping(
        content, name=name, least=_LEAST, nodes_max=NODES_MAX, bytes_max=CONFIGURATION_BYTES_MAX
    )  # fmt: skip
    reader = _Reader(node)
    return reader.read(), reader.problems


def error(at: Node | None, path: str, message: str, fix: str) -> Problem:
    line, column = (at.line, at.column) if at is not None else (0, 0)
    return Problem(
        severity="error", code="settings-invalid", line=line, column=column, path=path, message=f"{path}: {message}",
        fix=fix,
    )  # fmt: skip


def is_account_name(name: str) -> bool:
    return _NAME.fullmatch(name) is not None


class _Reader:
    def __init__(self, node: MappingNode) -> None:
        self._node = node
        self.problems: list[Problem] = []

    def read(self) -> Root | None:
        for name, key in self._node.keys.items():
            if name not in _KEYS:
                close = difflib.get_close_matches(name[:100], _KEYS, n=1)
                fix = f"did you mean {close[0]}?" if close else f"the keys here are: {', '.join(_KEYS)}"
                self._error(key, one_line(name, 80), "unknown key", fix)
        version = self._version()
        if version is None:
            return None
        shared = self._mapping("global") or EMPTY
        if "id" in shared.entries:
            self._error(shared.keys["id"], "global.id", "an id belongs to one account", "move it to the account")
        return Root(
            version=version, node=self._node, shared=shared, accounts=self._accounts(),
            organizations=self._mapping("organizations"),
        )  # fmt: skip

    def _version(self) -> int | None:
        node = self._node.entries.get("version")
        if node is None:
            self._error(None, "version", "is required, but not set", _VERSION_FIX)
            return None
        found = node.value if isinstance(node, ScalarNode) else None
        if type(found) is not int or found not in VERSIONS:
            shown = one_line(node.text, 20) if isinstance(node, ScalarNode) else "a list or mapping"
            self._error(self._node.keys["version"], "version", f"{shown} is not supported", _VERSION_FIX)
            return None
        return found

    def _mapping(self, name: str) -> MappingNode | None:
        node = self._node.entries.get(name)
        if isinstance(node, MappingNode):
            return node
        if node is not None and not is_null(node):
            self._error(self._node.keys[name], name, "must be a mapping (name: value)", "write one, or remove the key")
        return None

    def _accounts(self) -> dict[str, tuple[ScalarNode, MappingNode]]:
        node = self._mapping("accounts")
        if node is None or not node.entries:
            if is_null(self._node.entries.get("organizations", _NULL)):
                self._error(self._node.keys.get("accounts"), "accounts", "no account is configured", _LEAST)
            return {}
        if len(node.entries) > ACCOUNTS_MAX:
            self._error(
                self._node.keys["accounts"], "accounts", f"has more than {ACCOUNTS_MAX} accounts", "split the file"
            )
            return {}
        return {name: (key, one) for name, key in node.keys.items() if (one := self._account(name, key)) is not None}

    def _account(self, name: str, key: ScalarNode) -> MappingNode | None:
        node = self._node.entries["accounts"]
        assert isinstance(node, MappingNode)
        section, path = node.entries[name], f"accounts.{one_line(name, 80)}"
        if not is_account_name(name):
            fix = "write letters, digits and ._- (up to 100 characters), beginning with a letter or digit"
            self._error(key, path, "is not a valid name of an account", fix)
        elif isinstance(section, MappingNode):
            return section
        elif is_null(section):
            return MappingNode(line=key.line, column=key.column)
        else:
            self._error(key, path, "must be a mapping (name: value), or empty", "write id: and what differs")
        return None

    def _error(self, at: Node | None, path: str, message: str, fix: str) -> None:
        self.problems.append(error(at, path, message, fix))
