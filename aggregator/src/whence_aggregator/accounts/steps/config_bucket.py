"""The files of AWS Config in a bucket: which bucket it is, and the statements that allow them. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from whence_aggregator.accounts.account import ConfiguredAccount
from whence_aggregator.accounts.arns import bucket_arn

CONFIG_SERVICE = "config.amazonaws.com"


def config_bucket_name(account: ConfiguredAccount) -> str | None:
    """Return the bucket of AWS Config's files; None if AWS Config is not configured, or has no bucket."""
    section, trail = account.settings.aws_config, account.settings.cloudtrail
    if section is None:
        return None
    return section.s3_bucket_name or (trail.s3_bucket_name if trail is not None else None)


def is_in_log_bucket(account: ConfiguredAccount) -> bool:
    """Return whether the files are in the log bucket that is created in this account."""
    trail = account.settings.cloudtrail
    return trail is not None and trail.log_bucket is not None and trail.s3_bucket_name == config_bucket_name(account)


def config_writers(account: ConfiguredAccount) -> Sequence[str]:
    """Return the ids of the accounts whose AWS Config writes into the log bucket of this account."""
    trail = account.settings.cloudtrail
    about = trail.log_bucket if trail is not None else None
    own = (account.account_id,) if is_in_log_bucket(account) else ()
    return sorted({*own, *(about.accounts if about is not None and about.aws_config else ())})


def config_statements(account: ConfiguredAccount, bucket: str, region: str) -> Sequence[Mapping[str, Any]]:
    """Return the statements of the log bucket for AWS Config; `region` is that of the bucket.

    They are those of AWS Config's developer guide, "Permissions for the Amazon S3 Bucket for the AWS Config Delivery
    Channel".
    """
    writers, section = config_writers(account), account.settings.aws_config
    if not writers:
        return ()
    prefix = f"{section.s3_key_prefix}/" if section is not None and section.s3_key_prefix is not None else ""
    principal, source = {"Service": CONFIG_SERVICE}, {"aws:SourceAccount": list(writers)}
    return (
        {
            "Sid": "WhenceConfigChecks", "Effect": "Allow", "Principal": principal,
            "Action": ["s3:GetBucketAcl", "s3:ListBucket"], "Resource": bucket_arn(bucket, region),
            "Condition": {"StringEquals": source},
        },
        {
            "Sid": "WhenceConfigWrites", "Effect": "Allow", "Principal": principal, "Action": "s3:PutObject",
            "Resource": [f"{bucket_arn(bucket, region)}/{prefix}AWSLogs/{one}/Config/*" for one in writers],
            "Condition": {"StringEquals": {**source, "s3:x-amz-acl": "bucket-owner-full-control"}},
        },
    )  # fmt: skip
