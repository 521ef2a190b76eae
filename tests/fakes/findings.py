"""Findings as scanners write them, in the formats that are taken; what a test does not state is as in any good one."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

DATA = Path(__file__).parent.parent / "data" / "findings"
ACCOUNT = "123456789012"
AFTER_THE_SCANS = datetime(2026, 11, 27, 6, 0, tzinfo=UTC)
"""Soon after the files in tests/data/findings were written."""
IMAGE = "sha256:" + "d" * 64


def ocsf(uid: str = "f-1", *, result: str = "FAIL", at: str = "2026-11-22T10:00:00Z", **changes: Any) -> dict[str, Any]:
    """Return an event of class 2004, as Prowler writes it."""
    event: dict[str, Any] = {
        "class_uid": 2004, "activity_id": 1, "severity_id": 4, "status_id": 1, "status_code": result, "time": at,
        "metadata": {"event_code": "bucket_public", "product": {"uid": "prowler", "version": "5.46.0"}},
        "finding_info": {"uid": uid, "title": "Buckets are not public"},
        "cloud": {"provider": "aws", "region": "eu-central-1", "account": {"uid": ACCOUNT}},
        "resources": [{"uid": f"arn:aws:s3:::{uid}", "type": "AwsS3Bucket"}],
        "status_detail": f"Bucket {uid} is public.",
        "remediation": {"desc": "Block public access.", "references": ["https://example.org/s3"]},
    }  # fmt: skip
    return event | changes


def asff(uid: str = "f-1", **changes: Any) -> dict[str, Any]:
    """Return a finding of Security Hub."""
    finding: dict[str, Any] = {
        "SchemaVersion": "2018-10-08", "Id": uid, "AwsAccountId": ACCOUNT, "GeneratorId": "aws-foundational/EC2.8",
        "ProductArn": "arn:aws:securityhub:eu-central-1::product/aws/securityhub", "Title": "IMDSv2",
        "UpdatedAt": "2026-11-22T10:00:00Z", "CreatedAt": "2026-11-20T10:00:00Z", "Description": "d",
        "Severity": {"Label": "HIGH"}, "Compliance": {"Status": "FAILED", "SecurityControlId": "EC2.8"},
        "Resources": [{
            "Type": "AwsEc2Instance", "Region": "eu-central-1",
            "Id": f"arn:aws:ec2:eu-central-1:{ACCOUNT}:instance/i-0123456789abcdef0",
        }],
        "RecordState": "ACTIVE", "Workflow": {"Status": "NEW"},
    }  # fmt: skip
    return finding | changes


def sarif(*results: dict[str, Any], **properties: Any) -> dict[str, Any]:
    """Return a document with one run of Trivy."""
    run = {"tool": {"driver": {"name": "Trivy"}}, "results": list(results), "properties": properties}
    return {"version": "2.1.0", "runs": [run]}


def sample(name: str) -> bytes:
    return (DATA / name).read_bytes()


def as_bytes(document: object) -> bytes:
    return json.dumps(document).encode()
