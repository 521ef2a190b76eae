"""The rule about the ticket that a commit names."""

from __future__ import annotations

from whence_aggregator.compliance.rule import NOTHING_RUNS, InstanceEvidence, Verdict, from_link


def ticket_missing(evidence: InstanceEvidence) -> Verdict:
    return NOTHING_RUNS if evidence.nothing_runs else from_link(evidence, "ticket")
