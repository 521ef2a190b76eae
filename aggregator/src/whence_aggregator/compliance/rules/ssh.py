"""The rule about SSH key pairs of instances."""

from __future__ import annotations

from whence_aggregator.compliance.evidence import SubjectEvidence
from whence_aggregator.compliance.rule import NOT_COLLECTED, Verdict, failed, inventory_of, known, passed


def ssh_keypair_used(evidence: SubjectEvidence) -> Verdict:
    listed = inventory_of(evidence)
    if not listed.listed_at:
        return NOT_COLLECTED
    key_name = known(listed.key_name, "the key pair of the instance in the EC2 API")
    if key_name:
        return failed(f"the instance was launched with the key pair {key_name[:100]}")
    return passed("the instance has no key pair")
