"""What is known of an AMI: its statements, whether they contradict each other, its packages and its instances."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from whence_aggregator.amis.rows import agents_to_wire, instances_by_region, package_cursor, package_to_wire
from whence_aggregator.ports import Database, NotFound
from whence_aggregator.queries.amis import AGENTS_OF_AMI, AMI_STATEMENTS_NAMED, INSTANCES_OF_AMI, PACKAGES_OF_STATEMENT
from whence_aggregator.queries.query import EVERY_ENTRY, array, together
from whence_aggregator.trace.ami_rows import named_statements
from whence_aggregator.trace.ami_statement import AmiStatement, contradiction

_AGENTS_MAX = 20
"""Of one AMI, all agents should state the same statement."""


class KnownAmis:
    """Answers from storage only. `trusted`: builders whose statements count, each with the id of its key."""

    def __init__(self, *, database: Database, trusted: frozenset[tuple[str, str]]) -> None:
        self._database = database
        self._trusted = trusted

    async def one(self, image_id: str) -> dict[str, Any]:
        """Return an AMI as the API shows it. Raises NotFound if no statement and no instance names it."""
        rows, instance_rows, agent_rows = await self._database.fetch_all(
            together(
                AMI_STATEMENTS_NAMED.bind({"image_ids": array([image_id]), "past": EVERY_ENTRY}),
                INSTANCES_OF_AMI.bind({"image_id": image_id}),
                AGENTS_OF_AMI.bind({"image_id": image_id, "limit": _AGENTS_MAX}),
            )
        )
        statements, running = self._judged(named_statements(rows)), instances_by_region(instance_rows)
        if not statements and not running:
            raise NotFound("ami-unknown", f"no statement and no instance names {image_id}")
        state, reason = _state(statements)
        return {
            "image_id": image_id,
            "state": state,
            "reason": reason,
            "statements": [{"region": one.region, **one.to_wire()} for one in statements],
            "instances": sum(running.values()),
            "regions": running,
            "agents": agents_to_wire(agent_rows),
        }

    async def packages(self, image_id: str, *, after: str, limit: int) -> tuple[list[dict[str, str]], str | None, str]:
        """Return a page of packages, the next cursor and the statement. Raises NotFound unless there is exactly one."""
        rows = await self._database.fetch(
            AMI_STATEMENTS_NAMED.bind({"image_ids": array([image_id]), "past": EVERY_ENTRY})
        )
        found = {one.digest: one for one in named_statements(rows)}
        if len(found) != 1:
            reason = "several statements name it" if found else "no statement names it"
            raise NotFound("ami-packages-unknown", f"the packages of {image_id} are unknown: {reason}")
        (statement,) = found.values()
        listed = await self._database.fetch(
            PACKAGES_OF_STATEMENT.bind({"statement": statement.ledger_index, "after": after, "limit": limit + 1})
        )
        following = package_cursor(listed[limit - 1]) if len(listed) > limit else None
        return list(map(package_to_wire, listed[:limit])), following, statement.digest

    def _judged(self, statements: Sequence[AmiStatement]) -> list[AmiStatement]:
        return [replace(one, trusted=(one.builder_id, one.key_id) in self._trusted) for one in statements]


def _state(statements: Sequence[AmiStatement]) -> tuple[str, str | None]:
    """Return what the statements are worth without an instance. `asserted`: nobody but the builder states it."""
    if not statements:
        return "missing", "no statement about this AMI is recorded"
    for region in sorted({one.region for one in statements}):
        wrong = contradiction(one for one in statements if one.region == region)
        if wrong is not None:
            return "contradicted", wrong
    if not all(one.trusted for one in statements):
        return "asserted", "the settings do not trust the builder with the key that signed"
    return "confirmed", None
