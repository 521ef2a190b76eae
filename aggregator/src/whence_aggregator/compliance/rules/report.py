"""The rule about statements that name another place than the one that AWS signed."""

from __future__ import annotations

from whence_aggregator.compliance.evidence import SubjectEvidence
from whence_aggregator.compliance.rule import Verdict, failed, known, passed, unknown


def report_identity_mismatch(evidence: SubjectEvidence) -> Verdict:
    machine = known(evidence.machine, "a statement of the agent")
    pairs = (
        ("account", machine.account_id, machine.proved_account_id),
        ("region", machine.region, machine.proved_region),
    )
    for name, stated, proved in pairs:
        if stated and proved and stated != proved:
            return failed(f"the statement names the {name} {stated[:40]}, and AWS signed {proved[:40]}")
    if not all(stated and proved for _, stated, proved in pairs):
        return unknown("the statement or the identity document contains no account or region")
    return passed("the statement names the account and region that AWS signed")
