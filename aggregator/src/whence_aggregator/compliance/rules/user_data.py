"""The rules about user data: whether it is there, and whether the agent and the EC2 API have the same."""

from __future__ import annotations

from whence_aggregator.compliance.evidence import SubjectEvidence
from whence_aggregator.compliance.rule import NOT_COLLECTED, Verdict, failed, inventory_of, known, passed, unknown

USER_DATA_CHANGED = "user-data-changed"


def user_data_changed(evidence: SubjectEvidence) -> Verdict:
    """Compare the user data of agent and EC2 API, if both are of the same launch."""
    listed, machine = inventory_of(evidence), known(evidence.machine, "a statement of the agent")
    if not listed.listed_at:
        return NOT_COLLECTED
    if listed.user_data_unread:
        return unknown(f"the EC2 API's user data was not read: {listed.user_data_unread}")
    if machine.user_data == "absent" or not listed.user_data_digest:
        return unknown("only one of the agent and the EC2 API has user data")
    if listed.user_data_digest == machine.user_data_digest:
        return passed("the agent and the EC2 API have the same user data")
    if listed.next_start:
        return unknown(f"the instance is {listed.state}: the EC2 API's user data may be that of its next start")
    if not listed.same_launch:
        return unknown(f"the listing is of the launch at {listed.launched_at}, the statement of another one")
    return failed(f"the EC2 API and the agent report different user data: {listed.difference}")


def user_data_missing(evidence: SubjectEvidence) -> Verdict:
    machine = known(evidence.machine, "a statement of the agent")
    if machine.user_data == "absent":
        return failed("the agent found no user data")
    if machine.user_data == "unreadable":
        return failed("the user data cannot be read as YAML")
    return passed("the agent read the user data")


def user_data_source_missing(evidence: SubjectEvidence) -> Verdict:
    machine = known(evidence.machine, "a statement of the agent")
    if machine.user_data != "read":
        return unknown(f"the user data is {machine.user_data}")
    if not machine.source:
        return failed("user data names no image in `source`")
    return passed("user data names the image")
