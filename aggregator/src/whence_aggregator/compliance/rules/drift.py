"""The rule about what runs beside what user data declares."""

from __future__ import annotations

from whence_aggregator.compliance.rule import InstanceEvidence, Verdict


def drift(evidence: InstanceEvidence) -> Verdict:
    """Judge what the newest statement says was found: it is told until the next boot, since it did happen."""
    found = evidence.facts.statement.predicate.drift
    if not found:
        return Verdict(outcome="pass", reason="nothing was found that user data did not ask for")
    first = found[0]
    more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
    detail = f" {first.detail or first.image}".rstrip()
    return Verdict(outcome="fail", reason=f"{first.kind} in {first.container}:{detail} at {first.first_at}{more}")
