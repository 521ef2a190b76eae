"""Kio's fields: which may be written, how values are coerced, and how a PUT is merged (kio.md)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from whence_aggregator.ports import Conflict
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


class ApplicationInvalid(InputError):
    """The object cannot be stored as an application."""


def merge(stored: Mapping[str, Any] | None, written: Mapping[str, Any]) -> dict[str, Any]:
    """Merge a PUT into what is stored: a missing or null field keeps its value. Raises ApplicationInvalid."""
    unknown = sorted(written.keys() - {*_TEXTS, *_FLAGS, *_NUMBERS})
    if unknown:
        raise ApplicationInvalid("application-key", f"these keys cannot be written: {', '.join(unknown)[:300]}")
    merged = dict(stored or EMPTY)
    for name, value in written.items():
        if value is not None and name not in _COMPUTED:
            merged[name] = _coerced(name, value)
    missing = [name for name in _REQUIRED if written.get(name) is None]
    if missing:
        raise ApplicationInvalid("application-key-missing", f"required: {', '.join(missing)}")
    return merged


def required_approvers(kio: Mapping[str, Any]) -> int:
    """Return the number of approvers, as Kio does: one for criticality 1, otherwise two."""
    return 1 if kio.get("criticality_level") == 1 else 2


def check_team(kio: Mapping[str, Any]) -> None:
    """Raise Conflict unless the application names a team."""
    if not kio["team_id"]:
        raise Conflict("application-team", "team_id must not be empty")


def _coerced(name: str, value: object) -> object:
    if name in _FLAGS:
        if isinstance(value, bool):
            return value
        if isinstance(value, str):
            return value == "true"
        raise ApplicationInvalid("application-type", f"{name} must be true or false")
    if name in _NUMBERS:
        return _number(name, value)
    if not isinstance(value, str) or len(value) > _TEXT_CHARACTERS_MAX:
        raise ApplicationInvalid(
            "application-type", f"{name} must be text of at most {_TEXT_CHARACTERS_MAX} characters"
        )
    return value


def _number(name: str, value: object) -> int:
    least, most = _NUMBERS[name]
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 6:
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise ApplicationInvalid("application-type", f"{name} must be a whole number from {least} to {most}")
    return value
