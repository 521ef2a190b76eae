"""The rule about containers that user data does not declare, and changes to those it declares."""

from __future__ import annotations

from whence_aggregator.compliance.rule import InstanceEvidence, Verdict


def drift(evidence: InstanceEvidence) -> Verdict:
    """Judge the drift in the newest statement. Drift is reported until the next boot, even if it has ended."""
    found = evidence.facts.statement.predicate.drift
    if not found:
        return Verdict(outcome="pass", reason="no drift from user data was found")
    first = found[0]
    more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
    detail = f" {first.detail or first.image}".rstrip()
    return Verdict(outcome="fail", reason=f"{first.kind} in {first.container}:{detail} at {first.first_at}{more}")
