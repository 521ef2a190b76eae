"""Rows of findings: what an entry makes of the row before it. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from whence_aggregator.queries.findings import AddFindingParameters, FindingsNowRow
from whence_aggregator.queries.query import EVERY_ENTRY

ABSENT, STATED = "absent", "stated"
"""Why a finding is closed: a complete report did not have it, or the scanner stated it."""
_COLUMNS = (
    "uid", "check_id", "severity", "result", "observed_at", "first_seen", "suppressed", "closed", "vulnerability",
    "region", "instance_id", "image_digest", "application_id",
)  # fmt: skip
"""What has a column of its own; the rest is the body."""


def newest(rows: Sequence[FindingsNowRow]) -> dict[str, FindingsNowRow]:
    """Return the newest row of each finding, by its id."""
    return {row["uid"]: row for row in rows}


def body_of(found: Mapping[str, Any]) -> str:
    """Return what a finding states beside what has a column, as it is stored."""
    return msgspec.json.encode(
        {name: value for name, value in found.items() if name not in _COLUMNS}, order="deterministic"
    ).decode()


def added_row(
    index: int, event: Mapping[str, Any], found: Mapping[str, Any], before: FindingsNowRow | None
) -> AddFindingParameters:
    """Return the row of a finding that an entry states."""
    closed = STATED if found.get("closed") else ""
    stands = before is not None and (before["result"], before["closed"]) == (found["result"], closed)
    was_open = before is not None and _is_open(before["result"], before["closed"])
    opened = before["opened"] if before is not None else 0
    first = found.get("first_seen") or found["observed_at"]
    return {
        "account_id": event["account_id"],
        "product": event["product"],
        "uid": found["uid"],
        "ledger_index": index,
        "until_index": EVERY_ENTRY,
        "check_id": found["check_id"],
        "severity": found["severity"],
        "result": found["result"],
        "closed": closed,
        "suppressed": int(found.get("suppressed", False)),
        "vulnerability": int(found.get("vulnerability", False)),
        "region": found.get("region", ""),
        "instance_id": found.get("instance_id", ""),
        "image_digest": found.get("image_digest", ""),
        "application_id": found.get("application_id", ""),
        "observed_at": found["observed_at"],
        "first_seen": min(first, found["observed_at"], before["first_seen"] if before is not None else first),
        "since": before["since"] if before is not None and stands else found["observed_at"],
        "opened": opened + (_is_open(found["result"], closed) and not was_open),
        "body": body_of(found),
    }


def gone_row(index: int, observed_at: str, before: FindingsNowRow) -> AddFindingParameters:
    """Return the row of a finding that a complete report did not have: it was seen last before that."""
    seen = max(before["observed_at"], before["seen_at"] or "", before["complete_at"] or "")
    return {
        "account_id": before["account_id"], "product": before["product"], "uid": before["uid"], "ledger_index": index,
        "until_index": EVERY_ENTRY, "check_id": before["check_id"], "severity": before["severity"],
        "result": before["result"], "closed": ABSENT, "suppressed": before["suppressed"],
        "vulnerability": before["vulnerability"], "region": before["region"], "instance_id": before["instance_id"],
        "image_digest": before["image_digest"], "application_id": before["application_id"], "observed_at": seen,
        "first_seen": before["first_seen"], "since": observed_at, "opened": before["opened"], "body": before["body"],
    }  # fmt: skip


def _is_open(result: str, closed: str) -> bool:
    return result == "fail" and not closed
