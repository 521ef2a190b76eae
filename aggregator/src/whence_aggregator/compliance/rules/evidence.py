"""The rule about answers that are too old to be relied on."""

from __future__ import annotations

from whence_aggregator.compliance.ages import older_than
from whence_aggregator.compliance.evidence import SubjectEvidence
from whence_aggregator.compliance.rule import Verdict, failed, known, passed, unknown


def evidence_stale(evidence: SubjectEvidence) -> Verdict:
    """Fail when an answer that may change should have been read again long ago."""
    days = known(evidence.settings.evidence_days_max, "the setting rules.evidence_days_max")
    reads = known(evidence.reads, "the readings of sources")
    ages = [(one, older_than(one.due_at, days, evidence.now)) for one in reads if one.due_at]
    for one, old in ages:
        if old:
            return failed(f"{one.source} was to be read at {one.due_at}, more than {days} days ago")
    if not reads or any(one.outcome != "read" for one in reads) or any(old is None for _, old in ages):
        return unknown("not every source was read")
    return passed(f"no answer is more than {days} days overdue")
