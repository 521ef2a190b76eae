"""The rules about the commit that an image was built from."""

from __future__ import annotations

from whence_aggregator.compliance.evidence import CommitOfImage, SubjectEvidence
from whence_aggregator.compliance.rule import (
    NOTHING_RUNS,
    Verdict,
    failed,
    known,
    link_of,
    nothing_runs,
    passed,
    unknown,
)

_NOT_READ = unknown("the commit was not read")


def commit_not_found(evidence: SubjectEvidence) -> Verdict:
    if nothing_runs(evidence):
        return NOTHING_RUNS
    if known(evidence.commit, "the commit").outcome == "found":
        return passed("the Git server has the commit")
    link = link_of(evidence, "commit")
    return Verdict(outcome="unknown" if link.state == "unknown" else "fail", reason=link.reason)


def commit_unmerged(evidence: SubjectEvidence) -> Verdict:
    """Fail only when the Git server reports that the branch does not reach it; an unread branch is unknown."""
    commit = _commit(evidence)
    if isinstance(commit, Verdict):
        return commit
    if commit.reachable:
        return passed("the default branch reaches the commit")
    return Verdict(outcome="unknown" if commit.reachable is None else "fail", reason=commit.branch_reason)


def commit_rewritten(evidence: SubjectEvidence) -> Verdict:
    commit = _commit(evidence)
    if isinstance(commit, Verdict):
        return commit
    rewritten = known(commit.rewritten, "the history of the default branch")
    if rewritten:
        return failed(rewritten)
    return passed("no rewritten history was seen")


def commit_unsigned(evidence: SubjectEvidence) -> Verdict:
    commit = _commit(evidence)
    if isinstance(commit, Verdict):
        return commit
    signature = known(commit.signature, "the signature of the commit")
    if signature == "good":
        return passed("the commit has a good signature")
    if signature == "none":
        return failed("the commit is not signed")
    if signature == "bad":
        return failed(f"the commit's signature is bad: {commit.signature_reason}")
    if signature == "unknown key":
        return failed(f"no trusted key made the commit's signature: {commit.signature_reason}")
    return unknown(f"the commit's signature was not verified: {commit.signature_reason}")


def commit_not_reviewed(evidence: SubjectEvidence) -> Verdict:
    """Fail when the code host has no merged review with an approval that counts."""
    commit = _commit(evidence)
    if isinstance(commit, Verdict):
        return commit
    link = link_of(evidence, "review")
    if link.state == "confirmed":
        return passed("the commit came in by a review with an approval that counts")
    return Verdict(outcome="unknown" if link.state == "unknown" else "fail", reason=link.reason or link.state)


def _commit(evidence: SubjectEvidence) -> CommitOfImage | Verdict:
    """Return the commit, or the verdict where it was not found."""
    if nothing_runs(evidence):
        return NOTHING_RUNS
    commit = known(evidence.commit, "the commit")
    return commit if commit.outcome == "found" else _NOT_READ
