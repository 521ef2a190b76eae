"""Names of AWS resources (ARNs) that follow from their parts. Pure."""

from __future__ import annotations

_PARTITIONS = (("cn-", "aws-cn"), ("us-gov-", "aws-us-gov"))


def partition_of(region: str) -> str:
    """Return the partition of a region, such as `aws`."""
    return next((name for prefix, name in _PARTITIONS if region.startswith(prefix)), "aws")


def role_arn(account_id: str, name: str, region: str) -> str:
    """Return the ARN of a role of an account, which has the partition of its regions."""
    return f"arn:{partition_of(region)}:iam::{account_id}:role/{name}"


def bucket_arn(name: str, region: str) -> str:
    return f"arn:{partition_of(region)}:s3:::{name}"


def arn_of(service: str, region: str, account_id: str, resource: str) -> str:
    """Return the ARN of a resource of a region."""
    return f"arn:{partition_of(region)}:{service}:{region}:{account_id}:{resource}"
