"""OCSF findings of the classes 2002, 2003 and 2004, and Prowler's own output file. Pure.

Source: schema.ocsf.io, 1.1 to 1.8. The result of a compliance finding is compliance.status_id, never the status_id of
the event, which is the state of the work on it. Prowler writes class 2004, times in seconds, and the result in
status_code; its files in compliance/ repeat each finding for every requirement of a framework.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal

from whence_aggregator.findings.fields import (
    CHECK_CHARACTERS_MAX,
    NAME_CHARACTERS_MAX,
    TITLE_CHARACTERS_MAX,
    UID_CHARACTERS_MAX,
    account_of,
    application_tagged,
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

VULNERABILITY, COMPLIANCE, DETECTION = 2002, 2003, 2004
_CLASSES = {VULNERABILITY, COMPLIANCE, DETECTION}
_SEVERITIES = {1: LOW, 2: LOW, 3: MEDIUM, 4: HIGH, 5: CRITICAL, 6: CRITICAL}
_RESULTS: Mapping[object, Result] = {1: "pass", 2: "unknown", 3: "fail"}
_CODES: Mapping[object, Result] = {"PASS": "pass", "FAIL": "fail", "MANUAL": "manual"}
_SUPPRESSED = 3
_DONE = {4, 5, 6}
"""Of status_id: resolved, archived, deleted."""
_RESOLVED = 4
"""Of status_id. Of a compliance finding it is what a person states of the work, and the check may still fail."""
_CLOSE = 3
"""Of activity_id."""
_PROWLER = "prowler"


def parse_ocsf(event: Mapping[str, Any], *, now: datetime) -> Finding:
    """Parse one event. Raises FindingRefused."""
    uid = identifier(child(event, "finding_info").get("uid"), "finding_info.uid", UID_CHARACTERS_MAX)
    try:
        return _parsed(event, uid, now)
    except FindingRefused as exc:
        exc.uid = uid
        raise


def _parsed(event: Mapping[str, Any], uid: str, now: datetime) -> Finding:
    class_uid, info, metadata = event.get("class_uid"), child(event, "finding_info"), child(event, "metadata")
    if not isinstance(class_uid, int) or class_uid not in _CLASSES:
        shown = line(str(class_uid), 20)
        raise FindingRefused("finding-class", "class_uid", f"{shown} is none of 2002, 2003 and 2004")
    stated, status = child(metadata, "product"), event.get("status_id")
    product = product_id(stated.get("uid") or stated.get("name"), "metadata.product.uid")
    if product == _PROWLER and class_uid == COMPLIANCE:
        raise FindingRefused(
            "finding-repeated-by-framework", "class_uid",
            "Prowler's files in compliance/ repeat each finding for every requirement: push its main *.ocsf.json",
        )  # fmt: skip
    first = next(iter(children(event, "resources")), {})
    remediation = child(event, "remediation")
    references = remediation.get("references")
    is_said_to_be_done = class_uid == COMPLIANCE and status == _RESOLVED
    return Finding(
        product=product,
        uid=uid,
        check_id=_check(event, class_uid),
        title=line(info.get("title"), TITLE_CHARACTERS_MAX) or line(event.get("message"), TITLE_CHARACTERS_MAX),
        severity=_severity(event.get("severity_id")),
        result=_result(event, class_uid),
        suppressed=status == _SUPPRESSED or is_said_to_be_done,
        closed=(isinstance(status, int) and status in _DONE and not is_said_to_be_done)
        or event.get("activity_id") == _CLOSE,
        vulnerability=class_uid == VULNERABILITY,
        resource=_resource(event, first),
        observed_at=moment(event.get("time"), "time", now=now),
        first_seen=moment_or_none(info.get("first_seen_time") or info.get("created_time"), "first_seen_time", now=now),
        detail=line(event.get("status_detail")) or _details(event) or line(event.get("message")),
        remedy=line(remediation.get("desc")),
        references=links(references if isinstance(references, list) else ()),
    )


def _check(event: Mapping[str, Any], class_uid: object) -> str:
    compliance = child(event, "compliance")
    found = [
        child(event, "metadata").get("event_code"),
        child(child(event, "finding_info"), "analytic").get("uid"),
        *(one.get("uid") for one in children(compliance, "checks", most=1)),
        compliance.get("control"),
    ]
    if class_uid == VULNERABILITY:
        first = next(iter(children(event, "vulnerabilities")), {})
        found = [*(child(first, name).get("uid") for name in ("cve", "advisory", "cwe")), *found]
    stated = next((one for one in found if isinstance(one, str) and one), None)
    return identifier(stated, "metadata.event_code", CHECK_CHARACTERS_MAX)


def _severity(value: object) -> int:
    return _SEVERITIES.get(value, UNKNOWN_SEVERITY) if isinstance(value, int) else UNKNOWN_SEVERITY


def _result(event: Mapping[str, Any], class_uid: object) -> Result:
    """Return the result. A vulnerability or a detection is a fault by itself, unless the scanner states a result."""
    code = event.get("status_code")
    by_code = _CODES.get(code.upper()) if isinstance(code, str) else None
    if class_uid == COMPLIANCE:
        status = child(event, "compliance").get("status_id")
        found = _RESULTS.get(status) if isinstance(status, int) and not isinstance(status, bool) else None
        return found or by_code or "unknown"
    if by_code is None and isinstance(code, str) and code and class_uid == DETECTION:
        return "unknown"
    otherwise: Literal["fail"] = "fail"
    return by_code or otherwise


def _details(event: Mapping[str, Any]) -> str:
    found = child(event, "compliance").get("status_details")
    return line("; ".join(one for one in found[:10] if isinstance(one, str))) if isinstance(found, list) else ""


def _resource(event: Mapping[str, Any], first: Mapping[str, Any]) -> Resource:
    cloud = child(event, "cloud") or child(child(event, "unmapped"), "cloud")
    stated = child(cloud, "account").get("uid")
    account_id = account_of(stated, "cloud.account.uid") if stated not in (None, "") else ""
    name = line(first.get("uid"), NAME_CHARACTERS_MAX) or line(first.get("name"), NAME_CHARACTERS_MAX)
    return Resource(
        account_id=account_id,
        region=line(cloud.get("region") or first.get("region"), 40),
        instance_id=instance_of(name, account_id),
        image_digest=digest_in(name, line(first.get("name"), NAME_CHARACTERS_MAX)),
        application_id=application_tagged(first),
        name=name,
        kind=line(first.get("type"), 100),
    )
