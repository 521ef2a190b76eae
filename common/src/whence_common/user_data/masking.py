"""The copy of user data for reports and status: values that are, or may be, secret are replaced by MASKED."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

from whence_common.scm_source import without_credentials
from whence_common.user_data.secret_shapes import (
    holds_secret,
    is_identifier,
    is_secret_name,
    names_secret,
    passes_secret,
)

MASKED = "MASKED"
_IDENTIFYING = frozenset({"application_id", "application_version", "runtime", "source", "mint_bucket"})
"""Not masked if they have the form of an identifier: the trace needs them."""
_VERSION_NAME = re.compile(
    r"(?i)(?:version|commit|revision|digest|sha(?:1|256)?|checksum|etag|build|image|tag)(?:_id)?\Z"
)
_HEX_VALUE = re.compile(r"[0-9a-f]{7,64}\Z")
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]{0,30}://\S+\Z")
_NAME_KEYS, _VALUE_KEYS = ("name", "key", "Name", "Key"), ("value", "Value")
_TEXT_CHARACTERS_MAX = 2_000
_LEVELS_MAX = 60
_WORD_CHARACTERS_MAX = 200


def masked(document: Mapping[str, Any], *, whole_environment: bool = True, shown: Sequence[str] = ()) -> dict[str, Any]:
    """Return a masked copy of a document for reports and status.

    `whole_environment` masks every environment value, except those whose names match a pattern in `shown`; these are
    masked by the same rules as the rest of the document.
    """
    copy = _mapping(document, 0)
    if whole_environment:
        sidecars = copy.get("containers")
        for holder in (copy, *(sidecars.values() if isinstance(sidecars, dict) else ())):
            environment = holder.get("environment") if isinstance(holder, dict) else None
            if isinstance(environment, dict):
                holder["environment"] = {
                    name: value if any(fnmatchcase(name, pattern) for pattern in shown) else MASKED
                    for name, value in environment.items()
                }
            elif environment is not None and isinstance(holder, dict):
                holder["environment"] = MASKED
    return copy


def _mapping(value: Mapping[str, Any], level: int) -> dict[str, Any]:
    copy: dict[str, Any] = {}
    pair = _names_its_value(value)
    for name, inner in value.items():
        text = str(name)
        shown = MASKED if holds_secret(text) else text
        while shown in copy:
            shown += " again"
        copy[shown] = MASKED if pair and text in _VALUE_KEYS else _masked(text, inner, level + 1)
    return copy


def _masked(name: str, value: Any, level: int) -> Any:
    if value is None or isinstance(value, bool):
        return value
    if is_secret_name(name) or level > _LEVELS_MAX:
        return MASKED
    if isinstance(value, Mapping):
        return _mapping(value, level)
    if isinstance(value, list | tuple):
        return _list(name, value, level)
    return _masked_text(name, value) if isinstance(value, str) else value


def _list(name: str, values: Sequence[Any], level: int) -> list[Any]:
    """Return a masked list: also the value after an option that names a secret, and the arguments of login commands."""
    copy: list[Any] = []
    follows = False
    for value in values:
        copy.append(MASKED if follows else _masked(name, value, level + 1))
        follows = isinstance(value, str) and names_secret(value)
    if passes_secret([str(value)[:_WORD_CHARACTERS_MAX] for value in values]):
        copy[1:] = [MASKED] * (len(copy) - 1)
    return copy


def _names_its_value(value: Mapping[str, Any]) -> bool:
    """Return whether this is a pair such as `{name: DB_PASSWORD, value: …}`."""
    return any(isinstance(value.get(one), str) and is_secret_name(value[one]) for one in _NAME_KEYS)


def _masked_text(name: str, text: str) -> str:
    if name in _IDENTIFYING and is_identifier(text):
        return text
    if _VERSION_NAME.search(name) and _HEX_VALUE.match(text):
        return text
    if _URL.match(text) and not text.startswith("ssh://git@"):
        text = without_credentials(text)
    return MASKED if holds_secret(text) else text[:_TEXT_CHARACTERS_MAX]
