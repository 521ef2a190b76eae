"""Rows of violations and exemptions as values. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from whence_aggregator.queries.violations import (
    ExemptionsNamedRow,
    LivingCountedRow,
    ObservedOfInstancesRow,
    ObservedOfSubjectsRow,
    StepsOfViolationRow,
    TokensOfVersionsRow,
)
from whence_aggregator.violations.exemption import Exemption, Scope
from whence_aggregator.violations.group import ACCOUNT, Group, group_of_instance
from whence_aggregator.violations.life import About, Observed


def exemption(row: ExemptionsNamedRow) -> Exemption:
    return Exemption(
        id=row["id"], rule=row["rule"],
        scope=Scope(
            application_id=row["application_id"], version=row["version"], account_id=row["account_id"],
            ami=row["ami"], team=row["team"],
        ),
        severity_min=row["severity_min"],
        granted_at=row["granted_at"], granted_by=row["granted_by"], reason=row["reason"], until=row["until"],
        ended_at=row["ended_at"], ended_by=row["ended_by"],
    )  # fmt: skip


def observed_of_instances(row: ObservedOfInstancesRow) -> Observed:
    """Return what instances of one group say; severity and owner are added later."""
    group = group_of_instance(
        row["rule"], application_id=row["application_id"], version=row["application_version"],
        account_id=row["account_id"],
    )  # fmt: skip
    account = row["account_id"] if row["accounts"] == 1 else ""
    failing = row["verdict"] == "fail"
    return Observed(
        group=group, failing=failing, since=row["since"] if failing else row["until"], reason=row["reason"],
        about=About(application_id=row["application_id"], account_id=account, severity=0),
    )  # fmt: skip


def observed_of_subject(row: ObservedOfSubjectsRow) -> Observed:
    group = Group(rule=row["rule"], kind=row["kind"], subject=row["id"])
    account = row["id"] if row["kind"] == ACCOUNT else ""
    return Observed(
        group=group, failing=row["verdict"] == "fail", since=row["since"], reason=row["reason"],
        about=About(application_id=row["application_id"], account_id=account, severity=0),
    )  # fmt: skip


def tokens_by_id(rows: Sequence[TokensOfVersionsRow]) -> dict[str, list[str]]:
    """Return the callers whose tokens made versions and applications, by id."""
    found: dict[str, list[str]] = {}
    for row in rows:
        if row["name"]:
            found.setdefault(row["id"], []).append(row["name"])
    return found


def accounts_by_subject(rows: Sequence[LivingCountedRow]) -> dict[str, set[str]]:
    """Return the accounts in which versions and applications run, by the subject of the group."""
    found: dict[str, set[str]] = {}
    for row in rows:
        for subject in (row["application_id"], f"{row['application_id']}@{row['application_version']}"):
            found.setdefault(subject, set()).add(row["account_id"])
    return found


def shown_step(row: StepsOfViolationRow) -> Mapping[str, object]:
    return {
        "step": row["step"], "at": row["at"], "by": row["done_by"] or None, "comment": row["comment"] or None,
        "exemption": row["exemption"] or None, "ledger_index": row["ledger_index"],
    }  # fmt: skip
