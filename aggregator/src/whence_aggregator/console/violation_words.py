"""Violations in words: their subject, their state, what was done about them, and what a visitor may do."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from whence_aggregator.console.amounts import amount
from whence_aggregator.console.chain import mini
from whence_aggregator.console.page import Visitor

SEVERITIES = {1: "critical", 2: "high", 3: "medium", 4: "low"}
SEVERITY_OF_TEAMS = 3
"""Teams exempt violations of this severity and of lower ones."""
_OPEN = ("open", "reopened")
_SCOPE_WORDS = {"application": "application", "version": "version", "account": "account", "ami": "AMI", "team": "team"}
_STEPS = {
    "opened": "Opened", "reopened": "Opened again", "changed": "Changed", "fixed": "Fixed",
    "unconfirmed": "Not confirmed any more", "confirmed": "Confirmed again", "acknowledged": "Acknowledged",
    "unacknowledged": "Acknowledgement taken back", "exempted": "Exempted", "unexempted": "Exemption ended",
    "expired": "Exemption expired",
}  # fmt: skip


def subject_words(violation: Mapping[str, Any]) -> str:
    """Return the subject as a person calls it: `greeter 1.0`, `account 123456789012`."""
    kind, name = violation["subject"]["kind"], violation["subject"]["id"]
    if kind == "version":
        return " ".join(part for part in str(name).partition("@") if part != "@")
    return str(name) if kind == "application" else f"{ {'ami': 'AMI'}.get(kind, kind) } {name}"


def with_strip(member: Mapping[str, Any]) -> dict[str, Any]:
    """Return an instance that is concerned, with the strip of its links; None where it was not traced."""
    lineage = member.get("lineage")
    links = lineage["links"].items() if lineage is not None else ()
    return {**member, "strip": mini([{"link": name, "state": state} for name, state in links]) if links else None}


def state_sign(violation: Mapping[str, Any]) -> tuple[str, str]:
    """Return the sign of a violation and its word. A fault that is not confirmed now is unknown, not passed."""
    state = str(violation["state"])
    if state == "fixed":
        return "pass", "fixed"
    if violation["not_confirmed_since"]:
        return "unknown", f"{state}, not confirmed"
    return "fail", state


def heading(violation: Mapping[str, Any]) -> str:
    """Return what a violation comes to, as a sentence."""
    subject, rule, state = subject_words(violation), violation["rule"], violation["state"]
    members = violation["members"] or violation["not_confirmed"]
    on = f" on {amount(members, 'instance')}" if members else ""
    if state == "fixed":
        return f"{subject} broke the rule {rule}; this is fixed"
    if violation["not_confirmed_since"]:
        return f"{subject} broke the rule {rule}{on}; whether it still does is not known"
    return f"{subject} breaks the rule {rule}{on}" + (f", and is {state}" if state not in _OPEN else "")


def step_words(step: Mapping[str, Any]) -> str:
    return _STEPS.get(str(step["step"]), str(step["step"]))


def scope_words(exemption: Mapping[str, Any]) -> str:
    """Return what an exemption covers: `rule no-sbom, application greeter, version 1.0`."""
    named = [f"{_SCOPE_WORDS[name]} {value}" for name, value in exemption["scope"].items() if value]
    return f"rule {exemption['rule']}, {', '.join(named)}"


def may_acknowledge(visitor: Visitor, violation: Mapping[str, Any]) -> bool:
    return violation["state"] in _OPEN and visitor.writes_for(violation["team"])


def may_exempt(visitor: Visitor, violation: Mapping[str, Any]) -> bool:
    """Return whether to offer an exemption. What the visitor's own token caused is refused by the API alone."""
    of_team = violation["severity"] >= SEVERITY_OF_TEAMS and violation["team"] and visitor.writes_for(violation["team"])
    return visitor.is_person and violation["state"] in (*_OPEN, "acknowledged") and bool(visitor.operates or of_team)


def may_undo(visitor: Visitor, violation: Mapping[str, Any]) -> bool:
    marked = violation["state"] in ("acknowledged", "exempted")
    return marked and (visitor.operates or bool(violation["team"] and visitor.writes_for(violation["team"])))


def may_withdraw(visitor: Visitor, exemption: Mapping[str, Any]) -> bool:
    team = exemption["scope"]["team"]
    return visitor.operates or exemption["granted_by"] == visitor.name or bool(team and visitor.writes_for(team))


def who_may(violation: Mapping[str, Any]) -> str:
    """Return who may act on a violation, for a visitor who may not."""
    team = violation["team"]
    if violation["state"] == "fixed":
        return "Nothing is left to do: it opens again by itself if the fault is back."
    owner = f"Team {team} acknowledges it" if team else "It has no owner: the right operate is needed to acknowledge it"
    if violation["severity"] < SEVERITY_OF_TEAMS or not team:
        return f"{owner}; a person with the right operate exempts violations of this severity."
    return f"{owner}, and exempts it, as may a person with the right operate."


def last_day(now: datetime, days: int) -> str:
    """Return the day that is so many days from now."""
    return (now + timedelta(days=days)).date().isoformat()
