"""The rules about the application that an instance belongs to."""

from __future__ import annotations

from whence_aggregator.compliance.rule import InstanceEvidence, Verdict, from_link


def application_unregistered(evidence: InstanceEvidence) -> Verdict:
    return from_link(evidence, "application")


def application_inactive(evidence: InstanceEvidence) -> Verdict:
    application = evidence.facts.application
    if application is None:
        return Verdict(outcome="unknown", reason="the application is not in the application registry")
    if not application.kio.get("active"):
        return Verdict(outcome="fail", reason="it is not active in the application registry")
    return Verdict(outcome="pass", reason="the application is active")
