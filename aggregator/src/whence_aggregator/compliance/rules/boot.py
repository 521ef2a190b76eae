"""The rule about how an instance booted."""

from __future__ import annotations

from whence_aggregator.compliance.evidence import SubjectEvidence
from whence_aggregator.compliance.rule import Verdict, failed, known, passed


def boot_failed(evidence: SubjectEvidence) -> Verdict:
    machine = known(evidence.machine, "a statement of the agent")
    if machine.cause != "failed":
        return passed("the instance booted")
    errors = [one.message for one in machine.problems if one.severity == "error"]
    more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
    return failed((errors[0] if errors else "the boot failed") + more)
