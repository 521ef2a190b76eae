"""Counts of verdicts: the form of each, subjects as the worst of theirs, sums by day, and missing permissions."""

from __future__ import annotations

import pytest

from whence_aggregator.projections.verdict_counts import CountedPlace, VerdictCounts, form_of
from whence_aggregator.reports.counted import CountKey, Counts, DayOfCount, by_day, changed, standing_at
from whence_aggregator.reports.coverage import SourceCoverage

PLACE = CountedPlace(account_id="1", application_id="a", kind="instance")
KEY = CountKey("1", "a", "instance", "rule")


@pytest.mark.parametrize(
    ("outcome", "folded", "form"),
    [
        ("pass", False, "passed"), ("fail", False, "failed"), ("unknown", False, "unknown"), ("fail", True, "folded"),
        ("unknown", True, "folded"), ("gone", False, None), (None, False, None),
    ],
)  # fmt: skip
def test_each_verdict_has_one_form(outcome: str | None, folded: bool, form: str | None) -> None:
    assert form_of(outcome, folded) == form


def test_a_subject_counts_once_as_the_worst_of_its_verdicts() -> None:
    counts = VerdictCounts()
    counts.move((PLACE, {}), (PLACE, {"x": "passed", "y": "unknown", "z": "failed"}))
    counts.move((PLACE, {"x": "passed", "y": "unknown", "z": "failed"}), (PLACE, {"x": "passed", "y": "unknown"}))
    found = {row["rule"]: (row["passed"], row["failed"], row["unknown"], row["folded"]) for row in counts.rows()}
    assert found == {"x": (1, 0, 0, 0), "y": (0, 0, 1, 0), "": (0, 0, 1, 0)}


def test_days_sum_up_what_held_and_a_day_without_a_statement_keeps_it() -> None:
    rows = [
        DayOfCount(key=KEY, day="2026-11-01", counts=Counts(failed=2)),
        DayOfCount(key=KEY, day="2026-11-03", counts=Counts(passed=2)),
        DayOfCount(key=KEY._replace(account_id="2"), day="2026-11-02", counts=Counts(unknown=1)),
    ]
    assert list(by_day(rows, ["2026-11-02", "2026-11-03"])) == [
        ("2026-11-02", Counts(failed=2, unknown=1)), ("2026-11-03", Counts(passed=2, unknown=1)),
    ]  # fmt: skip
    assert standing_at(rows, "2026-11-01") == {KEY: Counts(failed=2)}


def test_a_snapshot_states_only_what_changed_and_what_is_no_more() -> None:
    other = KEY._replace(rule="other")
    before = {KEY: Counts(passed=1), other: Counts(failed=1)}
    assert changed({KEY: Counts(passed=1)}, before) == {other: Counts()}
    assert changed(before, before) == {}


@pytest.mark.parametrize(
    ("reason", "permission"),
    [
        ("UnauthorizedOperation: You are not authorized to perform: ec2:DescribeInstances", "ec2:DescribeInstances"),
        ("AccessDenied: User: arn:aws:sts::1:assumed-role/w is not authorized to perform: sts:AssumeRole on resource: x",
         "sts:AssumeRole"),
        ("AuthFailure", "not named by AWS"), ("EC2 is away", ""), ("", ""),
    ],
)  # fmt: skip
def test_the_missing_permission_is_named_as_aws_names_it(reason: str, permission: str) -> None:
    assert SourceCoverage(source="inventory", state="failed", reason=reason).permission == permission
