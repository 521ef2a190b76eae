"""Who approved what started: the approvals of its version that are bound to its image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from whence_aggregator.approvals.rows import approvals_of
from whence_aggregator.approvals.rule import CountedApproval
from whence_aggregator.approvals.values import Approval
from whence_aggregator.ports import Database
from whence_aggregator.queries.approvals import APPROVALS_AT
from whence_aggregator.queries.query import array

NONE_OF_THIS_IMAGE = "no approval of this image as this version is recorded"
DeployedVersion = tuple[str, str, str]
"""Application, version and image."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovedBy:
    """Who approved an image as a version, and which of it does not count. Lineages judge whether it is enough."""

    state: Literal["found", "missing"]
    reason: str | None = None
    by: tuple[Mapping[str, Any], ...] = ()

    @classmethod
    def of(cls, approvals: Sequence[Approval], image: str) -> ApprovedBy:
        """Return the approvals of an image among those of its version."""
        given = tuple(_shown(one) for one in approvals if one.digest == image)
        if given:
            return cls(state="found", by=given)
        others = "; other images of this version were approved" if approvals else ""
        return cls(state="missing", reason=NONE_OF_THIS_IMAGE + others)

    def with_counts(self, counted: Mapping[int, CountedApproval]) -> ApprovedBy:
        """Return the approvals with whether each counts; null where that is not judged."""
        return replace(self, by=tuple({**one, **_counts(counted.get(one["ledger_index"]))} for one in self.by))

    def to_wire(self) -> dict[str, Any]:
        return {"state": self.state, "reason": self.reason, "by": [dict(one) for one in self.by]}


async def read_approvals(
    database: Database, started: Sequence[DeployedVersion], *, past: int
) -> dict[DeployedVersion, ApprovedBy]:
    """Return the approvals in entries before the bound `past`, by what was approved."""
    applications, versions = (array(sorted({one[part] for one in started})) for part in (0, 1))
    asked = APPROVALS_AT.bind({"application_ids": applications, "versions": versions, "past": past})
    given = approvals_of(await database.fetch(asked))
    return {one: ApprovedBy.of(given.get(one[:2], ()), one[2]) for one in started}


def _shown(one: Approval) -> dict[str, Any]:
    return {
        "person": one.user_id, "type": one.type, "at": one.approved_at, "ledger_index": one.ledger_index,
        **_counts(None),
    }  # fmt: skip


def _counts(one: CountedApproval | None) -> dict[str, str | None]:
    return {"counts": one.counts, "why": one.reason or None} if one is not None else {"counts": None, "why": None}
