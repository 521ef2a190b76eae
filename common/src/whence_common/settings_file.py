"""A settings file: YAML with places for its mistakes, read into a typed structure that refuses unknown names."""

from __future__ import annotations

from typing import TypeVar

import msgspec

from whence_common.errors import InputError
from whence_common.problems import render
from whence_common.user_data import nodes, strict_yaml

SETTINGS_BYTES_MAX = 1024 * 1024
T = TypeVar("T")


class SettingsInvalid(InputError):
    """The settings cannot be used; the message names every place that can be named."""


def parse(content: bytes, structure: type[T], *, name: str, least: str) -> T:
    """Parse a settings file. `least` says what an empty one lacks. Raises SettingsInvalid."""
    if len(content) > SETTINGS_BYTES_MAX:
        raise SettingsInvalid("settings-too-large", f"{name} is larger than {SETTINGS_BYTES_MAX} bytes")
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as exc:
        raise SettingsInvalid("settings-not-utf8", f"{name} is not UTF-8 at byte {exc.start}") from exc
    root, problems = strict_yaml.parse(text)
    if problems:
        raise SettingsInvalid("settings-yaml", render(problems, name=name, lines=text.splitlines()))
    if not isinstance(root, nodes.Mapping):
        raise SettingsInvalid("settings-not-mapping", f"{name} must be a mapping", fix=least)
    try:
        return msgspec.convert(nodes.to_python(root), structure)
    except msgspec.ValidationError as exc:
        fix = "the README of the program explains every setting"
        raise SettingsInvalid("settings-invalid", f"{name}: {exc}", fix=fix) from exc


def refuse(wrong: list[str], *, name: str) -> None:
    """Raises SettingsInvalid when anything is wrong; every finding is in its message."""
    if wrong:
        fix = "the README of the program explains every setting"
        raise SettingsInvalid("settings-invalid", f"{name}: " + "; ".join(wrong), fix=fix)
