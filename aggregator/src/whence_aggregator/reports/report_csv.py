"""A report as CSV: a row for each violation that stands, and for each step within the period. Pure."""

from __future__ import annotations

import csv
import io

from whence_aggregator.reports.report import ComplianceReport

_COLUMNS = (
    "rule", "severity", "verdict", "subject", "application", "account", "region", "since", "reason", "ledger_index",
)  # fmt: skip
_COLUMNS_OF_STEPS = (
    "violation", "rule", "severity", "kind", "subject", "application", "account", "team", "state_at_start",
    "state_at_end", "step", "at", "by", "comment", "exemption", "exempt_until", "ledger_index",
)  # fmt: skip
_FORMULAS = ("=", "+", "-", "@", "\t", "\r", "\n", "|", "%")
"""The first characters by which spreadsheets take a cell for a formula, or for a command."""


def to_csv(report: ComplianceReport) -> str:
    """Return the violations; no cell begins as a formula does."""
    out = io.StringIO()
    writer = csv.writer(out, quoting=csv.QUOTE_ALL, lineterminator="\r\n")
    writer.writerow(_COLUMNS)
    for rule in report.rules:
        for one in rule.violations:
            cells = (
                one.rule, rule.severity, one.verdict, one.subject, one.application_id, one.account_id, one.region,
                one.since, one.reason, one.ledger_index if one.ledger_index is not None else "",
            )  # fmt: skip
            writer.writerow([cell(str(value)) for value in cells])
    return out.getvalue()


def to_steps_csv(report: ComplianceReport) -> str:
    """Return a row for each step within the period, and one without a step for what was open and took none."""
    out = io.StringIO()
    writer = csv.writer(out, quoting=csv.QUOTE_ALL, lineterminator="\r\n")
    writer.writerow(_COLUMNS_OF_STEPS)
    for one in report.period.violations:
        about = one.violation
        shared = (
            about.id, about.rule, about.severity, about.kind, about.subject, about.application_id, about.account_id,
            about.team, one.before.state, one.after.state,
        )  # fmt: skip
        steps: list[tuple[object, ...]] = [
            (step.step, step.at, step.by, step.comment, step.exemption, step.exempt_until, step.ledger_index)
            for step in one.within
        ] or [("", "", "", "", "", "", one.before.entry)]
        for step in steps:
            writer.writerow([cell(str(value)) for value in (*shared, *step)])
    return out.getvalue()


def cell(text: str) -> str:
    """Return a text that a spreadsheet shows as it is."""
    text = text.replace("\x00", "")
    return f"'{text}" if text.lstrip(" ").startswith(_FORMULAS) else text
