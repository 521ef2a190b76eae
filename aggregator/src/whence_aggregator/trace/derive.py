"""The states of all links, derived from facts. Pure: the same facts give the same lineage, and nothing is guessed."""

from __future__ import annotations

from typing import Any

from whence_aggregator.trace.facts import Answer, Facts
from whence_aggregator.trace.lineage import Evidence, Lineage, Link, LinkName
from whence_aggregator.trace.moment import Moment
from whence_aggregator.trace.tickets import DEFAULT_PATTERNS, tickets_in
from whence_common.image_provenance import SourceClaim, choose
from whence_common.scm_source import ScmSource

NO_TICKET = "the commit message names no ticket"


def derive(facts: Facts, *, moment: Moment, checkpoint: str = "") -> Lineage:
    """Derive the lineage of one instance at one moment."""
    commit = _commit(facts)
    links = (
        _account(facts),
        _team(facts),
        _instance(facts),
        _ami(facts),
        _user_data(facts),
        _application(facts),
        _version(facts),
        _image(facts),
        _source(facts),
        commit,
        _ticket(facts, commit),
        _specification(facts),
    )
    return Lineage(
        instance_id=facts.statement.instance_id,
        at=moment.at,
        known_at=moment.known_at,
        links=links,
        checkpoint=checkpoint,
        reported_later=facts.reported_later,
        late=facts.late,
    )


def _agent(facts: Facts, digest: str | None = None) -> Evidence:
    statement = facts.statement
    return Evidence(
        source="agent",
        observed_at=statement.observed_at,
        recorded_at=statement.recorded_at,
        digest=digest or statement.digest,
        ledger_index=statement.ledger_index,
    )


def _aws(facts: Facts) -> Evidence:
    """AWS's signature over the identity document: a source that cannot lie about it."""
    binding = facts.binding
    digest = str(binding.identity.get("document_digest", ""))
    return Evidence(
        source="aws-signature", observed_at=binding.enrolled_at, digest=digest, ledger_index=binding.ledger_index
    )


def _collected(answer: Answer, source: str, digest: str | None = None) -> Evidence:
    return Evidence(source=source, observed_at=answer.observed_at, digest=digest, ledger_index=answer.ledger_index)


def _registry(facts: Facts) -> tuple[Evidence, ...]:
    """The application registry as evidence, when it knows the application."""
    known = facts.application
    if known is None:
        return ()
    return (Evidence(source="application-registry", observed_at=known.recorded_at, ledger_index=known.ledger_index),)


def _account(facts: Facts) -> Link:
    value = {"account_id": facts.binding.identity["account_id"]}
    return Link(link="account", state="confirmed", value=value, evidence=(_aws(facts), _agent(facts)))


def _instance(facts: Facts) -> Link:
    identity, predicate = facts.binding.identity, facts.statement.predicate
    value = {
        "instance_id": facts.statement.instance_id,
        "region": identity["region"],
        "instance_type": identity["instance_type"],
        "proof": facts.binding.level,
        "bindings": [{"number": b.number, "proof": b.level, "enrolled_at": b.enrolled_at} for b in facts.bindings],
        "boot_id": predicate.boot_id,
        "cause": predicate.cause,
        "observed_at": facts.statement.observed_at,
        "recorded_at": facts.statement.recorded_at,
        "skew_seconds": facts.statement.skew_seconds,
        "last_seen": facts.last_seen,
    }
    return Link(link="instance", state="confirmed", value=value, evidence=(_aws(facts), _agent(facts)))


def _ami(facts: Facts) -> Link:
    image_id = facts.binding.identity.get("image_id")
    if not image_id:
        return Link(link="ami", state="missing", reason="the identity document names no AMI", evidence=(_aws(facts),))
    return Link(link="ami", state="confirmed", value={"image_id": image_id}, evidence=(_aws(facts),))


def _user_data(facts: Facts) -> Link:
    predicate = facts.statement.predicate
    if predicate.user_data is None:
        return Link(
            link="user_data", state="missing", reason="the agent has seen no user data", evidence=(_agent(facts),)
        )
    errors = [problem for problem in predicate.problems if problem.get("severity") == "error"]
    value: dict[str, Any] = {
        "digest": predicate.user_data.digest,
        "document": predicate.user_data.document,
        "problems": predicate.problems,
    }
    reason = f"{len(errors)} error{'s' * (len(errors) > 1)}; nothing was started" if errors else None
    evidence = (_agent(facts, predicate.user_data.digest),)
    listed = facts.listed
    if listed.ledger_index is None or not listed.state:
        return Link(link="user_data", state="asserted", value=value, reason=reason, evidence=evidence)
    ec2 = Evidence(
        source="ec2-api", observed_at="", digest=listed.user_data_digest or None, ledger_index=listed.ledger_index
    )
    if listed.user_data_digest == predicate.user_data.digest:
        return Link(link="user_data", state="confirmed", value=value, reason=reason, evidence=(*evidence, ec2))
    if not listed.user_data_digest:
        if listed.user_data_unread:
            reason = reason or f"the EC2 API's user data was not read: {listed.user_data_unread}"
        return Link(link="user_data", state="asserted", value=value, reason=reason, evidence=(*evidence, ec2))
    reason = "the EC2 API has other user data than the agent has seen: it was changed since the boot"
    return Link(link="user_data", state="contradicted", value=value, reason=reason, evidence=(*evidence, ec2))


def _application(facts: Facts) -> Link:
    application_id, evidence = facts.statement.predicate.application_id, (_agent(facts), *_registry(facts))
    if application_id is None:
        return Link(
            link="application",
            state="missing",
            reason="user data names no application that could exist",
            evidence=evidence,
        )
    if facts.application is None:
        reason = f"the application registry does not know {application_id}"
        return Link(link="application", state="missing", reason=reason, evidence=evidence)
    kio = facts.application.kio
    value = {"application_id": application_id, "name": kio.get("name"), "active": kio.get("active")}
    return Link(link="application", state="confirmed", value=value, evidence=evidence)


def _team(facts: Facts) -> Link:
    if facts.application is None:
        named = facts.statement.predicate.application_id
        reason = f"no team: the application registry does not know {named}" if named else "no team: no application"
        return Link(link="team", state="missing", reason=reason, evidence=(_agent(facts),))
    value = {"team_id": facts.application.kio.get("team_id")}
    return Link(link="team", state="asserted", value=value, evidence=_registry(facts))


def _version(facts: Facts) -> Link:
    version = facts.statement.predicate.application_version
    if version is None:
        return _nothing_runs("version", facts)
    return Link(link="version", state="asserted", value={"application_version": version}, evidence=(_agent(facts),))


def _nothing_runs(link: LinkName, facts: Facts) -> Link:
    """Say why for the image; every link that hangs on it only says that nothing runs."""
    reason = "nothing runs"
    if link == "image":
        errors = [p for p in facts.statement.predicate.problems if p.get("severity") == "error"]
        reason += f": {errors[0].get('message', '')}" if errors else ": the boot failed"
        reason += f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
    return Link(link=link, state="missing", reason=reason, evidence=(_agent(facts),))


def _image(facts: Facts) -> Link:
    image, answer = facts.statement.predicate.image, facts.image_source
    if image is None:
        return _nothing_runs("image", facts)
    containers = facts.statement.predicate.containers
    value: dict[str, Any] = {
        "reference": image.source,
        "repository": image.repository,
        "digest": image.digest,
        "index_digest": image.index_digest,
        "containers": [
            {"name": c.name, "id": c.container_id, "state": c.state, "digest": c.image_digest} for c in containers
        ],
    }
    evidence: tuple[Evidence, ...] = (_agent(facts, image.digest),)
    for container in containers:
        if container.image_digest != (container.declared_digest or image.digest):
            evidence += (_agent(facts, container.image_digest or None),)
            reason = "a container runs another image than the one that was booted"
            return Link(link="image", state="contradicted", value=value, reason=reason, evidence=evidence)
    if answer.outcome == "absent":
        evidence += (_collected(answer, "registry"),)
        return Link(link="image", state="contradicted", value=value, reason=answer.reason, evidence=evidence)
    if len(facts.tag_digests) > 1:
        value["tag_digests"] = [digest for digest, _ in facts.tag_digests]
        evidence += tuple(
            Evidence(source="tag", observed_at="", digest=digest, ledger_index=index)
            for digest, index in facts.tag_digests
        )
        reason = f"the tag has moved: {image.source} was seen to name {len(facts.tag_digests)} images"
        return Link(link="image", state="contradicted", value=value, reason=reason, evidence=evidence)
    if image.signed_by and answer.value.get("signed_by", image.signed_by) != image.signed_by:
        value["registry_signed_by"] = answer.value["signed_by"]
        reason = "the agent and the registry's own signatures disagree about who has signed this image"
        return Link(link="image", state="contradicted", value=value, reason=reason, evidence=evidence)
    if answer.outcome == "unknown":
        reason = f"the registry was not asked: {answer.reason}"
        return Link(link="image", state="asserted", value=value, reason=reason, evidence=evidence)
    evidence += (_collected(answer, "registry", image.digest),)
    return Link(link="image", state="confirmed", value=value, evidence=evidence)


def _source(facts: Facts) -> Link:
    predicate, answer = facts.statement.predicate, facts.image_source
    if predicate.image is None:
        return _nothing_runs("source", facts)
    seen, agents, registry = predicate.scm_source, facts.agent_source, facts.registry_source
    evidence: tuple[Evidence, ...] = ()
    if seen is not None:
        evidence = (_agent(facts, agents.digest if agents is not None else None),)
    if answer.outcome in ("found", "missing"):
        evidence += (_collected(answer, "registry", registry.digest if registry is not None else None),)
    chosen, against = choose(facts.claims)
    unknown = facts.source_unknown
    notes = [*unknown, *(str(one) for one in answer.value.get("notes", []))]
    if chosen is not None and chosen.maybe_inherited:
        notes.append(f"the {chosen.kind}s may be the base image's: the image does not name its base by digest")
    if chosen is None:
        if unknown:
            return Link(link="source", state="unknown", reason="; ".join(notes), evidence=evidence)
        reason = (seen.reason if seen is not None else "") or "; ".join(notes) or answer.reason
        unasked = seen is None and answer.outcome in ("unknown", "absent")
        reason = reason or "the image names no source"
        return Link(link="source", state="unknown" if unasked else "missing", reason=reason, evidence=evidence)
    value: dict[str, Any] = {**chosen.source.to_wire(), "dirty": facts.dirty, "said_by": chosen.kind}
    if chosen.by:
        value["builder"] = chosen.by
    if notes:
        value["notes"] = notes
    if against:
        value["claims"] = [one.to_wire() for one in facts.claims]
        reason = f"{_said(chosen)}, and {_said(against[0])}"
        return Link(link="source", state="contradicted", value=value, reason=reason, evidence=evidence)
    if agents is not None and answer.outcome in ("found", "missing") and _differs(registry, agents):
        value["registry"] = registry.to_wire() if registry is not None else None
        reason = "agent and registry read different sources out of the same image"
        return Link(link="source", state="contradicted", value=value, reason=reason, evidence=evidence)
    reason_dirty = "the source tree held changes that are in no commit" if facts.dirty else None
    both = agents is not None and registry is not None
    if chosen.kind == "provenance" or (both and chosen.kind == "scm-source"):
        return Link(link="source", state="confirmed", value=value, reason=reason_dirty, evidence=evidence)
    only_one = reason_dirty or (f"only one has read it: {answer.reason}" if answer.reason else None)
    return Link(link="source", state="asserted", value=value, reason=only_one, evidence=evidence)


def _differs(registry: ScmSource | None, agents: ScmSource) -> bool:
    return registry is None or registry.digest != agents.digest


def _said(claim: SourceClaim) -> str:
    """Say who names which commit."""
    who = f"{claim.kind} of {claim.by}" if claim.by else claim.kind
    return f"{who} says {claim.source.revision[:40] or 'no commit'} of {claim.source.url[:120] or 'no repository'}"


def _commit(facts: Facts) -> Link:
    if facts.statement.predicate.image is None:
        return _nothing_runs("commit", facts)
    source, answer = facts.source, facts.commit
    if source is None:
        return Link(link="commit", state="unknown", reason="no source is known for the image")
    if source.commit_id is None:
        reason = f"the source's revision is no commit id: {source.revision[:80]!r}"
        return Link(link="commit", state="missing", reason=reason, evidence=(_agent(facts, source.digest),))
    value: dict[str, Any] = {"commit": source.commit_id, "url": source.url}
    if answer.outcome == "unknown":
        return Link(link="commit", state="unknown", value=value, reason=answer.reason)
    evidence = (_agent(facts, source.digest), _collected(answer, "git"))
    if answer.outcome != "found":
        return Link(link="commit", state="missing", reason=answer.reason, evidence=evidence)
    value.update({name: answer.value[name] for name in ("repository", "subject", "author", "committed_at")})
    if facts.dirty:
        reason = "the commit exists, but the image was built from a tree with changes that are in no commit"
        return Link(link="commit", state="contradicted", value=value, reason=reason, evidence=evidence)
    return Link(link="commit", state="confirmed", value=value, evidence=evidence)


def _ticket(facts: Facts, commit: Link) -> Link:
    if facts.statement.predicate.image is None:
        return _nothing_runs("ticket", facts)
    if facts.commit.outcome != "found":
        return Link(link="ticket", state="unknown", reason=f"the commit was not read: {commit.reason}")
    evidence = (_collected(facts.commit, "git"),)
    settings = facts.application.tickets if facts.application is not None else {}
    tickets = tickets_in(str(facts.commit.value["message"]), settings.get("patterns") or DEFAULT_PATTERNS)
    if not tickets:
        return Link(link="ticket", state="missing", reason=NO_TICKET, evidence=evidence)
    template = settings.get("url")
    urls = [str(template).replace("{ticket}", ticket) if template else None for ticket in tickets]
    value = {"tickets": [{"id": ticket, "url": url} for ticket, url in zip(tickets, urls, strict=True)]}
    return Link(link="ticket", state="asserted", value=value, evidence=evidence)


def _specification(facts: Facts) -> Link:
    if facts.application is None:
        return Link(link="specification", state="missing", reason="the application is not registered")
    url = facts.application.kio.get("specification_url")
    if not url:
        reason = "the application registry has no specification_url"
        return Link(link="specification", state="missing", reason=reason, evidence=_registry(facts))
    return Link(link="specification", state="asserted", value={"url": url}, evidence=_registry(facts))
