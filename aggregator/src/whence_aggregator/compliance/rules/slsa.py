"""The rule about the SLSA build level that an application's criticality needs."""

from __future__ import annotations

from whence_aggregator.compliance.evidence import SubjectEvidence
from whence_aggregator.compliance.rule import NOTHING_RUNS, Verdict, failed, known, nothing_runs, passed, unknown


def slsa_level_too_low(evidence: SubjectEvidence) -> Verdict:
    """Compare the level of the builder that signed the provenance with what the application needs."""
    if nothing_runs(evidence):
        return NOTHING_RUNS
    wanted = known(evidence.settings.slsa_levels, "the setting rules.slsa_levels")
    levels = known(evidence.settings.builder_levels, "the setting rules.builder_levels")
    application = known(evidence.application, "the application")
    if not application.registered:
        return unknown("the application is not in the application registry")
    builder = known(known(evidence.build, "the provenance").builder, "whether a trusted builder signed a provenance")
    needed = wanted.get(str(application.criticality_level), 0)
    level = levels.get(builder, 0) if builder else 0
    shown = f"the build has SLSA level {level}, and criticality_level {application.criticality_level} needs {needed}"
    return failed(shown) if level < needed else passed(shown)
