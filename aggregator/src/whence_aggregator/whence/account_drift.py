"""The drift of an account in words. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

_LINES_MAX = 3


def drift_told(drift: Mapping[str, Any] | None) -> str:
    """Return the drift in a few words; empty where no configuration states the account."""
    if drift is None:
        return ""
    changes = drift["changes"]
    if drift["state"] == "drifted":
        return f"{changes} differ"
    return str(drift["state"])


def drift_lines(drift: Mapping[str, Any] | None) -> Iterator[tuple[str, str]]:
    """Yield what differs from the configuration, each with who changed it last."""
    if drift is None:
        return
    since = f" since {drift['observed_at']}" if drift["observed_at"] else ""
    again = f"; read again {drift['due_at']}" if drift["due_at"] else ""
    reason = f": {drift['reason']}" if drift["reason"] else ""
    yield "drift", f"{drift_told(drift)}{since}{again}{reason}"
    for one in drift["first"]:
        yield "differs", f"{one['action']} {one['address']}{_doer(one['doer'])}"
        yield from (("", line) for line in one["lines"][:_LINES_MAX])
    left = (drift["changes"] or 0) - len(drift["first"])
    if left > 0:
        yield "differs", f"{left} more: whence-accounts plan"
    for part in drift["unread"]:
        yield "unread", f"{part['address']}: {part['reason']}"


def _doer(doer: Mapping[str, Any] | None) -> str:
    if doer is None:
        return ""
    return f" ({doer['event']} by {doer['by']} at {doer['at']})" if doer["by"] else f" ({doer['reason']})"
