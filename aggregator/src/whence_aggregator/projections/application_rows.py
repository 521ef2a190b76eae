"""Rows of applications as the values that their index is derived from. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from whence_aggregator.queries.applications import (
    AddApplicationSpanParameters,
    ApplicationsUnindexedRow,
    ApplicationWordsNowRow,
)

LASTING = 2**62
"""The end of what has not ended, as in the queries."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Indexed:
    """A revision as it is indexed: its span, and Kio's fields."""

    span: AddApplicationSpanParameters
    kio: Mapping[str, Any]


def indexed(index: int, stated: Mapping[str, Any], kio: Mapping[str, Any]) -> Indexed:
    """Return a revision as it is indexed, from the members of its entry."""
    span: AddApplicationSpanParameters = {
        "application_id": stated["application_id"],
        "revision": stated["revision"],
        "ledger_index": index,
        "until_index": LASTING,
        "team_id": str(kio["team_id"]),
        "incident_contact": str(kio.get("incident_contact") or ""),
        "active": int(bool(kio["active"])),
        "recorded_at": stated["recorded_at"],
    }
    return Indexed(span=span, kio=kio)


def unindexed(rows: Sequence[ApplicationsUnindexedRow]) -> list[Indexed]:
    """Return revisions that are not indexed, in order."""
    return [indexed(row["ledger_index"], row, msgspec.json.decode(row["body"])["kio"]) for row in rows]


def scores_now(rows: Sequence[ApplicationWordsNowRow]) -> dict[str, int]:
    """Return the indexed words of an application with their scores."""
    return {row["word"]: row["score"] for row in rows}
