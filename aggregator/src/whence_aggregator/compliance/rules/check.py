"""The rule about readings that failed."""

from __future__ import annotations

from whence_aggregator.compliance.evidence import SubjectEvidence
from whence_aggregator.compliance.rule import Verdict, failed, known, passed, unknown


def check_could_not_run(evidence: SubjectEvidence) -> Verdict:
    """Fail while the newest reading of a source failed; what was not asked yet is unknown."""
    reads = known(evidence.reads, "the readings of sources")
    wrong = [one for one in reads if one.outcome == "failed"]
    if wrong:
        more = f" (and {len(wrong) - 1} more)" if len(wrong) > 1 else ""
        return failed(f"{wrong[0].source} was not read: {wrong[0].reason}{more}")
    waiting = [one for one in reads if one.outcome == "waiting"]
    if waiting or not reads:
        return unknown(f"{waiting[0].source} was not asked yet" if waiting else "no source was asked yet")
    return passed("every source was read")
