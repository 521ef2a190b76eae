"""Projection of statements: the newest one of an instance is its state; all are its history."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from whence_aggregator.approvals.projection import seen_versions
from whence_aggregator.ports import Transaction
from whence_aggregator.projections.held_credentials import HeldWrites
from whence_aggregator.projections.instance_packages import image_writes
from whence_aggregator.projections.known import KnownInstance, LifeTally
from whence_aggregator.projections.pushes import tag_named, unjudge_tag
from whence_aggregator.projections.rows import last_number, number
from whence_aggregator.projections.stated import AppendedStatement, Combination
from whence_aggregator.queries.agents import (
    ADD_FACETS,
    ADD_FACETS_IMAGE,
    ADD_INSTANCE_FACETS,
    ADD_LIFE,
    ADD_STATEMENT,
    FACETS_NAMED,
    LAST_FACETS,
    MOVE_INSTANCE,
    SET_FIRST,
    AddFacetsImageParameters,
    AddFacetsParameters,
    AddLifeParameters,
    AddStatementParameters,
    FacetsNamedParameters,
    MoveInstanceParameters,
    SetFirstParameters,
)
from whence_aggregator.queries.collect import ADD_IMAGE_COMMIT, ADD_TAG_DIGEST, AddImageCommitParameters
from whence_aggregator.queries.compliance import ADD_TO_TALLY, AddToTallyParameters
from whence_aggregator.queries.query import BoundCommand, each

_COMBINATIONS_KEPT_MAX = 100_000


class Combinations:
    """Numbers of the combinations of facets; new combinations get the next numbers."""

    def __init__(self) -> None:
        self._numbers: dict[Combination, int] = {}

    def forget(self) -> None:
        """Drop all cached numbers, as a transaction may have been rolled back."""
        self._numbers.clear()

    async def numbers(
        self, transaction: Transaction, wanted: Sequence[Combination]
    ) -> tuple[dict[Combination, int], list[AddFacetsParameters]]:
        """Return the number of each combination, and the rows to add for new ones, in order of appearance."""
        unknown = [one for one in dict.fromkeys(wanted) if one not in self._numbers]
        added: list[AddFacetsParameters] = []
        if unknown:
            if len(self._numbers) > _COMBINATIONS_KEPT_MAX:
                self._numbers.clear()
                unknown = list(dict.fromkeys(wanted))
            asked = [FACETS_NAMED.bind(_named(one)) for one in unknown]
            *found, last = await transaction.fetch_all(each([*asked, LAST_FACETS.bind({})]))
            following = last_number(last) + 1
            for one, rows in zip(unknown, found, strict=True):
                known = number(rows)
                if known is not None:
                    self._numbers[one] = known
                else:
                    self._numbers[one] = following
                    added.append({"number": following, **_named(one)})
                    following += 1
        return self._numbers, added


async def project_statements(
    transaction: Transaction,
    appended: Sequence[AppendedStatement],
    known: Mapping[str, KnownInstance],
    combinations: Combinations,
    recorded_at: int,
) -> list[BoundCommand]:
    """Return the writes of statements in the order of the log, all recorded at one time, in milliseconds."""
    combined = [one.stated.combination for one in appended]
    numbers, new_facets = await combinations.numbers(transaction, combined)
    statements: list[AddStatementParameters] = []
    pairs: dict[tuple[int, int], None] = {}
    commits: dict[tuple[str, str, str], int] = {}
    spoken: dict[str, int] = {}
    tags: dict[tuple[str, str, str], int] = {}
    firsts: dict[int, SetFirstParameters] = {}
    lives: list[AddLifeParameters] = []
    tallied = LifeTally()
    added = {row["number"] for row in new_facets}
    versions: list[tuple[str, str, str, str, int]] = []
    credentials = HeldWrites()
    for one, combined_one in zip(appended, combined, strict=True):
        instance, facets = known[one.instance_id], numbers[combined_one]
        instance_number = instance.number
        statements.append(_statement(one, instance_number, facets))
        if facets in added:
            image, application, version, _, account, *_ = combined_one
            versions.append((application, version, image, account, one.ledger_index))
        if facets in added and one.stated.tag is not None:  # a moved tag is a new combination
            tags.setdefault((*one.stated.tag, combined_one[4]), one.ledger_index)
        if facets != instance.facets or one.enrolment != instance.order[0]:
            pairs[facets, instance_number] = None
        if instance.order == (0, 0):
            account = combined_one[4]
            spoken[account] = spoken.get(account, 0) + 1
        if instance.first_index < 0 or one.stated.observed_at < instance.earliest:
            firsts[instance_number] = _first(instance, one, recorded_at)
        if one.next_base >= 0:
            instance.base = one.next_base
        if (one.enrolment, one.stated.sequence) > instance.order:
            before = instance.move(one, facets, recorded_at)
            credentials.add(one, instance_number)
            if before is not None:
                lives.append({"instance": instance_number, "ledger_index": one.ledger_index, "life": instance.life})
                tallied.move(instance.account_id, before, instance.life)
        for link in one.stated.links:
            commits.setdefault(link, one.ledger_index)
    moved = {one.instance_id: known[one.instance_id] for one in appended}
    return [
        ADD_FACETS.bind(new_facets),
        ADD_FACETS_IMAGE.bind([row for one in new_facets for row in _others(one)]),
        ADD_STATEMENT.bind(statements),
        ADD_INSTANCE_FACETS.bind([{"facets": f, "instance": n} for f, n in pairs]),
        ADD_LIFE.bind(lives),
        MOVE_INSTANCE.bind([_moved(one) for one in moved.values() if one.newest is not None]),
        SET_FIRST.bind(list(firsts.values())),
        ADD_IMAGE_COMMIT.bind([_link_row(*one) for one in commits.items()]),
        ADD_TO_TALLY.bind(tallied.rows + [_spoken(*one) for one in spoken.items()]),
        ADD_TAG_DIGEST.bind([tag_named(*tag, index) for tag, index in tags.items()]),
        *credentials.commands,
        *image_writes(moved.values()),
        *seen_versions(versions),
        *[unjudge_tag(*one) for one in dict.fromkeys((tag[0], tag[2]) for tag in tags)],
    ]  # fmt: skip


def _named(combination: Combination) -> FacetsNamedParameters:
    image, application, version, user_data, account, region, others = combination
    return {
        "image_digest": image,
        "application_id": application,
        "application_version": version,
        "user_data_digest": user_data,
        "account_id": account,
        "region": region,
        "other_digests": others,
    }


def _link_row(link: tuple[str, str, str], index: int) -> AddImageCommitParameters:
    commit_id, digest, repository = link
    return {
        "commit_id": commit_id,
        "image_digest": digest,
        "repository": repository,
        "said_by": "agent",
        "ledger_index": index,
    }


def _others(facets: AddFacetsParameters) -> list[AddFacetsImageParameters]:
    return [{"image_digest": digest, "facets": facets["number"]} for digest in facets["other_digests"].split()]


def _statement(one: AppendedStatement, number: int, facets: int) -> AddStatementParameters:
    return {
        "instance": number,
        "enrolment": one.enrolment,
        "sequence": one.stated.sequence,
        "ledger_index": one.ledger_index,
        "observed_at": one.stated.observed_at,
        "cause": one.stated.cause,
        "facets": facets,
    }


def _first(instance: KnownInstance, one: AppendedStatement, recorded_at: int) -> SetFirstParameters:
    """Update the beginning of an instance's history, and return its row."""
    observed_at = one.stated.observed_at
    if instance.first_index < 0:
        instance.first_index, instance.earliest = one.ledger_index, observed_at
        instance.late_millis = recorded_at - observed_at
    elif observed_at < instance.earliest:
        instance.late_millis += instance.earliest - observed_at
        instance.earliest = observed_at
    return {
        "number": instance.number,
        "first_index": instance.first_index,
        "earliest": instance.earliest,
        "late_millis": instance.late_millis,
    }


def _moved(known: KnownInstance) -> MoveInstanceParameters:
    newest = known.newest
    assert newest is not None
    return {
        "number": known.number,
        "instance_id": known.instance_id,
        "account_id": known.account_id,
        "region": known.region,
        "enrolment": newest.enrolment,
        "sequence": newest.stated.sequence,
        "ledger_index": newest.ledger_index,
        "observed_at": newest.stated.observed_at,
        "cause": newest.stated.cause,
        "facets": known.facets,
        "judged": -1,
        "base": known.base,
        "spoke_at": known.spoke_at,
        "life": known.life,
        "life_index": known.life_index,
    }


def _spoken(account_id: str, instances: int) -> AddToTallyParameters:
    return {"account_id": account_id, "subject": "instances", "n": instances}
