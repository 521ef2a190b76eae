"""The one table of entry kinds. Append, replay, check, rebuild and bundles all go by it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

from whence_aggregator.ledger.kinds import EVERY_ACCOUNT, EntryKind, Event, Project, Replayed, Table
from whence_aggregator.ports import Transaction
from whence_aggregator.projections.events import (
    INVENTORY_KIND,
    project_application,
    project_enrolment,
    project_fact,
    project_inventory,
    project_verdicts,
)
from whence_aggregator.projections.pushes import project_push, project_untag

Entries = Sequence[tuple[int, Event]]
STATEMENT = "statement"


async def _clock(transaction: Transaction, replayed: Replayed, entries: Entries) -> None:
    rows = []
    for index, event in entries:
        recorded = event["recorded_at"]
        replayed.latest = recorded if replayed.latest is None else max(replayed.latest, recorded)
        rows.append({"ledger_index": index, "recorded_at": recorded, "latest": replayed.latest})
    await transaction.execute(("add_clock", rows))


async def _enrolments(transaction: Transaction, _: Replayed, entries: Entries) -> None:
    for index, event in entries:
        await project_enrolment(transaction, index, event)


async def _applications(transaction: Transaction, _: Replayed, entries: Entries) -> None:
    for index, event in entries:
        await project_application(transaction, index, event)


async def _facts(transaction: Transaction, _: Replayed, entries: Entries) -> None:
    if entries[0][1]["kind"] == INVENTORY_KIND:
        await project_inventory(transaction, entries)
        return
    for index, event in entries:
        await project_fact(transaction, index, event)


async def _verdicts(transaction: Transaction, _: Replayed, entries: Entries) -> None:
    await project_verdicts(transaction, entries)


async def _pushes(transaction: Transaction, _: Replayed, entries: Entries) -> None:
    for index, event in entries:
        await project_push(transaction, index, event)


async def _untags(transaction: Transaction, _: Replayed, entries: Entries) -> None:
    for _index, event in entries:
        await project_untag(transaction, event)


async def _nothing(_transaction: Transaction, _replayed: Replayed, _entries: Entries) -> None:
    """Write nothing: the entry is its own record."""


def _verdicts_together(before: Entries, event: Event) -> bool:
    return True


def _listed_together(before: Entries, event: Event) -> bool:
    """Facts of the inventory go together, each listed instance once. Malformed events raise nothing here."""
    if any(one.get("kind") != INVENTORY_KIND for _, one in (*before, (0, event))):
        return False
    return all(one.get("subject") != event.get("subject") for _, one in before)


def _of_all(_: Event) -> str:
    return EVERY_ACCOUNT


def _account_of_instance(event: Event) -> str:
    return str(event["instance"]["account_id"])


def _account_of_verdict(event: Event) -> str:
    return str(event["account_id"])


def _account_of_fact(event: Event) -> str:
    """Return the account of a listed instance; images, tags and commits may concern everybody."""
    return str(event["value"]["account_id"]) if event["kind"] == INVENTORY_KIND else EVERY_ACCOUNT


def _kind(
    *tables: str,
    project: Project = _nothing,
    account: Callable[[Event], str] = _of_all,
    together: Callable[[Entries, Event], bool] | None = None,
) -> EntryKind:
    if together is None:
        return EntryKind(tables=tables, account=account, project={1: project})
    return EntryKind(tables=tables, account=account, project={1: project}, together=together)


KINDS: Mapping[str, EntryKind] = MappingProxyType({
    "clock": _kind("clock", project=_clock),
    "enrolment": _kind("instance", "enrolment", "life", "tally", project=_enrolments, account=_account_of_instance),
    "enrolment-refused": _kind(account=_account_of_instance),
    STATEMENT: _kind(
        "facets", "facets_image", "instance", "instance_facets", "statement", "image_commit", "image_chain", "life",
        "tally", "tag_digest", account=_account_of_instance,
    ),
    "application": _kind("application_revision", project=_applications),
    "fact": _kind(
        "fact", "image_commit", "commit_word", "image_chain", "tag_digest", "inventory", "inventory_history",
        "instance", "life", "tally", project=_facts, account=_account_of_fact, together=_listed_together,
    ),
    "verdict": _kind(
        "verdict", "rule_set", "instance", "tally",
        project=_verdicts, account=_account_of_verdict, together=_verdicts_together,
    ),
    "push": _kind("image_manifest", "image_tag", "image_blob", "tag_digest", project=_pushes),
    "untag": _kind("image_tag", project=_untags),
    "log-key": _kind(),
    "pruned": _kind(),
})  # fmt: skip
"""Statements are projected in batches by projections.statements; `account` takes their predicate's members."""

TABLES = (
    Table(name="clock"),
    Table(name="facets", lossy=True),
    Table(name="facets_image", lossy=True),
    Table(name="instance"),
    Table(name="instance_facets", lossy=True, compared=("instance_first", "instance_facets")),
    Table(name="statement", lossy=True),
    Table(name="enrolment"),
    Table(name="application_revision"),
    Table(name="fact"),
    Table(name="image_commit", lossy=True),
    Table(name="commit_word"),
    Table(name="inventory"),
    Table(name="inventory_history"),
    Table(name="life", lossy=True),
    Table(name="rule_set", lossy=True),
    Table(name="verdict", lossy=True),
    Table(name="tally", lossy=True),
    Table(name="image_manifest"),
    Table(name="image_tag"),
    Table(name="image_blob"),
    Table(name="tag_digest", lossy=True),
    Table(name="image_chain"),
)
"""All that is derived: what a rebuild drops and makes again, and what the check derives again and compares."""
