"""Makes the part of the evidence that is about the AMI, and what it consists of. Pure."""

from __future__ import annotations

from msgspec import UNSET

from whence_aggregator.compliance.evidence import ContentOfAmi, ImageOfMachine, UsedAmi
from whence_aggregator.trace.ami_sources import ami_of_tag, statements_of_source
from whence_aggregator.trace.ami_statement import EC2_TAG, AmiStatement, contradiction
from whence_aggregator.trace.facts import Answer, Facts

PACKAGES_SHOWN = 20


def used_ami(answer: Answer) -> UsedAmi:
    """Return the AMI as the EC2 API describes it."""
    value = answer.value
    return UsedAmi(
        outcome=answer.outcome,
        reason=answer.reason,
        name=value.get("name"),
        owner=value.get("owner"),
        state=value.get("state"),
        created_at=value.get("created_at"),
        deprecated_at=value.get("deprecated_at"),
        expires_at=value.get("expires_at"),
        was_seen=value.get("was_seen", False if answer.outcome in ("missing", "absent") else None),
    )


def content_of_ami(facts: Facts) -> ContentOfAmi:
    """Return what is stated of the AMI's content, whatever the instance's agent states of it."""
    named, tag = facts.ami_statements, ami_of_tag(facts)
    wrong = contradiction(named, tag=tag)
    if wrong is not None:
        return ContentOfAmi(state="contradicted", reason=wrong)
    if named:
        return _named(facts, named[0])
    of_source = statements_of_source(facts)
    wrong = contradiction(of_source, tag=tag)
    if wrong is not None:
        return ContentOfAmi(state="contradicted", reason=f"of the AMI that it was copied from: {wrong}")
    stated = [one for one in facts.ami_stated if one.digest == tag]
    if facts.ami.outcome == "unknown":
        return ContentOfAmi(state="unknown", reason=_unread(facts), digest=tag)
    if of_source:
        reason = f"only EC2 states that the AMI was copied from {of_source[0].image_id} in {of_source[0].region}"
        return ContentOfAmi(state="asserted", reason=reason, digest=of_source[0].digest)
    if stated:
        reason = f"only the tag {EC2_TAG} of the AMI in EC2 names its statement"
        return ContentOfAmi(state="asserted", reason=reason, digest=tag)
    reason = "no statement about this AMI is recorded"
    if tag:
        reason += f"; its tag {EC2_TAG} in EC2 names {tag}"
    return ContentOfAmi(state="missing", reason=reason, digest=tag)


def image_of_machine(facts: Facts) -> ImageOfMachine | None:
    """Return what the agent states of its image; None if it states none."""
    ami = facts.statement.predicate.ami
    if ami is UNSET:
        return None
    return ImageOfMachine(
        statement_digest=ami.statement_digest,
        differing=None if ami.unread else max(ami.differing, len(ami.differences)),
        packages=tuple(one.name for one in ami.differences[:PACKAGES_SHOWN]),
        unread=ami.unread,
    )


def _named(facts: Facts, found: AmiStatement) -> ContentOfAmi:
    if not found.trusted:
        reason = f"the settings do not trust the builder {found.builder_id} with the key that signed"
        return ContentOfAmi(state="asserted", reason=reason, digest=found.digest)
    if facts.ami.outcome == "unknown":
        return ContentOfAmi(state="unknown", reason=_unread(facts), digest=found.digest)
    return ContentOfAmi(
        state="confirmed", digest=found.digest, builder=found.builder_id, built_at=found.finished_at
    )  # fmt: skip


def _unread(facts: Facts) -> str:
    return f"the AMI's tag in EC2 was not read: {facts.ami.reason}"
