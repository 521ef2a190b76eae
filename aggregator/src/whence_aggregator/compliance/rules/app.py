"""The rule about applications that nobody owns."""

from __future__ import annotations

from whence_aggregator.compliance.evidence import SubjectEvidence
from whence_aggregator.compliance.rule import Verdict, failed, known, link_of, passed, unknown


def app_without_owner(evidence: SubjectEvidence) -> Verdict:
    """Fail when the registry names no team, or when the sources of teams state that there is none of that name."""
    application = known(evidence.application, "the application")
    if not application.registered:
        return unknown("the application is not in the application registry")
    if not application.team_id:
        return failed("the application registry names no team for it")
    team = link_of(evidence, "team")
    if team.state == "missing":
        return failed(team.reason)
    if team.state == "unknown":
        return unknown(team.reason)
    return passed(f"the application is of team {application.team_id}")
