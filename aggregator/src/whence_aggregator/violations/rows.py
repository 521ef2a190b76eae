"""Rows of violations and exemptions as values. Pure."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypedDict

import msgspec

from whence_aggregator.projections.violation_rows import StoredViolation
from whence_aggregator.queries.compliance import SubjectsNamedRow
from whence_aggregator.queries.violations import (
    ExemptionsNamedRow,
    FindingPlacesSinceRow,
    FoldedOfGroupRow,
    LivingCountedRow,
    MembersCountedRow,
    NewestVerdictRow,
    ObservedOfInstancesRow,
    ObservedOfSubjectsRow,
    StepsOfViolationRow,
    TokensOfVersionsRow,
    ViolationsOfOneRunningRow,
    ViolationsOfRunningRow,
)
from whence_aggregator.violations.exemption import Exemption, Scope
from whence_aggregator.violations.finding_places import FindingPlace
from whence_aggregator.violations.group import ACCOUNT, Group, group_of_instance
from whence_aggregator.violations.life import About, ObservedFault


def exemptions(rows: Sequence[ExemptionsNamedRow]) -> list[Exemption]:
    return list(map(_exemption, rows))


def _exemption(row: ExemptionsNamedRow) -> Exemption:
    return Exemption(
        id=row["id"], number=row["number"], rule=row["rule"],
        scope=Scope(
            application_id=row["application_id"], version=row["version"], account_id=row["account_id"],
            ami=row["ami"], team=row["team"],
        ),
        severity_min=row["severity_min"],
        granted_at=row["granted_at"], granted_by=row["granted_by"], reason=row["reason"], until=row["until"],
        ended_at=row["ended_at"], ended_by=row["ended_by"],
    )  # fmt: skip


def observed_of_instances(row: ObservedOfInstancesRow) -> ObservedFault:
    """Return what instances of one group say; severity and owner are added later."""
    group = group_of_instance(
        row["rule"], application_id=row["application_id"], version=row["application_version"],
        account_id=row["account_id"],
    )  # fmt: skip
    account = row["account_id"] if row["accounts"] == 1 else ""
    failing = row["verdict"] == "fail"
    return ObservedFault(
        group=group, failing=failing, since=row["since"] if failing else row["until"], reason=row["reason"],
        about=About(application_id=row["application_id"], account_id=account, severity=0),
    )  # fmt: skip


def observed_of_subject(row: ObservedOfSubjectsRow) -> ObservedFault:
    group = Group(rule=row["rule"], kind=row["kind"], subject=row["id"])
    account = row["id"] if row["kind"] == ACCOUNT else ""
    return ObservedFault(
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


def newest_entry(rows: Sequence[NewestVerdictRow]) -> int:
    """Return the entry of the newest verdict; -1 before the first."""
    return rows[0]["entry"]


class _RuleNamed(TypedDict):
    rule: str


def finding_places(rows: Sequence[FindingPlacesSinceRow]) -> frozenset[FindingPlace]:
    return frozenset((row["account_id"], row["product"]) for row in rows)


def rules_named(rows: Sequence[_RuleNamed]) -> list[str]:
    return [row["rule"] for row in rows]


def rules_by_id(rows: Sequence[SubjectsNamedRow], kind: str) -> dict[str, frozenset[str]]:
    """Return the rules by which subjects of a kind were judged, by their ids."""
    return {row["id"]: frozenset(msgspec.json.decode(row["rules"], type=dict[str, int])) for row in rows
            if row["kind"] == kind}  # fmt: skip


class _GroupColumns(TypedDict):
    rule: str
    application_id: str
    application_version: str
    account_id: str


def groups_named(rows: Sequence[_GroupColumns]) -> list[Group]:
    """Return the groups of instances."""
    return [
        group_of_instance(
            row["rule"], application_id=row["application_id"], version=row["application_version"],
            account_id=row["account_id"],
        )
        for row in rows
    ]  # fmt: skip


def ids_of_others(
    rows: Sequence[ViolationsOfRunningRow | ViolationsOfOneRunningRow], rules: Container[str]
) -> set[str]:
    """Return the ids of violations by other rules than these."""
    return {row["id"] for row in rows if row["rule"] not in rules}


@dataclass(frozen=True, slots=True, kw_only=True)
class ViolationMembers:
    """The instances that a violation concerns: how many, in which accounts, and one of them, that fails if any does."""

    count: int = 0
    """Those that are known to fail."""
    not_confirmed: int = 0
    """Those of which it is not known."""
    accounts: frozenset[str] = frozenset()
    instance_id: str = ""
    image_id: str = ""
    region: str = ""


NO_MEMBERS = ViolationMembers()


def reported_member(one: StoredViolation) -> ViolationMembers:
    """Return the instance that a report is about, if it names one, and its region."""
    details = one.details
    instance_id, region = str(details.get("instance_id", "")), str(details.get("region", ""))
    accounts = frozenset({one.account_id} if instance_id else ())
    return ViolationMembers(count=len(accounts), accounts=accounts, instance_id=instance_id, region=region)


def members_by_id(rows: Sequence[MembersCountedRow]) -> dict[str, ViolationMembers]:
    """Return the instances that break the rule of each group, by the id of its violation."""
    found: dict[str, ViolationMembers] = {}
    ordered = sorted(rows, key=lambda row: row["verdict"] != "fail")
    for group, row in zip(groups_named(ordered), ordered, strict=True):
        found[group.id] = _with_more(found.get(group.id, NO_MEMBERS), row, failing=row["verdict"] == "fail")
    return found


def living_by_subject(rows: Sequence[LivingCountedRow]) -> dict[str, ViolationMembers]:
    """Return the instances that live and run each version and application."""
    found: dict[str, ViolationMembers] = {}
    for row in rows:
        for subject in (row["application_id"], f"{row['application_id']}@{row['application_version']}"):
            found[subject] = _with_more(found.get(subject, NO_MEMBERS), row, failing=True)
    return found


def not_confirmed(members: ViolationMembers) -> ViolationMembers:
    """Return instances whose fault, which is that of what they run, is not known now."""
    return replace(members, count=0, not_confirmed=members.count + members.not_confirmed)


def _with_more(
    members: ViolationMembers, row: MembersCountedRow | LivingCountedRow, *, failing: bool
) -> ViolationMembers:
    return ViolationMembers(
        count=members.count + (row["n"] if failing else 0),
        not_confirmed=members.not_confirmed + (0 if failing else row["n"]),
        accounts=members.accounts | {row["account_id"]},
        instance_id=members.instance_id or row["instance_id"], image_id=members.image_id or row["image_id"],
        region=members.region or row["region"],
    )  # fmt: skip


def folded_rules(rows: Sequence[FoldedOfGroupRow]) -> list[Mapping[str, object]]:
    return [{"rule": row["rule"], "instances": row["n"]} for row in rows]


def accounts_by_subject(rows: Sequence[LivingCountedRow]) -> dict[str, set[str]]:
    """Return the accounts in which versions and applications run, by the subject of the group."""
    found: dict[str, set[str]] = {}
    for row in rows:
        for subject in (row["application_id"], f"{row['application_id']}@{row['application_version']}"):
            found.setdefault(subject, set()).add(row["account_id"])
    return found


def shown_step(row: StepsOfViolationRow, *, past: int) -> Mapping[str, object]:
    """Return a step; `past` is the first entry that was not recorded at the moment asked about."""
    return {
        "step": row["step"], "at": row["at"], "by": row["done_by"] or None, "comment": row["comment"] or None,
        "exemption": row["exemption"] or None, "recorded_by_then": row["ledger_index"] < past,
        "ledger_index": row["ledger_index"],
    }  # fmt: skip
