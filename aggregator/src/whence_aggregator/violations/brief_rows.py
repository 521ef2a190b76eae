"""Rows of violations in brief. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from sys import intern

from whence_aggregator.projections.violation_rows import FIXED
from whence_aggregator.queries.violations import ViolationsMovedRow, ViolationsThenRow
from whence_aggregator.violations.brief import BriefViolation
from whence_aggregator.violations.life import ShownState

_SEEN_NOW = "9"
"""Sorts after every time: the fault of an open and confirmed violation is seen now."""


def brief(row: ViolationsMovedRow | ViolationsThenRow) -> BriefViolation:
    """Return a row in brief. Texts that many have are interned: they take no memory twice, and are counted faster."""
    fixed = row["state"] == FIXED
    state: ShownState = "open"
    if fixed:
        state = "fixed"
    elif row["acknowledged_at"] and not row["exemption"]:
        state = "acknowledged"
    elif row["exemption"] or row["reopened"] > 0:
        state = "reopened"
    return BriefViolation(
        id=row["id"], number=row["number"], rule=intern(row["rule"]), kind=intern(row["kind"]), subject=row["subject"],
        application_id=intern(row["application_id"]), account_id=intern(row["account_id"]), team=intern(row["team"]),
        severity=intern(str(row["severity"])), first_seen=row["first_seen"], since=row["since"],
        last_seen=row["last_seen"] if fixed or row["unconfirmed_since"] else _SEEN_NOW,
        unconfirmed=row["unconfirmed_since"] != "", state=state, exemption=intern(row["exemption"]),
        exempt_until="" if fixed else row["exempt_until"], ledger_index=row["ledger_index"],
    )  # fmt: skip


def newest_moved(rows: Sequence[ViolationsMovedRow]) -> int:
    """Return the newest step of a page that is not empty."""
    return rows[-1]["ledger_index"]
