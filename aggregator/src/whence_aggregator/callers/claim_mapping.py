"""Maps the claims of a verified token to a caller. Pure.

A group that does not map to a valid team id is ignored. If the claim with the groups is missing, the teams are unknown,
which is not the same as an empty list: the reason is stated when the caller may not write.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

from whence_aggregator.callers.caller import AMIS, AUDIT, FINDINGS, OPERATE, USER_DATA, WRITE_ALL, Caller, Reads, Realm
from whence_aggregator.callers.compact_token import TokenRefused
from whence_aggregator.callers.issuer import claim

TEAM = re.compile(r"[a-z0-9](?:[a-z0-9_-]|\.(?!\.)){0,62}\Z")
"""A team id: lower case, so that no two ids differ in case only; ASCII, so that no two ids look alike."""
_UID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+:/|=-]{0,199}\Z")
_EMAIL = re.compile(r"[^@\s<>]{1,64}@[A-Za-z0-9.-]{1,190}\Z")
_EMAILS_MAX = 10
_GROUPS_MAX = 2000
_GROUP_CHARACTERS_MAX = 300
_GRANTS = frozenset({"client-credentials", "client_credentials"})
RightName = Literal["read", "write-all", "operate", "audit", "user-data", "findings", "amis"]
_RIGHTS = {WRITE_ALL, OPERATE, AUDIT, USER_DATA, FINDINGS, AMIS}


@dataclass(frozen=True, slots=True, kw_only=True)
class RightRule:
    """Grants a right to every user of the issuer, or only to users whose claim has one of these values."""

    right: RightName
    claim: str = ""
    values: frozenset[str] = frozenset()
    accounts: frozenset[str] = frozenset()
    """The accounts that the right `findings` is bounded to."""
    products: frozenset[str] = frozenset()
    """The products that it is bounded to in these accounts; empty: any."""

    def covers(self, claims: Mapping[str, Any]) -> bool:
        return not self.claim or bool(self.values.intersection(_values(claim(claims, self.claim))))


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimMapping:
    """The claims that contain name, subject, realm, teams and rights. `reads` is the scope of the right `read`."""

    rights: Sequence[RightRule]
    reads: Reads
    uid: str = "sub"
    uid_prefix: str = ""
    subject: Sequence[str] = ("sub",)
    realm: Realm = "people"
    realm_claim: str = ""
    service_values: frozenset[str] = frozenset()
    groups: str = ""
    group_prefix: str = ""
    group_pattern: re.Pattern[str] = field(default_factory=lambda: re.compile(r"[a-z0-9._-]+"))
    group_teams: Mapping[str, str] = field(default_factory=dict)
    """Teams by the exact value of a group, for issuers that identify groups by opaque ids."""
    email: str = ""
    email_verified: str = "email_verified"
    """The claim that must be true for the address to count; empty if the issuer verifies every address."""

    def caller(self, issuer: str, claims: Mapping[str, Any], *, until: float) -> Caller:
        """Return the caller that verified claims describe. Raises TokenRefused for an invalid name or subject."""
        covering = [rule for rule in self.rights if rule.covers(claims)]
        granted = {rule.right for rule in covering}
        teams, not_written = self._teams(claims)
        return Caller(
            name=self._name(claims),
            teams=teams,
            rights=frozenset(granted & _RIGHTS),
            subject=(issuer, self._subject(claims)),
            realm=self._realm(claims),
            reads=self.reads if granted & {"read", AUDIT, OPERATE} else "nothing",
            not_written=not_written,
            until=datetime.fromtimestamp(until, UTC),
            emails=self._emails(claims),
            accounts=frozenset[str]().union(*(rule.accounts for rule in covering)),
            products=_products(covering),
        )

    def _emails(self, claims: Mapping[str, Any]) -> tuple[str, ...]:
        """Return the addresses that the issuer verified. One that it does not state as verified is no evidence."""
        verified = claim(claims, self.email_verified) if self.email_verified else True
        if not self.email or not (verified is True or verified == "true"):  # Cognito states it as text
            return ()
        value = claim(claims, self.email)
        found = value if isinstance(value, list) else [value]
        return tuple(one for one in found[:_EMAILS_MAX] if isinstance(one, str) and _EMAIL.match(one))

    def _name(self, claims: Mapping[str, Any]) -> str:
        value = claim(claims, self.uid)
        if not isinstance(value, str) or not _UID.match(value):
            raise TokenRefused(
                "token-uid", f"the token's claim {self.uid} is not a name of ASCII characters without spaces"
            )
        return self.uid_prefix + value

    def _subject(self, claims: Mapping[str, Any]) -> str:
        found = [claim(claims, name) for name in self.subject]
        if not all(isinstance(one, str) and 0 < len(one) <= 300 and one.isprintable() for one in found):
            raise TokenRefused("token-subject", f"the token has no valid {' and '.join(self.subject)}")
        return "\t".join(found)  # unambiguous: a printable claim contains no tab

    def _realm(self, claims: Mapping[str, Any]) -> Realm:
        """Return the realm. A client that signs in as itself is a service, whatever `realm` is configured."""
        if is_client(claims):
            return "services"
        if self.realm_claim and self.service_values.intersection(_values(claim(claims, self.realm_claim))):
            return "services"
        return self.realm

    def _teams(self, claims: Mapping[str, Any]) -> tuple[frozenset[str], str]:
        """Return the teams, and the reason why they are unknown; the reason is empty if they are known."""
        if not self.groups:
            return frozenset(), "`groups` is not set for this issuer in sign_in"
        listed = claim(claims, self.groups)
        if listed is None:
            names = claims.get("_claim_names")
            over = "hasgroups" in claims or (isinstance(names, dict) and self.groups in names)
            why = "the token omits groups (overage)" if over else f"the token has no claim {self.groups}"
            return frozenset(), f"its teams are unknown: {why}"
        if not isinstance(listed, list) or len(listed) > _GROUPS_MAX or not all(isinstance(one, str) for one in listed):
            return frozenset(), f"its teams are unknown: the claim {self.groups} is not a list of strings"
        return frozenset(team for one in listed if (team := self._team(one)) is not None), ""

    def _team(self, group: str) -> str | None:
        if group in self.group_teams:
            return self.group_teams[group]
        if len(group) > _GROUP_CHARACTERS_MAX or not group.startswith(self.group_prefix):
            return None
        match = self.group_pattern.fullmatch(group.removeprefix(self.group_prefix))
        if match is None:
            return None
        team = match[1] if match.re.groups else match[0]
        return team if team is not None and TEAM.match(team) else None


def _products(covering: Sequence[RightRule]) -> frozenset[tuple[str, str]]:
    """Return the bounds by product: none for an account that a rule names without products."""
    unbounded = {account for rule in covering if not rule.products for account in rule.accounts}
    return frozenset(
        (account, product) for rule in covering for account in rule.accounts - unbounded for product in rule.products
    )


def is_client(claims: Mapping[str, Any]) -> bool:
    """Return whether a token is of a client that signed in as itself, by what issuers state in such tokens.

    By RFC 9068 the subject is the client then; several issuers have a user of their own for it instead.
    """
    subject = claims.get("sub")
    if subject is None or subject in [claims.get(name) for name in ("client_id", "azp", "cid", "appid", "clientId")]:
        return True
    name = claims.get("preferred_username")
    return (
        claims.get("idtyp") == "app"  # Entra ID, where it is requested; in tokens of users, sub and oid differ
        or (subject == claims.get("oid") and "scp" not in claims)
        or bool(_GRANTS.intersection(_values(claims.get("gty"))))  # Auth0, FusionAuth
        or (isinstance(name, str) and name.lower().startswith("service-account-"))  # Keycloak
        or any(str(claims.get(one)).lower().endswith(".gserviceaccount.com") for one in ("sub", "email"))  # Google
    )


def _values(value: object) -> set[str]:
    """Return the strings of a list; of a string, itself and its words, because scopes are separated by spaces."""
    if isinstance(value, str):
        return {value, *value.split()}
    return {one for one in value if isinstance(one, str)} if isinstance(value, list) else set()
