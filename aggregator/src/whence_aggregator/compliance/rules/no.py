"""The rules about what is not there: an SBOM, provenance, somebody to call."""

from __future__ import annotations

from whence_aggregator.compliance.evidence import SubjectEvidence
from whence_aggregator.compliance.rule import NOTHING_RUNS, Verdict, failed, known, nothing_runs, passed, unknown


def no_sbom(evidence: SubjectEvidence) -> Verdict:
    if nothing_runs(evidence):
        return NOTHING_RUNS
    image = known(evidence.image, "the image in its registry")
    if image.outcome not in ("found", "missing"):
        return unknown(f"the registry was not read: {image.reason or 'it does not have the image'}")
    if not known(
        image.sboms, "whether the image has an SBOM: `trust` names nobody for its registry, or not all was read"
    ):
        return failed("the registry has no SBOM of the image")
    return passed("the registry has an SBOM of the image")


def no_provenance(evidence: SubjectEvidence) -> Verdict:
    """Fail when the registry was read whole and no trusted builder signed a provenance."""
    if nothing_runs(evidence):
        return NOTHING_RUNS
    builder = known(known(evidence.build, "the provenance").builder, "whether a trusted builder signed a provenance")
    if not builder:
        return failed("no trusted builder signed a provenance of the image")
    return passed(f"{builder} signed the provenance")


def no_incident_contact(evidence: SubjectEvidence) -> Verdict:
    application = known(evidence.application, "the application")
    if not application.registered:
        return unknown("the application is not in the application registry")
    if application.criticality_level not in evidence.settings.contact_levels:
        return passed(f"criticality_level {application.criticality_level or 'not stated'} needs no incident contact")
    if not application.incident_contact:
        return failed(f"criticality_level {application.criticality_level} needs an incident contact")
    return passed("the application has an incident contact")
