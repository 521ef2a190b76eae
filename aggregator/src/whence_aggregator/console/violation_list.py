"""The list of violations: one fault is one row, however many instances have it; every filter is in the address."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from whence_aggregator.console.amounts import amount
from whence_aggregator.console.asking import ApiRefused
from whence_aggregator.console.form_times import to_field
from whence_aggregator.console.frame import here
from whence_aggregator.console.page import Elsewhere, SavedAnswer, Visit, WebPage
from whence_aggregator.console.refusal import FormRefusal
from whence_aggregator.console.violation_filters import CHOICES, TEXTS, TIMES, ViolationFilters
from whence_aggregator.console.violation_words import (
    SEVERITIES,
    may_acknowledge,
    state_sign,
    step_words,
    subject_words,
    with_strip,
)

PATH = "/violations"
_MEMBERS_SHOWN = 5
_MEMBERS_READ_MAX = 50
"""Those of more are on the violation's own page only: reading hundreds to show five made the list slow."""
_WORDS_OF_STATUS = {
    "": "not fixed", "open,reopened": "open", "acknowledged": "acknowledged", "exempted": "exempted",
    "fixed": "fixed", "any": "recorded",
}  # fmt: skip


async def show_violations(visit: Visit) -> WebPage | Elsewhere:
    """Show violations by rule and subject, the worst first."""
    filters, only = ViolationFilters.of(visit.query), visit.visitor.only_team
    if only is not None and "team" not in filters.given:
        return Elsewhere(path=here(PATH, **{**filters.given, "team": only}))
    if filters.stated_otherwise and not filters.cursor:
        return Elsewhere(path=here(PATH, **filters.given))
    try:
        found, rules = await asyncio.gather(
            visit.ask.get("/v1/violations", filters.to_api(facets="true")), visit.glance.find("/v1/rules")
        )
    except ApiRefused as exc:
        refusal = FormRefusal.of(exc, "filter")
        if refusal.status != 400 and refusal.code != "team-unknown":
            raise
        return _page(visit, filters, heading="These filters cannot be applied", state="quiet", refusal=refusal)
    first, summary = await asyncio.gather(_first(visit, found), _judged(visit, found, filters))
    is_narrow = filters.is_narrow(only)
    state, heading, why = _verdict(found, filters, summary, is_narrow=is_narrow)
    known = {rule["id"]: rule for rule in (rules or {"rules": ()})["rules"]}
    return _page(visit, filters, heading=heading, state=state, why=why, found=found, rules=known, first=first)


async def save_violations(visit: Visit) -> SavedAnswer:
    """Save all of the list as CSV, with the filters of the page."""
    filters = ViolationFilters.of(visit.query)
    return SavedAnswer(
        name="violations.csv",
        path="/v1/violations",
        parameters={"grouped": "true", **filters.given, "format": "csv", "whole": "true"},
    )


def _page(
    visit: Visit, filters: ViolationFilters, *, heading: str, state: str, why: str = "",
    found: Mapping[str, Any] | None = None, rules: Mapping[str, Any] | None = None,
    first: Mapping[str, Any] | None = None, refusal: FormRefusal | None = None,
) -> WebPage:  # fmt: skip
    values = {
        "heading": heading, "state": state, "why": why, "found": found, "rules": rules or {}, "first": first,
        "refusal": refusal, "given": filters.given, "choices": CHOICES, "texts": TEXTS, "times": TIMES,
        "fields": {name: to_field(filters.given.get(name, "")) for name in TIMES}, "reads_all": visit.visitor.reads_all,
        "sign": state_sign, "subject": subject_words, "step_words": step_words, "amount": amount,
        "members_shown": _MEMBERS_SHOWN, "choosable": _choosable(visit, found),
    }  # fmt: skip
    title = heading if refusal is None else "Violations"
    return WebPage(
        template="violations.html", title=title, section="violations", values=values,
        status=refusal.status if refusal is not None else 200,
    )  # fmt: skip


def _choosable(visit: Visit, found: Mapping[str, Any] | None) -> frozenset[str]:
    """Return the ids of those that the visitor may acknowledge; none at an earlier moment."""
    if found is None or found["at"] != found["known_at"] or visit.query.get("at") or visit.query.get("known_at"):
        return frozenset()
    return frozenset(one["id"] for one in found["violations"] if may_acknowledge(visit.visitor, one))


async def _first(visit: Visit, found: Mapping[str, Any]) -> Any | None:
    """Return the worst violation with its members: the page shows it open."""
    shown = found["violations"]
    if not shown or "cursor" in visit.query or found["at"] != found["known_at"] or "at" in visit.query:
        return None
    if (shown[0]["members"] or 0) + (shown[0]["not_confirmed"] or 0) > _MEMBERS_READ_MAX:
        return None
    first = await visit.ask.find(f"/v1/violations/{shown[0]['id']}", {"links": str(_MEMBERS_SHOWN)})
    if first is None:
        return None
    return {**first, "instances": [with_strip(one) for one in first["instances"] or ()]}


async def _judged(visit: Visit, found: Mapping[str, Any], filters: ViolationFilters) -> Any | None:
    """Return how much was judged, which an empty list needs: nothing found is not a pass by itself."""
    if found["violations"] or "cursor" in visit.query:
        return None
    about = {name: filters.given[name] for name in ("team", "at") if name in filters.given}
    return await visit.glance.find("/v1/summary", {"by": "rule", **about})


def _verdict(
    found: Mapping[str, Any], filters: ViolationFilters, summary: Mapping[str, Any] | None, *, is_narrow: bool
) -> tuple[str, str, str]:
    """Return the state, the sentence and the reason that stand above the list."""
    facets = found["facets"]
    total = sum(facets["status"].values())
    word = _WORDS_OF_STATUS.get(filters.given.get("status", ""), "found")
    matching = " and match these filters" if is_narrow else ""
    tense = ("was", "were") if "at" in filters.given else ("is", "are")
    if not total:
        none = "open" if word == "not fixed" else word
        return _empty(
            found, filters, summary, is_narrow=is_narrow, sentence=f"No violation {tense[0]} {none}{matching}"
        )
    worst = [
        f"{facets['severity'][str(number)]:,} of them {name}"
        for number, name in SEVERITIES.items()
        if number <= 2 and facets["severity"].get(str(number))
    ]
    sentence = f"{amount(total, 'violation')} {tense[total > 1]} {word}{matching}"
    state = "pass" if filters.given.get("status") == "fixed" else "fail"
    shared = [f"{number:,} {name}" for name, number in facets["status"].items()] if len(facets["status"]) > 1 else []
    teams = [name or "no team" for name in list(facets["team"])[:3]]
    more = f" and {len(facets['team']) - 3} more" if len(facets["team"]) > 3 else ""
    why = [", ".join(shared).capitalize() + "."] if shared else []
    why.append(f"Owned by {', '.join(teams)}{more}.")
    return state, ", ".join([sentence, *worst]), " ".join([*why, *_incomplete(found)])


def _empty(
    found: Mapping[str, Any], filters: ViolationFilters, summary: Mapping[str, Any] | None, *, is_narrow: bool,
    sentence: str,
) -> tuple[str, str, str]:  # fmt: skip
    if is_narrow or filters.given.get("status"):
        why = ["Others may: leave out a filter to see them.", *_incomplete(found)]
        return ("unknown" if _incomplete(found) else "quiet"), sentence, " ".join(why)
    if summary is None:
        return "unknown", sentence, " ".join(["How much was judged is not for you to see.", *_incomplete(found)])
    verdicts = summary["total"]["verdicts"]
    why = [f"{amount(verdicts['total'], 'verdict')} of {amount(len(summary['groups']), 'rule')} stand."]
    if verdicts["unknown"]:
        why.append(
            f"{verdicts['unknown']:,} of them are unknown: evidence is missing, and missing evidence never passes."
        )
    if not verdicts["total"]:
        why.append("Nothing was judged yet: an agent has to submit a statement first.")
    known = verdicts["total"] and not verdicts["unknown"] and found["coverage"]["complete"]
    return ("pass" if known else "unknown"), sentence, " ".join([*why, *_incomplete(found)])


def _incomplete(found: Mapping[str, Any]) -> list[str]:
    covered = found["coverage"]
    if covered["complete"]:
        return []
    return [f"{amount(covered['incomplete_total'], 'source')} could not be read, so that more may be wrong."]
