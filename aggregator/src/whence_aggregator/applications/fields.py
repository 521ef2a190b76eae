"""Kio's fields: which may be written, how values are coerced, and how a PUT is merged (kio.md)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from whence_common.errors import InputError

_TEXTS = (
    "team_id", "name", "subtitle", "description", "service_url", "scm_url", "documentation_url", "specification_url",
    "support_url", "specification_type", "incident_contact",
)  # fmt: skip
_FLAGS = ("active", "publicly_accessible")
_NUMBERS = {"criticality_level": (1, 4), "required_approvers": (1, 1_000)}
_REQUIRED = ("team_id", "name", "active")
_COMPUTED = ("required_approvers",)
"""Accepted on writing, and ignored: it is computed from the criticality."""
_TEXT_CHARACTERS_MAX = 64 * 1024

EMPTY: Mapping[str, Any] = {**dict.fromkeys(_TEXTS), "publicly_accessible": False, "criticality_level": None}
FIELDS = ("active", *EMPTY)
"""The fields that a revision stores."""


class ApplicationInvalid(InputError):
    """The object cannot be stored as an application."""


def merge(stored: Mapping[str, Any] | None, written: Mapping[str, Any]) -> dict[str, Any]:
    """Merge a PUT of Kio into what is stored: a missing or null field keeps its value. Raises ApplicationInvalid."""
    _check_keys(written)
    merged = dict(stored or EMPTY)
    for name, value in written.items():
        if value is not None and name not in _COMPUTED:
            merged[name] = _coerced(name, value, lenient=True)
    _check_required(written)
    return merged


def replace(written: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a new revision: what is missing or null is empty. Raises ApplicationInvalid."""
    _check_required(written)
    return patch(EMPTY, written)


def patch(stored: Mapping[str, Any], written: Mapping[str, Any]) -> dict[str, Any]:
    """Return fields changed by a merge patch (RFC 7396): null clears. Raises ApplicationInvalid."""
    _check_keys(written)
    changed = dict(stored)
    for name, value in written.items():
        if name in _COMPUTED:
            continue
        if value is None and name in _REQUIRED:
            raise ApplicationInvalid("application-key-missing", f"{name} cannot be cleared")
        changed[name] = EMPTY[name] if value is None else _coerced(name, value, lenient=False)
    return changed


def required_approvers(kio: Mapping[str, Any]) -> int:
    """Return the number of approvers, as Kio does: one for criticality 1, otherwise two."""
    return 1 if kio.get("criticality_level") == 1 else 2


def check_team(kio: Mapping[str, Any]) -> None:
    """Raise ApplicationInvalid unless the application names a team."""
    if not kio["team_id"]:
        raise ApplicationInvalid("application-team", "team_id must not be empty")


def _check_keys(written: Mapping[str, Any]) -> None:
    unknown = sorted(written.keys() - {*_TEXTS, *_FLAGS, *_NUMBERS})
    if unknown:
        raise ApplicationInvalid("application-key", f"these keys cannot be written: {', '.join(unknown)[:300]}")


def _check_required(written: Mapping[str, Any]) -> None:
    missing = [name for name in _REQUIRED if written.get(name) is None]
    if missing:
        raise ApplicationInvalid("application-key-missing", f"required: {', '.join(missing)}")


def _coerced(name: str, value: object, *, lenient: bool) -> object:
    """Return a value of the field's type. `lenient`: texts stand for flags and numbers, as in Kio."""
    if name in _FLAGS:
        if isinstance(value, bool):
            return value
        if lenient and isinstance(value, str):
            return value == "true"
        raise ApplicationInvalid("application-type", f"{name} must be true or false")
    if name in _NUMBERS:
        return _number(name, value, lenient=lenient)
    if not isinstance(value, str) or len(value) > _TEXT_CHARACTERS_MAX:
        raise ApplicationInvalid(
            "application-type", f"{name} must be text of at most {_TEXT_CHARACTERS_MAX} characters"
        )
    return value


def _number(name: str, value: object, *, lenient: bool) -> int:
    least, most = _NUMBERS[name]
    if lenient and isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 6:
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise ApplicationInvalid("application-type", f"{name} must be a whole number from {least} to {most}")
    return value
