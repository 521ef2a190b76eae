"""A report as CSV: a row for each violation. Pure."""

from __future__ import annotations

import csv
import io

from whence_aggregator.reports.report import ComplianceReport

_COLUMNS = (
    "rule", "severity", "verdict", "subject", "application", "account", "region", "since", "reason", "ledger_index",
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


def cell(text: str) -> str:
    """Return a text that a spreadsheet shows as it is."""
    text = text.replace("\x00", "")
    return f"'{text}" if text.lstrip(" ").startswith(_FORMULAS) else text
