"""The approvals of a commit's review as evidence for the approvals of a version: only those that count, by source."""

from __future__ import annotations

import pytest

from fakes.facts import answer, facts
from whence_aggregator.approvals.rule import ReviewEvidence
from whence_aggregator.trace.review_evidence import review_evidence
from whence_aggregator.trackers.review import Review, Vote

HEAD = "1" * 40


def review(*votes: Vote, committers: tuple[str, ...]) -> Review:
    return Review(
        number=12, url="", title="", text="", branch="b", base="main", head=HEAD, author="ada", author_bot=False,
        merged_at="", merged_by="", merge_commit="", how="merge_commit", votes=votes, committers=committers,
    )  # fmt: skip


@pytest.mark.parametrize(("committers", "is_author"), [(("ada",), False), (("ada", "bob"), True), ((), None)])
def test_an_approval_that_counts_approves_the_code_and_states_whether_its_author_gave_it(
    committers: tuple[str, ...], is_author: bool | None
) -> None:
    votes = (
        Vote(by="bob", state="approved", commit=HEAD, at="2026-11-22T10:00:00.000Z", official=True),
        Vote(by="eve", state="approved", commit="2" * 40, official=True),
        Vote(by="ada", state="approved", commit=HEAD, official=True),
    )
    found = answer("found", reviews=[review(*votes, committers=committers).to_wire()])
    assert review_evidence(facts(review=found)) == [
        ReviewEvidence(
            source="review:git.example.org", type="CODE_CHANGE", reviewer="bob", emails=frozenset(),
            observed_at="2026-11-22T10:00:00.000Z", ledger_index=3, is_author=is_author,
        )
    ]  # fmt: skip


def test_a_commit_without_a_review_is_no_evidence() -> None:
    assert review_evidence(facts()) == []
    assert review_evidence(facts(review=answer("missing", "pushed directly", reviews=[]))) == []
