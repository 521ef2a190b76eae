"""Who is behind a session of a role: the person or federated user whose call made its key. Pure.

A session is joined by the id of its key, which AWS makes and never uses twice, and by nothing that a caller chooses: a
session's name, and mostly its source identity too, are the caller's own words. A call from another account is recorded
in both: the role's account states which account called, and only that account's own trail states who in it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Literal

from whence_common.clock import parse_instant

STEPS_MAX = 5
"""Roles that one after another assumed the next."""
SESSION_MAX = timedelta(hours=36)
"""AWS's longest session of any kind; a role's lasts 12 hours at most."""
_SKEW = timedelta(minutes=5)
_ROLE_TYPES = ("AssumedRole", "Role")
KnownBy = Literal["identity", "assume-role", "source-identity", "session-name", "service"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TakenRole:
    """A recorded call of STS that made a key: whose trail has it, the role, and who called."""

    ledger_index: int
    event_id: str
    account_id: str
    access_key: str
    shared_id: str
    role: str
    at: str
    doer: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class BehindRole:
    """Who made a call. `confirmed`: two accounts' trails agree on each step; else one trail, or the caller's words."""

    state: Literal["confirmed", "asserted", "unknown"]
    name: str = ""
    type: str = ""
    account_id: str = ""
    known_by: KnownBy | None = None
    reason: str = ""
    roles: tuple[str, ...] = ()
    """The roles that were assumed, the one that made the call first."""
    evidence: tuple[TakenRole, ...] = field(default=())

    def to_wire(self) -> dict[str, object]:
        return {
            "state": self.state,
            "name": self.name or None,
            "type": self.type or None,
            "account_id": self.account_id or None,
            "known_by": self.known_by,
            "reason": self.reason or None,
            "roles": list(self.roles),
        }


def who_is_behind(doer: Mapping[str, Any], at: str, sessions: Sequence[TakenRole]) -> BehindRole:
    """Return who made a call at a time, as far as recorded calls of STS name them."""
    first, roles, evidence = doer, list[str](), list[TakenRole]()
    confirmed, gap = True, ""
    for _ in range(STEPS_MAX):
        if doer.get("type") not in _ROLE_TYPES:
            break
        roles.append(str(doer.get("role", "")))
        found = _made_by(doer, at, sessions)
        if isinstance(found, str):
            gap = found
            break
        doer, at, calls, both = found
        evidence += calls
        confirmed = confirmed and both
    else:
        gap = f"more than {STEPS_MAX} roles were assumed one after another"
    known_by: KnownBy = "assume-role" if roles else "service" if doer.get("type") == "AWSService" else "identity"
    name = _name(doer)
    if not gap and name:
        return BehindRole(
            state="confirmed" if confirmed and roles else "asserted", name=name, type=str(doer["type"]),
            account_id=str(doer.get("account_id", "")), known_by=known_by, roles=tuple(roles),
            evidence=tuple(evidence),
        )  # fmt: skip
    gap = gap or f"CloudTrail names no user for a caller of type {doer.get('type')}"
    return _by_own_words(first, gap, tuple(roles), tuple(evidence))


def _by_own_words(
    first: Mapping[str, Any], gap: str, roles: tuple[str, ...], evidence: tuple[TakenRole, ...]
) -> BehindRole:
    """Return what the session itself states, which is the caller's own choice, with why no more is known."""
    account_id = str(first.get("account_id", ""))
    if first.get("person"):
        reason = f"{gap}; the source identity was set by the call that assumed the first role"
        return BehindRole(
            state="asserted", name=str(first["person"]), known_by="source-identity", reason=reason, roles=roles,
            evidence=evidence,
        )  # fmt: skip
    if first.get("session"):
        return BehindRole(
            state="asserted", name=str(first["session"]), account_id=account_id, known_by="session-name",
            reason=f"{gap}; the session's name was chosen by its caller", roles=roles, evidence=evidence,
        )  # fmt: skip
    return BehindRole(state="unknown", reason=gap, roles=roles, evidence=evidence)


_Found = tuple[Mapping[str, Any], str, list[TakenRole], bool]


def _made_by(doer: Mapping[str, Any], at: str, sessions: Sequence[TakenRole]) -> _Found | str:
    """Return who assumed the role of a session, when, by which calls, and whether two accounts agree; else why not."""
    key, role = str(doer.get("access_key", "")), str(doer.get("role", ""))
    if not key:
        return "the session states no temporary key"
    made = [one for one in sessions if one.access_key == key and _in_time(one.at, at)]
    if not made:
        return f"no recorded call of STS made the key of the session of {role or 'the role'}"
    own = [one for one in made if one.account_id == doer.get("account_id")]  # others cannot make it ambiguous
    if any(one.role != role for one in own or made):
        return f"a recorded call of STS made the key for another role than {role}"
    if len(own) > 1:
        return f"{len(own)} recorded calls of STS made the same key"
    if not own:
        return _by_callers_account(made)
    (call,) = own
    if call.doer.get("type") != "AWSAccount":
        return call.doer, call.at, [call], False
    caller = str(call.doer.get("account_id", ""))
    others = [
        one for one in sessions
        if call.shared_id and one.shared_id == call.shared_id and one.account_id == caller and one.role == role
        and one.access_key in ("", key) and one.doer.get("account_id") == caller
    ]  # fmt: skip
    if len(others) != 1:
        what = "does not state who" if not others else "states more than one caller"
        return f"account {caller} assumed {role}, and its trail {what}"
    return others[0].doer, others[0].at, [call, others[0]], True


def _by_callers_account(made: Sequence[TakenRole]) -> _Found | str:
    """Return the caller by the trail of its own account alone, which can name nobody of another one."""
    named = [
        one for one in made if one.doer.get("account_id") == one.account_id and one.doer.get("type") != "AWSAccount"
    ]
    if len(made) != 1 or not named:
        return "the trail of the role's account has not recorded the call that assumed the role"
    return named[0].doer, named[0].at, [named[0]], False


def _in_time(made_at: str, used_at: str) -> bool:
    since = parse_instant(used_at) - parse_instant(made_at)
    return -_SKEW <= since <= SESSION_MAX


def _name(doer: Mapping[str, Any]) -> str:
    """Return the user that AWS or an identity provider authenticated, else the service."""
    user = str(doer.get("user", ""))
    if doer.get("type") == "AWSService":
        return str(doer.get("service", ""))
    return user if doer.get("type") not in (*_ROLE_TYPES, "AWSAccount") else ""
