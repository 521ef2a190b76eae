"""What is sent to the process that evaluates users' conditions, and back; the sender does not load the evaluator."""

from __future__ import annotations

from typing import Any

import msgspec

EVALUATION_CPU_SECONDS_MAX = 2
"""The kernel counts whole seconds: a condition has one to two."""
MESSAGE_BYTES_MAX = 8 * 1024 * 1024


class ConditionsAsked(msgspec.Struct, array_like=True):
    """Conditions, and the evidence that they judge."""

    conditions: list[str]
    document: dict[str, Any]


class ConditionAnswer(msgspec.Struct, array_like=True):
    """`outcome`: whether the condition is true; None where it could not be evaluated, because of `reason`."""

    outcome: bool | None
    reason: str
