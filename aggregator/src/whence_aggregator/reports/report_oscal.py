"""A report as OSCAL assessment results. Pure.

Source of the format: usnistgov/OSCAL, assessment-results 1.1.2. OSCAL has no state for unknown: it is an observation
without a finding. Identifiers are UUIDs of version 5, so that the same report has the same ones.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import UUID, uuid5

from whence_aggregator.reports.report import ComplianceReport, ReportedViolation, RuleOfReport

OSCAL_VERSION = "1.1.2"
_SPACE = UUID("6c1c5a0a-5b1e-5f0e-9d1c-0d6d1d9f2a22")
_NAMES = "https://whence.example.org/ns/oscal"
_TEXT_CHARACTERS_MAX = 1_000


def to_oscal(report: ComplianceReport) -> dict[str, Any]:
    """Return the document: for each rule an observation with its numbers, and a finding where no verdict is unknown."""
    key = f"{report.scope.name}/{report.scope.since}/{report.scope.until}/{report.made_at}"
    plan = _id(key, "plan")
    observations = [_observation(key, report, rule) for rule in report.rules]
    findings = [_finding(key, rule) for rule in report.rules if _is_known(rule)]
    result: dict[str, Any] = {
        "uuid": _id(key, "result"),
        "title": f"Compliance of {_line(report.scope.name)}",
        "description": f"Verdicts about {_line(report.scope.name)} as they stood at {report.stood_at}.",
        "start": f"{report.scope.since}T00:00:00Z",
        "end": f"{report.scope.until}T23:59:59Z",
        "reviewed-controls": {
            "control-selections": [
                {"include-controls": [{"control-id": rule.id} for rule in report.rules]}
                if report.rules
                else {"include-all": {}}
            ]
        },
        "props": [
            _prop("complete", "yes" if report.complete else "no"),
            *(_prop(name.replace("_", "-"), number) for name, number in report.period.counts.items()),
        ],
    }
    if observations:
        result["observations"] = observations
    if findings:
        result["findings"] = findings
    return {
        "assessment-results": {
            "uuid": _id(key, "document"),
            "metadata": {
                "title": f"Compliance report: {_line(report.scope.name)}",
                "last-modified": report.made_at,
                "version": report.version,
                "oscal-version": OSCAL_VERSION,
            },
            "import-ap": {"href": f"#{plan}"},
            "results": [result],
            "back-matter": {
                "resources": [
                    {"uuid": plan, "title": "Rules in force",
                     "description": "The rules that judged, as GET /v1/rules returns them."}
                ]
            },
        }
    }  # fmt: skip


def _observation(key: str, report: ComplianceReport, rule: RuleOfReport) -> dict[str, Any]:
    counts = rule.counts
    found: dict[str, Any] = {
        "uuid": _id(key, "observation", rule.id),
        "title": _line(rule.title),
        "description": (
            f"{counts.passed} pass, {counts.failed} fail, {counts.unknown} are unknown and {counts.folded} depend on a "
            f"broken link, of {counts.total}."
        ),
        "props": [
            _prop("pass", counts.passed), _prop("fail", counts.failed), _prop("unknown", counts.unknown),
            _prop("folded", counts.folded), _prop("total", counts.total),
        ],
        "methods": ["TEST"],
        "collected": report.stood_at,
    }  # fmt: skip
    evidence = list(_evidence(rule, report.snapshot_index))
    if evidence:
        found["relevant-evidence"] = evidence
    return found


def _evidence(rule: RuleOfReport, snapshot: int | None) -> Iterator[dict[str, str]]:
    """Yield the entries of the log that the numbers of a rule rest on."""
    if snapshot is not None:
        yield {"href": f"urn:whence:entry:{snapshot}", "description": "The snapshot of the counts."}
    for one in rule.violations:
        if one.ledger_index is not None:
            yield {"href": f"urn:whence:entry:{one.ledger_index}", "description": _about(one)}


def _about(one: ReportedViolation) -> str:
    return _line(f"{one.verdict}: {one.subject}: {one.reason}")


def _is_known(rule: RuleOfReport) -> bool:
    """Return whether the rule has a state: something was judged, and what fails fails whatever is unknown."""
    return rule.counts.failed > 0 or (rule.counts.total > 0 and not rule.counts.unknown and not rule.counts.folded)


def _finding(key: str, rule: RuleOfReport) -> dict[str, Any]:
    state = "not-satisfied" if rule.counts.failed else "satisfied"
    return {
        "uuid": _id(key, "finding", rule.id),
        "title": _line(rule.title),
        "description": _line(rule.rationale if state == "satisfied" else rule.remedy),
        "target": {"type": "objective-id", "target-id": rule.id, "status": {"state": state}},
        "related-observations": [{"observation-uuid": _id(key, "observation", rule.id)}],
    }


def _prop(name: str, value: object) -> dict[str, str]:
    return {"name": name, "ns": _NAMES, "value": str(value)}


def _id(*names: str) -> str:
    return str(uuid5(_SPACE, "/".join(names)))


def _line(text: str) -> str:
    """Return a text as OSCAL's titles are: one line, not empty, without spaces around it."""
    plain = " ".join("".join(one if one.isprintable() else " " for one in text).split())
    return plain[:_TEXT_CHARACTERS_MAX].strip() or "-"
