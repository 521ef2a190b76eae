"""Findings as violations: grouped by rule and subject, so that two hundred packages of one image are one fault. Pure.

A finding that fails is a violation; one whose scanner no longer confirms it, or has no result, is unknown. Those that
pass, are fixed or need a person to look are no violations.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal

from whence_aggregator.findings.listing import Findings, ShownFinding, WantedFindings
from whence_aggregator.findings.rows import StoredFinding
from whence_aggregator.findings.sarif import IMAGE_SCANNED
from whence_aggregator.findings.scanners import BASE_IMAGE_OUTDATED, IMAGE_CVE, Scanners
from whence_aggregator.findings.subjects import FindingSubject
from whence_aggregator.queries.query import EVERY_ENTRY

ImageOutcome = Literal["pass", "fail", "unknown"]
NOT_SCANNED = "no scanner has reported about this image"


@dataclass(frozen=True, slots=True, kw_only=True)
class FindingViolation:
    """One rule that one subject breaks, or of which that is not known, by all findings about it."""

    rule: str
    subject: FindingSubject
    verdict: Literal["fail", "unknown"]
    severity: int
    """Of the worst finding."""
    reason: str
    since: str
    first_seen: str
    last_seen: str
    reopened: int
    findings: int
    suppressed: bool
    """Whether the scanner has muted every one of them."""
    remedy: str
    title: str
    ledger_index: int
    """The newest entry that it rests on."""

    @property
    def key(self) -> tuple[str, str, str]:
        return self.rule, self.subject.kind, self.subject.id


def counts(shown: ShownFinding, scanners: Scanners) -> bool:
    """Return whether a finding is a violation: vulnerabilities of images only from the severity of the settings on."""
    if shown.verdict not in ("fail", "unknown"):
        return False
    return shown.rule != IMAGE_CVE or shown.severity <= scanners.cve_severity


def grouped(findings: Iterable[ShownFinding], scanners: Scanners) -> list[FindingViolation]:
    """Return violations, by rule and subject."""
    found: dict[tuple[str, str, str], FindingViolation] = {}
    for shown in findings:
        if not counts(shown, scanners):
            continue
        for subject in shown.subjects:
            one = _violation(shown, subject)
            known = found.get(one.key)
            found[one.key] = one if known is None else _joined(known, one)
    return [found[key] for key in sorted(found)]


async def finding_violations(
    findings: Findings, wanted: WantedFindings, *, now: datetime, past: int = EVERY_ENTRY
) -> list[FindingViolation]:
    """Return the violations that findings are, as of a moment. Memory is bounded by their groups, not by findings."""
    found: dict[tuple[str, str, str], FindingViolation] = {}
    async for batch in _batches(findings.every(wanted, now=now, past=past)):
        for one in grouped(batch, findings.scanners):
            known = found.get(one.key)
            found[one.key] = one if known is None else _joined(known, one)
    return [found[key] for key in sorted(found)]


def judge_image(
    rule: str, findings: Sequence[StoredFinding], scanners: Scanners, *, now: datetime
) -> tuple[ImageOutcome, str]:
    """Judge an image by `image-cve` or `base-image-outdated`, from the findings about its digest.

    It passes only if a scanner states so: by a pass of a check of the rule, or, for vulnerabilities, by a whole scan.
    """
    confirmed, unknown, faults = False, list[str](), list[str]()
    for one in findings:
        verdict, reason = scanners.verdict(one, now=now)
        of_rule = scanners.rule_of(one) == rule
        stands_for = of_rule or (rule == IMAGE_CVE and one.check_id == IMAGE_SCANNED)
        if not stands_for or (rule == IMAGE_CVE and of_rule and scanners.severity_of(one) > scanners.cve_severity):
            continue
        if verdict == "fail":
            faults.append(str(one.body.get("title", one.check_id)))
        elif verdict == "unknown":
            unknown.append(reason)
        elif verdict in ("pass", "fixed") and (rule == BASE_IMAGE_OUTDATED or one.check_id == IMAGE_SCANNED):
            confirmed = True
    if faults:
        more = f" and {len(faults) - 3} more" if len(faults) > 3 else ""
        return "fail", ", ".join(sorted(faults)[:3]) + more
    if unknown or not confirmed:
        return "unknown", min(unknown, default=NOT_SCANNED)
    return "pass", ""


async def _batches(found: AsyncIterator[ShownFinding]) -> AsyncIterator[list[ShownFinding]]:
    batch: list[ShownFinding] = []
    async for one in found:
        batch.append(one)
        if len(batch) == 500:
            yield batch
            batch = []
    yield batch


def _violation(shown: ShownFinding, subject: FindingSubject) -> FindingViolation:
    one = shown.finding
    return FindingViolation(
        rule=shown.rule, subject=subject, verdict="fail" if shown.verdict == "fail" else "unknown",
        severity=shown.severity, reason=shown.reason or str(one.body.get("title", "")), since=one.since,
        first_seen=one.first_seen, last_seen=one.last_seen, reopened=one.reopened, findings=1,
        suppressed=one.suppressed, remedy=str(one.body.get("remedy", "")), title=str(one.body.get("title", "")),
        ledger_index=one.ledger_index,
    )  # fmt: skip


def _order(one: FindingViolation) -> tuple[bool, int, str, str]:
    return one.verdict != "fail", one.severity, one.since, one.reason


def _joined(one: FindingViolation, other: FindingViolation) -> FindingViolation:
    """Join two of one rule and subject: a fault outweighs what is unknown, and the worst one gives the reason."""
    first, second = sorted((one, other), key=_order)
    same = [each for each in (first, second) if each.verdict == first.verdict]
    return replace(
        first,
        severity=min(each.severity for each in same),
        since=min(each.since for each in same),
        first_seen=min(one.first_seen, other.first_seen),
        last_seen=max(one.last_seen, other.last_seen),
        reopened=max(one.reopened, other.reopened),
        findings=one.findings + other.findings,
        suppressed=one.suppressed and other.suppressed,
        ledger_index=max(one.ledger_index, other.ledger_index),
    )
