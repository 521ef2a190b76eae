"""By which reviews the commit of what started came in, who approved them, and why that proves nothing. Pure."""

from __future__ import annotations

from typing import Any

from whence_aggregator.trace.commit_tracked import CommitFacts
from whence_aggregator.trace.derive_review import judged_review, merged_elsewhere
from whence_aggregator.trace.facts import NOT_ASKED
from whence_aggregator.trace.named_tickets import reviews_of
from whence_aggregator.trackers.review import COMMIT_UNKNOWN, Review, good_approvals

_NOT_READ = "the review of the commit was not read"


def reviewed(facts: CommitFacts | None) -> dict[str, Any]:
    """Return the reviews of a commit as the API shows them; None: which commit it is, is not known.

    Without an answer, it is unknown whether there is a review. The reason of what was found states why its approvals
    may not be about the commit, as it is stated of every other commit.
    """
    if facts is None:
        return {"state": "unknown", "reason": _NOT_READ, "reviews": []}
    if facts.withheld:
        return {"state": "unknown", "reason": facts.withheld, "reviews": []}
    answer = facts.review
    if answer.outcome == "found":
        _, reason = judged_review(facts, lambda one: merged_elsewhere(one, facts))
        return {"state": "found", "reason": reason, "reviews": [_shown(one) for one in reviews_of(facts)]}
    none = answer.outcome == "missing" and not answer.value.get(COMMIT_UNKNOWN)
    state = "missing" if none else "unknown"
    reason = _NOT_READ if answer == NOT_ASKED else answer.reason
    return {"state": state, "reason": reason or _NOT_READ, "reviews": []}


def _shown(review: Review) -> dict[str, Any]:
    return {
        "number": review.number, "url": review.url, "author": review.author,
        "approved_by": list(dict.fromkeys(one.by for one in good_approvals(review))),
    }  # fmt: skip
