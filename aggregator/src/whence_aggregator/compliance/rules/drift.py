"""The rule about containers that user data does not declare, and changes to those it declares."""

from __future__ import annotations

from whence_aggregator.compliance.evidence import SubjectEvidence
from whence_aggregator.compliance.rule import Verdict, failed, known, passed


def drift(evidence: SubjectEvidence) -> Verdict:
    """Judge the drift in the newest statement. Drift is reported until the next boot, even if it has ended."""
    found = known(evidence.machine, "a statement of the agent").drift
    if not found:
        return passed("no drift from user data was found")
    first = found[0]
    more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
    return failed(f"{first.kind} in {first.container}:{f' {first.detail}'.rstrip()} at {first.first_at}{more}")
