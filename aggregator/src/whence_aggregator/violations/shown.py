"""Violations as the API shows them: as JSON, and as rows of CSV. Pure."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from typing import Any

from whence_aggregator.projections.violation_rows import StoredViolation
from whence_aggregator.violations.life import shown_state
from whence_aggregator.violations.rows import ViolationMembers
from whence_common.visible import printable

CSV_COLUMNS = (
    "id", "state", "severity", "rule", "title", "kind", "subject", "application_id", "account_id", "team", "members",
    "not_confirmed", "first_seen", "since", "last_seen", "not_confirmed_since", "reopened", "reason", "comment",
    "exempt_until",
)  # fmt: skip
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "|", "%", "＝", "＋", "－", "＠")
"""Spreadsheets of some languages take full-width signs for the others."""


def shown_violation(one: StoredViolation, *, now: str, members: ViolationMembers | None = None) -> dict[str, Any]:
    """Return a violation; one that is open and confirmed is seen now. Without `members` the instances are not known."""
    details, state = one.details, shown_state(one, now)
    seen = now if one.is_open and not one.unconfirmed_since else one.last_seen
    acknowledged = {"by": one.acknowledged_by, "at": one.acknowledged_at, "comment": one.comment}
    exempt = {"id": one.exemption, "until": one.exempt_until} if state == "exempted" else None
    return {
        "id": one.id, "state": state, "rule": one.rule, "severity": one.severity, "title": details.get("title", ""),
        "remedy": details.get("remedy", ""), "source": details.get("source", ""),
        "subject": {"kind": one.kind, "id": one.subject}, "application_id": one.application_id or None,
        "account_id": one.account_id or None, "team": one.team or None, "reason": one.reason,
        "first_seen": one.first_seen, "since": one.since, "last_seen": seen,
        "not_confirmed_since": one.unconfirmed_since or None, "reopened": one.reopened,
        "acknowledged": acknowledged if one.acknowledged_at else None, "exemption": exempt,
        "members": members.count if members is not None else None,
        "not_confirmed": members.not_confirmed if members is not None else None,
        "ledger_index": one.ledger_index,
    }  # fmt: skip


def to_csv(violations: Sequence[Mapping[str, Any]], *, headed: bool = True) -> str:
    """Return violations as CSV, with the names of the columns if `headed`.

    A text that a spreadsheet would take for a formula begins with an apostrophe.
    """
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    if headed:
        writer.writerow(CSV_COLUMNS)
    for one in violations:
        flat = {
            **one, "kind": one["subject"]["kind"], "subject": one["subject"]["id"],
            "comment": (one["acknowledged"] or {}).get("comment"),
            "exempt_until": (one["exemption"] or {}).get("until"),
        }  # fmt: skip
        writer.writerow([_cell(flat[name]) for name in CSV_COLUMNS])
    return out.getvalue()


def _cell(value: object) -> object:
    if not isinstance(value, str):
        return "" if value is None else value
    text = printable(value)  # the command prints it on terminals
    return f"'{text}" if value.lstrip(" ").startswith(_FORMULA) else text
