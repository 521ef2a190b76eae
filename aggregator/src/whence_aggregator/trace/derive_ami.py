"""Derives the link `ami`: which AMI the instance was launched from, and what is known of its content. Pure."""

from __future__ import annotations

from typing import Any

from msgspec import UNSET

from whence_aggregator.trace.ami_statement import EC2_TAG, AmiStatement, contradiction
from whence_aggregator.trace.evidence import by_agent, by_aws, by_collector
from whence_aggregator.trace.facts import Facts
from whence_aggregator.trace.lineage import Evidence, Link

_NONE = "no statement about this AMI is recorded"


def ami_link(facts: Facts) -> Link:
    """Return the link. AWS's signature states the AMI; a builder's signature states what the AMI contains.

    Statements that contradict each other, EC2's tag or the agent make it `contradicted`; a builder that is no longer
    trusted makes it `asserted`. Without a statement it is about the id alone.
    """
    image_id = facts.binding.identity.get("image_id")
    if not image_id:
        return Link(
            link="ami", state="missing", reason="the identity document contains no AMI", evidence=(by_aws(facts),)
        )
    statements, stated = facts.ami_statements, _agent_states(facts)
    value: dict[str, Any] = {"image_id": image_id, **stated}
    evidence = (by_aws(facts), *(_by_builder(one) for one in statements))
    if not statements:
        reason = None if not stated else _NONE
        return Link(link="ami", state="confirmed", value=value, reason=reason, evidence=evidence)
    tag = _tag(facts)
    if tag:
        evidence = (*evidence, by_collector(facts.ami, "ec2-api", tag[:80]))
    if stated:
        evidence = (*evidence, by_agent(facts, stated["machine"]["statement_digest"]))
    wrong = contradiction(statements, agent=stated.get("machine", {}).get("statement_digest", ""), tag=tag)
    if wrong is not None:
        value["statements"] = [one.to_wire() for one in statements]
        return Link(link="ami", state="contradicted", value=value, reason=wrong, evidence=evidence)
    (found,) = statements
    value["statement"] = found.to_wire()
    if not found.trusted:
        reason = f"the settings do not trust the builder {found.builder_id} with the key that signed"
        return Link(link="ami", state="asserted", value=value, reason=reason, evidence=evidence)
    return Link(link="ami", state="confirmed", value=value, evidence=evidence)


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


def _tag(facts: Facts) -> str:
    """Return the statement's digest in the AMI's tag, as EC2 returns it; empty without one."""
    tags = facts.ami.value.get("tags")
    found = tags.get(EC2_TAG) if isinstance(tags, dict) else None
    return found if isinstance(found, str) else ""


def _by_builder(statement: AmiStatement) -> Evidence:
    return Evidence(
        source="builder", observed_at=statement.finished_at, recorded_at=statement.recorded_at,
        digest=statement.digest, ledger_index=statement.ledger_index,
    )  # fmt: skip
