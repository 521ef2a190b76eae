"""The overview: what to look at first, then the counts with their denominators, and how old each source is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from whence_aggregator.console.amounts import Course, age, amount, course, percent
from whence_aggregator.console.change_lines import change_lines
from whence_aggregator.console.glance import TEAMS_MAX, TREND_DAYS, ApiDocument, Glance, read_glance
from whence_aggregator.console.glance_verdict import severity_counts, verdict_of
from whence_aggregator.console.ledger_note import ledger_of
from whence_aggregator.console.page import Visit, WebPage

_STATES = {"read": ("confirmed", "in time"), "late": ("unknown", "late"),
           "failed": ("unknown", "not read"), "never": ("unknown", "never read")}  # fmt: skip
_SOURCES = {"inventory": "EC2 inventory", "user data": "User data in EC2", "trail": "CloudTrail",
            "registries": "Registry", "trackers": "Tickets and reviews", "organisation": "Organisation",
            "scanners": "Scanner", "other": "Other"}  # fmt: skip


async def show_overview(visit: Visit) -> WebPage:
    """Show what runs, what of it fails, what changed, and what is not known."""
    return overview_page(await read_glance(visit))


def overview_page(glance: Glance) -> WebPage:
    """Return the overview of answers."""
    verdict = verdict_of(glance)
    return WebPage(
        template="overview.html",
        title=f"Overview: {verdict.sentence}",
        section="overview",
        values={
            "verdict": verdict, "glance": glance, "violations": glance.violations,
            "judged": _judged(glance), "heard": _heard(glance.presence), "bars": _bars(glance),
            "severities": _severities(glance), "teams": _teams(glance),
            "all_course": course(glance.trend, glance.total["fail"]),
            "trend_days": TREND_DAYS, "changes": change_lines(glance.changes), "sources": _sources(glance.sources),
            "accounts": _accounts(glance.sources), "places": glance.unread_places,
            "ledger": ledger_of(glance.checkpoint), "teams_max": TEAMS_MAX,
        },
    )  # fmt: skip


def _judged(glance: Glance) -> list[dict[str, Any]]:
    """Return the instances by the worst of their verdicts, each with its share."""
    of = glance.subjects.get("instance")
    if of is None or not of["total"]:
        return []
    rows = [("pass", "passes every rule", of["pass"]), ("fail", "breaks a rule", of["fail"]),
            ("unknown", "cannot be judged yet", of["unknown"] + of["folded"])]  # fmt: skip
    return [
        {"state": state, "word": word, "number": number, "of": of["total"], "share": percent(number, of["total"])}
        for state, word, number in rows
    ]


def _heard(presence: ApiDocument | None) -> dict[str, Any] | None:
    """Return the instances that run by when they were heard; None where they are not counted."""
    if presence is None:
        return None
    unknown = presence["unknown"]
    rows = [
        ("speaking", "speaking", presence["speaking"], ""), ("silent", "silent", presence["silent"], "silent"),
        ("never", "never heard", presence["never"], "never"),
        ("awaited", "launched just now", presence["awaited"], "never"),
    ]  # fmt: skip
    return {
        "listed": presence["listed"], "oldest_listed_at": presence["oldest_listed_at"],
        "counted_at": presence["counted_at"], "unlisted": sum(unknown.values()),
        "unlisted_speaking": unknown["speaking"],
        "rows": [
            {
                "key": key, "word": word, "number": number, "swatch": swatch,
                "share": percent(number, presence["listed"]),
            }
            for key, word, number, swatch in rows
            if presence["oldest_listed_at"] is not None and (key != "awaited" or number)
        ],
    }  # fmt: skip


def _bars(glance: Glance) -> list[dict[str, str]]:
    """Return the parts of the bar over the instances, in percent of its width."""
    rows = _judged(glance)
    states = {"pass": "confirmed", "fail": "contradicted", "unknown": "unknown"}
    place, found = 0.0, []
    for row in rows:
        width = 100 * row["number"] / row["of"]
        if width:
            found.append(
                {"state": states[row["state"]], "x": f"{place:.2f}%", "width": f"{max(0.2, width - 0.25):.2f}%"}
            )
        place += width
    return found


def _severities(glance: Glance) -> list[dict[str, Any]]:
    counts = severity_counts(glance)
    return [
        {"severity": number, **counts[number], "course": _course(glance, f"severity/{number}", counts[number]["fail"])}
        for number in counts
    ]


def _teams(glance: Glance) -> list[dict[str, Any]]:
    """Return the teams with most failures, and what belongs to no team at the end."""
    named = sorted((one for one in glance.by_team if one), key=lambda one: (-glance.by_team[one]["fail"], one or ""))
    shown: Sequence[str | None] = [*named[:TEAMS_MAX], *([None] if None in glance.by_team else [])]
    return [
        {"team": one, **glance.by_team[one], "course": _course(glance, one or "", glance.by_team[one]["fail"])}
        for one in shown
    ]


def _course(glance: Glance, name: str, now: int) -> Course | None:
    return course(glance.trends.get(name, ()), now)


def _sources(found: ApiDocument | None) -> list[dict[str, Any]] | None:
    """Return each outside source with its state and the age of its oldest answer; None where they are not shown."""
    if found is None:
        return None
    return [_source(one) for one in found["groups"]]


def _source(one: Mapping[str, Any]) -> dict[str, Any]:
    state, word = _STATES[one["state"]]
    name = _SOURCES.get(one["source"], one["source"])
    unread, worst = one["places"] - one["read"], one["worst"]
    return {
        "name": f"{name}, {one['name']}" if one["name"] else name,
        "state": state, "word": word, "read_at": one["oldest_read_at"],
        "age": age(one["oldest_age_seconds"]) if one["oldest_age_seconds"] is not None else None,
        "places": f"{unread:,} of {amount(one['places'], 'place')}" if unread and one["places"] > 1 else None,
        "reason": worst["reason"] if worst is not None else None,
    }  # fmt: skip


def _accounts(found: ApiDocument | None) -> dict[str, int] | None:
    """Return how many accounts the inventory reads, and how many of them could not be read whole."""
    groups = [one for one in found["groups"] if one["source"] == "inventory"] if found is not None else []
    if not groups:
        return None
    return {"all": groups[0]["accounts"], "unread": groups[0]["accounts_unread"]}
