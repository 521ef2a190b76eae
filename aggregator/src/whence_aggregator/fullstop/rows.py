"""Rows as violations, exemptions and lifecycles. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from whence_aggregator.fullstop.types import type_of_rule
from whence_aggregator.fullstop.violation import (
    MEMBERS_SHOWN_MAX,
    Member,
    ServedExemption,
    ServedViolation,
    ViolationState,
    WantedExemption,
)
from whence_aggregator.projections.fullstop import verdict_key
from whence_aggregator.queries.fullstop import (
    CountFullstopReportsRow,
    FullstopExemptionsRow,
    FullstopLifecyclesRow,
    FullstopMembersRow,
    FullstopReportedTypesRow,
    FullstopReportsRow,
    FullstopVerdictsOfKindsRow,
    FullstopVerdictsRow,
    InstanceLogKnownRow,
    InstanceLogsSinceRow,
)
from whence_common.clock import from_millis

MembersByApplication = Mapping[str, Sequence[FullstopMembersRow]]
_Verdict = FullstopVerdictsRow | FullstopVerdictsOfKindsRow


def of_instance(row: FullstopVerdictsRow, severities: Mapping[str, int]) -> ServedViolation:
    """Return the violation of a verdict about an instance."""
    member = Member(
        instance_id=row["instance_id"], account_id=row["account_id"], region=row["region"], image_id=row["image_id"]
    )
    return ServedViolation(
        key=verdict_key(row["rule"], "instance", row["instance_id"]), account_id=row["account_id"],
        region=row["region"], application_id=row["application_id"], application_version=row["application_version"],
        members=(member,), **_of_verdict(row, severities),
    )  # fmt: skip


def of_subject(
    row: FullstopVerdictsOfKindsRow, members: MembersByApplication, severities: Mapping[str, int]
) -> ServedViolation:
    """Return the violation of a verdict about another subject, with the instances that it is about."""
    kind, name = row["kind"], row["id"]
    application, _, version = name.partition("@") if kind in ("version", "application") else ("", "", "")
    own = [
        one for one in members.get(application, ()) if kind == "application" or one["application_version"] == version
    ]
    shown = [
        Member(
            instance_id=one["instance_id"], account_id=one["account_id"], region=one["region"],
            image_id=one["image_id"],
        )
        for one in own[:MEMBERS_SHOWN_MAX]
    ]  # fmt: skip
    account = name if kind == "account" else shown[0].account_id if shown else ""
    return ServedViolation(
        key=verdict_key(row["rule"], kind, name), account_id=account, region=shown[0].region if shown else "",
        application_id=application, application_version=version, members=tuple(shown),
        meta_info={"ami_id": name} if kind == "ami" else None, **_of_verdict(row, severities),
    )  # fmt: skip


def _of_verdict(row: _Verdict, severities: Mapping[str, int]) -> dict[str, Any]:
    state, since = row["verdict"], row["since"]
    comment, resolved_at, resolved_by = row["comment"], row["resolved_at"], row["resolved_by"]
    said: tuple[ViolationState, str, str, str] = ("open", since, "", "")
    if state in ("pass", "gone"):
        said = "fixed", since, "whence", comment or f"fixed: {row['reason']}"
    elif comment is not None and resolved_at is not None and (state == "unknown" or resolved_at >= since):
        said = "acknowledged", resolved_at, resolved_by or "", comment
    reason = f"not confirmed since {since}: {row['reason']}" if state == "unknown" else row["reason"]
    return {
        "number": row["number"], "type_id": type_of_rule(row["rule"]), "rule": row["rule"],
        "severity": severities.get(row["rule"]), "created": since, "reason": reason,
        "event_id": f"{row['rule']}-v{row['rule_version']}",
        "state": said[0], "changed": said[1], "changed_by": said[2], "comment": said[3],
    }  # fmt: skip


def applications_in(rows: Sequence[FullstopVerdictsOfKindsRow]) -> set[str]:
    """Return the applications that verdicts of versions and applications are about."""
    return {row["id"].partition("@")[0] for row in rows if row["kind"] in ("version", "application")}


def members_by_application(rows: Sequence[FullstopMembersRow]) -> dict[str, list[FullstopMembersRow]]:
    found: dict[str, list[FullstopMembersRow]] = {}
    for row in rows:
        found.setdefault(row["application_id"], []).append(row)
    return found


def of_report(row: FullstopReportsRow) -> ServedViolation:
    """Return the violation of a report."""
    comment = row["comment"]
    member = Member(instance_id=row["instance_id"], account_id=row["account_id"], region=row["region"])
    return ServedViolation(
        number=row["number"], key=row["key"], type_id=row["violation_type"],
        state="open" if comment is None else "acknowledged", created=row["recorded_at"],
        changed=row["resolved_at"] or row["recorded_at"], account_id=row["account_id"], region=row["region"],
        application_id=row["application_id"], application_version=row["application_version"],
        members=(member,) if row["instance_id"] else (), event_id=row["event_id"],
        meta_info=msgspec.json.decode(row["meta_info"]), username=row["username"], reported_by=row["recorded_by"],
        comment=comment or "", changed_by=row["resolved_by"] or row["recorded_by"],
    )  # fmt: skip


def reported_types(rows: Sequence[FullstopReportedTypesRow]) -> dict[str, str]:
    """Return when each type was reported first."""
    return {row["violation_type"]: row["recorded_at"] for row in rows}


def counted(rows: Sequence[CountFullstopReportsRow]) -> int:
    return rows[0]["n"]


def log_known(rows: Sequence[InstanceLogKnownRow]) -> bool:
    """Return whether a log was recorded before."""
    return bool(rows)


def logs_since(rows: Sequence[InstanceLogsSinceRow]) -> int:
    """Return the bytes of an account's logs."""
    return rows[0]["bytes"]


def exemption(row: FullstopExemptionsRow) -> ServedExemption:
    wanted = WantedExemption(
        type_id=row["violation_type"], account_id=row["account_id"], application_id=row["application_id"],
        application_version=row["application_version"], reason=row["reason"], ends_at=row["ends_at"],
    )  # fmt: skip
    return ServedExemption(
        number=row["number"], wanted=wanted, created=row["recorded_at"], created_by=row["recorded_by"],
        changed=row["changed_at"], changed_by=row["changed_by"],
    )  # fmt: skip


def lifecycle(row: FullstopLifecyclesRow) -> dict[str, object]:
    """Return a row of a lifecycle as it is served: its date has no time of day, as fullstop.'s had none."""
    at = from_millis(row["event_at"])
    return {
        "application": row["application_id"], "version": row["application_version"],
        "event_date": f"{at[:10]}T00:00:00.000Z", "image_id": row["image_id"] or None, "image_name": None,
        "region": row["region"], "instance_boot_time": row["launched_at"] or None, "event_type": row["name"],
        "instance_id": row["instance_id"], "created": at,
    }  # fmt: skip
