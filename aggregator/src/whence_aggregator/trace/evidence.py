"""The pieces of evidence that several links share. Pure."""

from __future__ import annotations

from whence_aggregator.trace.facts import Answer, Facts
from whence_aggregator.trace.lineage import Evidence, Link, LinkName
from whence_aggregator.trace.pushing_job import PushingJob


def by_agent(facts: Facts, digest: str | None = None) -> Evidence:
    statement = facts.statement
    return Evidence(
        source="agent",
        observed_at=statement.observed_at,
        recorded_at=statement.recorded_at,
        digest=digest or statement.digest,
        ledger_index=statement.ledger_index,
    )


def by_aws(facts: Facts) -> Evidence:
    """AWS's signature over the identity document: a source that cannot lie about it."""
    binding = facts.binding
    digest = str(binding.identity.get("document_digest", ""))
    return Evidence(
        source="aws-signature", observed_at=binding.enrolled_at, digest=digest, ledger_index=binding.ledger_index
    )


def by_collector(answer: Answer, source: str, digest: str | None = None) -> Evidence:
    return Evidence(source=source, observed_at=answer.observed_at, digest=digest, ledger_index=answer.ledger_index)


def by_registry(facts: Facts) -> tuple[Evidence, ...]:
    """Return the application registry as evidence; empty when the application is not registered."""
    known = facts.application
    if known is None:
        return ()
    return (Evidence(source="application-registry", observed_at=known.recorded_at, ledger_index=known.ledger_index),)


def by_push(job: PushingJob) -> Evidence:
    return Evidence(source="push", observed_at=job.pushed_at, ledger_index=job.ledger_index)


def nothing_runs(link: LinkName, facts: Facts) -> Link:
    """Return a missing link, as nothing runs. Only the image's states why; links that depend on it do not repeat it."""
    reason = "nothing runs"
    if link == "image":
        errors = [p for p in facts.statement.predicate.problems if p.get("severity") == "error"]
        reason += f": {errors[0].get('message', '')}" if errors else ": the boot failed"
        reason += f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
    return Link(link=link, state="missing", reason=reason, evidence=(by_agent(facts),))
