"""The files of a report: cells that are no formulas, OSCAL as its schema demands, and markup that stays text."""

from __future__ import annotations

import csv
import io
import re
from typing import Any

import pytest

from whence_aggregator.reports.counted import CountedGroup, Counts
from whence_aggregator.reports.period import PeriodStep, StepsOfViolation, ViolationsOverPeriod, over_period
from whence_aggregator.reports.report import ComplianceReport, ReportedViolation, ReportScope, RuleOfReport
from whence_aggregator.reports.report_csv import cell, to_csv, to_steps_csv
from whence_aggregator.reports.report_html import HtmlReports
from whence_aggregator.reports.report_oscal import to_oscal
from whence_aggregator.reports.summary import TrendDay

UUID_5 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-5[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}\Z")
HOSTILE = '=HYPERLINK("http://x")\r\n<img src=x onerror=alert(1)>\u202e'


_STEPS = [
    PeriodStep(ledger_index=3, step="opened", at="2026-10-30T12:00:00.000Z", comment=HOSTILE),
    PeriodStep(ledger_index=5, step="exempted", at="2026-11-05T12:00:00.000Z", by=HOSTILE, comment=HOSTILE,
               exemption="e-1", exempt_until="2026-12-01T00:00:00.000Z"),
]  # fmt: skip
_EXEMPTED = StepsOfViolation(
    id="v-1", rule="source-dirty", severity=1, kind="version", subject=HOSTILE, application_id="greeter",
    account_id="", team=HOSTILE, steps=_STEPS,
)  # fmt: skip
PERIOD = ViolationsOverPeriod(
    violations=over_period([_EXEMPTED], since="2026-11-01T00:00:00.000Z", until="2026-11-23T00:00:00.000Z")
)


def violation(**changes: object) -> ReportedViolation:
    given: dict[str, Any] = {
        "rule": "source-dirty", "verdict": "fail", "subject": "i-0123456789abcdef0", "application_id": "greeter",
        "account_id": "123456789012", "region": "eu-central-1", "since": "2026-11-22T12:00:00.000Z", "reason": "M x",
        "ledger_index": 7, **changes,
    }  # fmt: skip
    return ReportedViolation(**given)


def rule(
    counts: Counts, *violations: ReportedViolation, name: str = "source-dirty", title: str = "Clean"
) -> RuleOfReport:
    return RuleOfReport(
        id=name, title=title, severity=1, rationale="Why.", remedy="Do.", counts=counts, violations=violations
    )


def report(*rules: RuleOfReport, team: str = "hello") -> ComplianceReport:
    return ComplianceReport(
        scope=ReportScope(team=team, since="2026-11-01", until="2026-11-22"), made_at="2026-11-22T12:00:00.000Z",
        made_by="audit", version="0.1.0", stood_at="2026-11-22T12:00:00.000Z", age_seconds=0.0, snapshot_index=9, checkpoint="note",
        everything=CountedGroup(), rules=rules, days=[TrendDay(day="2026-11-22", counts=None, ledger_index=None)],
        coverage={"complete": True, "incomplete_total": 0, "incomplete": []}, cut=False, period=PERIOD,
    )  # fmt: skip


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "  =1", "|calc", "\n=1"])
def test_no_cell_is_a_formula(text: str) -> None:
    assert cell(text) == f"'{text}"


def test_a_cell_keeps_quotes_and_line_breaks_and_no_nul() -> None:
    text = to_csv(report(rule(Counts(failed=1), violation(reason='a "b"\nc', subject="x\x00y"))))
    (head, row) = csv.reader(io.StringIO(text))
    assert row[head.index("reason")] == 'a "b"\nc'
    assert row[head.index("subject")] == "xy"


def test_hostile_text_stays_text_in_html_and_csv() -> None:
    broken = report(rule(Counts(failed=1), violation(subject=HOSTILE, reason=HOSTILE), title=HOSTILE), team=HOSTILE)
    page = HtmlReports().render(broken)
    assert "<img" not in page
    assert "&lt;img src=x onerror=alert(1)&gt;" in page
    for text in (to_csv(broken), to_steps_csv(broken)):
        for row in csv.reader(io.StringIO(text)):
            assert not any(one.startswith("=") for one in row)


def test_each_step_of_the_period_is_a_row_with_who_why_until_when_and_its_entry() -> None:
    (head, row) = csv.reader(io.StringIO(to_steps_csv(report())))
    found = dict(zip(head, row, strict=True))
    assert (found["state_at_start"], found["state_at_end"], found["step"], found["ledger_index"]) == (
        "open", "exempted", "exempted", "5"
    )  # fmt: skip
    assert found["exempt_until"] == "2026-12-01T00:00:00.000Z"
    (result,) = to_oscal(report())["assessment-results"]["results"]
    props = {one["name"]: one["value"] for one in result["props"]}
    assert (props["open-at-start"], props["exempted"], props["open-at-end"]) == ("1", "1", "1")


def test_oscal_has_what_its_schema_requires() -> None:
    document = to_oscal(report(rule(Counts(failed=1, passed=2), violation()), team=HOSTILE))["assessment-results"]
    assert document.keys() == {"uuid", "metadata", "import-ap", "results", "back-matter"}
    assert document["metadata"].keys() == {"title", "last-modified", "version", "oscal-version"}
    (resource,) = document["back-matter"]["resources"]
    assert document["import-ap"] == {"href": f"#{resource['uuid']}"}
    (result,) = document["results"]
    assert {"uuid", "title", "description", "start", "reviewed-controls"} <= result.keys()
    (observation,) = result["observations"]
    assert {"uuid", "description", "methods", "collected"} <= observation.keys()
    (finding,) = result["findings"]
    assert finding["target"] == {
        "type": "objective-id", "target-id": "source-dirty", "status": {"state": "not-satisfied"}
    }  # fmt: skip
    assert finding["related-observations"] == [{"observation-uuid": observation["uuid"]}]
    for text in (document["metadata"]["title"], result["title"], observation["title"]):
        assert text == " ".join(text.split())
        assert text.isprintable()
    for one in (document, result, observation, finding, resource):
        assert UUID_5.match(one["uuid"])


@pytest.mark.parametrize(
    ("counts", "state"),
    [
        (Counts(passed=2), "satisfied"), (Counts(passed=2, failed=1), "not-satisfied"),
        (Counts(failed=1, unknown=1), "not-satisfied"), (Counts(passed=2, unknown=1), None),
        (Counts(passed=2, folded=1), None), (Counts(), None),
    ],
)  # fmt: skip
def test_what_is_unknown_is_an_observation_and_no_finding(counts: Counts, state: str | None) -> None:
    (result,) = to_oscal(report(rule(counts)))["assessment-results"]["results"]
    assert len(result["observations"]) == 1
    found = [one["target"]["status"]["state"] for one in result.get("findings", ())]
    assert found == ([state] if state is not None else [])


def test_the_same_report_is_the_same_document() -> None:
    assert to_oscal(report(rule(Counts(passed=1)))) == to_oscal(report(rule(Counts(passed=1))))
