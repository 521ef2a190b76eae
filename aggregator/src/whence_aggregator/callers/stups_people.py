"""Maps responses of STUPS's token service to callers, by realm and scopes as Kio and Pier One do. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from whence_aggregator.callers.caller import (
    REPORT_VIOLATIONS,
    WRITE_ALL,
    WRITE_ALL_SENSITIVE,
    WRITE_SENSITIVE,
    Caller,
    Reads,
    Realm,
)

_EMPLOYEES, _SERVICES = "employees", "services"
_WRITE, _WRITE_ALL = "application.write", ("application.write_all", "application.write_all_trusted")
_RIGHTS_BY_SCOPE = {
    "fullstop.violation.write": REPORT_VIOLATIONS,
    "application.write_sensitive": WRITE_SENSITIVE,
    "application.write_all_sensitive": WRITE_ALL_SENSITIVE,
}
TOKENINFO = "tokeninfo"
"""The issuer of callers that the token service knows, because its responses state none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """The owner of a token, as the token service states it."""

    uid: str
    realm: str
    scopes: frozenset[str]
    expires_in_seconds: float | None = None


class TokenInfo(Protocol):
    async def person(self, token: str) -> Person | None:
        """Return the owner of an OAuth token; None if it is not valid. Raises SourceUnavailable."""


def caller_of(person: Person, token: str, *, reads: Reads, now: datetime) -> Caller:
    """Return the caller that a token's owner is. The token is stored in it, for queries of the team service."""
    realm = person.realm.strip("/").partition("/")[0]
    everywhere = any(scope in person.scopes for scope in _WRITE_ALL)
    rights = {WRITE_ALL} if everywhere else set()
    rights |= {right for scope, right in _RIGHTS_BY_SCOPE.items() if scope in person.scopes}
    not_written = ""
    if realm not in (_EMPLOYEES, _SERVICES):
        not_written = "the realm is neither employees nor services"
    elif realm == _SERVICES and _WRITE not in person.scopes:
        not_written = f"the scope {_WRITE} is missing"
    of_realm: dict[str, Realm] = {_EMPLOYEES: "people", _SERVICES: "services"}
    seconds = person.expires_in_seconds
    return Caller(
        name=person.uid,
        teams=frozenset(),
        rights=frozenset(rights),
        subject=(TOKENINFO, person.uid),
        realm=of_realm.get(realm, "unknown"),
        reads=reads,
        not_written=not_written,
        until=now + timedelta(seconds=seconds) if seconds is not None else None,
        asks_with=token,
    )
