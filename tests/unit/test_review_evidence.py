"""The approvals of a commit's review as evidence for the approvals of a version: only those that count, by source."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from fakes.facts import FOUND, answer, facts, lineage
from whence_aggregator.approvals.people import KnownPeople
from whence_aggregator.approvals.rule import ApprovalPolicy, ReviewEvidence
from whence_aggregator.approvals.values import Version
from whence_aggregator.approvals.version_commits import Extent, VersionCommits
from whence_aggregator.trace.approval import approval_link
from whence_aggregator.trace.approved import Approved
from whence_aggregator.trace.facts import Answer
from whence_aggregator.trace.review_evidence import review_evidence
from whence_aggregator.trackers.places import KnownTracker, KnownTrackers
from whence_aggregator.trackers.review import Review, Vote

HEAD = "1" * 40


def review(*votes: Vote, committers: tuple[str, ...] = (), **changes: Any) -> Review:
    values: dict[str, Any] = {
        "number": 12, "url": "", "title": "", "text": "", "branch": "b", "base": "main", "head": HEAD, "author": "ada",
        "author_bot": False, "merged_at": "", "merged_by": "", "merge_commit": "", "how": "merge_commit",
        "votes": votes, "committers": committers, "committers_proved": True, **changes,
    }  # fmt: skip
    return Review(**values)


@pytest.mark.parametrize(
    ("committers", "proved", "is_author"),
    [(("ada",), True, False), (("ada", "bob"), True, True), (("ada", "bob"), False, True), (("ada",), False, None),
     ((), False, None)],
)  # fmt: skip
def test_an_approval_that_counts_approves_the_code_and_states_whether_its_author_gave_it(
    committers: tuple[str, ...], proved: bool, is_author: bool | None
) -> None:
    votes = (
        Vote(by="bob", state="approved", commit=HEAD, at="2026-11-22T10:00:00.000Z", official=True),
        Vote(by="eve", state="approved", commit="2" * 40, official=True),
        Vote(by="ada", state="approved", commit=HEAD, official=True),
    )
    one = review(*votes, committers=committers, committers_proved=proved)
    found = answer("found", reviews=[one.to_wire()])
    assert review_evidence(facts(review=found)) == [
        ReviewEvidence(
            source="review:git.example.org", type="CODE_CHANGE", reviewer="bob", emails=frozenset(),
            observed_at="2026-11-22T10:00:00.000Z", ledger_index=3, is_author=is_author,
        )
    ]  # fmt: skip


def test_an_approval_that_was_recorded_before_signatures_were_read_proves_nothing_about_its_author() -> None:
    vote = Vote(by="bob", state="approved", commit=HEAD, official=True)
    stored = review(vote, committers=("ada",)).to_wire()
    del stored["committers_proved"]
    (one,) = review_evidence(facts(review=answer("found", reviews=[stored])))
    assert one.is_author is None


@pytest.mark.parametrize("changes", [{"base": "mallory/own"}, {"base": ""}, {"how": "in_branch"}, {"unproved": "x"}])
def test_an_approval_of_something_else_than_the_protected_branch_got_is_no_evidence(changes: dict[str, Any]) -> None:
    vote = Vote(by="bob", state="approved", commit=HEAD, official=True)
    found = answer("found", reviews=[review(vote, **changes).to_wire()])
    assert review_evidence(facts(review=found)) == []


def test_a_commit_without_a_review_is_no_evidence() -> None:
    assert review_evidence(facts()) == []
    assert review_evidence(facts(review=answer("missing", "pushed directly", reviews=[]))) == []


@pytest.mark.parametrize(
    ("required", "known", "state", "reason"),
    [
        (("CODE_CHANGE",), {"review": answer("unknown", "the host is away")}, "unknown", "not known: the host is away"),
        (("CODE_CHANGE",), {"withheld": "withheld: why"}, "unknown", "not known: withheld: why"),
        (("CODE_CHANGE",), {"review": answer("missing", "pushed directly")}, "missing", "no approval of CODE_CHANGE"),
        (("TEST",), {"review": answer("unknown", "the host is away")}, "missing", "no approval of TEST"),
    ],
)
def test_a_review_that_is_not_known_may_be_the_approval_that_is_not_there(
    required: tuple[str, ...], known: dict[str, Any], state: str, reason: str
) -> None:
    host = KnownTracker(host="git.example.org", type="github", reviews=True)
    policy = ApprovalPolicy(required=required, teams={}, people=KnownPeople())
    approved = Approved(policy=policy, version=Version(application_id="greeter", version="1.0"))
    stated = replace(facts(approved=approved, **known), trackers=KnownTrackers(by_host={host.host: host}))
    found = approval_link(stated)
    assert (found.state, reason in str(found.reason)) == (state, True), found.reason


@pytest.mark.parametrize(
    ("changes", "reason"),
    [({"unproved": "the host did not sign it"}, "the host did not sign it; merge in the pages of the code host"),
     ({"base": "elsewhere"}, "#12 was merged into elsewhere, which is not a protected branch")],
)  # fmt: skip
def test_a_missing_approval_states_why_those_of_the_review_do_not_count(changes: dict[str, Any], reason: str) -> None:
    host = KnownTracker(host="git.example.org", type="github", reviews=True, shared=True)
    policy = ApprovalPolicy(required=("CODE_CHANGE",), teams={}, people=KnownPeople())
    approved = Approved(policy=policy, version=Version(application_id="greeter", version="1.0"))
    one = review(Vote(by="bob", state="approved", commit=HEAD, official=True), **changes)
    known = facts(approved=approved, review=answer("found", reviews=[one.to_wire()]))
    found = approval_link(replace(known, trackers=KnownTrackers(by_host={host.host: host})))
    assert found.state == "missing"
    assert "the approvals of its review do not count: " in str(found.reason)
    assert str(found.reason).endswith(reason)


@pytest.mark.parametrize(
    ("found", "state", "reason"),
    [
        (answer("unknown", "the host is away"), "unknown",
         "names no ticket; the review of the commit may name one, and is not known: the host is away"),
        (answer("missing", "the host does not have it", commit_unknown=True), "unknown", "the host does not have it"),
        (answer("missing", "pushed directly"), "missing", "the commit message names no ticket"),
    ],
)  # fmt: skip
def test_a_review_that_is_not_known_may_name_the_ticket_that_the_message_does_not(
    found: Answer, state: str, reason: str
) -> None:
    host = KnownTracker(host="git.example.org", type="github", reviews=True, shared=True)
    silent = replace(FOUND, value={**FOUND.value, "message": "Tidy up", "subject": "Tidy up"})
    known = replace(facts(commit=silent, review=found), trackers=KnownTrackers(by_host={host.host: host}))
    link = lineage(known).link("ticket")
    assert (link.state, reason in str(link.reason)) == (state, True), link.reason


@pytest.mark.parametrize(
    ("other", "is_author"),
    [(("carl",), False), (("carl", "bob"), True), ((), None)],
)
def test_who_wrote_another_commit_of_the_version_is_an_author_of_it(
    other: tuple[str, ...], is_author: bool | None
) -> None:
    vote = Vote(by="bob", state="approved", commit=HEAD, official=True)
    found = answer("found", reviews=[review(vote, committers=("ada",)).to_wire()])
    before = answer("found", reviews=[review(committers=other, committers_proved=bool(other)).to_wire()])
    commits = VersionCommits(extent="all", why="", commits=("git/a@1", "git/a@0"))
    known = facts(review=found, approved=Approved(commits=commits), commit_reviews={"git/a@0": before})
    assert [one.is_author for one in review_evidence(known)] == [is_author]


@pytest.mark.parametrize("extent", ["all", "unknown"])
def test_a_host_tells_nobody_from_authors_whose_commits_it_was_not_asked_about(extent: Extent) -> None:
    vote = Vote(by="bob", state="approved", commit=HEAD, official=True)
    found = answer("found", reviews=[review(vote, committers=("ada",)).to_wire()])
    commits = VersionCommits(extent=extent, commits=("git/a@1", "git/a@0") if extent == "all" else ("git/a@1",))
    known = facts(review=found, approved=Approved(commits=commits))
    assert [one.is_author for one in review_evidence(known)] == [None]
