"""The approvals of a commit's reviews as evidence for the approvals of a version. Pure."""

from __future__ import annotations

from whence_aggregator.approvals.rule import ReviewEvidence
from whence_aggregator.approvals.values import CODE_CHANGE
from whence_aggregator.trace.derive_review import not_about
from whence_aggregator.trace.facts import Facts
from whence_aggregator.trace.named_tickets import reviews_of
from whence_aggregator.trackers.review import Review, Vote, good_approvals


def review_evidence(facts: Facts) -> list[ReviewEvidence]:
    """Return the approvals that count: each approves the change of the code, with its code host as the source."""
    host = str(facts.commit.value.get("repository", "")).partition("/")[0]
    return [
        ReviewEvidence(
            source=f"review:{host}", type=CODE_CHANGE, reviewer=one.by, emails=frozenset(),
            observed_at=one.at or facts.review.observed_at, ledger_index=facts.review.ledger_index,
            is_author=_is_author(one, review),
        )
        for review in reviews_of(facts)
        if not_about(review, facts) is None
        for one in good_approvals(review)
    ]  # fmt: skip


def _is_author(vote: Vote, review: Review) -> bool | None:
    """Return whether an approver has commits in the branch; None where the host does not prove whose they are."""
    if vote.by in review.committers:
        return True
    return False if review.committers_proved else None
