"""The rules about the tickets that a commit names."""

from __future__ import annotations

from whence_aggregator.compliance.evidence import SubjectEvidence, TicketOfCommit
from whence_aggregator.compliance.rule import (
    NOTHING_RUNS,
    Verdict,
    failed,
    from_link,
    known,
    nothing_runs,
    passed,
    unknown,
)

_NO_TICKET = unknown("the commit names no ticket")


def ticket_missing(evidence: SubjectEvidence) -> Verdict:
    return NOTHING_RUNS if nothing_runs(evidence) else from_link(evidence, "ticket")


def ticket_not_found(evidence: SubjectEvidence) -> Verdict:
    """Fail when no tracker has a ticket that the commit names."""
    tickets = _tickets(evidence)
    if isinstance(tickets, Verdict):
        return tickets
    there = [one for one in tickets if one.problem not in ("missing", "review", "forbidden", "unknown")]
    if any(one.state in ("confirmed", "contradicted") for one in there):
        return passed("the tracker has a ticket that the commit names")
    missing = [one for one in tickets if one.state == "missing"]
    if len(missing) == len(tickets):
        return failed("; ".join(one.reason or f"{one.id} was not found" for one in missing[:3]))
    return unknown(next(one.reason or f"{one.id} was not looked up" for one in tickets if one.state != "missing"))


def ticket_not_approved(evidence: SubjectEvidence) -> Verdict:
    """Fail when all tickets were read and the status of none counts as approved."""
    tickets = _tickets(evidence)
    if isinstance(tickets, Verdict):
        return tickets
    if any(one.approved for one in tickets):
        return passed("the status of a ticket counts as approved")
    unread = next((one for one in tickets if one.approved is None), None)
    if unread is not None:
        return unknown(unread.reason or f"it is not known whether the status of {unread.id} counts as approved")
    return failed(f"the status of {', '.join(one.id for one in tickets[:3])} does not count as approved")


def ticket_closed_before_commit(evidence: SubjectEvidence) -> Verdict:
    return _problem(evidence, "closed-before-commit", "a ticket was open at the time of the commit")


def ticket_of_other_project(evidence: SubjectEvidence) -> Verdict:
    return _problem(evidence, "other-project", "a ticket is of a project of the application")


def _problem(evidence: SubjectEvidence, problem: str, fine: str) -> Verdict:
    """Fail when every ticket has the problem: one ticket without it suffices."""
    tickets = _tickets(evidence)
    if isinstance(tickets, Verdict):
        return tickets
    if any(one.state == "confirmed" or (one.state == "contradicted" and one.problem != problem) for one in tickets):
        return passed(fine)
    wrong = [one for one in tickets if one.problem == problem and one.state == "contradicted"]
    if len(wrong) == len(tickets):
        return failed("; ".join(one.reason for one in wrong[:3]) or f"{wrong[0].id}: {problem}")
    return unknown(next(one.reason or f"{one.id} was not read" for one in tickets if one not in wrong))


def _tickets(evidence: SubjectEvidence) -> tuple[TicketOfCommit, ...] | Verdict:
    if nothing_runs(evidence):
        return NOTHING_RUNS
    tickets = known(evidence.tickets, "the tickets that the commit names")
    return tickets or _NO_TICKET
