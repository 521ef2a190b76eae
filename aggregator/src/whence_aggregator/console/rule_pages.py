"""The rules: what each requires and why, whether it is in force, what it judged, and the violations of it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from typing import Any

from whence_aggregator.console.amounts import amount
from whence_aggregator.console.asking import ApiAnswer, ApiRefused
from whence_aggregator.console.page import Visit, WebPage
from whence_aggregator.console.violation_words import state_sign, subject_words

NO_COUNTS: Mapping[str, int] = {"pass": 0, "fail": 0, "unknown": 0, "folded": 0, "total": 0}
_VIOLATIONS_SHOWN = "10"
_OUTCOMES = {"pass": "passes", "fail": "fails", "unknown": "is unknown"}


async def show_rules(visit: Visit) -> WebPage:
    """Show all rules: those in force with their counts, and those that are off with the reason."""
    own = _own(visit)
    listed, summary, violations = await asyncio.gather(
        visit.glance.get("/v1/rules"),
        visit.glance.find("/v1/summary", {"by": "rule", **own}),
        visit.ask.find("/v1/violations", {"grouped": "true", "facets": "true", "limit": "1", **own}),
    )
    rules = sorted(listed["rules"], key=lambda one: (one["severity"], one["id"]))
    on, off = [one for one in rules if one["in_force"]], [one for one in rules if not one["in_force"]]
    verdicts = {one["rule"]: one["verdicts"] for one in (summary or {"groups": ()})["groups"]}
    failing = sum(bool(verdicts.get(one["id"], NO_COUNTS)["fail"]) for one in on)
    unknown = sum(bool(verdicts.get(one["id"], NO_COUNTS)["unknown"]) for one in on)
    values = {
        "on": on, "off": off, "verdicts": verdicts, "summary": summary, "no_counts": NO_COUNTS,
        "open": violations["facets"]["rule"] if violations is not None else {}, "amount": amount,
        "heading": _sentence(summary, len(on), failing, unknown), "state": _state(summary, failing, unknown),
        "why": _why(summary, len(off)),
    }  # fmt: skip
    return WebPage(template="rules.html", title="Rules", section="violations", values=values)


async def show_rule(visit: Visit) -> WebPage:
    """Show one rule, with what it judged by team, its open violations and its examples."""
    name = visit.path["id"]
    listed = await visit.glance.get("/v1/rules")
    rule = next((one for one in listed["rules"] if one["id"] == name), None)
    if rule is None:
        raise ApiRefused(ApiAnswer(status=404, document={"code": "not-found", "detail": "there is no such rule"}))
    grouped = {"grouped": "true", "rule": name, "facets": "true", "limit": _VIOLATIONS_SHOWN, **_own(visit)}
    teams, found = await asyncio.gather(
        visit.ask.find("/v1/summary", {"by": "team", "rule": name, **_own(visit)}),
        visit.ask.find("/v1/violations", grouped),
    )
    total = teams["total"]["verdicts"] if teams is not None else None
    values = {
        "rule": rule, "teams": teams, "total": total, "found": found, "amount": amount, "sign": state_sign,
        "subject": subject_words, "examples": _examples(rule["examples"]), "outcomes": _OUTCOMES,
        "open_total": sum(found["facets"]["status"].values()) if found is not None else None,
        "heading": _heading(rule, total), "state": _state_of(rule, total),
    }  # fmt: skip
    return WebPage(template="rule.html", title=f"Rule {name}", section="violations", values=values)


def _own(visit: Visit) -> dict[str, str]:
    """Return the filter that a visitor needs who may read its own teams' only."""
    team = visit.visitor.only_team
    return {"team": team} if team is not None else {}


def _state(summary: Mapping[str, Any] | None, failing: int, unknown: int) -> str:
    if summary is None:
        return "quiet"
    if failing:
        return "fail"
    known = summary["total"]["verdicts"]["total"] and not unknown and summary["coverage"]["complete"]
    return "pass" if known else "unknown"


def _sentence(summary: Mapping[str, Any] | None, on: int, failing: int, unknown: int) -> str:
    if not on:
        return "No rule is in force"
    rules, be = f"{amount(on, 'rule')} in force", "is" if on == 1 else "are"
    if summary is None:
        return f"{amount(on, 'rule')} {be} in force"
    if not summary["total"]["verdicts"]["total"]:
        return f"{amount(on, 'rule')} {be} in force, and judged nothing yet"
    unknown_too = f"{unknown:,} {'is' if unknown == 1 else 'are'} unknown for some subject"
    if failing:
        sentence = f"{failing:,} of {rules} {'fails' if failing == 1 else 'fail'} for some subject"
        return f"{sentence}, {unknown_too}" if unknown else sentence
    return f"None of {rules} fails, but {unknown_too}" if unknown else f"None of {rules} fails"


def _why(summary: Mapping[str, Any] | None, off: int) -> str:
    others = f" {amount(off, 'rule')} {'is' if off == 1 else 'are'} off." if off else ""
    if summary is None:
        return f"What they judged is not for you to see.{others}"
    verdicts = summary["total"]["verdicts"]
    if not verdicts["total"]:
        return f"An agent has to submit a statement first.{others}"
    return (
        f"Of {amount(verdicts['total'], 'verdict')}, {verdicts['pass']:,} pass, {verdicts['fail']:,} fail, "
        f"{verdicts['unknown']:,} are unknown and {verdicts['folded']:,} follow from a broken link.{others}"
    )


def _heading(rule: Mapping[str, Any], total: Mapping[str, int] | None) -> str:
    if not rule["in_force"]:
        return f"The rule {rule['id']} is not in force"
    if rule["failing"]:
        return f"The rule {rule['id']} could not be evaluated"
    if total is None:
        return f"The rule {rule['id']} is in force"
    if not total["total"]:
        return f"The rule {rule['id']} has judged nothing yet"
    return (
        f"The rule {rule['id']} passes for {total['pass']:,} of {total['total']:,}, fails for {total['fail']:,} "
        f"and is unknown for {total['unknown']:,}"
    )


def _state_of(rule: Mapping[str, Any], total: Mapping[str, int] | None) -> str:
    if not rule["in_force"]:
        return "quiet"
    if total is not None and total["fail"]:
        return "fail"
    known = total is not None and total["total"] and total["pass"] == total["total"] and not rule["failing"]
    return "pass" if known else "unknown"


def _examples(examples: Sequence[Mapping[str, Any]]) -> list[dict[str, str]]:
    """Return examples with their evidence as JSON."""
    return [
        {"outcome": str(one["outcome"]), "given": json.dumps(one["given"], indent=2, ensure_ascii=False)}
        for one in examples
    ]
