"""Writes configurations as YAML: sections from plain values, and files of version 10 as version 11."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any

import msgspec
import yaml
from msgspec.inspect import type_info

from whence_aggregator.accounts.configuration.account import AccountSettings
from whence_aggregator.accounts.configuration.merging import EMPTY, merged, replaced
from whence_aggregator.accounts.configuration.root import read_root
from whence_aggregator.accounts.configuration.version10_reading import Translation
from whence_common.errors import InputError
from whence_common.problems import has_errors, in_document_order, render
from whence_common.settings_file import SettingsInvalid
from whence_common.user_data import nodes
from whence_common.user_data.nodes import MappingNode

_LINE_CHARACTERS = 120
_BREAKS = frozenset("\x85\u2028\u2029\ufeff")
_NONE: Mapping[str, str] = MappingProxyType({})


def to_yaml(settings: Mapping[str, Any]) -> str:
    """Return a section, or a whole file, as YAML that `read_configuration` reads back as the same values.

    Keys of sections have the order of `explain`; other mappings keep theirs. Texts that YAML would read as another
    type, such as ids, are quoted. Raises InputError for values that YAML has no form for.
    """
    try:
        return yaml.dump(
            _plain(settings), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=_LINE_CHARACTERS,
            default_flow_style=False,
        )  # fmt: skip
    except yaml.YAMLError as exc:
        raise InputError("yaml-unwritable", f"the values cannot be written as YAML: {exc}") from exc


def to_document(
    shared: Mapping[str, Any], accounts: Mapping[str, Mapping[str, Any]], *, organizations: Any = None
) -> str:  # fmt: skip
    """Return a file of version 11 with the effective section of each account written over the global one."""
    source = {"organizations": organizations} if organizations is not None else {}
    own = {name: in_order(difference(shared, section)) or None for name, section in accounts.items()}
    return to_yaml({"version": 11, **source, "global": in_order(shared), "accounts": own})


def with_comments(document: str, comments: Iterable[tuple[str, str]]) -> str:
    """Return a file of one account with each comment before its key of the account's section, else at the end."""
    lines = document.rstrip("\n").split("\n")
    left: list[str] = []
    for key, text in comments:
        comment = f"    # {' '.join(text.split())}"
        place = next((number for number, line in enumerate(lines) if line.startswith(f"    {key}:")), None)
        if key and place is not None:
            lines.insert(place, comment)
        else:
            left.append(comment)
    return "\n".join([*lines, *left, ""])


def convert(
    content: bytes, *, name: str, account_list: Mapping[str, str] = _NONE,
    structure: type[AccountSettings] = AccountSettings,
) -> str:  # fmt: skip
    """Return a file of version 10 as text of version 11, which states the same accounts.

    Ids that `account_list` has are written into the accounts. Placeholders stay; comments do not. A whole key that
    replaced a global one is written as what differs. Raises SettingsInvalid.
    """
    root, problems = read_root(content, name=name)
    if root is None or root.version != 10:
        fix = "only a configuration of version 10 is converted"
        raise SettingsInvalid("configuration-not-version-10", f"{name} does not have version 10", fix=fix)
    kind = type_info(structure)
    translation = Translation(kind)
    shared = translation.section(root.shared, "global")
    own = {
        account: translation.section(node, f"accounts.{account}") for account, (_, node) in root.accounts.items()
    }  # fmt: skip
    problems += translation.problems
    if has_errors(problems):
        ordered = in_document_order(problems)
        raise SettingsInvalid("settings-invalid", render(ordered, name=name, lines=()), problems=ordered)
    base = _values(merged(EMPTY, shared, kind))
    sections = {account: _values(merged(EMPTY, replaced(shared, node), kind)) for account, node in own.items()}
    for account, section in sections.items():
        if account in account_list:
            section.setdefault("id", account_list[account])
    source = _values(root.organizations) if root.organizations is not None else None
    return to_document(base, sections, organizations=source)


def difference(base: Mapping[str, Any], section: Mapping[str, Any]) -> dict[str, Any]:
    """Return the least mapping that makes `section` when it is merged into `base`; null removes an entry."""
    found: dict[str, Any] = {name: None for name in base if name not in section}
    for name, value in section.items():
        below = base.get(name)
        if name not in base or not (isinstance(value, Mapping) and isinstance(below, Mapping)):
            if name not in base or _written(value) != _written(below):
                found[name] = value
        elif inner := difference(below, value):
            found[name] = inner
    return found


def in_order(section: Mapping[str, Any]) -> dict[str, Any]:
    """Return a section with its keys in the order of the structure."""
    order = {one.name: number for number, one in enumerate(msgspec.structs.fields(AccountSettings))}
    return dict(sorted(section.items(), key=lambda one: (order.get(one[0], len(order)), one[0])))


def _written(value: object) -> str:
    """Return a text that differs for different values: 1, 1.0 and true are equal in Python."""
    return json.dumps(_plain(value), sort_keys=True)


def _values(node: MappingNode) -> dict[str, Any]:
    found: dict[str, Any] = nodes.to_python(node)
    return found


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(name): _plain(one) for name, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(one) for one in value]
    return value


class _Dumper(yaml.SafeDumper):
    """Writes values out instead of repeating them by alias, and indents lists below their key."""

    def ignore_aliases(self, data: Any) -> bool:
        return True

    def represent_str(self, data: str) -> Any:
        style = '"' if _BREAKS & set(data) else None  # other styles write these as they are, and read them as spaces
        return self.represent_scalar("tag:yaml.org,2002:str", data, style=style)

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, False)


_Dumper.add_representer(str, _Dumper.represent_str)
