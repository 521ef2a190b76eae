"""From what STUPS's token service says of a token to a caller: realm and scopes as Kio and Pier One read them. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from whence_aggregator.callers.caller import WRITE_ALL, Caller, Reads, Realm

_EMPLOYEES, _SERVICES = "employees", "services"
_WRITE, _WRITE_ALL = "application.write", ("application.write_all", "application.write_all_trusted")
TOKENINFO = "tokeninfo"
"""The issuer of whom the token service knows: it names none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """Whom a token belongs to, as the token service says."""

    uid: str
    realm: str
    scopes: frozenset[str]
    expires_in_seconds: float | None = None


class TokenInfo(Protocol):
    async def person(self, token: str) -> Person | None:
        """Say whom an OAuth token belongs to; None when it is not valid. Raises SourceUnavailable."""


def caller_of(person: Person, token: str, *, reads: Reads, now: datetime) -> Caller:
    """Return the caller; the team service is asked with the token."""
    realm = person.realm.strip("/").partition("/")[0]
    everywhere = any(scope in person.scopes for scope in _WRITE_ALL)
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
        rights=frozenset({WRITE_ALL}) if everywhere else frozenset(),
        subject=(TOKENINFO, person.uid),
        realm=of_realm.get(realm, "unknown"),
        reads=reads,
        not_written=not_written,
        until=now + timedelta(seconds=seconds) if seconds is not None else None,
        asks_with=token,
    )
