"""Recognise AWS's refusals of signals that are not expected any more. Pure.

The query APIs use one code, ValidationError, for these and for mistakes; the message distinguishes them. An unknown
resource of a stack, or an unknown group, is a mistake in user data and remains an error.
"""

from __future__ import annotations

import re

from whence_common.aws_errors import AwsError

_MESSAGES = {
    "signal_resource": re.compile(
        r"cannot be signal+ed|^Stack \S+ does not exist|^Signal with ID .* already exists|is not in progress",
        re.IGNORECASE,
    ),
    "complete_lifecycle_action": re.compile(r"No active Lifecycle Action found", re.IGNORECASE),
    "set_instance_health": re.compile(r"Instance Id not found|No managed instance found", re.IGNORECASE),
}
_CODES = {
    "deregister_instances_from_load_balancer": ("InvalidInstance", "InvalidEndPoint", "AccessPointNotFound",
                                                "LoadBalancerNotFound"),
    "deregister_targets": ("InvalidTarget", "TargetGroupNotFound"),
}  # fmt: skip


def nobody_waits(operation: str, error: AwsError) -> bool:
    """Return whether a refusal means that AWS no longer expects this signal. A denial or throttling never does."""
    if error.code in _CODES.get(operation, ()):
        return True
    pattern = _MESSAGES.get(operation)
    return pattern is not None and error.code == "ValidationError" and pattern.search(error.message) is not None
