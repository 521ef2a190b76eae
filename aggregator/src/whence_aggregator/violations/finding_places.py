"""Findings that may have moved since they were read, by the account and the scanner that reported. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from whence_aggregator.projections.violation_rows import StoredViolation
from whence_aggregator.violations.group import ACCOUNT
from whence_aggregator.violations.life import ObservedFault

FINDING, VERDICT = "finding", "verdict"
"""Sources of a violation, in its details."""
FindingPlace = tuple[str, str]
"""Account and product of a report."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ObservedFindings:
    """What findings say, as of an entry of the log. `mark`: what was recorded after it may not be in it."""

    mark: int = -1
    faults: Mapping[str, ObservedFault] = field(default_factory=dict)
    """By the id of the violation."""


NO_FINDINGS = ObservedFindings()


def may_have_moved(
    stood: StoredViolation | None, fault: ObservedFault | None, places: Collection[FindingPlace]
) -> bool:  # fmt: skip
    """Return whether reports from these places may be about a violation that findings state, or stated before."""
    rests_on_findings = fault is not None or (stood is not None and stood.details.get("source") == FINDING)
    group = fault.group if fault is not None else stood
    if not rests_on_findings or group is None:
        return False
    product, slash, _ = group.rule.partition("/")
    return any(
        (not slash or one == product)  # a rule of the catalogue rests on every scanner
        and (group.kind != ACCOUNT or account_id == group.subject)
        for account_id, one in places
    )
