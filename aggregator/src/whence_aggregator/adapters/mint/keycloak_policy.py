"""Keycloak's client policy by which two secrets of a client are valid at once. Pure.

Source: the executor `secret-rotation` and its periods in seconds; a policy applies if all its conditions are met, and
one without a condition never does.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

_EXECUTOR = "secret-rotation"
_DEFAULTS = {"expiration-period": 29 * 86_400, "rotated-expiration-period": 2 * 86_400}
"""The shorter of the defaults of Keycloak's versions."""
_SECONDS_MAX = 2**31


@dataclass(frozen=True, slots=True, kw_only=True)
class RotationPolicy:
    """How long secrets live. Of several policies that apply, the shortest times count."""

    secret_seconds: int
    rotated_seconds: int
    """How long the secret before the current one stays valid."""


def rotation_policy(profiles: Any, policies: Any) -> RotationPolicy | None:
    """Return the policy that applies to every confidential client; None if there is none that is sure to."""
    periods = dict(_profiles(profiles))
    found = [
        periods[name]
        for policy in _listed(policies, "policies")
        if policy.get("enabled") is True and _applies(policy)
        for name in _names(policy.get("profiles"))
        if name in periods
    ]
    if not found:
        return None
    return RotationPolicy(
        secret_seconds=min(one.secret_seconds for one in found),
        rotated_seconds=min(one.rotated_seconds for one in found),
    )


def _profiles(document: Any) -> Iterator[tuple[str, RotationPolicy]]:
    for profile in _listed(document, "profiles"):
        for executor in _listed(profile, "executors"):
            name = profile.get("name")
            if executor.get("executor") == _EXECUTOR and isinstance(name, str):
                configuration = executor.get("configuration")
                stated = configuration if isinstance(configuration, dict) else {}
                yield (
                    name,
                    RotationPolicy(
                        secret_seconds=_seconds(stated, "expiration-period"),
                        rotated_seconds=_seconds(stated, "rotated-expiration-period"),
                    ),
                )


def _applies(policy: dict[str, Any]) -> bool:
    """Return whether a policy is sure to apply: what other conditions decide is not known here."""
    conditions = _listed(policy, "conditions")
    return bool(conditions) and all(_is_met(one) for one in conditions)


def _is_met(condition: dict[str, Any]) -> bool:
    configuration = condition.get("configuration")
    stated = configuration if isinstance(configuration, dict) else {}
    if stated.get("is-negative-logic") not in (None, False, "false"):
        return False
    if condition.get("condition") == "any-client":
        return True
    return condition.get("condition") == "client-access-type" and "confidential" in _names(stated.get("type"))


def _seconds(stated: dict[str, Any], name: str) -> int:
    """Return a period, which Keycloak states as a number or as text; 0 for one that is malformed."""
    value = stated.get(name, _DEFAULTS[name])
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 12:
        value = int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < _SECONDS_MAX else 0


def _listed(document: Any, name: str) -> list[dict[str, Any]]:
    found = document.get(name) if isinstance(document, dict) else None
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


def _names(found: Any) -> list[str]:
    return [one for one in found if isinstance(one, str)] if isinstance(found, list) else []
