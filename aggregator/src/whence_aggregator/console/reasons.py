"""Why a lineage has its verdict, and what to do about it, in sentences. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from whence_aggregator.console.ages import shown_time
from whence_aggregator.console.headline import Headline, errors_of, has_ended, origin
from whence_aggregator.console.link_words import GAPS, by_name, capital, is_held, link_name, listed
from whence_aggregator.console.rule_rows import RuleRow, counted

_NEAR = {"commit": ("commit", "source"), "image": ("image", "user_data"), "version": ("version", "user_data")}
"""The links whose rules are about a gap; those of the link itself if it is not named here."""
_LIVES = {
    "pending": "It is starting", "stopping": "It is stopping", "stopped": "It is stopped",
    "shutting-down": "It is being terminated", "terminated": "It is terminated",
}  # fmt: skip
_CHARACTERS_MAX = 500
_UNHEARD = ("silent", "never heard")
_NOT_CONFIGURED = "not configured"
_ASK_OPERATOR = "ask the operator of this server to configure the source; until then this stays unknown"
_ASKED_AGAIN = "nothing, if this is new: the server asks again by itself; else see which source the overview names"


def why(lineage: Mapping[str, Any], found: Headline, rules: Sequence[RuleRow] | None) -> str:
    """Return why in some sentences. `rules` is None where rules are not judged, as for another time."""
    return " ".join(one for one in _why(lineage, found, rules) if one)


def _why(lineage: Mapping[str, Any], found: Headline, rules: Sequence[RuleRow] | None) -> Iterator[str]:
    links = by_name(lineage)
    errors = errors_of(links)
    if found.word == "failed boot" and errors:
        more = f" {len(errors) - 1} more at their lines below." if len(errors) > 1 else ""
        yield f"{capital(_where(errors[0]) + _cut(errors[0].get('message')))}{more}"
    elif found.link:
        link = links[found.link]
        unchecked = next((str(one["reason"]) for one in lineage["not_checked"] if one["link"] == found.link), "")
        yield capital(_cut(link["reason"] or unchecked))
    if not found.is_whole and (known := origin(lineage)):
        yield f"{'When it was last heard' if found.word in _UNHEARD else 'Even so'}, {known}."
    yield _counts(lineage)
    yield _others(lineage, found)
    yield _presence(lineage, found)
    if rules is not None:
        yield _by_rules(rules, nothing_else=found.is_whole)


def what_to_do(lineage: Mapping[str, Any], found: Headline, rules: Sequence[RuleRow] | None) -> str:
    """Return what to do; empty if nothing is to be done, or if the page is about another time."""
    found_out = _to_do(lineage, found, rules)
    return f"{found_out}." if found_out and not found_out.endswith(".") else found_out


def _to_do(lineage: Mapping[str, Any], found: Headline, rules: Sequence[RuleRow] | None) -> str:
    if lineage["heard"] is None:
        return ""
    errors = errors_of(by_name(lineage))
    if found.word == "failed boot" and errors:
        more = f", correct {len(errors) - 1} more at their lines below" if len(errors) > 1 else ""
        line = f" in line {errors[0]['line']}" if _has_line(errors[0]) else ""
        return f"{_cut(errors[0].get('fix') or 'correct the user data')}{line}{more}, then replace the instance"
    remedy = _remedy(found, rules or ())
    if remedy:
        return remedy
    if found.sign != "unknown" or not found.link:
        return ""
    reason = str(by_name(lineage)[found.link]["reason"] or "")
    return _ASK_OPERATOR if _NOT_CONFIGURED in reason or found.word == "not checked" else _ASKED_AGAIN


def _remedy(found: Headline, rules: Sequence[RuleRow]) -> str:
    """Return the remedy of the worst rule that fails about the link that decides; of any rule for a whole chain."""
    if found.word in _UNHEARD:
        return next((one.remedy for one in rules if one.rule == "agent-silent"), "")
    failing = [one for one in rules if one.state == "fail" and one.remedy]
    if not found.is_whole and found.word != "failed boot":
        near = _NEAR.get(found.link, (found.link,))
        failing = sorted((one for one in failing if one.link in near), key=lambda one: one.severity)
    return failing[0].remedy if failing else ""


def _where(problem: Mapping[str, Any]) -> str:
    return f"Line {problem['line']}: " if _has_line(problem) else ""


def _has_line(problem: Mapping[str, Any]) -> bool:
    return isinstance(problem.get("line"), int) and problem["line"] > 0


def _cut(text: object) -> str:
    """Return a text that an agent or a source stated, in a length that a page begins with."""
    shown = str(text or "")
    return shown if len(shown) <= _CHARACTERS_MAX else f"{shown[:_CHARACTERS_MAX]}…"


def _counts(lineage: Mapping[str, Any]) -> str:
    held = [one for one in lineage["links"] if is_held(one)]
    confirmed = sum(one["state"] == "confirmed" for one in held)
    total = len(lineage["links"])
    how_many = f"All {total} links hold" if len(held) == total else f"{len(held)} of {total} links hold"
    return f"{how_many}: {confirmed} confirmed, {len(held) - confirmed} asserted."


def _others(lineage: Mapping[str, Any], found: Headline) -> str:
    """Return the other links that do not hold, and those that are not checked or not required."""
    required = frozenset(lineage["required"])
    by_state: dict[str, list[str]] = {}
    for link in lineage["links"]:
        if link["state"] in GAPS and link["link"] != found.link:
            kept = "not required here" if link["link"] not in required else str(link["state"])
            by_state.setdefault(kept, []).append(link_name(str(link["link"])))
    parts = [f"{state}: {listed(names)}" for state, names in by_state.items()]
    return capital("; ".join(parts)) if parts else ""


def _presence(lineage: Mapping[str, Any], found: Headline) -> str:
    """Return whether the instance still runs and its agent still reports, unless the sentence states it."""
    if has_ended(lineage):
        life = _LIVES.get(str(lineage["life"]), "Its agent reported that it stops")
        since = f", since {shown_time(lineage['life_since'])}" if lineage["life_since"] else ""
        return f"{life}{since}."
    if found.word in _UNHEARD:
        return ""
    if lineage["heard"] == "silent":
        return f"Its agent has been silent since {shown_time(lineage['last_seen'])}."
    return "No heartbeat of its agent ever arrived." if lineage["heard"] == "never" else ""


def _by_rules(rules: Sequence[RuleRow], *, nothing_else: bool) -> str:
    failing, unknown = counted(rules, "fail"), counted(rules, "unknown")
    if not rules:
        return "No rule has judged it yet."
    if not failing and not unknown:
        return "Every rule passes. Nothing to do." if nothing_else else "Every rule passes."
    parts = []
    if failing:
        parts.append(f"{failing} rule{'s' * (failing > 1)} fail{'s' * (failing == 1)}")
    if unknown:
        parts.append(f"{unknown} rule{'s are' if unknown > 1 else ' is'} unknown")
    return f"{', '.join(parts)}."
