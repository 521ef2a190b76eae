"""The link to the approvals of the digest that runs. Pure."""

from __future__ import annotations

from typing import Any

from whence_aggregator.approvals.people import Authors
from whence_aggregator.approvals.rule import ApprovalJudgement, judge, required_people
from whence_aggregator.approvals.values import CODE_CHANGE, Version
from whence_aggregator.approvals.version_commits import VersionCommits
from whence_aggregator.trace.commit_details import unproved_author
from whence_aggregator.trace.evidence import by_agent, by_registry, nothing_runs
from whence_aggregator.trace.facts import Facts
from whence_aggregator.trace.lineage import Evidence, Link
from whence_aggregator.trace.review_evidence import review_evidence, uncounted_review, unread_review

AS_STATED = "; authors are as the commits state them"
NOT_CONFIGURED = "not configured: the settings have no `approvals`"


def approval_link(facts: Facts) -> Link:
    """Return the link to the approvals: of the digest that runs, whatever others the version has or had."""
    policy, version = facts.approved.policy, facts.approved.version
    image = facts.statement.predicate.image
    if policy is None:
        return Link(link="approval", state="unknown", reason=NOT_CONFIGURED)
    if image is None:
        return nothing_runs("approval", facts)
    if facts.application is None or version is None:
        reason = "the application is not in the application registry" if facts.application is None else "no version"
        return Link(link="approval", state="missing", reason=reason, evidence=(by_agent(facts),))
    running = {one for one in (image.digest, image.index_digest) if one}
    required = required_people(facts.application.kio.get("criticality_level"))
    authors = authors_of(facts)
    judged = judge(
        version.approvals_of(running), [*facts.approved.reviews, *review_evidence(facts)], authors, policy,
        required=required,
    )  # fmt: skip
    value = _value(judged, version, running, facts.approved.commits)
    value["note"] = note_of(facts.approved.commits, authors)
    evidence = (by_agent(facts, image.digest), *by_registry(facts), *_by_range(facts), *_evidence(judged))
    if version.registered and not version.registered & running:
        stated = [one for one in version.digests if one.registered]
        evidence += tuple(
            Evidence(
                source=f"version:{one.source}", observed_at=one.recorded_at, digest=one.digest,
                ledger_index=one.ledger_index,
            )
            for one in stated
        )  # fmt: skip
        reason = f"version {version.version} is {_newest(version)}, which is not what runs"
        return Link(link="approval", state="contradicted", value=value, reason=reason, evidence=evidence)
    why, unread = _reason(judged, version), unread_review(facts)
    if unread and judged.grade == "missing" and set(policy.required) <= {CODE_CHANGE, *_given(judged)}:
        why = f"{why}; the review of the commit may approve it, and is not known: {unread}"
        return Link(link="approval", state="unknown", value=value, reason=why, evidence=evidence)
    if judged.grade == "missing" and CODE_CHANGE in judged.missing and (uncounted := uncounted_review(facts)):
        why = f"{why}; the approvals of its review do not count: {uncounted}"
    return Link(link="approval", state=judged.grade, value=value, reason=why, evidence=evidence)


def _given(judged: ApprovalJudgement) -> set[str]:
    """Return the types that were approved, if approvals count of which that cannot be told."""
    return {one.type for one in judged.approvals if one.counts != "no"}


def authors_of(facts: Facts) -> Authors:
    """Return the authors of the commits that came with the version, the one that the image names among them."""
    if facts.commit.outcome != "found":
        head = Authors(unknown=f"the commit was not read: {facts.commit.reason}")
    else:
        value = facts.commit.value
        head = Authors.of_commit(
            str(value.get("author", "")), str(value.get("message", "")),
            [(str(one[0]), str(one[1])) for one in value.get("trailers", ())],
            unproved=unproved_author(facts.commit, facts.signature),
        )  # fmt: skip
    return head.with_those_of(facts.approved.commits.authors)


def note_of(commits: VersionCommits, authors: Authors) -> str:
    """Return whose approvals of the code do not count, and whether it is proved who these people are."""
    return commits.note + (AS_STATED if authors.unproved else "")


def _value(judged: ApprovalJudgement, version: Version, running: set[str], commits: VersionCommits) -> dict[str, Any]:
    others = [one for one in version.approvals if one.digest not in running]
    return {
        "application_version": version.version,
        "digests": sorted(running),
        "people": judged.people,
        "required_approvers": judged.required_people,
        "missing": list(judged.missing),
        "approvals": [one.to_wire() for one in judged.approvals],
        "approvals_of_other_digests": [one.to_wire() for one in others],
        "commits": commits.to_wire(),
    }


def _by_range(facts: Facts) -> tuple[Evidence, ...]:
    """Return the reading of the commits since the previous version as evidence; empty where they were not read."""
    commits = facts.approved.commits
    if commits.ledger_index is None:
        return ()
    return (Evidence(source="git", observed_at=commits.observed_at, ledger_index=commits.ledger_index),)


def _evidence(judged: ApprovalJudgement) -> tuple[Evidence, ...]:
    return tuple(
        Evidence(source=f"{one.source}:{one.type}", observed_at=one.observed_at, ledger_index=one.ledger_index)
        for one in judged.approvals
    )


def _reason(judged: ApprovalJudgement, version: Version) -> str | None:
    others = {one.digest for one in version.approvals} if judged.grade in ("missing", "unknown") else set()
    if judged.reason is None or judged.approvals or not others:
        return judged.reason
    return f"{judged.reason}; other images of this version were approved: {', '.join(sorted(others)[:3])}"


def _newest(version: Version) -> str:
    current = version.current
    assert current is not None
    return f"{current.digest} by its {'push' if current.source == 'push' else 'registration'}"
