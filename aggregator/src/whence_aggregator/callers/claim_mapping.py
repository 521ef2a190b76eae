"""From the claims of a verified token to a caller. Pure.

A team that cannot be read for certain is no team, and a list that is not there says nothing: it is unknown, not empty.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

from whence_aggregator.callers.caller import AUDIT, OPERATE, USER_DATA, WRITE_ALL, Caller, Reads, Realm
from whence_aggregator.callers.compact_token import TokenRefused
from whence_aggregator.callers.issuer import claim

TEAM = re.compile(r"[a-z0-9](?:[a-z0-9_-]|\.(?!\.)){0,62}\Z")
"""A team's id: lower case, so that no two differ by case; ASCII, so that none looks like another."""
_UID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+:/|=-]{0,199}\Z")
_GROUPS_MAX = 2000
_GROUP_CHARACTERS_MAX = 300
RightName = Literal["read", "write-all", "operate", "audit", "user-data"]
_RIGHTS = {WRITE_ALL, OPERATE, AUDIT, USER_DATA}


@dataclass(frozen=True, slots=True, kw_only=True)
class RightRule:
    """Gives a right to everybody, or to those whose claim has one of these values."""

    right: RightName
    claim: str = ""
    values: frozenset[str] = frozenset()

    def covers(self, claims: Mapping[str, Any]) -> bool:
        return not self.claim or bool(self.values.intersection(_values(claim(claims, self.claim))))


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimMapping:
    """Which claims say what. `reads` is what the right to read means here."""

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
    """Teams by the exact value of a group: the way for groups with ids."""

    def caller(self, issuer: str, claims: Mapping[str, Any], *, until: float) -> Caller:
        """Return whom verified claims describe. Raises TokenRefused."""
        given = {rule.right for rule in self.rights if rule.covers(claims)}
        teams, not_written = self._teams(claims)
        return Caller(
            name=self._name(claims),
            teams=teams,
            rights=frozenset(given & _RIGHTS),
            subject=(issuer, self._subject(claims)),
            realm=self._realm(claims),
            reads=self.reads if given & {"read", AUDIT, OPERATE} else "nothing",
            not_written=not_written,
            until=datetime.fromtimestamp(until, UTC),
        )

    def _name(self, claims: Mapping[str, Any]) -> str:
        value = claim(claims, self.uid)
        if not isinstance(value, str) or not _UID.match(value):
            raise TokenRefused("token-uid", f"the token's claim {self.uid} is not a name: ASCII, without spaces")
        return self.uid_prefix + value

    def _subject(self, claims: Mapping[str, Any]) -> str:
        found = [claim(claims, name) for name in self.subject]
        if not all(isinstance(one, str) and 0 < len(one) <= 300 and one.isprintable() for one in found):
            raise TokenRefused("token-subject", f"the token has no usable {' and '.join(self.subject)}")
        return "\t".join(found)  # no claim that is printable has one

    def _realm(self, claims: Mapping[str, Any]) -> Realm:
        """A client that signs in as itself is a service, whatever its issuer is for."""
        if claims.get("sub") in (claims.get("client_id"), claims.get("azp"), None):
            return "services"
        if self.realm_claim and self.service_values.intersection(_values(claim(claims, self.realm_claim))):
            return "services"
        return self.realm

    def _teams(self, claims: Mapping[str, Any]) -> tuple[frozenset[str], str]:
        """Return the teams, and why there may be more."""
        if not self.groups:
            return frozenset(), "sign_in names no claim with groups for this issuer"
        listed = claim(claims, self.groups)
        if listed is None:
            names = claims.get("_claim_names")
            over = "hasgroups" in claims or (isinstance(names, dict) and self.groups in names)
            why = "it names more groups than the token holds" if over else f"the token has no claim {self.groups}"
            return frozenset(), f"its teams are unknown: {why}"
        if not isinstance(listed, list) or len(listed) > _GROUPS_MAX or not all(isinstance(one, str) for one in listed):
            return frozenset(), f"its teams are unknown: the claim {self.groups} is not a list of texts"
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


def _values(value: object) -> set[str]:
    """Return what a claim lists: a list's texts, a text's words, as scopes are written."""
    if isinstance(value, str):
        return {value, *value.split()}
    return {one for one in value if isinstance(one, str)} if isinstance(value, list) else set()
