"""The table of entry kinds: each kind is in a recorded history, and each derived table is of some kind."""

from __future__ import annotations

import json
from pathlib import Path

from whence_aggregator.ledger.kinds import EVERY_ACCOUNT
from whence_aggregator.projections.derived_tables import TABLES
from whence_aggregator.projections.kinds import KINDS
from whence_common.ledger_entry import type_of

DATA = Path(__file__).parent.parent / "data"
HISTORIES = (
    "ledger-v1", "organisation-v1", "applications-v2", "versions-v1", "verdicts-v2", "cloud-events-v1", "role-sessions-v1", "findings-v1",
    "violations-v1", "rule-sets-v1", "fullstop-v1", "summary-v1", "reports-v1",
    "account-plans-v1", "credentials-v1", "credential-looks-v1", "credentials-v2", "ami-statements-v1",
)  # fmt: skip
ENTRIES = [json.loads(line) for one in HISTORIES for line in (DATA / f"{one}.ndjson").read_bytes().splitlines()]


def test_the_recorded_histories_have_every_kind_that_may_be_appended() -> None:
    assert {type_of(one.encode())[0] for one in ENTRIES} == set(KINDS)


def test_the_kinds_that_are_in_every_accounts_bundle_are_these() -> None:
    nowhere = {"kind": "commit", "instance": {"account_id": "1"}, "account_id": "1"}
    assert {name for name, kind in KINDS.items() if kind.account(nowhere) == EVERY_ACCOUNT} == {
        "clock", "application", "fact", "push", "untag", "log-key", "pruned", "team", "team-merged", "organisation-read",
        "handover", "version", "approval", "rule-settings", "rule-set", "ami-statement",
    }  # fmt: skip


def test_each_derived_table_is_of_some_kind_and_each_kinds_tables_are_rebuilt_and_compared() -> None:
    owned = {table for kind in KINDS.values() for table in kind.tables}
    assert owned == {table.name for table in TABLES}
