"""A rule evaluates evidence and returns a verdict with its reason. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from whence_aggregator.trace.facts import Facts
from whence_aggregator.trace.lineage import Lineage, LinkName

Outcome = Literal["pass", "fail", "unknown", "gone"]
"""`gone`: the subject ended, and its violations are closed; neither a pass nor a violation."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    outcome: Outcome
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceEvidence:
    """The evidence about one instance, gathered once for all rules."""

    facts: Facts
    lineage: Lineage
    now: datetime
    silent_after_seconds: float
    listening_since: datetime
    """Since when the aggregator has been able to receive from agents, without a break."""

    @property
    def nothing_runs(self) -> bool:
        return self.facts.statement.predicate.image is None


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """`severity` is from 1, worst, to 4. `remedy` states what the team can do."""

    id: str
    title: str
    severity: int
    remedy: str
    judge: Callable[[InstanceEvidence], Verdict]
    version: int = 1
    """Increased whenever the rule may judge the same evidence differently; a verdict keeps the version of its rule."""

    def to_wire(self) -> dict[str, object]:
        names = ("id", "version", "title", "severity", "remedy")
        return {name: getattr(self, name) for name in names}


def from_link(evidence: InstanceEvidence, name: LinkName) -> Verdict:
    """Return the verdict for a link's state: a gap that was checked fails; one that could not be checked is unknown."""
    link = evidence.lineage.link(name)
    if link.state in ("confirmed", "asserted"):
        return Verdict(outcome="pass", reason=f"{name} is {link.state}")
    outcome: Outcome = "unknown" if link.state == "unknown" else "fail"
    return Verdict(outcome=outcome, reason=link.reason or link.state)


NOTHING_RUNS = Verdict(outcome="unknown", reason="nothing runs on the instance")
NOT_COLLECTED = Verdict(outcome="unknown", reason="the inventory of this account and region is not collected")
