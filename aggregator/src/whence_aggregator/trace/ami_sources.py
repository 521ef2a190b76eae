"""Which statement the agent and the AMI's tag name, beside those that are named for the AMI. Pure."""

from __future__ import annotations

from msgspec import UNSET

from whence_aggregator.trace.ami_statement import EC2_TAG
from whence_aggregator.trace.facts import Facts
from whence_common.digest import is_sha256_digest


def ami_of_agent(facts: Facts) -> str:
    """Return the digest of the statement that the machine's image names; empty if the agent states none."""
    ami = facts.statement.predicate.ami
    return "" if ami is UNSET or not is_sha256_digest(ami.statement_digest) else ami.statement_digest


def ami_of_tag(facts: Facts) -> str:
    """Return the digest of the statement in the AMI's tag, as EC2 returns it; empty without one."""
    tags = facts.ami.value.get("tags")
    found = tags.get(EC2_TAG) if isinstance(tags, dict) else None
    return found if isinstance(found, str) and is_sha256_digest(found) else ""
