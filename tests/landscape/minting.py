"""mint as an operator configures it, for programs on loopback."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from landscape.aws import REGION, Aws
from whence_aggregator.mint.bucket_safety import PUBLIC_ACCESS_BLOCKS

NOWHERE = "http://127.0.0.1:1"
PATTERN = "{prefix}-stups-mint-{account_id}-{region}"


def mint_settings(directory: Path, issuer: str = NOWHERE, **more: object) -> Mapping[str, Any]:
    """Return the setting `mint`, for a provider that registers clients (RFC 7591); its key is in the directory."""
    key = directory / "mint.key"
    key.write_bytes(b"k" * 32)
    key.chmod(0o600)
    return {
        "key_file": str(key),
        "providers": {
            "issuer": {
                "type": "registration", "url": f"{issuer}/reg", "token_url": f"{issuer}/token",
                "private_addresses": True,
            }
        },
        "buckets": [{"pattern": PATTERN}],
        **more,
    }  # fmt: skip


def make_safe_bucket(aws: Aws, bucket: str) -> str:
    """Create a bucket as credentials require it, encrypted by a key of KMS; return the key's ARN."""
    s3 = aws.client("s3")
    arn = str(aws.client("kms").create_key()["KeyMetadata"]["Arn"])
    s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": REGION})
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    s3.put_public_access_block(
        Bucket=bucket, PublicAccessBlockConfiguration=dict.fromkeys(PUBLIC_ACCESS_BLOCKS, True)
    )  # fmt: skip
    encrypted = [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": arn}}]
    s3.put_bucket_encryption(Bucket=bucket, ServerSideEncryptionConfiguration={"Rules": encrypted})
    old = {
        "ID": "old", "Status": "Enabled", "Filter": {"Prefix": ""},
        "NoncurrentVersionExpiration": {"NoncurrentDays": 30},
    }  # fmt: skip
    s3.put_bucket_lifecycle_configuration(Bucket=bucket, LifecycleConfiguration={"Rules": [old]})
    return arn
