"""The rule about how an instance booted."""

from __future__ import annotations

from whence_aggregator.compliance.rule import InstanceEvidence, Verdict


def boot_failed(evidence: InstanceEvidence) -> Verdict:
    predicate = evidence.facts.statement.predicate
    if predicate.cause != "failed":
        return Verdict(outcome="pass", reason="the instance booted")
    errors = [str(p.get("message", "")) for p in predicate.problems if p.get("severity") == "error"]
    more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
    return Verdict(outcome="fail", reason=(errors[0] if errors else "the boot failed") + more)
