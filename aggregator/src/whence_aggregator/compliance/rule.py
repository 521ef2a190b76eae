"""A rule judges evidence and gives a verdict with its reason. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from whence_aggregator.trace.facts import Facts
from whence_aggregator.trace.lineage import Lineage, LinkName

Outcome = Literal["pass", "fail", "unknown", "gone"]
"""`gone`: the subject ended, so that what was open is closed; not a pass, and not a violation."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    outcome: Outcome
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceEvidence:
    """What is known of one instance, gathered once for all rules."""

    facts: Facts
    lineage: Lineage
    now: datetime
    silent_after_seconds: float
    listening_since: datetime
    """Since when the aggregator has been able to hear agents, without a break."""

    @property
    def nothing_runs(self) -> bool:
        return self.facts.statement.predicate.image is None


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """`severity` from 1, worst, to 4. `remedy` says what the team can do."""

    id: str
    title: str
    severity: int
    remedy: str
    judge: Callable[[InstanceEvidence], Verdict]
    version: int = 1
    """Raised whenever the rule may judge the same evidence otherwise; verdicts keep the version that gave them."""

    def to_wire(self) -> dict[str, object]:
        names = ("id", "version", "title", "severity", "remedy")
        return {name: getattr(self, name) for name in names}


def from_link(evidence: InstanceEvidence, name: LinkName) -> Verdict:
    """Judge by a link's state alone: a gap that was looked for fails, one that could not be looked for is unknown."""
    link = evidence.lineage.link(name)
    if link.state in ("confirmed", "asserted"):
        return Verdict(outcome="pass", reason=f"{name} is {link.state}")
    outcome: Outcome = "unknown" if link.state == "unknown" else "fail"
    return Verdict(outcome=outcome, reason=link.reason or link.state)


NOTHING_RUNS = Verdict(outcome="unknown", reason="nothing runs, so there is nothing to judge")
NOT_COLLECTED = Verdict(outcome="unknown", reason="the inventory of this account and region is not collected")
