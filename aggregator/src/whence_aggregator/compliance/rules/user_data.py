"""The rule about different user data from the agent and the EC2 API."""

from __future__ import annotations

from whence_aggregator.compliance.rule import NOT_COLLECTED, InstanceEvidence, Verdict

USER_DATA_CHANGED = "user-data-changed"


def user_data_changed(evidence: InstanceEvidence) -> Verdict:
    """Compare the user data of agent and EC2 API, if both are of the same launch."""
    listed, predicate = evidence.facts.listed, evidence.facts.statement.predicate
    if not listed.listed_at:
        return NOT_COLLECTED
    if listed.user_data_unread:
        return Verdict(outcome="unknown", reason=f"the EC2 API's user data was not read: {listed.user_data_unread}")
    seen = predicate.user_data
    if seen is None or not listed.user_data_digest:
        return Verdict(outcome="unknown", reason="only one of the agent and the EC2 API has user data")
    if listed.user_data_digest == seen.digest:
        return Verdict(outcome="pass", reason="the agent and the EC2 API have the same user data")
    if evidence.facts.data_of_next_start:
        reason = f"the instance is {listed.state}: the EC2 API's user data may be that of its next start"
        return Verdict(outcome="unknown", reason=reason)
    if not evidence.facts.same_launch:
        reason = f"the listing is of the launch at {listed.launched_at}, the statement of another one"
        return Verdict(outcome="unknown", reason=reason)
    reason = f"the EC2 API and the agent report different user data: {evidence.facts.difference}"
    return Verdict(outcome="fail", reason=reason)
