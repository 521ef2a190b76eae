"""Derives the link `ami`: which AMI the instance was launched from, and what is known of its content. Pure."""

from __future__ import annotations

from typing import Any

from msgspec import UNSET

from whence_aggregator.trace.ami_sources import ami_copied, ami_of_agent, ami_of_tag, statements_of_source
from whence_aggregator.trace.ami_statement import EC2_TAG, AmiStatement, contradiction
from whence_aggregator.trace.evidence import by_agent, by_aws, by_collector
from whence_aggregator.trace.facts import Facts
from whence_aggregator.trace.lineage import Evidence, Link

_NONE = "no statement about this AMI is recorded"


def ami_link(facts: Facts) -> Link:
    """Return the link. AWS's signature states the AMI; a builder's signature states what the AMI contains.

    Statements that contradict each other, EC2's tag or the agent make it `contradicted`; a builder that is no longer
    trusted makes it `asserted`. If no statement is named for the AMI, the agent alone makes it `asserted`, and so
    does EC2 by the tag or by the source of a copy; both together make it `confirmed`. Without a statement it is about
    the id alone.
    """
    image_id = facts.binding.identity.get("image_id")
    if not image_id:
        return Link(
            link="ami", state="missing", reason="the identity document contains no AMI", evidence=(by_aws(facts),)
        )
    agent, tag, stated = ami_of_agent(facts), ami_of_tag(facts), _agent_states(facts)
    statements = facts.ami_statements or facts.ami_stated
    value: dict[str, Any] = {"image_id": image_id, **stated, **_copied(facts)}
    evidence = (by_aws(facts), *(_by_builder(one) for one in statements), *_by_others(facts))
    wrong = contradiction(statements, agent=agent, tag=tag)
    if not statements:
        reason = None if not stated else _NONE
        return Link(link="ami", state="confirmed", value=value, reason=reason, evidence=(by_aws(facts),))
    if wrong is not None:
        value["statements"] = [one.to_wire() for one in statements]
        return Link(link="ami", state="contradicted", value=value, reason=wrong, evidence=evidence)
    found = statements[0]
    value["statement"] = found.to_wire()
    reason = _doubt(facts, found)
    return Link(
        link="ami", state="confirmed" if reason is None else "asserted", value=value, reason=reason, evidence=evidence
    )


def _doubt(facts: Facts, found: AmiStatement) -> str | None:
    """Return why the statement does not confirm what the AMI contains; None if it does."""
    if not found.trusted:
        return f"the settings do not trust the builder {found.builder_id} with the key that signed"
    copied, tag = ami_copied(facts) if statements_of_source(facts) else None, ami_of_tag(facts)
    if facts.ami_statements or (ami_of_agent(facts) and (tag or copied is not None)):
        return None
    if copied is not None:
        return f"EC2 states that the AMI was copied from {copied[1]} in {copied[0]}: name it with whence attest --ami"
    source = "the agent" if ami_of_agent(facts) else f"the tag {EC2_TAG} of the AMI in EC2"
    return f"only {source} states that the AMI has this statement: name it with whence attest --ami"


def _by_others(facts: Facts) -> tuple[Evidence, ...]:
    """Return the AMI's tag and the agent as evidence, if they name a statement."""
    found: tuple[Evidence, ...] = ()
    if statements_of_source(facts) and not ami_of_tag(facts):
        found = (by_collector(facts.ami, "ec2-api"),)
    if ami_of_tag(facts):
        found = (by_collector(facts.ami, "ec2-api", ami_of_tag(facts)),)
    return (*found, by_agent(facts, ami_of_agent(facts))) if ami_of_agent(facts) else found


def _copied(facts: Facts) -> dict[str, Any]:
    copied = ami_copied(facts)
    return {"copied_from": {"region": copied[0], "image_id": copied[1]}} if copied is not None else {}


def _agent_states(facts: Facts) -> dict[str, Any]:
    """Return what the agent states of its image and of the machine's packages; empty for an agent that states none."""
    ami = facts.statement.predicate.ami
    if ami is UNSET:
        return {}
    return {
        "machine": {
            "statement_digest": ami.statement_digest,
            "packages_digest": ami.packages_digest or None,
            "differing": ami.differing,
            "unread": ami.unread or None,
        }
    }


def _by_builder(statement: AmiStatement) -> Evidence:
    return Evidence(
        source="builder", observed_at=statement.finished_at, recorded_at=statement.recorded_at,
        digest=statement.digest, ledger_index=statement.ledger_index,
    )  # fmt: skip
