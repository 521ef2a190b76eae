"""What the API answers for the overview, asked concurrently: for the whole organisation, or for the visitor's teams."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from whence_aggregator.console.asking import Ask
from whence_aggregator.console.page import Visit

TREND_DAYS = 14
TEAMS_MAX = 8
"""Teams that are shown with their trend, those with most failures first."""
_LISTED = "6"
_PLACES_MAX = 5
_SEVERITIES = ("1", "2", "3", "4")
_COUNTS = ("pass", "fail", "unknown", "folded", "total")

GlanceCounts = dict[str, int]
ApiDocument = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Glance:
    """The answers. `teams` are those that it is about; None for the whole organisation."""

    teams: Sequence[str] | None
    teams_left: int = 0
    """Teams of the visitor that are not asked about."""
    at: str
    total: GlanceCounts
    subjects: Mapping[str, GlanceCounts]
    by_team: Mapping[str | None, GlanceCounts]
    by_rule: Mapping[str, GlanceCounts]
    presence: ApiDocument | None
    unread: int
    """Sources that were not read and could deny the counts."""
    unread_places: Sequence[ApiDocument]
    """The first accounts and regions of those sources."""
    rules: Sequence[ApiDocument]
    trend: Sequence[int | None]
    trends: Mapping[str, Sequence[int | None]]
    """The failures of each day, by team and by severity as `severity/1`."""
    violations: Sequence[ApiDocument]
    changes: Sequence[ApiDocument]
    left_out: Sequence[str]
    sources: ApiDocument | None
    checkpoint: str | None


async def read_glance(visit: Visit) -> Glance:
    """Ask the API for what the overview shows."""
    ask = visit.glance
    summary = await ask.find("/v1/summary", {"by": "team"})
    if summary is not None:
        return await _of_all(ask, visit, summary)
    return await _of_teams(ask, visit, sorted(visit.visitor.teams or ()))


async def _of_all(ask: Ask, visit: Visit, summary: ApiDocument) -> Glance:
    by_team = {one["team"]: _counts(one["verdicts"]) for one in summary["groups"]}
    worst = sorted((one for one in by_team if one), key=lambda one: (-by_team[one]["fail"], one))[:TEAMS_MAX]
    narrowed = [{"severity": one} for one in _SEVERITIES] + [{"team": one} for one in worst]
    (by_rule, rules, violations, changes, sources), (trend, *trends), checkpoint = await asyncio.gather(
        asyncio.gather(
            ask.find("/v1/summary", {"by": "rule"}),
            ask.find("/v1/rules"),
            ask.find("/v1/violations", {"grouped": "true", "limit": _LISTED}),
            ask.find("/v1/changes", {"newest": "true", "limit": _LISTED}),
            ask.find("/v1/coverage", {"by": "source"}),
        ),
        asyncio.gather(*(_trend(ask, visit, one) for one in ({}, *narrowed))),
        ask.find_text("/v1/log/checkpoint"),
    )
    names = [f"severity/{one}" for one in _SEVERITIES] + worst
    return Glance(
        teams=None, at=summary["at"], total=_counts(summary["total"]["verdicts"]),
        subjects={kind: _counts(one) for kind, one in summary["total"]["subjects"].items()},
        by_team=by_team, by_rule={one["rule"]: _counts(one["verdicts"]) for one in _listed(by_rule, "groups")},
        presence=summary.get("presence"),
        unread=summary["coverage"]["incomplete_total"],
        unread_places=[one for one in summary["coverage"]["incomplete"] if one["account_id"]][:_PLACES_MAX],
        rules=_listed(rules, "rules"), trend=trend,
        trends=dict(zip(names, trends, strict=True)), violations=_listed(violations, "violations"),
        changes=_listed(changes, "changes"), left_out=_listed(changes, "left_out"), sources=sources,
        checkpoint=checkpoint,
    )  # fmt: skip


async def _of_teams(ask: Ask, visit: Visit, teams: Sequence[str]) -> Glance:
    """Ask about the visitor's own teams, each by itself, as the API requires of who reads no others."""
    shown = teams[:TEAMS_MAX]
    rules, *found = await asyncio.gather(ask.find("/v1/rules"), *(_of_team(ask, visit, one) for one in shown))
    answered = [one for one in found if one[0] is not None]
    summaries = [summary for summary, _, _, _ in answered]
    violations = [one for _, listed, _, _ in answered for one in _listed(listed, "violations")]
    changes = [one for _, _, listed, _ in answered for one in _listed(listed, "changes")]
    trends = {team: trend for team, (_, _, _, trend) in zip(shown, found, strict=True)}
    return Glance(
        teams=shown, teams_left=len(teams) - len(shown),
        at=min((one["at"] for one in summaries), default=visit.now.isoformat()),
        total=_sum(one["total"]["verdicts"] for one in summaries),
        subjects=_sums((kind, one) for summary in summaries for kind, one in summary["total"]["subjects"].items()),
        by_team={
            team: _counts(one[0]["total"]["verdicts"])
            for team, one in zip(shown, found, strict=True) if one[0] is not None
        },
        by_rule=_sums((one["rule"], one["verdicts"]) for summary in summaries for one in summary["groups"]),
        presence=None,
        unread=max((one["coverage"]["incomplete_total"] for one in summaries), default=0),
        unread_places=(), rules=_listed(rules, "rules"), trend=_added(list(trends.values())), trends=trends,
        violations=sorted(violations, key=lambda one: (one["severity"], one["since"], one["id"]))[: int(_LISTED)],
        changes=sorted(changes, key=lambda one: -one["ledger_index"])[: int(_LISTED)],
        left_out=[one for _, _, listed, _ in answered for one in _listed(listed, "left_out")],
        sources=None, checkpoint=None,
    )  # fmt: skip


async def _of_team(ask: Ask, visit: Visit, team: str) -> tuple[Any, Any, Any, Sequence[int | None]]:
    (summary, violations, changes), trend = await asyncio.gather(
        asyncio.gather(
            ask.find("/v1/summary", {"by": "rule", "team": team}),
            ask.find("/v1/violations", {"grouped": "true", "team": team, "limit": _LISTED}),
            ask.find("/v1/changes", {"newest": "true", "team": team, "limit": _LISTED}),
        ),
        _trend(ask, visit, {"team": team}),
    )
    return summary, violations, changes, trend


async def _trend(ask: Ask, visit: Visit, narrowed: Mapping[str, str]) -> Sequence[int | None]:
    """Return how many verdicts failed on each of the last days; None for a day without a snapshot."""
    first, last = visit.now - timedelta(days=TREND_DAYS), visit.now - timedelta(days=1)
    found = await ask.find(
        "/v1/summary/trend", {"from": first.date().isoformat(), "to": last.date().isoformat(), **narrowed}
    )
    return [one["verdicts"]["fail"] if one["verdicts"] is not None else None for one in _listed(found, "days")]


def _added(trends: Sequence[Sequence[int | None]]) -> Sequence[int | None]:
    """Return the sum of trends, None for a day that any of them lacks."""
    return [None if None in day else sum(one or 0 for one in day) for day in zip(*trends, strict=False)]


def _listed(found: Any, name: str) -> Any:
    return found.get(name, []) if found is not None else []


def _counts(verdicts: Mapping[str, int]) -> GlanceCounts:
    return {name: verdicts.get(name, 0) for name in _COUNTS}


def _sum(found: Any) -> GlanceCounts:
    total = dict.fromkeys(_COUNTS, 0)
    for one in found:
        for name in _COUNTS:
            total[name] += one.get(name, 0)
    return total


def _sums(found: Any) -> dict[str, GlanceCounts]:
    """Return the sums of counts by name."""
    totals: dict[str, GlanceCounts] = {}
    for name, one in found:
        totals[name] = _sum([totals.get(name, {}), one])
    return totals
