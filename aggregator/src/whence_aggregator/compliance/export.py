"""Violations as OCSF compliance findings and as SARIF, for whatever collects the findings of many tools. Pure.

Sources: schema.ocsf.io 1.5, class 2003; OASIS SARIF 2.1.0. The result is compliance.status_id (3 fails, 2 could not be
told), never the status of the event. What is unknown is `open` in SARIF, which knows no other word for it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from whence_common.clock import parse_instant, to_instant, to_millis

OCSF_VERSION = "1.5.0"
SARIF_SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
_CLASS_UID, _CATEGORY_UID, _CREATE, _NEW = 2003, 2, 1, 1
_SEVERITIES = {1: (5, "Critical"), 2: (4, "High"), 3: (3, "Medium"), 4: (2, "Low")}
_STATUSES = {"fail": (3, "Fail"), "unknown": (2, "Warning")}
_LEVELS = {1: "error", 2: "error", 3: "warning", 4: "note"}
_SCORES = {1: "9.5", 2: "8.0", 3: "5.5", 4: "2.0"}
"""Severities as GitHub and others read them from `security-severity`, in the middle of their ranges."""
Violation = Mapping[str, Any]
"""A violation as /v1/violations lists it."""


def to_ocsf(violations: Sequence[Violation], *, version: str, now: datetime) -> list[dict[str, Any]]:
    """Return each violation as an event of class 2003. `version` is that of this program."""
    return [_event(one, version, now) for one in violations]


def to_sarif(violations: Sequence[Violation], *, version: str, now: datetime) -> dict[str, Any]:
    """Return violations as one document with one run."""
    rules = list(dict.fromkeys(str(one["rule"]) for one in violations))
    first = {str(one["rule"]): one for one in reversed(violations)}
    driver = {"name": "Whence", "version": version, "rules": [_rule(name, first[name]) for name in rules]}
    run = {
        "tool": {"driver": driver},
        "automationDetails": {"id": "whence/violations/"},
        "invocations": [{"executionSuccessful": True, "endTimeUtc": to_instant(now)}],
        "results": [_result(one, rules.index(str(one["rule"]))) for one in violations],
    }
    return {"$schema": SARIF_SCHEMA, "version": "2.1.0", "runs": [run]}


def finding_uid(violation: Violation) -> str:
    """Return what identifies a violation in every report: it is the same until the rule or the subject is another."""
    return f"whence/{violation['rule']}/{violation['instance_id']}"


def resource_name(violation: Violation) -> str:
    """Return the ARN of the instance."""
    region = str(violation["region"])
    return f"arn:{_partition(region)}:ec2:{region}:{violation['account_id']}:instance/{violation['instance_id']}"


def _partition(region: str) -> str:
    starts = {"cn-": "aws-cn", "us-gov-": "aws-us-gov", "eusc-": "aws-eusc"}
    return next((partition for start, partition in starts.items() if region.startswith(start)), "aws")


def _event(one: Violation, version: str, now: datetime) -> dict[str, Any]:
    severity_id, severity = _SEVERITIES[int(one["severity"])]
    status_id, status = _STATUSES[str(one["verdict"])]
    since = to_millis(parse_instant(str(one["since"])))
    rule, region = str(one["rule"]), str(one["region"])
    return {
        "activity_id": _CREATE, "activity_name": "Create", "category_uid": _CATEGORY_UID, "category_name": "Findings",
        "class_uid": _CLASS_UID, "class_name": "Compliance Finding", "type_uid": _CLASS_UID * 100 + _CREATE,
        "time": to_millis(now), "severity_id": severity_id, "severity": severity, "status_id": _NEW, "status": "New",
        "message": one["reason"],
        "metadata": {
            "version": OCSF_VERSION, "event_code": rule, "profiles": ["cloud"],
            "product": {"name": "Whence", "uid": "whence", "vendor_name": "Whence", "version": version},
        },
        "finding_info": {
            "uid": finding_uid(one), "title": rule, "desc": one["reason"], "created_time": since,
            "first_seen_time": since, "last_seen_time": to_millis(now),
            "analytic": {"uid": rule, "name": rule, "type_id": 1, "type": "Rule"},
        },
        "compliance": {
            "control": rule, "standards": ["Whence"], "status_id": status_id, "status": status,
            "status_details": [one["reason"]],
        },
        "remediation": {"desc": one["remedy"]},
        "cloud": {
            "provider": "AWS", "region": region,
            "account": {"uid": one["account_id"], "type": "AWS Account", "type_id": 10},
        },
        "resources": [{
            "uid": resource_name(one), "type": "AwsEc2Instance", "region": region,
            "cloud_partition": _partition(region),
        }],
        "unmapped": {"application_id": one.get("application_id"), "ledger_index": one.get("ledger_index")},
    }  # fmt: skip


def _rule(name: str, one: Violation) -> dict[str, Any]:
    severity = int(one["severity"])
    return {
        "id": name,
        "shortDescription": {"text": name},
        "help": {"text": one["remedy"] or name},
        "defaultConfiguration": {"level": _LEVELS[severity]},
        "properties": {"security-severity": _SCORES[severity], "tags": ["compliance"]},
    }


def _result(one: Violation, rule_index: int) -> dict[str, Any]:
    fails = one["verdict"] == "fail"
    place = f"aws/{one['account_id']}/{one['region']}/{one['instance_id']}"
    return {
        "ruleId": one["rule"],
        "ruleIndex": rule_index,
        "kind": "fail" if fails else "open",
        "level": _LEVELS[int(one["severity"])] if fails else "none",
        "message": {"text": one["reason"] or one["rule"]},
        "locations": [{
            "physicalLocation": {"artifactLocation": {"uri": place}},
            "logicalLocations": [{"fullyQualifiedName": resource_name(one), "kind": "resource"}],
        }],
        "partialFingerprints": {"whence/v1": finding_uid(one)},
        "properties": {
            "since": one["since"], "applicationId": one.get("application_id"), "ledgerIndex": one.get("ledger_index"),
        },
    }  # fmt: skip
