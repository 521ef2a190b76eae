"""Who made a call, by the record's userIdentity. Pure.

docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-event-reference-user-identity.html. The caller chooses the
name of a session, so it is a hint; sourceIdentity cannot change along a chain of roles, so it names the person.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from whence_common.errors import one_line

TEXT_CHARACTERS_MAX = 400
ACCESS_KEY = re.compile(r"ASIA[A-Z0-9]{12,124}\Z")
"""Id of a temporary key. Ids are unique in AWS; who has one cannot call with it."""
DOER_TYPES = frozenset({
    "Root", "IAMUser", "AssumedRole", "Role", "FederatedUser", "SAMLUser", "WebIdentityUser", "IdentityCenterUser",
    "AWSAccount", "AWSService", "Directory",
})  # fmt: skip


class Doer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Who did it. Empty text: the record does not state it."""

    type: str
    account_id: str = ""
    """The caller's own account, which need not be where the call was made."""
    arn: str = ""
    user: str = ""
    role: str = ""
    """ARN of the role whose session made the call."""
    session: str = ""
    """The session's name, which its caller chose: a hint, not a proof."""
    person: str = ""
    """The source identity of the session, which cannot change along a chain of roles."""
    service: str = ""
    """The AWS service that made the call, for itself or for the identity."""
    provider: str = ""
    """The identity provider that names a user of SAML or OpenID Connect."""
    access_key: str = ""
    """Id of the temporary key of a role's session: by it the call is found that assumed the role."""

    @property
    def name(self) -> str:
        """Return the best name: the person, else the user, the session of a role, the ARN, the service."""
        role = self.role.rpartition("/")[2]
        session = f"{role}/{self.session}" if role and self.session else role or self.session
        account = f"account {self.account_id}" if self.account_id else ""
        return self.person or self.user or session or self.arn or self.service or account or self.type


def doer_of(identity: Mapping[str, Any]) -> Doer:
    """Return who made a call; a type that is not in the table is `Unknown`, with what it states besides."""
    stated = _text(identity, "type")
    session = _mapping(identity, "sessionContext")
    issuer = _mapping(session, "sessionIssuer")
    doer_type = stated if stated in DOER_TYPES else "Unknown"
    user = _text(identity, "userName")
    role = session_name = ""
    access_key = _text(identity, "accessKeyId")
    match doer_type:
        case "AssumedRole" | "Role":
            role = _text(issuer, "arn")
            session_name = _text(identity, "principalId").partition(":")[2]
        case "FederatedUser":
            user = _text(issuer, "userName") or user
            session_name = _text(identity, "principalId").partition(":")[2]
        case "IdentityCenterUser":
            user = _text(_mapping(identity, "onBehalfOf"), "userId")
        case "AWSAccount":
            user = ""
        case "Root":
            user = user or "root"
        case "Directory" | "Unknown":
            user = ""
        case _:
            pass
    return Doer(
        type=doer_type,
        account_id=_text(identity, "accountId"),
        arn=_text(identity, "arn"),
        user=user,
        role=role,
        session=session_name,
        person=_text(session, "sourceIdentity"),
        service=_text(identity, "invokedBy"),
        provider=_text(identity, "identityProvider") if doer_type in ("SAMLUser", "WebIdentityUser") else "",
        access_key=access_key if doer_type == "AssumedRole" and ACCESS_KEY.match(access_key) else "",
    )


def _mapping(members: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = members.get(name)
    return found if isinstance(found, dict) else {}


def _text(members: Mapping[str, Any], name: str) -> str:
    found = members.get(name)
    return one_line(found, TEXT_CHARACTERS_MAX) if isinstance(found, str) else ""
