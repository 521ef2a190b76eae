"""By which reviews the commit of what started came in, and who approved them. Pure."""

from __future__ import annotations

from typing import Any

from whence_aggregator.trace.derive_review import more_than_reviewed
from whence_aggregator.trace.facts import NOT_ASKED, Answer
from whence_aggregator.trackers.review import COMMIT_UNKNOWN, Review, good_approvals

_NOT_READ = "the review of the commit was not read"


def reviewed(answer: Answer, withheld: str = "") -> dict[str, Any]:
    """Return the reviews of a commit as the API shows them. Without an answer, it is unknown whether there is one.

    `withheld` is why those of this repository are not shown; empty if they are.
    """
    if withheld:
        return {"state": "unknown", "reason": withheld, "reviews": []}
    if answer.outcome == "found":
        found = [Review.from_wire(one) for one in answer.value.get("reviews", [])]
        reasons = [why for one in found if (why := more_than_reviewed(one)) is not None]
        return {"state": "found", "reason": "; ".join(reasons) or None, "reviews": [_shown(one) for one in found]}
    none = answer.outcome == "missing" and not answer.value.get(COMMIT_UNKNOWN)
    state = "missing" if none else "unknown"
    reason = _NOT_READ if answer == NOT_ASKED else answer.reason
    return {"state": state, "reason": reason or _NOT_READ, "reviews": []}


def _shown(review: Review) -> dict[str, Any]:
    return {
        "number": review.number, "url": review.url, "author": review.author,
        "approved_by": list(dict.fromkeys(one.by for one in good_approvals(review))),
    }  # fmt: skip
