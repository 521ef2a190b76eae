"""The approvals of a commit's reviews as evidence for the approvals of a version. Pure."""

from __future__ import annotations

from whence_aggregator.approvals.rule import ReviewEvidence
from whence_aggregator.approvals.values import CODE_CHANGE
from whence_aggregator.trace.derive_review import not_about
from whence_aggregator.trace.facts import Answer, Facts
from whence_aggregator.trace.named_tickets import another_repository, reviews_of
from whence_aggregator.trackers.review import COMMIT_UNKNOWN, Review, good_approvals


def review_evidence(facts: Facts) -> list[ReviewEvidence]:
    """Return the approvals that count: each approves the change of the code, with its code host as the source."""
    if another_repository(facts) is not None:
        return []
    host = str(facts.commit.value.get("repository", "")).partition("/")[0]
    return [
        ReviewEvidence(
            source=f"review:{host}", type=CODE_CHANGE, reviewer=one.by, emails=frozenset(),
            observed_at=one.at or facts.review.observed_at, ledger_index=facts.review.ledger_index,
            is_author=is_author(one.by, facts),
        )
        for review in reviews_of(facts)
        if not_about(review, facts) is None
        for one in good_approvals(review)
    ]  # fmt: skip


def unread_review(facts: Facts) -> str:
    """Return why it is not known who approved the review of a commit whose host is configured; empty if it is known."""
    host = str(facts.commit.value.get("repository", "")).partition("/")[0]
    if facts.commit.outcome != "found" or not facts.trackers.reads_reviews(host):
        return ""
    if facts.withheld:
        return facts.withheld
    unknown = facts.review.outcome == "unknown" or facts.review.value.get(COMMIT_UNKNOWN)
    return facts.review.reason if unknown else ""


def uncounted_review(facts: Facts) -> str:
    """Return why approvals of a merged head are no evidence for the commit; empty if there are none, or one is."""
    another = another_repository(facts)
    reasons = [another or not_about(one, facts) for one in reviews_of(facts) if good_approvals(one)]
    return reasons[0] or "" if reasons and all(reasons) else ""


def is_author(name: str, facts: Facts) -> bool | None:
    """Return whether an approver has commits in the version; None where the host does not prove whose all of them are.

    A host proves it for the branch of each review, so it is known when a review of every commit proves it.
    """
    commits = facts.approved.commits
    others = [facts.commit_reviews.get(one) for one in commits.commits[1:]]
    reviews = [_reviews_in(facts.review), *(_reviews_in(one) for one in others)]
    if any(name in one.committers or name == one.author for some in reviews for one in some):
        return True
    proved = all(any(one.committers_proved for one in some) for some in reviews)
    return False if proved and commits.extent != "unknown" else None


def _reviews_in(answer: Answer | None) -> list[Review]:
    found = answer is not None and answer.outcome == "found"
    return [Review.from_wire(one) for one in answer.value.get("reviews", [])] if answer is not None and found else []
