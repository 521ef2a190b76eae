"""The rule about who may build."""

from __future__ import annotations

from whence_aggregator.compliance.evidence import SubjectEvidence
from whence_aggregator.compliance.rule import NOTHING_RUNS, Verdict, failed, known, nothing_runs, passed, unknown


def builder_not_allowed(evidence: SubjectEvidence) -> Verdict:
    if nothing_runs(evidence):
        return NOTHING_RUNS
    allowed = known(evidence.settings.builders, "the setting rules.builders")
    builder = known(known(evidence.build, "the provenance").builder, "whether a trusted builder signed a provenance")
    if not builder:
        return unknown("no trusted builder signed a provenance of the image")
    if builder not in allowed:
        return failed(f"{builder} built the image, which is not in rules.builders")
    return passed(f"{builder} built the image")
