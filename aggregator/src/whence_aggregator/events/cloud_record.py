"""One CloudTrail record: only the members that are used, each bounded, and most records skipped by their name. Pure.

Format: docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-event-reference-record-contents.html. The major
number of eventVersion must be 1; a newer minor number has more members, which are ignored.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from whence_aggregator.events.doer import Doer, doer_of
from whence_aggregator.events.refused import TrailRefused
from whence_aggregator.events.role_session import ASSUME_EVENTS, STS, RoleSession, session_of
from whence_common.clock import parse_instant, to_instant
from whence_common.errors import InputError, one_line
from whence_common.identifiers import ACCOUNT_ID, INSTANCE_ID, REGION

EC2, TRAIL = "ec2.amazonaws.com", "cloudtrail.amazonaws.com"
INSTANCE_EVENTS = frozenset({
    "RunInstances", "StartInstances", "StopInstances", "TerminateInstances", "RebootInstances",
    "ModifyInstanceAttribute", "CreateTags", "DeleteTags",
})  # fmt: skip
"""Events of EC2 that touch instances."""
TRAIL_EVENTS = frozenset(
    {"StartLogging", "StopLogging", "CreateTrail", "DeleteTrail", "UpdateTrail", "PutEventSelectors"}
)
"""Events that change what a trail records: a digest proves files, not that logging was on."""
INSTANCES_MAX = 1_000
"""Of one event, as in EC2's own calls; more are counted."""
TEXT_CHARACTERS_MAX = 500
_VERSION = re.compile(r"1\.[0-9]{1,6}\Z")
_TIME = re.compile(r"[12][0-9]{3}-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9]Z\Z")
_ID = re.compile(r"[0-9A-Za-z-]{8,64}\Z")
_MATTER = {EC2: INSTANCE_EVENTS, TRAIL: TRAIL_EVENTS, STS: ASSUME_EVENTS}


class _Head(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """What every record is judged by."""

    event_version: str
    event_time: str
    event_source: str
    event_name: str


class _Whole(
    msgspec.Struct,
    frozen=True,
    rename={
        "event_id": "eventID",
        "shared_event_id": "sharedEventID",
        "source_ip_address": "sourceIPAddress",
        "aws_region": "awsRegion",
        "error_code": "errorCode",
        "recipient_account_id": "recipientAccountId",
        "user_identity": "userIdentity",
        "user_agent": "userAgent",
        "request_parameters": "requestParameters",
        "response_elements": "responseElements",
    },
):
    """The members of a record that matters."""

    event_id: str
    aws_region: str
    user_identity: dict[str, Any] | None = None
    recipient_account_id: str | None = None
    source_ip_address: str | None = None
    user_agent: str | None = None
    error_code: str | None = None
    shared_event_id: str | None = None
    request_parameters: Any = None
    response_elements: Any = None


class CloudRecord(msgspec.Struct, frozen=True, kw_only=True):
    """An event that matters: what was done, where, to which instances, and by whom."""

    event_id: str
    name: str
    source: str
    at: str
    """When the call completed, by CloudTrail."""
    account_id: str
    """Where it happened."""
    region: str
    instances: Sequence[str]
    instances_total: int
    doer: Doer
    failed: str = ""
    """AWS's error code; empty for a call that succeeded."""
    detail: str = ""
    """The trail or attribute that a call names."""
    source_address: str = ""
    user_agent: str = ""

    @property
    def matters(self) -> bool:
        """Return whether the call changed instances, or what a trail records. A failed call changes nothing."""
        return not self.failed and (self.source == TRAIL or bool(self.instances))


_HEADS = msgspec.json.Decoder(_Head)
_WHOLES = msgspec.json.Decoder(_Whole)


def parse_record(content: bytes | msgspec.Raw) -> tuple[str, CloudRecord | RoleSession | None]:
    """Return when an event was, and the record or the session of a role if it matters. Raises TrailRefused."""
    try:
        head = _HEADS.decode(content)
        if not _VERSION.match(head.event_version):
            message = f"eventVersion {one_line(head.event_version, 20)!r} is not a version 1"
            raise TrailRefused("record-version", message, fix="use a newer version of this program")
        if head.event_name not in _MATTER.get(head.event_source, ()):
            return _time(head.event_time, exact=False), None
        whole = _WHOLES.decode(content)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as exc:
        reason = "nested too deeply" if isinstance(exc, RecursionError) else one_line(str(exc), 200)
        raise TrailRefused("record-malformed", f"the record cannot be read: {reason}") from exc
    _check_ids(whole)
    if head.event_source == STS:
        return _session(head, whole)
    record = _record(head, whole)
    return record.at, record if record.matters else None


def _check_ids(whole: _Whole) -> None:
    if not _ID.match(whole.event_id):
        raise TrailRefused("record-malformed", f"eventID {one_line(whole.event_id, 80)!r} is not an id")
    if not REGION.match(whole.aws_region):
        raise TrailRefused("record-malformed", f"awsRegion {one_line(whole.aws_region, 40)!r} is not a region")


def _session(head: _Head, whole: _Whole) -> tuple[str, RoleSession | None]:
    """Return when a role was assumed, and the session; None for a call that failed."""
    at, identity = _time(head.event_time, exact=True), whole.user_identity or {}
    account_id = account_of(whole.recipient_account_id, identity)
    if whole.error_code:
        return at, None
    return at, session_of(
        event_id=whole.event_id, name=head.event_name, at=at, account_id=account_id, region=whole.aws_region,
        doer=doer_of(identity), shared_id=whole.shared_event_id, request=_mapping(whole.request_parameters),
        answer=_mapping(whole.response_elements),
    )  # fmt: skip


def _record(head: _Head, whole: _Whole) -> CloudRecord:
    identity = whole.user_identity or {}
    found = list(dict.fromkeys(_instances(head.event_name, whole))) if head.event_source == EC2 else []
    return CloudRecord(
        event_id=whole.event_id,
        name=head.event_name,
        source=head.event_source,
        at=_time(head.event_time, exact=True),
        account_id=account_of(whole.recipient_account_id, identity),
        region=whole.aws_region,
        instances=found[:INSTANCES_MAX],
        instances_total=len(found),
        doer=doer_of(identity),
        failed=one_line(whole.error_code or "", 100),
        detail=_detail(whole.request_parameters),
        source_address=one_line(whole.source_ip_address or "", 100),
        user_agent=one_line(whole.user_agent or "", 200),
    )


def account_of(recipient: str | None, identity: Mapping[str, Any]) -> str:
    """Return the account where an event happened: its recipient, else the caller's, else the session issuer's.

    The caller of a call from another account is not where it happened, so the recipient comes first. Raises
    TrailRefused when none is stated.
    """
    session = _mapping(identity.get("sessionContext"))
    issuer = _mapping(session.get("sessionIssuer"))
    for one in (recipient, identity.get("accountId"), issuer.get("accountId")):
        if isinstance(one, str) and ACCOUNT_ID.match(one):
            return one
    raise TrailRefused("record-account", "the record states no account where it happened")


def _instances(name: str, whole: _Whole) -> Sequence[str]:
    """Return the ids of the instances that a call names or returned; malformed ones are left out."""
    request, answer = _mapping(whole.request_parameters), _mapping(whole.response_elements)
    if name in ("CreateTags", "DeleteTags"):
        found = _items(request, "resourcesSet", "resourceId")
    elif name == "RunInstances":
        found = _items(answer, "instancesSet", "instanceId")
    else:
        found = [*_items(request, "instancesSet", "instanceId"), *_items(answer, "instancesSet", "instanceId")]
        if isinstance(request.get("instanceId"), str):
            found.append(request["instanceId"])
    return [one for one in found if INSTANCE_ID.match(one)]


def _items(members: Mapping[str, Any], name: str, key: str) -> list[str]:
    items = _mapping(members.get(name)).get("items")
    rows = items if isinstance(items, list) else []
    return [one[key] for one in rows if isinstance(one, dict) and isinstance(one.get(key), str)]


def _detail(request: Any) -> str:
    """Return the trail that a call names, or the attribute of an instance that it changes."""
    members = _mapping(request)
    for name in ("name", "trailName", "attribute"):
        if isinstance(members.get(name), str):
            return one_line(members[name], TEXT_CHARACTERS_MAX)
    return ""


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _time(text: str, *, exact: bool) -> str:
    """Return a time in our own form. Times that are only compared for their age are not parsed: `exact` is False."""
    if not exact and _TIME.match(text):
        return f"{text[:-1]}.000Z"
    try:
        return to_instant(parse_instant(text))
    except (InputError, ValueError) as exc:
        raise TrailRefused("record-malformed", f"eventTime {one_line(text, 40)!r} is not a time") from exc
