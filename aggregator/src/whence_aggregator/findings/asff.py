"""Findings in AWS's format, ASFF, as Security Hub, Prowler and Trivy write it. Pure.

Source: the Security Hub user guide, "AWS Security Finding Format". RecordState is the provider's word about a finding,
Workflow the customer's; Compliance.Status is the result. UpdatedAt does not move when a customer changes the workflow.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from whence_aggregator.findings.fields import (
    CHECK_CHARACTERS_MAX,
    NAME_CHARACTERS_MAX,
    TITLE_CHARACTERS_MAX,
    UID_CHARACTERS_MAX,
    account_of,
    child,
    children,
    digest_in,
    identifier,
    instance_of,
    line,
    links,
    moment,
    moment_or_none,
    product_id,
)
from whence_aggregator.findings.finding import (
    CRITICAL,
    HIGH,
    LOW,
    MEDIUM,
    UNKNOWN_SEVERITY,
    Finding,
    FindingRefused,
    Resource,
    Result,
)
from whence_common.identifiers import is_application_id

SCHEMA = "2018-10-08"
_LABELS = {"INFORMATIONAL": LOW, "LOW": LOW, "MEDIUM": MEDIUM, "HIGH": HIGH, "CRITICAL": CRITICAL}
_RESULTS: Mapping[str, Result] = {
    "PASSED": "pass", "FAILED": "fail", "WARNING": "unknown", "NOT_AVAILABLE": "unknown",
}  # fmt: skip
_TRIVY = ("aquasecurity", "trivy")
_VULNERABILITIES = "Software and Configuration Checks/Vulnerabilities"


def parse_asff(finding: Mapping[str, Any], *, now: datetime) -> Finding:
    """Parse one finding. Raises FindingRefused."""
    uid = identifier(finding.get("Id"), "Id", UID_CHARACTERS_MAX)
    try:
        return _parsed(finding, uid, now)
    except FindingRefused as exc:
        exc.uid = uid
        raise


def _parsed(finding: Mapping[str, Any], uid: str, now: datetime) -> Finding:
    if finding.get("SchemaVersion") != SCHEMA:
        raise FindingRefused("finding-schema", "SchemaVersion", f"is not {SCHEMA}")
    product = product_id(finding.get("ProductArn"), "ProductArn")
    first = next(iter(children(finding, "Resources")), None)
    if first is None:
        raise FindingRefused("finding-field-missing", "Resources", "is missing or empty")
    other = child(child(first, "Details"), "Other")
    package = line(other.get("PkgName"), 200)
    if product in _TRIVY and package:
        uid = identifier(f"{uid}/{package}", "Id", UID_CHARACTERS_MAX)  # its Id leaves out the package
    recommendation = child(child(finding, "Remediation"), "Recommendation")
    workflow = child(finding, "Workflow").get("Status")
    result = _result(finding)
    return Finding(
        product=product,
        uid=uid,
        check_id=_check(finding, other, product),
        title=line(finding.get("Title"), TITLE_CHARACTERS_MAX),
        severity=_severity(child(finding, "Severity")),
        result=result,
        # RESOLVED is what a customer states, and stays although the check still fails; muted is WARNING in Prowler's
        suppressed=workflow in ("SUPPRESSED", "RESOLVED") or (product == "prowler" and result == "unknown"),
        closed=finding.get("RecordState") == "ARCHIVED",
        vulnerability=_is_vulnerability(finding, other),
        resource=_resource(finding, first),
        observed_at=moment(finding.get("UpdatedAt"), "UpdatedAt", now=now),
        first_seen=moment_or_none(finding.get("FirstObservedAt") or finding.get("CreatedAt"), "CreatedAt", now=now),
        detail=line(finding.get("Description")),
        remedy=line(recommendation.get("Text")),
        references=links((recommendation.get("Url"), finding.get("SourceUrl"))),
    )


def _check(finding: Mapping[str, Any], other: Mapping[str, Any], product: str) -> str:
    control = child(finding, "Compliance").get("SecurityControlId")
    vulnerability = next(iter(children(finding, "Vulnerabilities")), {}).get("Id")
    stated = control or vulnerability or other.get("CVE ID") or finding.get("GeneratorId")
    found = identifier(stated, "GeneratorId", CHECK_CHARACTERS_MAX)
    return found.removeprefix("prowler-") if product == "prowler" else found


def _severity(stated: Mapping[str, Any]) -> int:
    label, normalized = stated.get("Label"), stated.get("Normalized")
    if isinstance(label, str) and label in _LABELS:
        return _LABELS[label]
    if isinstance(normalized, int | float) and not isinstance(normalized, bool):
        bounds = ((90, CRITICAL), (70, HIGH), (40, MEDIUM))
        return next((severity for least, severity in bounds if normalized >= least), LOW)
    return UNKNOWN_SEVERITY


def _result(finding: Mapping[str, Any]) -> Result:
    """Return the result: a finding without one is a fault by itself."""
    status = child(finding, "Compliance").get("Status")
    if status is None:
        return "fail"
    return _RESULTS.get(status, "unknown") if isinstance(status, str) else "unknown"


def _is_vulnerability(finding: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    types = finding.get("Types")
    named = types[:50] if isinstance(types, list) else []
    by_type = any(isinstance(one, str) and one.startswith(_VULNERABILITIES) for one in named)
    return by_type or bool(children(finding, "Vulnerabilities")) or "CVE ID" in other


def _resource(finding: Mapping[str, Any], first: Mapping[str, Any]) -> Resource:
    account_id = account_of(finding.get("AwsAccountId"), "AwsAccountId")
    name = line(first.get("Id"), NAME_CHARACTERS_MAX)
    details, tags = child(first, "Details"), child(first, "Tags")
    image = child(details, "Container").get("ImageName") or child(details, "AwsEcrContainerImage").get("ImageDigest")
    application = tags.get("application_id") or tags.get("ApplicationId")
    return Resource(
        account_id=account_id,
        region=line(first.get("Region") or finding.get("Region"), 40),
        instance_id=instance_of(name, account_id),
        image_digest=digest_in(name, line(image, NAME_CHARACTERS_MAX)),
        application_id=application if isinstance(application, str) and is_application_id(application) else "",
        name=name,
        kind=line(first.get("Type"), 100),
    )
