"""The links to the tickets that a commit and its review name, and to the specification. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from whence_aggregator.trace.evidence import by_collector, by_registry, nothing_runs
from whence_aggregator.trace.facts import NOT_ASKED, AboutCommit, Answer, Facts
from whence_aggregator.trace.lineage import Evidence, Link, LinkState
from whence_aggregator.trace.named_tickets import NamedTicket, named_tickets, own_trackers, reviews_of
from whence_aggregator.trace.review_evidence import unread_review
from whence_aggregator.trace.ticket_forms import Mention
from whence_aggregator.trace.tickets import named_in
from whence_aggregator.trackers.ticket import CommitTimes, Ticket, standing

NO_TICKET = "the commit message names no ticket"
NO_TICKET_OF_BOTH = "the commit message and its review name no ticket"
_PATTERNS_SHOWN = 5
_SHOWN = ("title", "status", "closed", "assignee", "type", "parent", "closed_at", "outcome")
_PREFERRED: tuple[LinkState, ...] = ("confirmed", "unknown", "asserted", "contradicted", "missing")
_CONTRADICTING = ("closed-before-commit", "other-project")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Judged:
    """One ticket: whether its tracker has it, what is shown of it, and the evidence."""

    state: LinkState
    reason: str
    shown: dict[str, Any]
    evidence: tuple[Evidence, ...] = ()


def ticket_link(facts: Facts, commit: Link) -> Link:
    """Return the link to the tickets: confirmed when the tracker has one that stands behind the commit."""
    if facts.statement.predicate.image is None:
        return nothing_runs("ticket", facts)
    if facts.commit.outcome != "found":
        return Link(link="ticket", state="unknown", reason=f"the commit was not read: {commit.reason}")
    if facts.withheld:
        return Link(link="ticket", state="unknown", reason=facts.withheld)
    found = _known(facts)
    judged = [_with_state(_judged(one, facts), facts) for one in found]
    patterns = tuple(one.pattern for one in own_trackers(facts))
    reviews = named_in(str(facts.commit.value["message"]), patterns).reviews
    value: dict[str, Any] = {
        "tickets": [one.shown for one in judged], "reviews": [_mention(one) for one in reviews],
    }  # fmt: skip
    evidence: tuple[Evidence, ...] = (by_collector(facts.commit, "git"),)
    if any(one.review is not None for one in found):
        evidence += (by_collector(facts.review, "review"),)
    evidence += tuple(dict.fromkeys(piece for one in judged for piece in one.evidence))
    state, reason = _state(judged) if found else ("missing", _none_named(facts, patterns, reviews))
    unread = unread_review(facts)
    if state == "missing" and unread:
        state, reason = "unknown", f"{reason}; the review of the commit may name one, and is not known: {unread}"
    return Link(link="ticket", state=state, value=value, reason=reason, evidence=evidence)


def _none_named(facts: Facts, patterns: Sequence[str], reviews: Sequence[Mention]) -> str:
    """Return the reason where neither the message nor the review names a ticket."""
    reason = NO_TICKET_OF_BOTH if reviews_of(facts) else NO_TICKET
    reason += f" like {', '.join(patterns[:_PATTERNS_SHOWN])}" if patterns else ""
    return reason + (f"; {reviews[0].id} is the number of a review" if reviews else "")


def judged_tickets(facts: AboutCommit) -> list[dict[str, Any]]:
    """Return the tickets that a commit and its reviews name, each with its state, its reason, and when it was read."""
    return [
        {**one.shown, "state": one.state, "reason": one.reason or None,
         "observed_at": next((piece.observed_at for piece in one.evidence), None)}
        for one in (_judged(named, facts) for named in _known(facts))
    ]  # fmt: skip


def _known(facts: AboutCommit) -> list[NamedTicket]:
    """Return the tickets that are named: of other projects, only those that their tracker has."""
    return [
        one
        for one in named_tickets(facts)
        if not one.of_others or facts.tickets.get(one.at.subject or "", NOT_ASKED).outcome == "found"
    ]


def _state(judged: list[_Judged]) -> tuple[LinkState, str | None]:
    """Return the state of the link: one confirmed ticket suffices, and only complete knowledge denies all."""
    reasons = "; ".join(dict.fromkeys(one.reason for one in judged if one.reason))
    for state in _PREFERRED:
        if any(one.state == state for one in judged):
            return state, reasons or None
    raise AssertionError("a judged ticket has a state")


def _with_state(judged: _Judged, facts: AboutCommit) -> _Judged:
    """Return a ticket that shows its own state, where trackers are configured."""
    if not facts.trackers.reads_tickets:
        return judged
    return replace(judged, shown={**judged.shown, "state": judged.state})


def _judged(named: NamedTicket, facts: AboutCommit) -> _Judged:
    shown: dict[str, Any] = {**_mention(named.mention), "url": named.url}
    if named.kind:
        shown["tracker"] = named.kind
    if named.review is not None:
        shown["review"] = named.review
    if not facts.trackers.reads_tickets:
        return _Judged(state="asserted", reason="", shown=shown)
    subject, tracker = named.at.subject, named.at.tracker
    if subject is None or tracker is None:
        return _Judged(state="asserted", reason=named.at.reason, shown={**shown, "problem": named.at.reason})
    shown["host"] = tracker.host
    through = next((one.number for one in reviews_of(facts)), None)
    if through is not None:
        shown["review"] = through
    answer = facts.tickets[subject]
    if answer.outcome == "unknown":
        reason = f"{named.mention.id}: {answer.reason}"
        return _Judged(state="unknown", reason=reason, shown={**shown, "problem": "unknown"})
    return _by_answer(named, answer, shown, facts)


def _by_answer(named: NamedTicket, answer: Answer, shown: dict[str, Any], facts: AboutCommit) -> _Judged:
    evidence = (by_collector(answer, "tracker"),)
    shown["read"] = answer.read or None
    if answer.outcome != "found":
        problem = str(answer.value.get("problem") or "missing")
        state: LinkState = "unknown" if problem == "forbidden" else "missing"
        return _Judged(state=state, reason=answer.reason, shown={**shown, "problem": problem}, evidence=evidence)
    ticket = Ticket.from_wire(answer.value)
    stands = standing(
        ticket, asked=named.at.id, projects=named.at.projects, approved_states=named.at.approved_states,
        times=_times(facts),
    )  # fmt: skip
    if named.at.shown is not None and not _is_shown(ticket, named.at.shown):
        reason = (
            stands.reason or f"{ticket.id} is of the project {ticket.project}, which the application does not state"
        )
        return _Judged(
            state="contradicted", reason=reason, shown={**shown, "problem": "other-project"}, evidence=evidence
        )
    shown |= {name: getattr(ticket, name) for name in _SHOWN}
    shown |= {"url": ticket.url or shown["url"], "approved": stands.approved, "moved_to": stands.moved_to or None,
              "problem": stands.problem or ("moved" if stands.moved_to else None)}  # fmt: skip
    stated: LinkState = "asserted" if named.of_others or stands.problem else "confirmed"
    state = "contradicted" if stands.problem in _CONTRADICTING else stated
    return _Judged(state=state, reason=stands.reason, shown=shown, evidence=evidence)


def _times(facts: AboutCommit) -> CommitTimes:
    review = next(iter(reviews_of(facts)), None)
    committed_at = str(facts.commit.value["committed_at"])
    if review is None:
        return CommitTimes(committed_at=committed_at, parents_at=facts.parents_at)
    by_merge = review.how == "merge_commit" and facts.commit.value.get("commit") != review.head
    return CommitTimes(
        committed_at=committed_at, parents_at=facts.parents_at, merged_at=review.merged_at, by_merge=by_merge
    )  # fmt: skip


def _is_shown(ticket: Ticket, projects: Sequence[str]) -> bool:
    """Return whether a ticket is of one of the projects; trackers by a template may state none."""
    return not ticket.project or ticket.project.lower() in {one.lower() for one in projects}


def _mention(mention: Mention) -> dict[str, Any]:
    return {"id": mention.id, "pattern": mention.pattern, "place": mention.place, "line": mention.line}


def specification_link(facts: Facts, ticket: Link) -> Link:
    """Return the confirmed ticket; without tickets in use, the application's `specification_url`."""
    if ticket.state == "confirmed" and ticket.value is not None:
        confirmed = next(one for one in ticket.value["tickets"] if one.get("state") == "confirmed")
        value = {name: confirmed[name] for name in ("id", "title", "url", "status", "approved")}
        return Link(link="specification", state="confirmed", value={**value, "ticket": True}, evidence=ticket.evidence)
    if facts.application is None:
        return Link(link="specification", state="missing", reason="the application is not registered")
    if facts.trackers.reads_tickets and own_trackers(facts):
        state: LinkState = "unknown" if ticket.state in ("unknown", "asserted") else "missing"
        reason = f"the application uses tickets, and none is confirmed: {ticket.reason}"
        return Link(link="specification", state=state, reason=reason, evidence=ticket.evidence)
    url = facts.application.kio.get("specification_url")
    if not url:
        reason = "the application registry has no specification_url"
        return Link(link="specification", state="missing", reason=reason, evidence=by_registry(facts))
    return Link(link="specification", state="asserted", value={"url": url}, evidence=by_registry(facts))
