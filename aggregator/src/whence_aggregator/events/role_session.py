"""A call of STS that made a temporary key for a role: whose key it is, and who asked for it. Pure.

docs.aws.amazon.com/IAM/latest/UserGuide/cloudtrail-integration.html. A call from another account is recorded in both:
the role's account names the caller's account only, the caller's account the caller, and both have one sharedEventID.
The secret key and the session token are not read.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from whence_aggregator.events.doer import ACCESS_KEY, Doer

STS = "sts.amazonaws.com"
ASSUME_EVENTS = frozenset({"AssumeRole", "AssumeRoleWithSAML", "AssumeRoleWithWebIdentity"})
_ROLE = re.compile(r"arn:[a-z-]{3,20}:iam::[0-9]{12}:role/[!-~]{1,600}\Z")
_SHARED = re.compile(r"[0-9A-Za-z-]{8,64}\Z")


class RoleSession(msgspec.Struct, frozen=True, kw_only=True):
    """A temporary key, the role that it is of, and who assumed the role."""

    event_id: str
    name: str
    at: str
    """When the call completed, by CloudTrail."""
    account_id: str
    """Whose trail recorded it: that of the role, or that of the caller."""
    region: str
    access_key: str
    """Id of the temporary key; empty if the record does not state it."""
    role: str
    shared_id: str
    """Of both records of a call from another account; empty for one within an account."""
    doer: Doer


def session_of(
    *,
    event_id: str,
    name: str,
    at: str,
    account_id: str,
    region: str,
    doer: Doer,
    shared_id: str | None,
    request: Mapping[str, Any],
    answer: Mapping[str, Any],
) -> RoleSession | None:
    """Return what a record of AssumeRole states; None if nobody can be named by it.

    AWS's own services assume roles for machines and functions all the time: no person is behind those calls.
    """
    credentials = answer.get("credentials")
    access_key = _matched(ACCESS_KEY, credentials.get("accessKeyId") if isinstance(credentials, dict) else None)
    role = _matched(_ROLE, request.get("roleArn"))
    shared = _matched(_SHARED, shared_id)
    if doer.type == "AWSService" or not role or not (access_key or shared):
        return None
    return RoleSession(
        event_id=event_id, name=name, at=at, account_id=account_id, region=region, access_key=access_key, role=role,
        shared_id=shared, doer=doer,
    )  # fmt: skip


def role_account(role: str) -> str:
    """Return the account in the ARN of a role."""
    return role.split(":", 5)[4]


def _matched(pattern: re.Pattern[str], value: Any) -> str:
    return value if isinstance(value, str) and pattern.match(value) else ""
