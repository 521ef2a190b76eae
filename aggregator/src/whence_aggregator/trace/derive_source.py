"""The links from an image to its source and commit. Pure.

What an image states about its source counts as one source, however many read it. A trusted builder's signature is
another; the application's registration names the repository, not the commit; Git shows which commits the default branch
reaches.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from whence_aggregator.trace.commit_details import branch_members, commit_members, disproved, signature_members
from whence_aggregator.trace.evidence import by_agent, by_collector, by_push, by_registry, nothing_runs
from whence_aggregator.trace.facts import Answer, Facts
from whence_aggregator.trace.lineage import Evidence, Link
from whence_aggregator.trace.registered import closest
from whence_common.image_provenance import SourceClaim, choose
from whence_common.repositories import Comparison, compare
from whence_common.scm_source import ScmSource

DIRTY = "the source tree had uncommitted changes"
UNSIGNED = "no provenance signed by a trusted builder"
ONLY_PUSHED = "only the job that pushed the image states a source, not the image itself"
UNKNOWN_SIGNATURES = "it is not known whether a trusted builder signed a provenance"


def source_link(facts: Facts) -> Link:
    """Return the link to the source that the image was built from."""
    predicate, answer = facts.statement.predicate, facts.image_source
    if predicate.image is None:
        return nothing_runs("source", facts)
    seen, evidence = predicate.scm_source, _source_evidence(facts)
    chosen, against = choose(facts.claims)
    unknown = facts.source_unknown
    notes = [*unknown, *(str(one) for one in answer.value.get("notes", []))]
    if chosen is not None and chosen.maybe_inherited:
        notes.append(f"the {chosen.kind}s may be the base image's: the image does not state its base by digest")
    if chosen is None:
        if unknown:
            return Link(link="source", state="unknown", reason="; ".join(notes), evidence=evidence)
        reason = (seen.reason if seen is not None else "") or "; ".join(notes) or answer.reason
        unasked = seen is None and answer.outcome in ("unknown", "absent")
        reason = reason or "the image names no source"
        return Link(link="source", state="unknown" if unasked else "missing", reason=reason, evidence=evidence)
    registered, comparison = _registration(facts, chosen.source)
    value: dict[str, Any] = {
        **chosen.source.to_wire(), "dirty": facts.dirty, "said_by": chosen.kind,
        "registered_url": registered, "repository_confirmed": comparison == "same",
    }  # fmt: skip
    agrees = _pushed_by_job(chosen, facts)
    value.update(_by(chosen, agrees))
    if notes:
        value["notes"] = notes
    if comparison in ("same", "other"):
        evidence += by_registry(facts)
    contradiction = _contradiction(value, chosen, against, facts, comparison)
    if contradiction is not None:
        return Link(link="source", state="contradicted", value=value, reason=contradiction, evidence=evidence)
    reasons = [DIRTY] if facts.dirty else []
    if chosen.kind == "provenance" or agrees:
        return Link(link="source", state="confirmed", value=value, reason=_joined(reasons), evidence=evidence)
    reasons.append(ONLY_PUSHED if chosen.kind == "push" else _unsigned(facts))
    return Link(link="source", state="asserted", value=value, reason=_joined(reasons), evidence=evidence)


def _contradiction(
    value: dict[str, Any], chosen: SourceClaim, against: list[SourceClaim], facts: Facts, comparison: Comparison
) -> str | None:
    """Return which two sources disagree, and put both into the value; None when none do."""
    agents, registry = facts.agent_source, facts.registry_source
    if against:
        value["claims"] = [one.to_wire() for one in facts.claims]
        return f"{_claim_text(chosen)}, and {_claim_text(against[0])}"
    read = facts.image_source.outcome in ("found", "missing")
    if agents is not None and read and _differs(registry, agents):
        value["registry"] = registry.to_wire() if registry is not None else None
        return "the agent and the registry read different sources from the same image"
    if comparison == "other":
        return f"{_claim_text(chosen)}, and the application is registered with the repository {value['registered_url']}"
    return None


def _source_evidence(facts: Facts) -> tuple[Evidence, ...]:
    """Return the evidence of the image's source: from the agent, the registry, and the job that pushed it."""
    answer, agents, registry = facts.image_source, facts.agent_source, facts.registry_source
    evidence: tuple[Evidence, ...] = ()
    if facts.statement.predicate.scm_source is not None:
        evidence = (by_agent(facts, agents.digest if agents is not None else None),)
    if answer.outcome in ("found", "missing"):
        evidence += (by_collector(answer, "registry", registry.digest if registry is not None else None),)
    return evidence if facts.job is None else (*evidence, by_push(facts.job))


def _by(chosen: SourceClaim, agrees: str) -> dict[str, str]:
    """Return the builder or job of the chosen claim, and the job that confirms it."""
    name = "job" if chosen.kind == "push" else "builder"
    return {**({name: chosen.by} if chosen.by else {}), **({"confirmed_by": agrees} if agrees else {})}


def _pushed_by_job(chosen: SourceClaim, facts: Facts) -> str:
    """Return the job whose token states the same source as the image; empty when there is none.

    Empty also while the registry was not read completely: a provenance in it may state another source.
    """
    job = facts.job
    if facts.image_source.outcome not in ("found", "missing") or facts.source_unknown:
        return ""
    if job is None or chosen.kind == "push" or chosen.maybe_inherited or chosen.source.commit_id is None:
        return ""
    same = chosen.source.commit_id == job.source.commit_id and compare(chosen.source.url, job.source.url) == "same"
    return job.name if same else ""


def commit_link(facts: Facts, source_link: Link) -> Link:
    """Return the link to the commit: confirmed when a trusted builder signed it and the default branch reaches it."""
    if facts.statement.predicate.image is None:
        return nothing_runs("commit", facts)
    source, answer, branch = facts.source, facts.commit, facts.branch
    if source is None:
        return Link(link="commit", state="unknown", reason="no source is known for the image")
    if source.commit_id is None:
        reason = f"the source's revision is not a commit id: {source.revision[:80]!r}"
        return Link(link="commit", state="missing", reason=reason, evidence=(by_agent(facts, source.digest),))
    value: dict[str, Any] = {"commit": source.commit_id, "url": source.url}
    if answer.outcome == "unknown":
        return Link(link="commit", state="unknown", value=value, reason=answer.reason)
    evidence: tuple[Evidence, ...] = (by_agent(facts, source.digest), by_collector(answer, "git"))
    if answer.outcome != "found":
        return Link(link="commit", state="missing", reason=answer.reason, evidence=evidence)
    signature = signature_members(answer, facts.signature)
    value.update(_shown(facts, signature))
    if facts.signature.outcome == "found":
        evidence += (by_collector(facts.signature, "git-signature"),)
    if branch.outcome != "unknown":
        evidence += (by_collector(branch, "git-branch"),)
    if facts.dirty:
        reason = "the commit exists, but the image was built from a tree with uncommitted changes"
        return Link(link="commit", state="contradicted", value=value, reason=reason, evidence=evidence)
    wrong = disproved(branch, signature)
    if wrong is not None:
        return Link(
            link="commit", state="contradicted", value=value, reason=wrong, evidence=evidence,
            lacking=branch_reason(branch) is not None,
        )  # fmt: skip
    source_value = source_link.value or {}
    signed = source_value.get("said_by") == "provenance" or "confirmed_by" in source_value
    missing = [] if signed else [_unsigned(facts)]
    if source_link.state == "contradicted":
        missing.append("the statements about the image's source contradict each other")
    reached = branch_reason(branch)
    missing += [reached] if reached is not None else []
    notes = [*missing, facts.withheld]
    return Link(
        link="commit", state="asserted" if missing else "confirmed", value=value, reason=_joined(notes),
        evidence=evidence, lacking=reached is not None,
    )  # fmt: skip


def _shown(facts: Facts, signature: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return what a commit's value shows of the commit; its place alone if the repository is not the application's."""
    if facts.withheld:
        return {"repository": facts.commit.value["repository"]}
    shown: dict[str, Any] = {**commit_members(facts.commit), "branch": branch_members(facts.branch)}
    return shown if signature is None else {**shown, "signature": dict(signature)}


def _unsigned(facts: Facts) -> str:
    """Return the reason that no builder's signature counts: there is none, or it could not be read."""
    answer = facts.image_source
    unread = [answer.reason] if answer.outcome == "unknown" else facts.source_unknown
    return f"{UNKNOWN_SIGNATURES}: {'; '.join(unread)}" if unread else UNSIGNED


def branch_reason(branch: Answer) -> str | None:
    """Return why a commit does not count as reached by the default branch; None when it is reached."""
    name, reachable = branch.value.get("branch"), branch.value.get("reachable")
    if branch.outcome == "unknown" or reachable is None:
        return f"it is not known whether the default branch reaches it: {branch.reason}"
    if reachable:
        return None
    gone = branch.value.get("gone")
    was = f", and had reached it at {gone['reached_at']}: its history was rewritten" if gone else ""
    return f"the default branch {name} did not reach it at {branch.observed_at}{was}"


def _registration(facts: Facts, source: ScmSource) -> tuple[str | None, Comparison]:
    """Return the registered repository that is closest to the source's, and how they compare."""
    repositories = facts.application.repositories if facts.application is not None else ()
    url, comparison = closest(repositories, source.url)
    moved = facts.branch.value.get("moved_to")
    if comparison != "same" and moved:  # the server redirects the source's repository to another name
        renamed, then = closest(repositories, f"https://{moved}")
        url, comparison = (renamed, then) if then == "same" else (url, comparison)
    return url[:500] if url is not None else None, comparison


def _differs(registry: ScmSource | None, agents: ScmSource) -> bool:
    return registry is None or registry.digest != agents.digest


def _claim_text(claim: SourceClaim) -> str:
    """Return which commit of which repository a claim states."""
    who = f"{claim.kind} of {claim.by}" if claim.by else claim.kind
    return f"{who} states {claim.source.revision[:40] or 'no commit'} of {claim.source.url[:120] or 'no repository'}"


def _joined(reasons: list[str]) -> str | None:
    return "; ".join(filter(None, reasons)) or None
