"""What rules found about an instance: its verdicts and the violations of its version, the worst first."""

from __future__ import annotations

from typing import Any

import pytest

from fakes.instance_answers import RULES
from whence_aggregator.console.rule_rows import RuleRow, counted, rule_rows


def _verdict(rule: str, verdict: str, reason: str = "because") -> dict[str, Any]:
    since = None if verdict == "pass" else "2026-11-27T03:00:00.000Z"
    return {
        "instance_id": "i-1", "rule": rule, "rule_version": 1, "verdict": verdict, "reason": reason, "since": since,
        "ledger_index": None,
    }  # fmt: skip


def _violation(rule: str, **members: object) -> dict[str, Any]:
    return {
        "id": f"v-{rule}", "state": "open", "rule": rule, "severity": 2, "title": "a title", "remedy": "a remedy",
        "reason": "a reason", "since": "2026-11-27T02:00:00.000Z", "not_confirmed_since": None, "acknowledged": None,
        "exemption": None, "ledger_index": 9, **members,
    }  # fmt: skip


def _one(rows: list[RuleRow], rule: str) -> RuleRow:
    return next(one for one in rows if one.rule == rule)


def test_rules_are_listed_from_the_worst_and_an_unknown_verdict_is_no_pass() -> None:
    verdicts = [
        _verdict("ticket-missing", "pass"), _verdict("agent-silent", "gone"), _verdict("boot-failed", "unknown"),
        _verdict("source-dirty", "fail"), _verdict("future", "undecided"),
    ]  # fmt: skip
    rows = rule_rows(verdicts, (), RULES["rules"])
    assert [(one.rule, one.state) for one in rows] == [
        ("source-dirty", "fail"), ("boot-failed", "unknown"), ("future", "unknown"), ("agent-silent", "gone"),
        ("ticket-missing", "pass"),
    ]  # fmt: skip
    assert [counted(rows, state) for state in ("fail", "unknown", "gone", "pass")] == [1, 2, 1, 1]
    assert (rows[0].severity, rows[0].link, rows[0].remedy) == (1, "source", "commit, build again, deploy")


def test_a_violation_of_the_version_is_a_row_of_its_own_unless_the_instance_has_a_verdict() -> None:
    rows = list(rule_rows([_verdict("source-dirty", "fail")], [_violation("source-dirty"), _violation("no-sbom")], ()))
    assert (_one(rows, "source-dirty").violation, _one(rows, "source-dirty").of_version) == ("v-source-dirty", False)
    added = _one(rows, "no-sbom")
    assert (added.state, added.reason, added.severity, added.of_version) == ("fail", "a reason", 2, True)


def test_what_is_fixed_or_not_confirmed_is_no_failure() -> None:
    rows = rule_rows((), [_violation("a", state="fixed"), _violation("b", not_confirmed_since="2026-11-27T03:00Z")], ())
    assert [(one.rule, one.state) for one in rows] == [("b", "unknown")]


@pytest.mark.parametrize(
    ("members", "standing"),
    [
        ({}, ""),
        ({"state": "acknowledged", "acknowledged": {"by": "ada", "at": "", "comment": ""}}, "acknowledged by ada"),
        (
            {"state": "exempted", "exemption": {"id": "x", "until": "2026-12-02T00:00:00.000Z"}},
            "exempted until 02 Dec 2026 00:00:00 UTC",
        ),
    ],
)
def test_an_exemption_leaves_the_verdict_as_it_is(members: dict[str, Any], standing: str) -> None:
    [row] = rule_rows([_verdict("source-dirty", "fail")], [_violation("source-dirty", **members)], ())
    assert (row.state, row.standing) == ("fail", standing)


def test_a_rule_that_passes_leads_to_no_violation() -> None:
    [row] = rule_rows([_verdict("source-dirty", "pass")], [_violation("source-dirty")], ())
    assert row.violation == ""
