"""The rules about the application that an instance belongs to."""

from __future__ import annotations

from whence_aggregator.compliance.evidence import SubjectEvidence
from whence_aggregator.compliance.rule import Verdict, failed, from_link, known, passed, unknown


def application_unregistered(evidence: SubjectEvidence) -> Verdict:
    return from_link(evidence, "application")


def application_inactive(evidence: SubjectEvidence) -> Verdict:
    application = known(evidence.application, "the application")
    if not application.registered:
        return unknown("the application is not in the application registry")
    if not application.active:
        return failed("it is not active in the application registry")
    return passed("the application is active")


def application_id_missing(evidence: SubjectEvidence) -> Verdict:
    machine = known(evidence.machine, "a statement of the agent")
    if machine.user_data != "read":
        return unknown(f"the user data is {machine.user_data}")
    if not machine.application_id:
        return failed("user data names no valid application_id")
    return passed("user data names the application")


def application_version_missing(evidence: SubjectEvidence) -> Verdict:
    machine = known(evidence.machine, "a statement of the agent")
    if machine.user_data != "read":
        return unknown(f"the user data is {machine.user_data}")
    if not machine.application_version:
        return failed("user data names no valid application_version")
    return passed("user data names the version")
