"""Derives the states of all links from facts. Pure: equal facts result in equal lineages, and nothing is guessed."""

from __future__ import annotations

from typing import Any

from whence_aggregator.trace.approval import approval_link
from whence_aggregator.trace.derive_ami import ami_link
from whence_aggregator.trace.derive_credentials import credentials_shown
from whence_aggregator.trace.derive_review import review_link
from whence_aggregator.trace.derive_source import commit_link, source_link
from whence_aggregator.trace.derive_start import started_by
from whence_aggregator.trace.derive_ticket import specification_link, ticket_link
from whence_aggregator.trace.evidence import by_agent, by_aws, by_collector, by_registry, nothing_runs
from whence_aggregator.trace.facts import Facts
from whence_aggregator.trace.lineage import REQUIRED_LINKS, Evidence, Lineage, Link, LinkState, not_checked
from whence_aggregator.trace.moment import Moment
from whence_aggregator.trace.named_tickets import review_wanted
from whence_aggregator.trace.ownership import account_link, team_link


def derive(facts: Facts, *, moment: Moment, checkpoint: str = "", required: frozenset[str] = REQUIRED_LINKS) -> Lineage:
    """Return the lineage of one instance at one moment."""
    source = source_link(facts)
    commit = commit_link(facts, source)
    ticket = ticket_link(facts, commit)
    links = (
        account_link(facts, facts.ownership),
        team_link(facts, facts.ownership),
        _instance(facts),
        ami_link(facts),
        _user_data(facts),
        _application(facts),
        _version(facts),
        approval_link(facts),
        _image(facts),
        source,
        commit,
        review_link(facts, commit),
        ticket,
        specification_link(facts, ticket),
    )
    return Lineage(
        instance_id=facts.statement.instance_id,
        at=moment.at,
        known_at=moment.known_at,
        links=links,
        checkpoint=checkpoint,
        reported_later=facts.reported_later,
        late=facts.late,
        required=required,
        not_checked=not_checked(
            reviews=review_wanted(facts) is not None or (facts.commit.outcome != "found" and facts.trackers.some),
            tickets=facts.trackers.reads_tickets,
            withheld=facts.withheld if facts.trackers.reads_reviews(_host(facts)) else "",
        ),
        life=facts.life,
        life_since=facts.life_since,
        heard=facts.heard,
        last_seen=facts.last_seen,
        started_by=started_by(facts),
    )


def _host(facts: Facts) -> str:
    """Return the host of the commit's repository; empty while the commit was not read."""
    return str(facts.commit.value.get("repository", "")).partition("/")[0]


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
        **credentials_shown(facts),
    }
    return Link(link="instance", state="confirmed", value=value, evidence=(by_aws(facts), by_agent(facts)))


def _user_data(facts: Facts) -> Link:
    predicate = facts.statement.predicate
    if predicate.user_data is None:
        return Link(
            link="user_data", state="missing", reason="the agent found no user data", evidence=(by_agent(facts),)
        )
    errors = [problem for problem in predicate.problems if problem.get("severity") == "error"]
    value: dict[str, Any] = {
        "digest": predicate.user_data.digest,
        "document": predicate.user_data.document,
        "problems": predicate.problems,
    }
    reason = f"{len(errors)} error{'s' * (len(errors) > 1)}; nothing was started" if errors else None
    evidence = (by_agent(facts, predicate.user_data.digest),)
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
    if facts.data_of_next_start:
        reason = reason or f"the instance is {listed.state}: the EC2 API's user data may be that of its next start"
        return Link(link="user_data", state="asserted", value=value, reason=reason, evidence=(*evidence, ec2))
    if not facts.same_launch:
        reason = reason or f"not compared: the EC2 API's user data is of another launch, at {listed.launched_at}"
        return Link(link="user_data", state="asserted", value=value, reason=reason, evidence=(*evidence, ec2))
    reason = f"the EC2 API and the agent report different user data: {facts.difference}"
    return Link(link="user_data", state="contradicted", value=value, reason=reason, evidence=(*evidence, ec2))


def _application(facts: Facts) -> Link:
    application_id, evidence = facts.statement.predicate.application_id, (by_agent(facts), *by_registry(facts))
    if application_id is None:
        return Link(
            link="application",
            state="missing",
            reason="user data contains no valid application_id",
            evidence=evidence,
        )
    if facts.application is None:
        reason = f"{application_id} is not in the application registry"
        return Link(link="application", state="missing", reason=reason, evidence=evidence)
    kio = facts.application.kio
    value = {"application_id": application_id, "name": kio.get("name"), "active": kio.get("active")}
    inactive = None if kio.get("active") else "it is not active in the application registry"
    return Link(link="application", state="confirmed", value=value, reason=inactive, evidence=evidence)


def _version(facts: Facts) -> Link:
    version = facts.statement.predicate.application_version
    if version is None:
        return nothing_runs("version", facts)
    return Link(link="version", state="asserted", value={"application_version": version}, evidence=(by_agent(facts),))


def _image(facts: Facts) -> Link:
    image, answer = facts.statement.predicate.image, facts.image_source
    if image is None:
        return nothing_runs("image", facts)
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
    evidence: tuple[Evidence, ...] = (by_agent(facts, image.digest),)
    for container in containers:
        if container.image_digest != (container.declared_digest or image.digest):
            evidence += (by_agent(facts, container.image_digest or None),)
            reason = "a container runs a different image than the one that was booted"
            return Link(link="image", state="contradicted", value=value, reason=reason, evidence=evidence)
    if answer.outcome == "absent":
        evidence += (by_collector(answer, "registry"),)
        return Link(link="image", state="contradicted", value=value, reason=answer.reason, evidence=evidence)
    if (moved := facts.tag.wrong(image.source, image.digest, image.index_digest)) is not None:
        value["tag_digests"] = [one.digest for one in facts.tag.seen]
        evidence += tuple(
            Evidence(source="tag", observed_at="", digest=one.digest, ledger_index=one.ledger_index)
            for one in facts.tag.seen
        )
        return Link(link="image", state="contradicted", value=value, reason=moved, evidence=evidence)
    if facts.tag.elsewhere:
        value["tag_stated_elsewhere"] = [
            {"account_id": one.said_by, "digest": one.digest, "ledger_index": one.ledger_index}
            for one in facts.tag.elsewhere
        ]
    if image.signed_by and answer.value.get("signed_by", image.signed_by) != image.signed_by:
        value["registry_signed_by"] = answer.value["signed_by"]
        reason = "the agent and the registry report different signers of this image"
        return Link(link="image", state="contradicted", value=value, reason=reason, evidence=evidence)
    if answer.outcome == "unknown":
        reason = f"the registry was not read: {answer.reason}"
        state: LinkState = "unknown" if answer.failed else "asserted"  # a registry that was read before may deny it now
        return Link(link="image", state=state, value=value, reason=reason, evidence=evidence)
    evidence += (by_collector(answer, "registry", image.digest),)
    return Link(link="image", state="confirmed", value=value, evidence=evidence)
