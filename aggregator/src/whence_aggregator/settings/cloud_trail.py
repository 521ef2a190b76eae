"""CloudTrail in the settings: its queues and buckets, the roles to read them with, and whose events are accepted."""

from __future__ import annotations

import re
from collections.abc import Sequence
from urllib.parse import urlsplit

import msgspec

from whence_aggregator.settings.places import is_safe_url
from whence_common.errors import one_line
from whence_common.identifiers import ACCOUNT_ID, REGION, ROLE_ARN

EXTERNAL_ID = re.compile(r"[A-Za-z0-9+=,.@:/_-]{2,1224}\Z")
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]\Z")
_PLACES_MAX = 200


class TrailQueueSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A queue with notifications of new log files, or with EventBridge's events."""

    url: str
    region: str
    role_arn: str | None = None
    """Role to assume for it; None: cloud_trail.role_arn, else the program's own credentials."""
    external_id: str | None = None
    event_bridge_accounts: list[str] = []
    """Accounts whose records EventBridge may send to this queue; the queue's policy must admit no other sender."""


class TrailBucketSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A bucket with log files."""

    region: str
    role_arn: str | None = None
    external_id: str | None = None
    accounts: list[str] = []
    """Accounts whose files are accepted from it; empty: all of cloud_trail.accounts."""


class CloudTrailSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where CloudTrail's events are read."""

    queues: list[TrailQueueSettings]
    buckets: dict[str, TrailBucketSettings] = {}
    """By name. Objects in other buckets are not read, whatever a message names."""
    accounts: list[str] | None = None
    """Accounts whose events are accepted; None: those whose instances may enrol."""
    role_arn: str | None = None
    """Role to assume for queues and buckets without one of their own, and for ListPublicKeys."""
    external_id: str | None = None
    """External id that the trust policies of these roles require."""
    receivers: int = 2
    """Long polls that run concurrently for each queue."""
    processes: int = 0
    """Processes that inflate and decode log files; 0: threads of the program."""
    verify_digests: bool = True
    """Verify CloudTrail's digest files, which needs cloudtrail:ListPublicKeys."""
    digest_days: int = 7
    """How far back a chain of digest files is followed when it is first seen."""


def wrong_in_cloud_trail(trail: CloudTrailSettings) -> list[str]:
    """Return what is wrong; each problem begins with its setting."""
    wrong = []
    if not 1 <= len(trail.queues) <= _PLACES_MAX or len(trail.buckets) > _PLACES_MAX:
        wrong.append(f"cloud_trail needs from 1 to {_PLACES_MAX} queues, and at most {_PLACES_MAX} buckets")
    if len({one.url for one in trail.queues}) < len(trail.queues):
        wrong.append("cloud_trail.queues: two queues have the same url; use `receivers` to read one faster")
    for number, queue in enumerate(trail.queues):
        name = f"cloud_trail.queues[{number}]"
        if not is_safe_url(queue.url) or not urlsplit(queue.url).path.strip("/"):
            wrong.append(f"{name}.url must be the https URL of a queue")
        wrong += _wrong_in_place(name, queue) + _wrong_accounts(
            f"{name}.event_bridge_accounts", queue.event_bridge_accounts
        )
    for bucket, place in trail.buckets.items():
        name = f"cloud_trail.buckets.{one_line(bucket, 70)}"
        if not _BUCKET.match(bucket):
            wrong.append(f"{name} is not the name of a bucket")
        wrong += _wrong_in_place(name, place) + _wrong_accounts(f"{name}.accounts", place.accounts)
    if not trail.buckets and not any(one.event_bridge_accounts for one in trail.queues):
        wrong.append("cloud_trail.buckets is empty, and no queue has event_bridge_accounts: no event would be accepted")
    wrong += _wrong_accounts("cloud_trail.accounts", trail.accounts or ()) + _wrong_role("cloud_trail", trail)
    if trail.accounts is not None and not trail.accounts:
        wrong.append("cloud_trail.accounts is empty: leave it out to accept the accounts whose instances may enrol")
    if not 1 <= trail.receivers <= 16 or not 0 <= trail.processes <= 64 or not 1 <= trail.digest_days <= 400:
        wrong.append("cloud_trail: receivers is from 1 to 16, processes from 0 to 64, digest_days from 1 to 400")
    return wrong


def _wrong_in_place(name: str, place: TrailQueueSettings | TrailBucketSettings) -> list[str]:
    wrong = [] if REGION.match(place.region) else [f"{name}.region is not a region"]
    return wrong + _wrong_role(name, place)


def _wrong_role(name: str, one: TrailQueueSettings | TrailBucketSettings | CloudTrailSettings) -> list[str]:
    wrong = []
    if one.role_arn is not None and not ROLE_ARN.match(one.role_arn):
        wrong.append(f"{name}.role_arn is not the ARN of a role")
    if one.external_id is not None and not EXTERNAL_ID.match(one.external_id):
        wrong.append(f"{name}.external_id must be 2 to 1224 letters, digits or +=,.@:/_-")
    if one.external_id is not None and one.role_arn is None:
        wrong.append(f"{name}.external_id needs role_arn")
    return wrong


def _wrong_accounts(name: str, accounts: Sequence[str]) -> list[str]:
    return [f"{name}: {one_line(one, 40)!r} is not an account id (12 digits, in quotes)" for one in accounts
            if not ACCOUNT_ID.match(one)]  # fmt: skip
