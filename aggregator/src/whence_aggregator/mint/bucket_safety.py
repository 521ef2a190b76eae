"""What credentials require of their bucket: encryption, versions that are deleted later, no public access. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from whence_aggregator.mint.bucket_places import BucketPlace
from whence_aggregator.mint.ports import BucketUnsafe
from whence_common.errors import one_line

PUBLIC_ACCESS_BLOCKS = frozenset(("BlockPublicAcls", "BlockPublicPolicy", "IgnorePublicAcls", "RestrictPublicBuckets"))


@dataclass(frozen=True, slots=True, kw_only=True)
class BucketSettings:
    """Settings of a bucket, in S3's words."""

    region: str
    encryption: str
    """The default encryption's algorithm; empty: none."""
    versioning: str
    """`Enabled`, `Suspended`, or empty if it was never enabled."""
    rules: Sequence[Mapping[str, Any]]
    """Lifecycle rules."""
    blocks: frozenset[str]
    """Names of the blocks of public access that are in force, of the bucket or of its account."""
    ownership: str
    """Of objects; empty: none is stated, or it was not read because the writer is of the bucket's account."""


def check_bucket(place: BucketPlace, settings: BucketSettings) -> None:
    """Raise BucketUnsafe with all that is wrong, and how to correct it."""
    found = list(_faults(place, settings))
    if not found:
        return
    message = f"the bucket {place.bucket} is not as credentials require it: {'; '.join(what for what, _ in found)}"
    steps = "; ".join(fix for _, fix in found)
    fix = f"state it by the key mint_bucket of whence-accounts and apply, or correct it by hand: {steps}"
    raise BucketUnsafe("mint-bucket-unsafe", message, fix=fix)


def _faults(place: BucketPlace, settings: BucketSettings) -> Iterator[tuple[str, str]]:
    """Yield what is wrong, each with what to do."""
    if settings.region != place.region:
        yield (
            f"it is in {one_line(settings.region, 40)}, not in {place.region}",
            f"name a bucket in {place.region}, or correct the region in mint's settings",
        )
    if not settings.encryption:
        yield "it has no default encryption", "set the default encryption to AES256 or aws:kms"
    if settings.versioning != "Enabled":
        yield "versioning is not enabled", "enable versioning"
    if not any(_deletes_old_versions(one) for one in settings.rules):
        yield (
            "no lifecycle rule deletes old versions",
            "add a rule for the whole bucket with NoncurrentVersionExpiration and no NewerNoncurrentVersions",
        )
    for one in filter(_deletes_credentials, settings.rules):
        name = one_line(str(one.get("ID", "")), 60) or "without ID"
        yield f"the lifecycle rule {name} deletes credentials that are in use", f"remove the expiration of {name}"
    if missing := sorted(PUBLIC_ACCESS_BLOCKS - settings.blocks):
        yield f"public access is not blocked ({', '.join(missing)})", "block public access in all four ways"
    if place.is_written_from_elsewhere and settings.ownership != "BucketOwnerEnforced":
        yield (
            "objects would belong to the account that writes them, and its own roles could not read them",
            f"set object ownership to BucketOwnerEnforced, or write by a role of {place.account_id}",
        )


def _deletes_old_versions(rule: Mapping[str, Any]) -> bool:
    expiration = rule.get("NoncurrentVersionExpiration", {})
    return _is_of_all(rule) and bool(expiration.get("NoncurrentDays")) and "NewerNoncurrentVersions" not in expiration


def _deletes_credentials(rule: Mapping[str, Any]) -> bool:
    """Return whether a rule deletes current objects. One that only removes deletions without versions does not."""
    return _is_of_all(rule) and not {"Days", "Date"}.isdisjoint(rule.get("Expiration", {}))


def _is_of_all(rule: Mapping[str, Any]) -> bool:
    """Return whether a rule is enabled and has no condition, in the present form or the one before it."""
    conditions = {name: value for name, value in rule.get("Filter", {}).items() if value != ""}
    return rule.get("Status") == "Enabled" and not conditions and not rule.get("Prefix")
