"""Fields of scanners' documents: strict where an answer rests on them, bounded and cleaned everywhere. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from whence_aggregator.findings.finding import FindingRefused
from whence_common.clock import parse_instant, to_instant
from whence_common.errors import one_line
from whence_common.identifiers import ACCOUNT_ID, INSTANCE_ID, PRODUCT, is_application_id

UID_CHARACTERS_MAX = 1024
CHECK_CHARACTERS_MAX = 256
TITLE_CHARACTERS_MAX = 300
TEXT_CHARACTERS_MAX = 1500
NAME_CHARACTERS_MAX = 1024
REFERENCES_MAX = 10
REFERENCE_CHARACTERS_MAX = 500
SKEW_SECONDS_MAX = 300.0
"""How far a scanner's clock may be ahead of ours: a later time would keep every later report from counting."""
_SECONDS_BELOW = 100_000_000_000
"""A smaller number is of seconds: as milliseconds it would be before March 1973. Prowler writes seconds."""
_EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)
_DIGEST = re.compile(r"(?:^|[@/])(sha256:[0-9a-f]{64})\Z")
_INSTANCE_ARN = re.compile(r"arn:aws[a-z-]{0,10}:ec2:[a-z0-9-]{1,30}:([0-9]{12}):instance/(i-[0-9a-f]{8,17})\Z")
_APPLICATION_TAGS = ("application_id", "application-id", "ApplicationId")


def child(value: object, name: str) -> Mapping[str, Any]:
    """Return a member that is an object; an empty one for anything else."""
    found = value.get(name) if isinstance(value, dict) else None
    return found if isinstance(found, dict) else {}


def children(value: object, name: str, *, most: int = 100) -> list[Mapping[str, Any]]:
    """Return the objects of a member that is a list, at most so many."""
    found = value.get(name) if isinstance(value, dict) else None
    return [one for one in found[:most] if isinstance(one, dict)] if isinstance(found, list) else []


def line(value: object, characters_max: int = TEXT_CHARACTERS_MAX) -> str:
    """Return text as one bounded line without control characters; empty for what is not text."""
    return one_line(value, characters_max) if isinstance(value, str) else ""


def identifier(value: object, field: str, characters_max: int) -> str:
    """Return text that identifies something, unchanged. Raises FindingRefused."""
    if not isinstance(value, str) or not value.strip():
        raise FindingRefused("finding-field-missing", field, "is missing or empty; it must be text")
    if len(value) > characters_max:
        raise FindingRefused("finding-field-too-long", field, f"has more than {characters_max} characters")
    if not value.isprintable() or value != value.strip():
        raise FindingRefused("finding-field-malformed", field, "has control characters, or spaces at its ends")
    return value


def product_id(value: object, field: str) -> str:
    """Return the name of a scanner in lower case; of an ARN, its last part. Raises FindingRefused."""
    text = identifier(value, field, CHECK_CHARACTERS_MAX).rstrip("/").rpartition("/")[2].lower().replace(" ", "-")
    if not PRODUCT.match(text):
        raise FindingRefused("finding-product", field, "is not the name of a product: use letters, digits, . _ and -")
    return text


def account_of(value: object, field: str) -> str:
    """Return an account id: 12 ASCII digits, which a number may have lost zeros of. Raises FindingRefused."""
    if isinstance(value, int) and not isinstance(value, bool):
        value = f"{value:012d}"
    if not isinstance(value, str) or not ACCOUNT_ID.match(value):
        shown = line(value, 40) or type(value).__name__
        raise FindingRefused("finding-account", field, f"{shown!r} is not an AWS account id (12 digits)")
    return value


def moment(value: object, field: str, *, now: datetime) -> str:
    """Return a time as an instant: RFC 3339, or a number of seconds or milliseconds. Raises FindingRefused."""
    found: datetime | None = None
    try:
        if isinstance(value, str):
            found = parse_instant(value)
        elif isinstance(value, int | float) and not isinstance(value, bool):
            found = datetime.fromtimestamp(value if abs(value) < _SECONDS_BELOW else value / 1000, UTC)
    except (ValueError, OverflowError, OSError) as exc:
        raise FindingRefused("finding-time", field, f"is not a time: {exc}") from exc
    if found is None:
        raise FindingRefused("finding-time", field, "is not a time: write RFC 3339, or milliseconds since 1970")
    if not _EARLIEST <= found <= now + timedelta(seconds=SKEW_SECONDS_MAX):
        raise FindingRefused(
            "finding-time", field, f"{to_instant(found)} is before 2000 or in the future: check the scanner's clock"
        )
    return to_instant(min(found, now))


def moment_or_none(value: object, field: str, *, now: datetime) -> str:
    """Return a time that nothing rests on; empty where it is none."""
    try:
        return moment(value, field, now=now) if value is not None else ""
    except FindingRefused:
        return ""


def links(values: Iterable[object]) -> tuple[str, ...]:
    """Return the http and https URLs among references: scanners write shell commands there too."""
    found: dict[str, None] = {}
    for one in values:
        text = line(one, REFERENCE_CHARACTERS_MAX + 1)
        if len(text) <= REFERENCE_CHARACTERS_MAX and " " not in text and _is_link(text):
            found[text] = None
    return tuple(found)[:REFERENCES_MAX]


def _is_link(text: str) -> bool:
    try:
        parts = urlsplit(text)
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.username is None


def instance_of(name: str, account_id: str) -> str:
    """Return the instance that a resource's name is of: an id, or an ARN of the finding's own account."""
    if INSTANCE_ID.match(name):
        return name
    found = _INSTANCE_ARN.match(name)
    return found[2] if found is not None and found[1] == account_id and INSTANCE_ID.match(found[2]) else ""


def digest_in(*names: str) -> str:
    """Return the digest at the end of an image's name, as in `registry/team/name@sha256:…`; empty if there is none."""
    return next((found[1] for one in names if (found := _DIGEST.search(one)) is not None), "")


def application_tagged(resource: Mapping[str, Any]) -> str:
    """Return the application that a resource's tags or labels name; empty if they name none."""
    pairs: list[tuple[object, object]] = [(one.get("name"), one.get("value")) for one in children(resource, "tags")]
    labels = resource.get("labels")
    if isinstance(labels, list):
        named = (one.partition(":") for one in labels[:100] if isinstance(one, str))
        pairs += [(name, value) for name, _, value in named]
    values = (value for name, value in pairs if name in _APPLICATION_TAGS)
    return next((value for value in values if isinstance(value, str) and is_application_id(value)), "")
