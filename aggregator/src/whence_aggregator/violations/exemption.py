"""Exemptions: what one covers, and what may be granted at all. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta

from whence_aggregator.compliance.fullstop_types import type_of_rule
from whence_aggregator.ports import Conflict
from whence_aggregator.projections.violation_rows import StoredViolation
from whence_aggregator.violations.group import ACCOUNT, AMI, VERSION
from whence_common.clock import parse_instant, to_instant
from whence_common.errors import InputError

EXEMPTION_DAYS_MAX = 366
EXEMPTIONS_MAX = 1_000
"""In force at once."""
EXEMPTIONS_OF_TEAM_MAX = 200
"""Of those, with one team in their scope: no team can use up what others need."""
COVERED_MAX = 1_000
"""Open violations that one exemption may cover when it is granted."""
COMMENT_CHARACTERS_MAX = 1_000
SCOPE_KEYS = ("application", "version", "account", "ami", "team")


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """Where a rule is exempted; an empty member means any, and at least one is not empty."""

    application_id: str = ""
    version: str = ""
    account_id: str = ""
    ami: str = ""
    team: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Exemption:
    """A rule that a person has exempted in a scope, until a time."""

    id: str
    number: int = 0
    """By which fullstop.'s interface names it."""
    rule: str
    """Or a type of fullstop., in capitals, for all rules that are served with it."""
    scope: Scope
    severity_min: int = 1
    """It covers no violation of a worse severity, whatever becomes of one that it covers."""
    granted_at: str
    granted_by: str
    reason: str
    until: str
    ended_at: str = ""
    ended_by: str = ""

    @property
    def is_by_type(self) -> bool:
        return self.rule.isupper()

    def is_live(self, now: str) -> bool:
        return not self.ended_at and self.until > now

    def covers(self, one: StoredViolation) -> bool:
        """Return whether a violation is in the scope. None covers what the token of its granter caused."""
        if self.rule not in (one.rule, type_of_rule(one.rule)) or one.severity < self.severity_min:
            return False
        scope = self.scope
        wanted = (
            (scope.application_id, one.application_id),
            (scope.account_id, one.account_id),
            (scope.team, one.team),
            (scope.version, one.version),
            (scope.ami, one.subject if one.kind == AMI else ""),
        )
        return (
            any(want for want, _ in wanted)
            and all(want in ("", is_) for want, is_ in wanted)
            and self.granted_by not in one.details.get("tokens", ())
        )

    def to_entry(self) -> dict[str, object]:
        """Return the member of the entry that grants it."""
        return {
            "id": self.id,
            "rule": self.rule,
            "until": self.until,
            "severity_min": self.severity_min,
            **asdict(self.scope),
        }

    def to_wire(self) -> dict[str, object]:
        scope = self.scope
        return {
            "id": self.id, "rule": self.rule, "reason": self.reason, "granted_by": self.granted_by,
            "granted_at": self.granted_at, "until": self.until, "ended_at": self.ended_at or None,
            "ended_by": self.ended_by or None,
            "scope": {
                "application": scope.application_id or None, "version": scope.version or None,
                "account": scope.account_id or None, "ami": scope.ami or None, "team": scope.team or None,
            },
        }  # fmt: skip


def covering(one: StoredViolation, exemptions: Iterable[Exemption], *, now: str) -> Exemption | None:
    """Return the exemption that covers a violation for longest; None where none does."""
    found = [each for each in exemptions if each.is_live(now) and each.covers(one)]
    return max(found, key=lambda each: (each.until, each.id), default=None)


def check_room(live: Sequence[Exemption], granted: Exemption) -> None:
    """Raise Conflict if a bound on exemptions in force is reached: that of all, or that of the team in the scope."""
    team, bound = granted.scope.team, EXEMPTIONS_MAX
    if team and sum(one.scope.team == team for one in live) >= EXEMPTIONS_OF_TEAM_MAX:
        bound = EXEMPTIONS_OF_TEAM_MAX
    elif len(live) < EXEMPTIONS_MAX:
        return
    of = f" of team {team}" if bound == EXEMPTIONS_OF_TEAM_MAX else ""
    raise Conflict("exemptions-bound", f"{bound} exemptions{of} are in force", fix="undo one that is not needed")


def new_exemption(
    rule: str, scope: Scope, *, reason: str, until: str, by: str, now: datetime, unique: bytes, severity_min: int = 1
) -> Exemption:
    """Return an exemption that may be granted; `unique` tells it from the same one granted again. Raises InputError."""
    reason = checked_comment(reason, name="reason")
    if scope.version and not scope.application_id:
        raise InputError("exemption-scope", "scope: version without application", fix="name the application too")
    at, latest = to_instant(now), now + timedelta(days=EXEMPTION_DAYS_MAX)
    if not now < parse_instant(until) <= latest:
        raise InputError(
            "exemption-until", f"until must be later than now, and at most {EXEMPTION_DAYS_MAX} days from now",
            fix=f"the latest time is {to_instant(latest)}",
        )  # fmt: skip
    named = "\n".join((rule, *(str(one) for one in asdict(scope).values()), reason, until, by, at, unique.hex()))
    return Exemption(
        id=f"e-{hashlib.sha256(named.encode()).hexdigest()[:20]}", rule=rule, scope=scope, granted_at=at, granted_by=by,
        reason=reason, until=until, severity_min=severity_min,
    )  # fmt: skip


def scope_of(one: StoredViolation) -> Scope:
    """Return the scope that holds a violation's own group and nothing else."""
    if one.kind == VERSION:
        return Scope(application_id=one.application_id, version=one.version)
    if one.kind == AMI:
        return Scope(ami=one.subject)
    if one.application_id:
        return Scope(application_id=one.application_id)
    return Scope(account_id=one.subject if one.kind == ACCOUNT else one.account_id)


def scope_from(wire: Mapping[str, object]) -> Scope:
    """Return the scope of a request. Raises InputError for unknown keys, and for what is not a short text."""
    unknown = sorted(set(wire) - set(SCOPE_KEYS))
    if unknown:
        raise InputError(
            "exemption-key", f"scope has unknown keys: {', '.join(unknown)[:200]}",
            fix=f"a scope has: {', '.join(SCOPE_KEYS)}",
        )  # fmt: skip
    if not wire:
        raise InputError(
            "exemption-scope", "an exemption with an empty scope would cover everybody",
            fix=f"name at least one of: {', '.join(SCOPE_KEYS)}",
        )  # fmt: skip
    for name, value in wire.items():
        if not isinstance(value, str) or not 0 < len(value) <= 300 or not value.isprintable():
            raise InputError("exemption-scope", f"scope.{name} must be a text of 1 to 300 printable characters")
    texts = {name: str(value) for name, value in wire.items()}
    return Scope(
        application_id=texts.get("application", ""), version=texts.get("version", ""),
        account_id=texts.get("account", ""), ami=texts.get("ami", ""), team=texts.get("team", ""),
    )  # fmt: skip


def checked_comment(text: object, *, name: str) -> str:
    """Return a comment or reason. Raises InputError."""
    if isinstance(text, str) and text.strip() and len(text) <= COMMENT_CHARACTERS_MAX and _is_printable(text):
        return text.strip()
    raise InputError(
        "comment-malformed", f"{name} must be 1 to {COMMENT_CHARACTERS_MAX} printable characters",
        fix=f"state in {name} why",
    )  # fmt: skip


def _is_printable(text: str) -> bool:
    return all(one.isprintable() or one == "\n" for one in text)
