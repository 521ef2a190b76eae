"""Rows of verdicts and rule sets as values. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypedDict

import msgspec

from whence_aggregator.queries.agents import InstancesNamedRow
from whence_aggregator.queries.compliance import (
    NeverSpokeRow,
    RuleSetsAllRow,
    SilentSinceRow,
    TalliesRow,
    UnjudgedRow,
    VerdictsOfRow,
    VerdictsRow,
)
from whence_common.clock import parse_instant, to_instant


class Swept(TypedDict):
    """The columns that every query of a sweep returns."""

    instance_id: str
    number: int


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
        (row["instance_id"], row["rule"]): StandingVerdict(row["verdict"], row["reason"], row["rule_version"])
        for row in rows
    }


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


def violation(row: VerdictsRow) -> dict[str, Any]:
    """Return a verdict as the list of violations shows it."""
    return {
        "instance_id": row["instance_id"],
        "rule": row["rule"],
        "verdict": row["verdict"],
        "reason": row["reason"],
        "since": row["since"],
        "ledger_index": row["ledger_index"],
        "account_id": row["account_id"],
        "region": row["region"],
        "application_id": row["application_id"],
        "cursor": f"{row['subject']}~{row['rule']}",
    }


def never_spoke(row: NeverSpokeRow, rule: str, after: timedelta, cursor: str) -> dict[str, Any]:
    """Return the violation of a rule by a running instance without a statement; it begins `after` its launch."""
    return {
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
