"""The statements about the AMIs that instances were launched from: one round trip for all instances of a page."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from whence_aggregator.ports import Database
from whence_aggregator.queries.amis import (
    AMI_STATEMENTS_NAMED,
    AMI_STATEMENTS_STATED,
    AmiStatementsNamedRow,
    AmiStatementsStatedRow,
)
from whence_aggregator.queries.query import array
from whence_aggregator.trace.ami_sources import ami_copied, ami_of_agent, ami_of_tag
from whence_aggregator.trace.ami_statement import AmiStatement
from whence_aggregator.trace.facts import Facts
from whence_aggregator.trace.moment import Moment


async def with_ami_statements(
    gathered: dict[str, Facts], database: Database, moment: Moment, trusted: frozenset[tuple[str, str]]
) -> dict[str, Facts]:
    """Return the facts with the statements that were recorded by then. What an image contains does not change.

    `trusted`: builders whose statements count, each with the id of its key.
    """
    ids = {str(one.binding.identity.get("image_id") or "") for one in gathered.values()} - {""}
    if not ids:
        return gathered
    ids |= {copied[1] for one in gathered.values() if (copied := ami_copied(one)) is not None}
    rows = await database.fetch(AMI_STATEMENTS_NAMED.bind({"image_ids": array(sorted(ids)), "past": moment.known_past}))
    found = [replace(one, trusted=(one.builder_id, one.key_id) in trusted) for one in named_statements(rows)]
    stated = await _stated(gathered, found, database, moment, trusted)
    return {
        name: replace(
            facts,
            ami_stated=tuple(_led_to(facts, found, stated)),
            ami_statements=tuple(
                one
                for one in found
                if (one.image_id, one.region)
                == (facts.binding.identity.get("image_id"), facts.binding.identity.get("region"))
            ),
        )
        for name, facts in gathered.items()
    }


async def _stated(
    gathered: dict[str, Facts],
    named: Sequence[AmiStatement],
    database: Database,
    moment: Moment,
    trusted: frozenset[tuple[str, str]],
) -> list[AmiStatement]:
    """Return the statements that agents and tags state of AMIs that no statement names, read only if there are any."""
    known = {(one.image_id, one.region) for one in named}
    wanted = {
        digest
        for facts in gathered.values()
        if (facts.binding.identity.get("image_id"), facts.binding.identity.get("region")) not in known
        for digest in _digests(facts)
    }
    if not wanted:
        return []
    asked = AMI_STATEMENTS_STATED.bind({"digests": array(sorted(wanted)), "past": moment.known_past})
    found = stated_statements(await database.fetch(asked))
    return [replace(one, trusted=(one.builder_id, one.key_id) in trusted) for one in found]


def _led_to(facts: Facts, named: Sequence[AmiStatement], stated: Sequence[AmiStatement]) -> Iterator[AmiStatement]:
    """Yield the statements that agent, tag or source lead to, if none is named for the AMI; each digest once."""
    identity = facts.binding.identity
    if any((one.image_id, one.region) == (identity.get("image_id"), identity.get("region")) for one in named):
        return
    of_source = [one for one in named if (one.region, one.image_id) == ami_copied(facts)]
    yield from of_source
    digests = _digests(facts) - {one.digest for one in of_source}
    yield from (one for one in stated if one.digest in digests)


def _digests(facts: Facts) -> set[str]:
    return {ami_of_agent(facts), ami_of_tag(facts)} - {""}


def stated_statements(rows: Sequence[AmiStatementsStatedRow]) -> list[AmiStatement]:
    """Return statements without an AMI."""
    return [
        AmiStatement(
            image_id="", region="", named_index=row["ledger_index"], ledger_index=row["ledger_index"],
            digest=row["digest"], name=row["name"], root_digest=row["root_digest"], builder_id=row["builder_id"],
            key_id=row["key_id"], repository=row["repository"], commit_id=row["commit_id"],
            modified=bool(row["modified"]), finished_at=row["finished_at"], packages=row["packages"],
            recorded_at=row["recorded_at"], recorded_by=row["recorded_by"],
        )
        for row in rows
    ]  # fmt: skip


def named_statements(rows: Sequence[AmiStatementsNamedRow]) -> list[AmiStatement]:
    """Return statements with the AMIs that they are about."""
    return [
        AmiStatement(
            image_id=row["image_id"], region=row["region"], named_index=row["named_index"],
            ledger_index=row["ledger_index"], digest=row["digest"], name=row["name"], root_digest=row["root_digest"],
            builder_id=row["builder_id"], key_id=row["key_id"], repository=row["repository"],
            commit_id=row["commit_id"], modified=bool(row["modified"]), finished_at=row["finished_at"],
            packages=row["packages"], recorded_at=row["recorded_at"], recorded_by=row["recorded_by"],
        )
        for row in rows
    ]  # fmt: skip
