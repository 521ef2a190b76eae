"""Which statement the agent, the AMI's tag and the AMI's source lead to, beside those that are named for it. Pure."""

from __future__ import annotations

from msgspec import UNSET

from whence_aggregator.trace.ami_statement import EC2_TAG, AmiStatement
from whence_aggregator.trace.facts import Facts
from whence_common.digest import is_sha256_digest


def ami_of_agent(facts: Facts) -> str:
    """Return the digest of the statement that the machine's image names; empty if the agent states none."""
    ami = facts.statement.predicate.ami
    return "" if ami is UNSET or not is_sha256_digest(ami.statement_digest) else ami.statement_digest


def ami_copied(facts: Facts) -> tuple[str, str] | None:
    """Return region and id of the AMI that EC2 states it was copied from; None if it states none."""
    source = facts.ami.value.get("copied_from")
    if not isinstance(source, dict):
        return None
    region, image_id = source.get("region"), source.get("image_id")
    return (region, image_id) if isinstance(region, str) and isinstance(image_id, str) else None


def statements_of_source(facts: Facts) -> list[AmiStatement]:
    """Return the statements about the AMI that it was copied from."""
    copied = ami_copied(facts)
    return [one for one in facts.ami_stated if copied is not None and (one.region, one.image_id) == copied]


def ami_of_tag(facts: Facts) -> str:
    """Return the digest of the statement in the AMI's tag, as EC2 returns it; empty without one."""
    tags = facts.ami.value.get("tags")
    found = tags.get(EC2_TAG) if isinstance(tags, dict) else None
    return found if isinstance(found, str) and is_sha256_digest(found) else ""
