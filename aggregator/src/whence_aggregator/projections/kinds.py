"""The table of entry kinds, which append, replay, check, rebuild and bundles use."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType

from whence_aggregator.approvals.projection import APPROVAL, VERSION, approval_writes, version_writes
from whence_aggregator.ledger.kinds import EVERY_ACCOUNT, EntryKind, Event, Project, Replayed
from whence_aggregator.organisation.changes import ACCOUNT, MEMBERS, MERGED, READ, TEAM
from whence_aggregator.organisation.projection import writes
from whence_aggregator.ports import Transaction
from whence_aggregator.projections.account_plans import ACCOUNT_PLAN, account_plan_write
from whence_aggregator.projections.ami_statements import AMI_STATEMENT, project_ami_statement
from whence_aggregator.projections.applications import (
    project_application,
    project_application_v2,
    project_handover,
)
from whence_aggregator.projections.cloud_events import (
    CLOUD_EVENT,
    TRAIL_VERIFICATION,
    project_cloud_events,
    project_verifications,
)
from whence_aggregator.projections.credentials import CHANGE_VERSION, CREDENTIAL, change_write, credential_write
from whence_aggregator.projections.events import (
    INVENTORY_KIND,
    project_enrolment,
    project_fact,
    project_inventory,
)
from whence_aggregator.projections.findings import FINDINGS, project_findings
from whence_aggregator.projections.fullstop import (
    FULLSTOP_REPORT,
    INSTANCE_LOG,
    instance_log_write,
    report_write,
)
from whence_aggregator.projections.pruned_findings import project_pruned
from whence_aggregator.projections.pushes import project_push, project_untag
from whence_aggregator.projections.removals import VERSION as REMOVALS_VERSION
from whence_aggregator.projections.removals import project_removal
from whence_aggregator.projections.reports import REPORT, report_writes
from whence_aggregator.projections.role_sessions import ROLE_SESSION, project_role_sessions
from whence_aggregator.projections.rule_sets import RULE_SET, project_rule_sets
from whence_aggregator.projections.summaries import SUMMARY, summary_writes
from whence_aggregator.projections.verdicts import project_verdicts
from whence_aggregator.projections.violation_rows import VIOLATION_STEP
from whence_aggregator.projections.violations import project_violation_steps
from whence_aggregator.queries.ledger import ADD_CLOCK, AddClockParameters
from whence_aggregator.trace.facts import ACCOUNT_DRIFT_KIND, AMI_KIND

Entries = Sequence[tuple[int, Event]]
STATEMENT = "statement"


async def _clock(transaction: Transaction, replayed: Replayed, entries: Entries) -> None:
    rows: list[AddClockParameters] = []
    for index, event in entries:
        recorded = event["recorded_at"]
        replayed.latest = recorded if replayed.latest is None else max(replayed.latest, recorded)
        rows.append({"ledger_index": index, "recorded_at": recorded, "latest": replayed.latest})
    await transaction.execute(ADD_CLOCK.bind(rows))


async def _enrolments(transaction: Transaction, _: Replayed, entries: Entries) -> None:
    for index, event in entries:
        await project_enrolment(transaction, index, event)


async def _applications(transaction: Transaction, _: Replayed, entries: Entries) -> None:
    for index, event in entries:
        await project_application(transaction, index, event)


async def _applications_v2(transaction: Transaction, _: Replayed, entries: Entries) -> None:
    for index, event in entries:
        await project_application_v2(transaction, index, event)


async def _handovers(transaction: Transaction, _: Replayed, entries: Entries) -> None:
    for index, event in entries:
        await project_handover(transaction, index, event)


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


def _organised(kind: str) -> Project:
    async def project(transaction: Transaction, _: Replayed, entries: Entries) -> None:
        await transaction.execute(*writes(kind, entries))

    return project


async def _removals(transaction: Transaction, _: Replayed, entries: Entries) -> None:
    for index, event in entries:
        await project_removal(transaction, index, event)


async def _versions(transaction: Transaction, _: Replayed, entries: Entries) -> None:
    await transaction.execute(*version_writes(entries))


async def _approvals(transaction: Transaction, _: Replayed, entries: Entries) -> None:
    await transaction.execute(*approval_writes(entries))


async def _cloud_events(transaction: Transaction, _: Replayed, entries: Entries) -> None:
    await project_cloud_events(transaction, entries)


async def _role_sessions(transaction: Transaction, _: Replayed, entries: Entries) -> None:
    await project_role_sessions(transaction, entries)


async def _verifications(transaction: Transaction, _: Replayed, entries: Entries) -> None:
    await project_verifications(transaction, entries)


async def _pruned(transaction: Transaction, _: Replayed, entries: Entries) -> None:
    for _index, event in entries:
        await project_pruned(transaction, event)


async def _findings(transaction: Transaction, _: Replayed, entries: Entries) -> None:
    for index, event in entries:
        await project_findings(transaction, index, event)


async def _violation_steps(transaction: Transaction, _: Replayed, entries: Entries) -> None:
    await project_violation_steps(transaction, entries)


async def _rule_sets(transaction: Transaction, _: Replayed, entries: Entries) -> None:
    await project_rule_sets(transaction, entries)


async def _summaries(transaction: Transaction, _: Replayed, entries: Entries) -> None:
    for index, event in entries:
        await transaction.execute(*summary_writes(index, event))


async def _files_of_reports(transaction: Transaction, _: Replayed, entries: Entries) -> None:
    for index, event in entries:
        await transaction.execute(*report_writes(index, event))


async def _reports(transaction: Transaction, _: Replayed, entries: Entries) -> None:
    await transaction.execute(*(report_write(index, event) for index, event in entries))


async def _instance_logs(transaction: Transaction, _: Replayed, entries: Entries) -> None:
    await transaction.execute(*(instance_log_write(index, event) for index, event in entries))


async def _account_plans(transaction: Transaction, _: Replayed, entries: Entries) -> None:
    await transaction.execute(account_plan_write(entries))


async def _ami_statements(transaction: Transaction, _: Replayed, entries: Entries) -> None:
    for index, event in entries:
        await project_ami_statement(transaction, index, event)


async def _credentials(transaction: Transaction, _: Replayed, entries: Entries) -> None:
    await transaction.execute(*(credential_write(index, event) for index, event in entries))


async def _credential_changes(transaction: Transaction, _: Replayed, entries: Entries) -> None:
    await transaction.execute(*(change_write(index, event) for index, event in entries))


async def _nothing(_transaction: Transaction, _replayed: Replayed, _entries: Entries) -> None:
    """Write nothing: no table is derived from the entry."""


def _all_together(before: Entries, event: Event) -> bool:
    return True


def _listed_together(before: Entries, event: Event) -> bool:
    """Return whether a fact of the inventory may join those before it, each instance once. Never raises."""
    if any(one.get("kind") != INVENTORY_KIND for _, one in (*before, (0, event))):
        return False
    return all(one.get("subject") != event.get("subject") for _, one in before)


def _of_all(_: Event) -> str:
    """Return that the entry is in every account's bundle: it names no account, and lineages of any may rest on it."""
    return EVERY_ACCOUNT


def _of_none(_: Event) -> str:
    """For what is in no account's bundle, only in that of everything: who is a member of a team, and credentials."""
    return ""


def _account_stated(event: Event) -> str:
    return str(event["account_id"])


def _account_or_all(event: Event) -> str:
    """Return the account that an entry names; one that names none may concern every account."""
    return str(event["account_id"]) or EVERY_ACCOUNT


def _account_of_instance(event: Event) -> str:
    return str(event["instance"]["account_id"])


def _account_of_fact(event: Event) -> str:
    """Return the account of a listed instance; images, tags and commits may concern every account."""
    if event["kind"] == AMI_KIND:
        return str(event["subject"]).partition("/")[0]
    if event["kind"] == ACCOUNT_DRIFT_KIND:
        return str(event["subject"])
    return str(event["value"]["account_id"]) if event["kind"] == INVENTORY_KIND else EVERY_ACCOUNT


def _kind(
    *tables: str,
    account: Callable[[Event], str],
    project: Project = _nothing,
    together: Callable[[Entries, Event], bool] | None = None,
    removable: bool = False,
) -> EntryKind:
    found = EntryKind(tables=tables, account=account, project={1: project}, removable=removable)
    return found if together is None else replace(found, together=together)


KINDS: Mapping[str, EntryKind] = MappingProxyType({
    "clock": _kind("clock", project=_clock, account=_of_all),
    "enrolment": _kind("instance", "enrolment", "life", "tally", project=_enrolments, account=_account_of_instance),
    "enrolment-refused": _kind(account=_account_of_instance),
    STATEMENT: _kind(
        "facets", "facets_image", "instance", "instance_facets", "statement", "image_commit", "image_chain", "life",
        "tally", "tag_digest", "version_digest", "instance_credential", "instance_image", "instance_package",
        account=_account_of_instance,
    ),
    "application": EntryKind(
        tables=("application_revision", "application_span", "application_word"),
        project={1: _applications, 2: _applications_v2}, account=_of_all,
    ),
    "handover": _kind("application_handover", project=_handovers, account=_of_all),
    "fact": _kind(
        "fact", "image_commit", "commit_word", "commit_person", "review_name", "range_commit", "image_chain",
        "image_layer", "tag_digest", "inventory", "inventory_history", "inventory_detail", "instance", "life", "tally",
        project=_facts, account=_account_of_fact, together=_listed_together,
    ),
    "verdict": replace(
        _kind(
            "verdict", "rule_set", "instance", "tally", "subject", "verdict_fold", "verdict_count", "verdict_total",
            "counted_instance", "silence",
            project=_verdicts, account=_account_stated, together=_all_together,
        ),
        project={1: _verdicts, 2: _verdicts},
    ),
    SUMMARY: _kind("summary_day", "summary_count", "summary_total", project=_summaries, account=_account_or_all),
    REPORT: _kind("report_file", project=_files_of_reports, account=_account_or_all),
    "evidence": _kind(account=_account_stated),
    "rule-settings": _kind(account=_of_all),
    RULE_SET: _kind("rule_state", project=_rule_sets, account=_of_all, together=_all_together),
    "push": _kind(
        "image_manifest", "image_tag", "image_blob", "image_job", "tag_digest", "version_digest", project=_pushes,
        account=_of_all,
    ),
    "untag": _kind("image_tag", project=_untags, account=_of_all),
    TEAM: _kind("team_revision", "team_name", project=_organised(TEAM), account=_of_all, together=_all_together),
    MERGED: _kind("team_revision", "team_name", project=_organised(MERGED), account=_of_all, together=_all_together),
    MEMBERS: _kind(
        "team_members", project=_organised(MEMBERS), account=_of_none, together=_all_together, removable=True,
    ),
    ACCOUNT: _kind("account_revision", project=_organised(ACCOUNT), account=_account_stated, together=_all_together),
    READ: _kind("organisation_read", project=_organised(READ), account=_of_all, together=_all_together),
    VERSION: _kind("version_revision", project=_versions, account=_of_all, together=_all_together),
    APPROVAL: _kind("approval", project=_approvals, account=_of_all, together=_all_together),
    CLOUD_EVENT: _kind(
        "cloud_event", "cloud_event_instance", "instance", "session_word", project=_cloud_events,
        account=_account_stated, together=_all_together,
    ),
    ROLE_SESSION: _kind(
        "role_session", "session_word", project=_role_sessions, account=_account_stated, together=_all_together,
    ),
    TRAIL_VERIFICATION: _kind(
        "trail_verification", project=_verifications, account=_account_stated, together=_all_together,
    ),
    FINDINGS: _kind("finding", "finding_seen", "finding_report", project=_findings, account=_account_or_all),
    VIOLATION_STEP: _kind(
        "violation", "violation_past", "violation_step", "exemption", project=_violation_steps, account=_account_or_all,
        together=_all_together,
    ),
    FULLSTOP_REPORT: _kind("fullstop_report", project=_reports, account=_account_stated),
    INSTANCE_LOG: _kind("instance_log", project=_instance_logs, account=_account_stated),
    ACCOUNT_PLAN: _kind("account_plan", project=_account_plans, account=_account_stated, together=_all_together),
    CREDENTIAL: replace(
        _kind("credential", "credential_change", account=_of_none, together=_all_together),
        project={1: _credentials, CHANGE_VERSION: _credential_changes},
    ),
    AMI_STATEMENT: _kind("ami_statement", "ami_package", "ami_named", project=_ami_statements, account=_of_all),
    "log-key": _kind(account=_of_all),
    "pruned": replace(
        _kind("removed_entry", "fact", account=_of_all), project={1: _pruned, REMOVALS_VERSION: _removals},
    ),
})  # fmt: skip
"""Statements are projected in batches by projections.statements; `account` takes their predicate's members."""
