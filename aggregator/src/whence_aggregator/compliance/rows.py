"""Rows of verdicts and rule sets as values. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypedDict, cast

import msgspec

from whence_aggregator.compliance.evidence import SubjectOfRule
from whence_aggregator.compliance.presence import UNREAD_AFTER_FAILURES
from whence_aggregator.queries.agents import InstancesNamedRow
from whence_aggregator.queries.collect import ListingsRow
from whence_aggregator.queries.compliance import (
    NeverSpokeRow,
    RuleSetsAllRow,
    RuleStatesRow,
    SilentSinceRow,
    SubjectsDueRow,
    SubjectsNamedRow,
    SubjectsSeenRow,
    TalliesRow,
    UnjudgedParameters,
    UnjudgedRow,
    VerdictsOfKindRow,
    VerdictsOfRow,
    VerdictsOfSubjectsRow,
    VerdictsRow,
)
from whence_aggregator.queries.query import NamedQuery
from whence_common.clock import parse_instant, to_instant


class Swept(TypedDict):
    """The columns that every query of a sweep returns."""

    instance_id: str
    number: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleState:
    """The newest recorded state of a rule that users wrote, or that was switched off."""

    rule: str
    version: int = 0
    digest: str = ""
    """Of its source; empty for built-in and for removed rules."""
    reason: str = ""
    """Why it is switched off; empty: it is not."""
    source_index: int = -1
    """The entry with its source; -1: none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UnjudgedInstance:
    """An instance with new evidence; `ledger_index` is that of its newest statement, `judged` what marks it."""

    instance_id: str
    number: int
    ledger_index: int
    judged: int


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgedInstance:
    """An instance, with the versions of the rules that judged it."""

    instance_id: str
    account_id: str
    rules: dict[str, int]


@dataclass(frozen=True, slots=True)
class StandingVerdict:
    """A current verdict."""

    outcome: str
    reason: str
    version: int
    folded_under: str = ""


def rule_states(rows: Sequence[RuleStatesRow]) -> dict[str, RuleState]:
    """Return the states of rules, by id."""
    return {
        row["rule"]: RuleState(
            rule=row["rule"],
            version=row["version"],
            digest=row["digest"],
            reason=row["reason"],
            source_index=row["source_index"],
        )
        for row in rows
    }


UnjudgedQuery = NamedQuery[UnjudgedParameters, UnjudgedRow]
"""A query for instances that are to be judged."""


def unjudged(row: UnjudgedRow) -> UnjudgedInstance:
    return UnjudgedInstance(
        instance_id=row["instance_id"], number=row["number"], ledger_index=row["ledger_index"], judged=row["judged"]
    )


def judged(row: InstancesNamedRow) -> JudgedInstance:
    return JudgedInstance(
        instance_id=row["instance_id"], account_id=row["account_id"], rules=msgspec.json.decode(row["rules"])
    )


def standing(rows: Sequence[VerdictsOfRow]) -> dict[tuple[str, str], StandingVerdict]:
    """Return the current verdicts, by instance id and rule."""
    return {
        (row["instance_id"], row["rule"]): StandingVerdict(
            row["verdict"], row["reason"], row["rule_version"], row["folded_under"] or ""
        )
        for row in rows
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class DueSubject:
    """A subject to be judged; `due` is how many changes were noticed since it was judged last."""

    kind: SubjectOfRule
    id: str
    due: int


def due_subjects(rows: Sequence[SubjectsDueRow]) -> list[DueSubject]:
    return [DueSubject(kind=_subject_kind(row["kind"]), id=row["id"], due=row["due"]) for row in rows]


def seen_subjects(rows: Sequence[SubjectsSeenRow]) -> dict[tuple[SubjectOfRule, str], str]:
    """Return the digests of the evidence that subjects were judged by, by kind and id."""
    return {(_subject_kind(row["kind"]), row["id"]): row["evidence"] for row in rows}


def stood_subjects(
    named: Sequence[SubjectsNamedRow], verdicts: Sequence[VerdictsOfSubjectsRow]
) -> dict[tuple[SubjectOfRule, str], tuple[dict[str, int], dict[str, StandingVerdict]]]:
    """Return the versions of the rules that judged, and the current verdicts, by kind and id."""
    found: dict[tuple[SubjectOfRule, str], tuple[dict[str, int], dict[str, StandingVerdict]]] = {
        (_subject_kind(row["kind"]), row["id"]): (msgspec.json.decode(row["rules"]), {}) for row in named
    }
    for row in verdicts:
        found[_subject_kind(row["kind"]), row["id"]][1][row["rule"]] = StandingVerdict(
            row["verdict"], row["reason"], row["rule_version"], row["folded_under"] or ""
        )
    return found


def _subject_kind(text: str) -> SubjectOfRule:
    return cast(SubjectOfRule, text)


def shown_verdict(row: VerdictsOfRow) -> dict[str, Any]:
    """Return a verdict as the API shows it for its instance."""
    return {
        "instance_id": row["instance_id"],
        "rule": row["rule"],
        "rule_version": row["rule_version"],
        "verdict": row["verdict"],
        "reason": row["reason"],
        "since": row["since"],
        "ledger_index": row["ledger_index"],
    }


def rule_sets(rows: Sequence[RuleSetsAllRow]) -> dict[int, dict[str, int]]:
    """Return sets of rules with their versions, by the set's number."""
    return {row["number"]: msgspec.json.decode(row["rules"]) for row in rows}


def swept(rows: Sequence[Swept]) -> tuple[list[str], int]:
    """Return the ids of instances that a sweep found, and the number of the last one."""
    return [row["instance_id"] for row in rows], rows[-1]["number"] if rows else 0


def fallen_silent(rows: Sequence[SilentSinceRow]) -> tuple[list[str], tuple[int, str] | None]:
    """Return the ids of instances whose silence has begun; and of the last one, when it was heard, and its id."""
    return [row["instance_id"] for row in rows], (rows[-1]["seen_at"], rows[-1]["instance_id"]) if rows else None


class ShownBy(TypedDict):
    """The columns of every query for the instance that shows a subject."""

    instance_id: str


def shown_by(rows: Sequence[ShownBy]) -> list[str]:
    """Return the instances that show a subject, the one that spoke last first; none when none lives."""
    return [row["instance_id"] for row in rows]


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountListings:
    """Listings of an account: whether each region's newest one was complete, None before the first, and why not."""

    listed: bool | None
    reason: str


def account_listings(rows: Sequence[ListingsRow]) -> dict[str, AccountListings]:
    """Return the listings of accounts, by account."""
    found: dict[str, list[ListingsRow]] = {}
    for row in rows:
        found.setdefault(row["account_id"], []).append(row)
    return {name: _listings(some) for name, some in found.items()}


def _listings(rows: Sequence[ListingsRow]) -> AccountListings:
    wrong = [f"{row['region']}: {row['failure']}" for row in rows if row["failures"] >= UNREAD_AFTER_FAILURES]
    every = all(row["listed_at"] is not None for row in rows)
    listed = False if wrong else True if every else None
    return AccountListings(listed=listed, reason=wrong[0] if wrong else "")


def violation(row: VerdictsRow) -> dict[str, Any]:
    """Return a verdict as the list of violations shows it."""
    return {
        "subject": {"kind": "instance", "id": row["instance_id"]},
        "instance_id": row["instance_id"],
        "rule": row["rule"],
        "verdict": row["verdict"],
        "reason": row["reason"],
        "since": row["since"],
        "ledger_index": row["ledger_index"],
        "account_id": row["account_id"],
        "region": row["region"],
        "application_id": row["application_id"],
        "folded_under": row["folded_under"],
        "cursor": f"{row['subject']}~{row['rule']}",
    }


def violation_of_kind(row: VerdictsOfKindRow) -> dict[str, Any]:
    """Return a verdict about a subject that is not an instance, as the list of violations shows it."""
    return {
        "subject": {"kind": row["kind"], "id": row["id"]},
        "instance_id": None,
        "rule": row["rule"],
        "verdict": row["verdict"],
        "reason": row["reason"],
        "since": row["since"],
        "ledger_index": row["ledger_index"],
        "account_id": row["id"] if row["kind"] == "account" else None,
        "region": None,
        "application_id": row["application_id"],
        "folded_under": row["folded_under"],
        "cursor": f"{row['subject']}~{row['rule']}",
    }


def never_spoke(row: NeverSpokeRow, rule: str, after: timedelta, cursor: str) -> dict[str, Any]:
    """Return the violation of a rule by a running instance without a statement; it begins `after` its launch."""
    return {
        "subject": {"kind": "instance", "id": row["instance_id"]},
        "folded_under": None,
        "instance_id": row["instance_id"],
        "rule": rule,
        "verdict": "unknown",
        "reason": f"the EC2 API lists it as running, launched at {row['launched_at']}, but it never made a statement",
        "since": to_instant(parse_instant(row["launched_at"]) + after),
        "ledger_index": row["ledger_index"],
        "account_id": row["account_id"],
        "region": row["region"],
        "application_id": None,
        "cursor": cursor + row["instance_id"],
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class Tallied:
    """Counts of instances and verdicts.

    `instances`, by account, counts instances with a statement; `lives`, by account and life, counts enrolled instances.
    `verdicts` is by rule and outcome, `by_account` also by account.
    """

    instances: dict[str, int]
    lives: dict[tuple[str, str], int]
    verdicts: dict[tuple[str, str], int]
    by_account: list[dict[str, object]]


def tallied(rows: Sequence[TalliesRow]) -> Tallied:
    found = Tallied(instances={}, lives={}, verdicts={}, by_account=[])
    for row in rows:
        account, n = row["account_id"], row["n"]
        rule, _, verdict = row["subject"].partition("/")
        if not verdict:
            found.instances[account] = n
        elif rule == "life":
            found.lives[account, verdict] = n
        elif n:
            found.verdicts[rule, verdict] = found.verdicts.get((rule, verdict), 0) + n
            found.by_account.append({"account_id": account, "rule": rule, "verdict": verdict, "n": n})
    return found
