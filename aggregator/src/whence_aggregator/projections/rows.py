"""Rows of instances, combinations, rule sets and verdicts as the values that projections update. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, TypedDict

import msgspec

from whence_aggregator.projections.known import KnownInstance
from whence_aggregator.projections.verdict_counts import CountedInstance
from whence_aggregator.queries.agents import INSTANCES_NAMED, InstancesNamedRow
from whence_aggregator.queries.compliance import RuleSetsRow, SubjectsNamedRow, VerdictsOfRow, VerdictsOfSubjectsRow
from whence_aggregator.queries.query import BoundQuery, instance_ids
from whence_aggregator.queries.reports import CountedInstancesRow
from whence_aggregator.queries.trace import InventoryOfRow
from whence_aggregator.trace.life import as_life

InstanceRows = tuple[Sequence[InstancesNamedRow], ...]
"""The rows of instances that were read first; empty when they were cached."""


class _Numbered(TypedDict):
    number: int


class Stood(NamedTuple):
    """A stored verdict; `outcome` is None before the first."""

    outcome: str | None
    since: str
    folded: bool = False


def named(names: Sequence[str]) -> BoundQuery[InstancesNamedRow]:
    """Return the query for the rows of instances, each with the last index of the log."""
    return INSTANCES_NAMED.bind(instance_ids(list(dict.fromkeys(names))))


def known_instance(row: InstancesNamedRow) -> KnownInstance:
    return KnownInstance(
        number=row["number"],
        instance_id=row["instance_id"],
        account_id=row["account_id"],
        region=row["region"],
        order=(row["enrolment"], row["sequence"]),
        cause=row["cause"],
        facets=row["facets"],
        base=row["base"],
        first_index=row["first_index"],
        earliest=row["earliest"],
        late_millis=row["late_millis"],
        listed=row["listed"],
        asked_at=row["asked_at"],
        spoke_at=row["spoke_at"],
        life=as_life(row["life"]),
        life_index=row["life_index"],
    )


def known_instances(rows: Sequence[InstancesNamedRow]) -> dict[str, KnownInstance]:
    """Return instances by their ids."""
    return {row["instance_id"]: known_instance(row) for row in rows}


def number(rows: Sequence[_Numbered]) -> int | None:
    """Return the number of a row; None when there is none."""
    return rows[0]["number"] if rows else None


def last_number(rows: Sequence[_Numbered]) -> int:
    """Return the highest assigned number; 0 before the first."""
    return rows[0]["number"]


def listed(rows: Sequence[InventoryOfRow], account_id: str, region: str) -> tuple[str, int] | None:
    """Return an instance's state in the newest listing, and when that began; None when it is not listed."""
    found = (row for row in rows if (row["account_id"], row["region"]) == (account_id, region))
    return next(((row["state"], row["asked_at"]) for row in found), None)


def rule_sets(rows: Sequence[RuleSetsRow]) -> dict[str, int]:
    """Return the numbers of rule sets."""
    return {row["rules"]: row["number"] for row in rows}


def standing(rows: Sequence[VerdictsOfRow]) -> dict[str, dict[str, Stood]]:
    """Return the verdicts by instance id, and by rule."""
    found: dict[str, dict[str, Stood]] = {}
    for row in rows:
        stood = Stood(row["verdict"], row["since"], bool(row["folded_under"]))
        found.setdefault(row["instance_id"], {})[row["rule"]] = stood
    return found


def rules_of_instances(rows: Sequence[InstancesNamedRow]) -> dict[str, frozenset[str]]:
    """Return which rules have judged instances, by instance id."""
    return {row["instance_id"]: frozenset(msgspec.json.decode(row["rules"], type=dict[str, int])) for row in rows}


def rules_of_subjects(rows: Sequence[SubjectsNamedRow]) -> dict[tuple[str, str], frozenset[str]]:
    """Return which rules have judged subjects that are not instances, by kind and id."""
    return {(row["kind"], row["id"]): frozenset(msgspec.json.decode(row["rules"], type=dict[str, int])) for row in rows}


def subject_numbers(rows: Sequence[SubjectsNamedRow]) -> dict[tuple[str, str], int]:
    """Return the numbers of subjects that are not instances, by kind and id."""
    return {(row["kind"], row["id"]): row["number"] for row in rows}


def standing_of_subjects(rows: Sequence[VerdictsOfSubjectsRow]) -> dict[tuple[str, str], dict[str, Stood]]:
    """Return the verdicts by kind and id, and by rule."""
    found: dict[tuple[str, str], dict[str, Stood]] = {}
    for row in rows:
        stood = Stood(row["verdict"], row["since"], bool(row["folded_under"]))
        found.setdefault((row["kind"], row["id"]), {})[row["rule"]] = stood
    return found


def counted_instances(rows: Sequence[CountedInstancesRow]) -> dict[str, CountedInstance]:
    """Return for which application instances are counted, by instance id."""
    return {
        row["instance_id"]: CountedInstance(application_id=row["application_id"], counted=row["counted"])
        for row in rows
    }


class UnindexedFact(TypedDict):
    """The columns that indexes need of a fact."""

    kind: str
    subject: str
    ledger_index: int
    outcome: str
    value: str


def fact_events(rows: Sequence[UnindexedFact]) -> list[tuple[int, dict[str, Any]]]:
    """Return facts as the events of their entries, as far as indexes need them."""
    return [
        (
            row["ledger_index"],
            {
                "kind": row["kind"],
                "subject": row["subject"],
                "outcome": row["outcome"],
                "value": msgspec.json.decode(row["value"]),
            },
        )
        for row in rows
    ]
