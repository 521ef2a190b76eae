"""Changes of what runs, each in one line: what started or ended, in place of what, and what asked for it. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

_TICKETS_MAX = 3


def change_lines(changes: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the lines of changes, in their order."""
    return [_line(one) for one in changes]


def _line(change: Mapping[str, Any]) -> dict[str, Any]:
    started = change["started"][0] if change["started"] else None
    ended = change["ended"][0] if change["ended"] else None
    commit = started["commit"]["commit"] if started is not None else None
    return {
        "at": change["recorded_at"], "application": change["application_id"], "account": change["account_id"],
        "region": change["region"], "instance": change["instance_id"], "cause": change["cause"],
        "started": _name(started), "ended": _name(ended),
        "replaced": _name(started["replaced"]) if started is not None and started["replaced"] else None,
        "commit": commit, "subject": started["commit"]["subject"] if started is not None else None,
        "commit_state": started["commit"]["state"] if started is not None else None,
        "tickets": [one["id"] for one in started["tickets"][:_TICKETS_MAX]] if started is not None else [],
        "further": max(0, len(started["tickets"]) - _TICKETS_MAX) if started is not None else 0,
    }  # fmt: skip


def _name(deployed: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Return the version and the image of what is deployed; None if there is neither."""
    if deployed is None or not (deployed["version"] or deployed["image"]):
        return None
    return {"version": deployed["version"], "image": deployed["image"]}
