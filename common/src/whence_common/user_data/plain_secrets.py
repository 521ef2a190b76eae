"""Which values of user data are secrets in plain text, and which may be. Pure; no value is returned, only its path."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from whence_common.user_data.masking import MASKED, masked
from whence_common.user_data.secret_references import is_reference
from whence_common.user_data.secret_shapes import has_known_form, holds_secret

PATHS_MAX = 50
_LEVELS_MAX = 60
_PATH_CHARACTERS_MAX = 200
_NAME_KEYS, _VALUE_KEYS = ("name", "key", "Name", "Key"), ("value", "Value")
_PASSWORD = re.compile(r"(?i)(?:\A|[a-z0-9_.-])(?:password|passwd|passphrase|pwd|kennwort)\Z")
_PLACEHOLDER = re.compile(r"\s*\Z|/|\$\{?[A-Za-z_]|\{\{|<[A-Za-z_ -]+>\Z")
"""Nothing, a path, or the name of a value that is inserted later."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlainSecrets:
    """Paths of values, in order, the first `PATHS_MAX` of each."""

    certain: tuple[str, ...] = ()
    """Keys and tokens of a known format, and the values of passwords."""
    doubtful: tuple[str, ...] = ()
    """Values that are masked because they may be secrets, by their names or because they look random."""


def plain_secrets(document: Mapping[str, Any]) -> PlainSecrets:
    """Return the paths of the secrets in a document. References to secrets are none."""
    certain: set[str] = set()
    doubtful: set[str] = set()
    waiting: list[tuple[str, str, Any, int]] = [("", "", document, 0)]
    while waiting:
        path, name, value, level = waiting.pop()
        if level > _LEVELS_MAX:
            doubtful.add(path)
        elif isinstance(value, Mapping):
            stated = _stated_name(value)
            for key, inner in value.items():
                inner_name = stated if stated and key in _VALUE_KEYS else str(key)
                waiting.append((_joined(path, str(key)), inner_name, inner, level + 1))
        elif isinstance(value, list | tuple):
            waiting += [(f"{path}[{number}]", name, one, level + 1) for number, one in enumerate(value)]
            if _may_be_secret(name, [one for one in value if not _is_reference(one)]):
                doubtful.add(path)
        elif isinstance(value, str) and not is_reference(value):
            if has_known_form(value) or (_PASSWORD.search(name) and not _PLACEHOLDER.match(value)):
                certain.add(path)
            elif _may_be_secret(name, value):
                doubtful.add(path)
        elif isinstance(value, int | float) and not isinstance(value, bool) and _PASSWORD.search(name):
            certain.add(path)
    doubtful -= certain
    return PlainSecrets(certain=tuple(sorted(certain)[:PATHS_MAX]), doubtful=tuple(sorted(doubtful)[:PATHS_MAX]))


def _may_be_secret(name: str, value: Any) -> bool:
    """Return whether masking hides anything of a value, or of a list of scalars. Nested ones are judged apart."""
    if isinstance(value, list) and any(isinstance(one, Mapping | list) for one in value):
        return False
    shown = masked({name: value}, whole_environment=False)
    return any(one == MASKED or (isinstance(one, list) and MASKED in one) for one in shown.values())


def _is_reference(value: Any) -> bool:
    return isinstance(value, str) and is_reference(value)


def _stated_name(value: Mapping[str, Any]) -> str:
    """Return the name in a pair such as `{name: DB_PASSWORD, value: …}`; empty if it is not one."""
    return next((str(value[one]) for one in _NAME_KEYS if isinstance(value.get(one), str)), "")


def _joined(path: str, key: str) -> str:
    shown = MASKED if holds_secret(key) else key
    return f"{path}.{shown}"[-_PATH_CHARACTERS_MAX:].lstrip(".")
