"""CloudTrail as AWS documents it: records, log files and the notifications about them, as tests need them."""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote_plus

ACCOUNT, REGION, BUCKET = "123456789012", "eu-central-1", "trail-logs"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/deploy"
INSTANCE = "i-0abcdef0123456789"


def identity(**members: Any) -> dict[str, Any]:
    """Return who called: by default the session of a role, for a person."""
    return {
        "type": "AssumedRole",
        "principalId": "AROAEXAMPLE:jane-laptop",
        "arn": f"arn:aws:sts::{ACCOUNT}:assumed-role/deploy/jane-laptop",
        "accountId": ACCOUNT,
        "accessKeyId": "ASIAEXAMPLE",
        "sessionContext": {
            "sessionIssuer": {"type": "Role", "arn": ROLE, "accountId": ACCOUNT, "userName": "deploy"},
            "attributes": {"creationDate": "2026-11-22T11:00:00Z", "mfaAuthenticated": "true"},
            "sourceIdentity": "jane@example.org",
        },
        **members,
    }


def record(name: str = "RunInstances", number: int = 1, **members: Any) -> dict[str, Any]:
    """Return one record; `members` replace its members, and those that are `...` are left out."""
    instances = {"items": [{"instanceId": INSTANCE}]}
    found = {
        "eventVersion": "1.11",
        "userIdentity": identity(),
        "eventTime": "2026-11-22T12:00:00Z",
        "eventSource": "ec2.amazonaws.com",
        "eventName": name,
        "awsRegion": REGION,
        "sourceIPAddress": "203.0.113.7",
        "userAgent": "aws-cli/2.15",
        "requestParameters": {"instancesSet": instances} if name != "RunInstances" else {"minCount": 1},
        "responseElements": {"instancesSet": instances} if name in ("RunInstances", "StartInstances") else None,
        "requestID": f"00000000-0000-4000-8000-{number:012x}",
        "eventID": f"11111111-0000-4000-8000-{number:012x}",
        "readOnly": False,
        "eventType": "AwsApiCall",
        "managementEvent": True,
        "recipientAccountId": ACCOUNT,
        "eventCategory": "Management",
        **members,
    }
    return {key: value for key, value in found.items() if value is not ...}


def tagged(instance_id: str = INSTANCE, **members: Any) -> dict[str, Any]:
    """Return a record that sets a tag of an instance, and of a volume."""
    resources = {"items": [{"resourceId": instance_id}, {"resourceId": "vol-0123456789abcdef0"}]}
    return record("CreateTags", **{"requestParameters": {"resourcesSet": resources}, **members})


def log_file(*records: Mapping[str, Any], compressed: bool = True) -> bytes:
    content = json.dumps({"Records": records}, separators=(",", ":")).encode()
    return gzip.compress(content, mtime=0) if compressed else content


def key(name: str = "1", *, account: str = ACCOUNT, region: str = REGION, organisation: str = "") -> str:
    """Return the key of a log file, as an account's trail or an organisation's writes it."""
    whose = f"{organisation}/{account}" if organisation else account
    file = f"{account}_CloudTrail_{region}_20261122T1205Z_{name}.json.gz"
    return f"audit/AWSLogs/{whose}/CloudTrail/{region}/2026/11/22/{file}"


def s3_event(*keys: str, bucket: str = BUCKET, etag: str = "e1") -> str:
    """Return S3's notification of new objects, with its keys encoded as in a URL."""
    records = [
        {
            "eventVersion": "2.1", "eventSource": "aws:s3", "awsRegion": REGION, "eventName": "ObjectCreated:Put",
            "s3": {
                "s3SchemaVersion": "1.0", "bucket": {"name": bucket, "arn": f"arn:aws:s3:::{bucket}"},
                "object": {"key": quote_plus(one, safe="/"), "size": 1024, "eTag": etag, "sequencer": "0A1B"},
            },
        }
        for one in keys
    ]  # fmt: skip
    return json.dumps({"Records": records})


def sns(message: str, kind: str = "Notification") -> str:
    """Return a message as SNS wraps it for a queue."""
    return json.dumps(
        {
            "Type": kind, "MessageId": "22222222-0000-4000-8000-000000000001",
            "TopicArn": f"arn:aws:sns:{REGION}:{ACCOUNT}:trail", "Message": message,
            "Timestamp": "2026-11-22T12:05:00.000Z", "SignatureVersion": "1", "Signature": "c2lnbmVk",
            "SigningCertURL": f"https://sns.{REGION}.amazonaws.com/key.pem",
        }
    )  # fmt: skip


def trail_notice(keys: Sequence[str], bucket: str = BUCKET) -> str:
    """Return what CloudTrail's own topic publishes, wrapped by SNS."""
    return sns(json.dumps({"s3Bucket": bucket, "s3ObjectKey": list(keys)}))


def bridged(one: Mapping[str, Any], *, account: str = ACCOUNT, region: str = REGION) -> str:
    """Return a record as EventBridge forwards it."""
    return json.dumps(
        {
            "version": "0", "id": "33333333-0000-4000-8000-000000000001", "source": "aws.ec2",
            "detail-type": "AWS API Call via CloudTrail", "account": account, "region": region,
            "time": "2026-11-22T12:00:00Z", "resources": [], "detail": one,
        }
    )  # fmt: skip


KEY, CHAINED_KEY = "ASIAEXAMPLEOFAKEY01", "ASIAEXAMPLEOFAKEY02"
"""Ids of temporary keys."""


def in_session(access_key: str = KEY, **members: Any) -> dict[str, Any]:
    """Return the identity of a session of the role, with the id of its key and without a source identity."""
    found = identity(accessKeyId=access_key, **members)
    found["sessionContext"].pop("sourceIdentity")
    return found


def user(name: str = "jane", account: str = ACCOUNT) -> dict[str, Any]:
    """Return the identity of a user of IAM, with a permanent key."""
    return {
        "type": "IAMUser", "principalId": "AIDAEXAMPLE", "arn": f"arn:aws:iam::{account}:user/{name}",
        "accountId": account, "accessKeyId": "AKIAEXAMPLEOFAKEY01", "userName": name,
    }  # fmt: skip


def assumed(
    number: int = 50,
    *,
    caller: Mapping[str, Any],
    access_key: str = KEY,
    role: str = ROLE,
    account: str = ACCOUNT,
    **members: Any,
) -> dict[str, Any]:
    """Return STS's record of a call that assumed a role, with secrets in it as AWS records them."""
    answer = {
        "credentials": {"accessKeyId": access_key, "sessionToken": "SECRET-TOKEN", "expiration": "Nov 22, 2026"},
        "assumedRoleUser": {"assumedRoleId": "AROAEXAMPLE:jane-laptop", "arn": f"{role}/jane-laptop"},
    }  # fmt: skip
    return record(
        "AssumeRole", number,
        **{
            "eventSource": "sts.amazonaws.com", "eventTime": "2026-11-22T11:30:00Z", "userIdentity": dict(caller),
            "requestParameters": {"roleArn": role, "roleSessionName": "jane-laptop"}, "responseElements": answer,
            "recipientAccountId": account, **members,
        },
    )  # fmt: skip
