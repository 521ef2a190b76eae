"""The rule about regions."""

from __future__ import annotations

from whence_aggregator.compliance.evidence import SubjectEvidence
from whence_aggregator.compliance.rule import Verdict, failed, known, passed, unknown


def wrong_region(evidence: SubjectEvidence) -> Verdict:
    regions = known(evidence.settings.regions, "the setting rules.regions")
    region = known(evidence.machine, "a statement of the agent").proved_region
    if not region:
        return unknown("the identity document contains no region")
    if region not in regions:
        return failed(f"the instance is in {region}, which is not in rules.regions")
    return passed(f"the instance is in {region}")
