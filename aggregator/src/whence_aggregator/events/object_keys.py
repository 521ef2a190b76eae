"""Keys of a trail's objects: log files and digest files, with the account and region that they are of. Pure.

`{prefix}/AWSLogs/[{o-id}/]{account}/CloudTrail/{region}/{yyyy}/{MM}/{dd}/{name}.json.gz`; digest files have
`CloudTrail-Digest`, and `_backfill` before the extension when they are of late log files.
Format: docs.aws.amazon.com/awscloudtrail/latest/userguide/get-and-view-cloudtrail-log-files.html.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from whence_common.errors import one_line
from whence_common.identifiers import REGION

KEY_CHARACTERS_MAX = 1024
"""S3's own bound, in bytes of UTF-8."""
ObjectSort = Literal["log", "digest"]
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]\Z")
_KEY = re.compile(
    r"(?:.*/)?AWSLogs/(?:o-[a-z0-9]{10,32}/)?([0-9]{12})/(CloudTrail|CloudTrail-Digest)/([a-z0-9-]{4,32})/"
    r"[0-9]{4}/[0-9]{2}/[0-9]{2}/[^/]{1,400}\.json(?:\.gz)?\Z"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrailObject:
    """An object that a notification names. `etag` is empty if it does not state one."""

    bucket: str
    key: str
    etag: str = ""

    def __str__(self) -> str:
        return one_line(f"s3://{self.bucket}/{self.key}", 400)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrailKey:
    """What a key states: whose events are in the object, and of which region."""

    sort: ObjectSort
    account_id: str
    region: str
    backfill: bool = False


def parse_key(key: str) -> TrailKey | None:
    """Return what the key of a log or digest file states; None for any other key."""
    found = _KEY.match(key) if len(key) <= KEY_CHARACTERS_MAX else None
    if found is None or not REGION.match(found[3]):
        return None
    sort: ObjectSort = "digest" if found[2] == "CloudTrail-Digest" else "log"
    backfill = sort == "digest" and key.removesuffix(".gz").removesuffix(".json").endswith("_backfill")
    return TrailKey(sort=sort, account_id=found[1], region=found[3], backfill=backfill)


def is_bucket(name: str) -> bool:
    """Return whether a text is the name of a bucket."""
    return _BUCKET.match(name) is not None
