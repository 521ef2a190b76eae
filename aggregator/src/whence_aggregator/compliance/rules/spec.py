"""The rule about the specification of an application."""

from __future__ import annotations

from whence_aggregator.compliance.evidence import SubjectEvidence
from whence_aggregator.compliance.rule import Verdict, failed, known, passed, unknown


def spec_url_missing(evidence: SubjectEvidence) -> Verdict:
    application = known(evidence.application, "the application")
    if not application.registered:
        return unknown("the application is not in the application registry")
    if application.specification_url:
        return passed("the application has a specification_url")
    if application.uses_tickets:
        return passed("the application has a ticket tracker in place of a specification_url")
    return failed("the application registry has neither a specification_url nor a ticket tracker for it")
