"""Rows as violations, types and lifecycles. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from whence_aggregator.fullstop.violation import Reported, ServedExemption, ServedViolation
from whence_aggregator.projections.violation_rows import StoredViolation
from whence_aggregator.queries.fullstop import (
    CountFullstopReportsRow,
    FullstopLifecyclesRow,
    FullstopViolationsNamedRow,
    FullstopViolationsRow,
    InstanceLogKnownRow,
    InstanceLogsSinceRow,
)
from whence_aggregator.queries.violations import RulesOfViolationsRow
from whence_aggregator.violations.life import shown_state
from whence_common.clock import from_millis

_STORED = StoredViolation.__dataclass_fields__


def served_violation(row: FullstopViolationsRow | FullstopViolationsNamedRow, now: str) -> ServedViolation:
    """Return a violation, without its members."""
    columns: Any = row
    stored = StoredViolation(**{name: columns[name] for name in _STORED})
    number, by = row["exemption_number"], row["recorded_by"]
    return ServedViolation(
        stored=stored,
        state=shown_state(stored, now),
        exemption=ServedExemption(
            number=number, reason=row["exemption_reason"] or "", at=row["granted_at"] or "", by=row["granted_by"] or ""
        ) if number is not None else None,
        report=Reported(
            event_id=row["event_id"] or "", meta_info=msgspec.json.decode(row["meta_info"] or "null"),
            username=row["username"] or "", by=by,
        ) if by is not None else None,
    )  # fmt: skip


def rules_seen(rows: Sequence[RulesOfViolationsRow]) -> Mapping[str, tuple[int, str]]:
    """Return the rules that have violations, each with its worst severity and the time of the first violation."""
    return {row["rule"]: (row["severity"], row["first_seen"]) for row in rows}


def counted(rows: Sequence[CountFullstopReportsRow]) -> int:
    return rows[0]["n"]


def log_known(rows: Sequence[InstanceLogKnownRow]) -> bool:
    """Return whether a log was recorded before."""
    return bool(rows)


def logs_since(rows: Sequence[InstanceLogsSinceRow]) -> int:
    """Return the bytes of an account's logs."""
    return rows[0]["bytes"]


def lifecycles(rows: Sequence[FullstopLifecyclesRow], application_id: str) -> list[dict[str, object]]:
    """Return the rows of a lifecycle as they are served, in order of time: a date has no time of day."""
    found = [(from_millis(row["event_at"]) if row["event_at"] is not None else row["recorded_at"], row) for row in rows]
    found.sort(key=lambda each: (each[0], each[1]["ledger_index"]))
    return [
        {
            "application": application_id, "version": row["application_version"],
            "event_date": f"{at[:10]}T00:00:00.000Z", "image_id": row["image_id"] or None, "image_name": None,
            "region": row["region"], "instance_boot_time": row["launched_at"] or None, "event_type": row["name"],
            "instance_id": row["instance_id"], "created": at,
        }
        for at, row in found
    ]  # fmt: skip
