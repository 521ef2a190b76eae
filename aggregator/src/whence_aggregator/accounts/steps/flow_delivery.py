"""Statements that let AWS write flow logs into a bucket of our own, as AWS's documents have them. Pure.

When a flow log is created, AWS replaces or extends the policy of its bucket if these statements are missing in it. So
they are stated here, with AWS's Sids, before the flow log exists: AWS has nothing to write then, and what it wrote into
an older bucket is compared as our own. Source: VPC User Guide, "Amazon S3 bucket permissions for flow logs".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from whence_aggregator.accounts.account import ConfiguredAccount
from whence_aggregator.accounts.arns import bucket_arn, partition_of
from whence_aggregator.accounts.configuration.network import Vpc

WRITE_SID, CHECK_SID = "AWSLogDeliveryWrite", "AWSLogDeliveryAclCheck"
_SERVICE = {"Service": "delivery.logs.amazonaws.com"}
_Statements = Sequence[Mapping[str, Any]]


def with_delivery(statements: _Statements, account: ConfiguredAccount, bucket: str, region: str) -> _Statements:
    """Return a bucket's statements with those that its flow logs need; one that is stated with its Sid stays as it is.

    `region` is that of the bucket.
    """
    stated = {one.get("Sid") for one in statements}
    return [*statements, *(one for one in _delivery(account, bucket, region) if one["Sid"] not in stated)]


def _delivery(account: ConfiguredAccount, bucket: str, region: str) -> _Statements:
    arn, places = bucket_arn(bucket, region), list(_places(account, bucket, region))
    if not places:
        return ()
    partition, account_id = partition_of(region), account.account_id
    sources = sorted({f"arn:{partition}:logs:{one}:{account_id}:*" for one, _ in places})
    of_account = {"aws:SourceAccount": account_id}
    source = {"StringEquals": of_account, "ArnLike": {"aws:SourceArn": sources}}
    owned = {**source, "StringEquals": {**of_account, "s3:x-amz-acl": "bucket-owner-full-control"}}
    folders = sorted({f"{arn}/{folder}AWSLogs/{account_id}/*" for _, folder in places})
    return (
        {"Sid": WRITE_SID, "Effect": "Allow", "Principal": _SERVICE, "Action": "s3:PutObject", "Resource": folders,
         "Condition": owned},
        {"Sid": CHECK_SID, "Effect": "Allow", "Principal": _SERVICE, "Action": "s3:GetBucketAcl", "Resource": arn,
         "Condition": source},
    )  # fmt: skip


def _places(account: ConfiguredAccount, bucket: str, region: str) -> Iterator[tuple[str, str]]:
    """Yield the regions whose flow logs go into a bucket, each with the folder there: `flows/`, or nothing."""
    settings = account.settings
    arn = bucket_arn(bucket, region)
    for one in account.regions if settings.vpc is not None or settings.vpc_net else ():
        if settings.vpc is None and one not in settings.vpc_net:
            continue
        for destination in (settings.vpc or Vpc()).flow_log_destinations:
            found, _, folder = destination.replace("{region}", one).partition("/")
            if found == arn:
                yield one, f"{folder.rstrip('/')}/" if folder else ""
