"""The link to the review that a commit came in by. Pure.

A merged review that its host names for exactly this commit is what the host says; the approvals of the head that was
merged confirm it. Merged does not mean reviewed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from whence_aggregator.trace.evidence import by_collector, nothing_runs
from whence_aggregator.trace.facts import AboutCommit, Facts
from whence_aggregator.trace.lineage import Link, LinkState
from whence_aggregator.trace.named_tickets import another_repository, review_wanted, reviews_of
from whence_aggregator.trackers.merges import WHAT_TO_DO
from whence_aggregator.trackers.review import COMMIT_UNKNOWN, Review, last_words

NOT_CONFIGURED = "not configured"
_TEXTS = ("number", "url", "title", "branch", "base", "head", "author", "merged_at", "merged_by", "merge_commit", "how")


def review_link(facts: Facts, commit: Link) -> Link:
    """Return the link: confirmed when an approval of the merged head counts, else asserted with the reason."""
    if facts.statement.predicate.image is None:
        return nothing_runs("review", facts)
    if facts.commit.outcome != "found":
        return Link(link="review", state="unknown", reason=f"the commit was not read: {commit.reason}")
    if facts.withheld:
        return Link(link="review", state="unknown", reason=facts.withheld)
    if review_wanted(facts) is None:
        host = str(facts.commit.value["repository"]).partition("/")[0]
        return Link(link="review", state="unknown", reason=f"{NOT_CONFIGURED}: reviews of {host} are not read")
    answer = facts.review
    state, reason = judged_review(facts, lambda one: not_about(one, facts))
    if answer.outcome == "unknown":
        return Link(link="review", state="unknown", reason=reason)
    evidence = (by_collector(answer, "review"),)
    found = reviews_of(facts)
    value: dict[str, Any] = {
        "reviews": [_shown(one) for one in found],
        "read": answer.read or None,
        **{name: answer.value.get(name) for name in ("repository_id", "default_branch", "renamed_to", "unmerged")},
    }
    return Link(link="review", state=state, value=value, reason=reason, evidence=evidence, lacking=state == "asserted")


def judged_review(facts: AboutCommit, about: Callable[[Review], str | None]) -> tuple[LinkState, str | None]:
    """Return the state of the review of a commit whose host is asked, and why it is not confirmed.

    `about` returns why the approvals of a review are not about the commit; None if they are.
    """
    answer, found = facts.review, reviews_of(facts)
    if answer.outcome == "unknown" or not found:
        unknown = answer.outcome == "unknown" or answer.value.get(COMMIT_UNKNOWN)
        return ("unknown" if unknown else "missing"), answer.reason
    another = another_repository(facts)
    if another is not None:
        return "contradicted", another
    lacking = [wrong for one in found if (wrong := about(one) or _lacking(one)) is not None]
    return ("confirmed", None) if len(lacking) < len(found) else ("asserted", "; ".join(lacking))


def merged_elsewhere(review: Review, facts: AboutCommit) -> str | None:
    """Return why it is not known that a commit between two versions came to a protected branch by this review."""
    default = str(facts.review.value.get("default_branch") or "")
    if not review.base or review.base != default:
        return _elsewhere(review, "the default branch")
    return more_than_reviewed(review)


def not_about(review: Review, facts: Facts) -> str | None:
    """Return why the approvals of a review are not about what the commit is on a protected branch; None if they are.

    Whoever may push can have a pull request merged into a branch of their own. And the head that was approved may take
    back what a commit before it did.
    """
    branches = {str(facts.review.value.get("default_branch") or ""), str(facts.branch.value.get("branch") or "")}
    branches |= {one.removeprefix("heads/") for one in facts.branch.value.get("reached_by", ()) if one[:6] == "heads/"}
    if not review.base or review.base not in branches:
        return _elsewhere(review, "a protected branch")
    commit_id = facts.source.commit_id if facts.source is not None else None
    if review.how != "merge_commit" and commit_id != review.head:
        return f"#{review.number} contains the commit, and its approvals are of {review.head[:12]}, a later one"
    return more_than_reviewed(review)


def more_than_reviewed(review: Review) -> str | None:
    """Return why a merge commit may have more than what was approved; None if it has not."""
    if not review.unproved:
        return None
    return (
        f"it is not proved that the merge commit of #{review.number} has only what was approved: {review.unproved}"
        + (WHAT_TO_DO)
    )


def _elsewhere(review: Review, wanted: str) -> str:
    return f"#{review.number} was merged into {review.base or 'no branch'}, which is not {wanted}"


def _lacking(review: Review) -> str | None:
    """Return why a review has no approval that counts; None when it has one."""
    words = last_words(review)
    if any(one.counts for one in words):
        return None
    why = "; ".join(f"{one.vote.by or 'a deleted account'}: {one.why}" for one in words[:5])
    return f"#{review.number} was merged without an approval that counts" + (f" ({why})" if why else "")


def _shown(review: Review) -> dict[str, Any]:
    return {
        **{name: getattr(review, name) for name in _TEXTS},
        "approvals": [one.to_wire() for one in last_words(review)],
        "asked": list(review.asked), "committers": list(review.committers),
        "checks": review.checks, "failed_checks": list(review.failed_checks),
    }  # fmt: skip
