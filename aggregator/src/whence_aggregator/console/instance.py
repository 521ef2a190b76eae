"""The page about one instance: its verdict, its lineage, its life, and what runs on it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from whence_aggregator.console.ages import ago, moment
from whence_aggregator.console.asking import Ask
from whence_aggregator.console.chain import mini, stages
from whence_aggregator.console.form_times import asked_moment
from whence_aggregator.console.frame import here, part
from whence_aggregator.console.headline import Headline, headline
from whence_aggregator.console.instance_facts import checkpoint_size, instance_facts
from whence_aggregator.console.life_band import life_band, run_at
from whence_aggregator.console.life_events import LifeEvent, LifeRun, life_events, life_runs, life_silences
from whence_aggregator.console.life_slider import life_slider, slid_to
from whence_aggregator.console.link_words import by_name, value_of
from whence_aggregator.console.machine import containers, stated_by_agent
from whence_aggregator.console.page import Elsewhere, Visit, WebPage
from whence_aggregator.console.reasons import what_to_do, why
from whence_aggregator.console.rule_rows import rule_rows
from whence_aggregator.console.unheard import unheard_page
from whence_aggregator.console.user_data_lines import user_data_shown
from whence_common.clock import to_instant

_EARLIER_RUNS_TRACED_MAX = 4
"""Each is a question more; a page of an instance that changed often shows the verdicts of its newest runs."""
_VIOLATIONS = {"grouped": "true", "limit": "100"}

_Document = Mapping[str, Any]


async def show_instance(visit: Visit) -> WebPage | Elsewhere:
    """Show an instance now, or at the time of the parameter `at`; a step of the slider leads to its time."""
    instance_id, at = visit.path["id"], asked_moment(visit.query.get("at"))
    path = f"/v1/instances/{part(instance_id)}"
    if "step" in visit.query:
        slid = slid_to(visit.query, life_events(await visit.ask.get(path)), now=visit.now)
        return Elsewhere(path=here(f"/instances/{part(instance_id)}", at=slid))
    then = {"at": at} if at is not None else {}
    current, asked = await asyncio.gather(visit.ask.find(path), _then(visit.ask, path, then))
    answer = asked if then else current
    if answer is None:
        return await unheard_page(visit, instance_id, at, current)
    return await _page(visit, instance_id, answer, current or answer)


async def _page(visit: Visit, instance_id: str, answer: _Document, current: _Document) -> WebPage:
    """Return the page of an answer; `current` is the one about now, which knows the whole life."""
    lineage, runs = answer["lineage"], life_runs(current)
    links, found = by_name(lineage), headline(lineage)
    is_now = lineage["heard"] is not None
    shown_run = run_at(runs, str(lineage["at"]))
    rules, violations, envelope, earlier, application = await asyncio.gather(
        visit.ask.find("/v1/rules"),
        _violations(visit.ask, instance_id, links, is_now=is_now),
        _statement(visit, links),
        _headlines(visit.ask, instance_id, runs, shown_run),
        _application(visit.ask, links),
    )
    verdicts = {**earlier, **({shown_run: found} if shown_run is not None else {})}
    rows = rule_rows(answer["verdicts"] or (), violations, (rules or {"rules": ()})["rules"]) if is_now else None
    stated = stated_by_agent(envelope)
    events = life_events(current)
    data = value_of(links, "user_data")
    before, after = _beside(events, str(lineage["at"]), is_now=is_now)
    return WebPage(
        template="instance.html",
        title=f"{instance_id}: {found.word}",
        section="instances",
        values={
            "instance_id": instance_id, "lineage": lineage, "links": links, "found": found, "is_now": is_now,
            "why": why(lineage, found, rows), "to_do": what_to_do(lineage, found, rows),
            "facts": instance_facts(lineage, application), "stages": stages(lineage, found, current["statements"]),
            "strip": mini(lineage["links"]), "rules": rows,
            "band": life_band(
                events, runs, verdicts, shown=str(lineage["at"]), now=visit.now, silences=life_silences(current)
            ),
            "slider": life_slider(events, shown=str(lineage["at"]), now=visit.now, is_now=is_now),
            "events": events, "runs": _shown_runs(runs, verdicts), "before": before, "after": after,
            "field_at": str(lineage["at"])[:19], "size": checkpoint_size(str(lineage["checkpoint"])),
            "user_data": user_data_shown(data.get("document"), data.get("problems") or ()), "data": data,
            "stated": stated, "containers": containers(stated, value_of(links, "image")),
            "instance": value_of(links, "instance"), "reads_user_data": visit.visitor.reads_user_data,
            "reads_all": visit.visitor.reads_all, "ago": ago,
        },
    )  # fmt: skip


async def _then(ask: Ask, path: str, then: Mapping[str, str]) -> _Document | None:
    """Return the answer about the time that was asked for; None if none was, or if nothing was recorded by then."""
    found: _Document | None = await ask.find(path, then) if then else None
    return found


async def _violations(
    ask: Ask, instance_id: str, links: Mapping[str, _Document], *, is_now: bool
) -> Sequence[_Document]:
    """Return the open violations that the instance is part of; a visitor may need to name the team that it reads."""
    if not is_now:
        return ()
    wanted = {**_VIOLATIONS, "instance": instance_id}
    found = await ask.find("/v1/violations", wanted)
    team = value_of(links, "team").get("team_id")
    if found is None and team:
        found = await ask.find("/v1/violations", {**wanted, "team": str(team)})
    return found["violations"] if found is not None else ()


async def _application(ask: Ask, links: Mapping[str, _Document]) -> _Document | None:
    """Return the registration of the application; None if it is not registered, or not for the visitor to see."""
    application = value_of(links, "application").get("application_id")
    found: _Document | None = await ask.find(f"/v1/applications/{part(str(application))}") if application else None
    return found


async def _statement(visit: Visit, links: Mapping[str, _Document]) -> object:
    """Return the envelope of the statement that the lineage rests on; None if the visitor may not read it."""
    digest = next((one["digest"] for one in links["instance"]["evidence"] if one["source"] == "agent"), None)
    if digest is None or not visit.visitor.reads_user_data:
        return None
    return await visit.ask.find(f"/v1/statements/{part(str(digest))}")


async def _headlines(ask: Ask, instance_id: str, runs: Sequence[LifeRun], shown: int | None) -> Mapping[int, Headline]:
    """Return the verdicts on the newest other runs, each as it stood when the run ended."""
    numbers = [number for number in range(len(runs)) if number != shown and not runs[number].is_failed]
    asked = numbers[-_EARLIER_RUNS_TRACED_MAX:]
    found = await asyncio.gather(*(ask.find("/v1/trace", _traced(instance_id, runs[number])) for number in asked))
    return {number: headline(one) for number, one in zip(asked, found, strict=True) if one is not None}


def _traced(instance_id: str, run: LifeRun) -> dict[str, str]:
    end = moment(run.end) if run.end is not None else None
    if end is None:
        return {"instance": instance_id}
    return {"instance": instance_id, "at": max(run.begin, to_instant(end - timedelta(milliseconds=1)))}


def _shown_runs(runs: Sequence[LifeRun], verdicts: Mapping[int, Headline]) -> Mapping[str, Headline]:
    """Return the verdict on each run by the time when it began, for the table of events."""
    return {runs[number].begin: verdict for number, verdict in verdicts.items()}


def _beside(events: Sequence[LifeEvent], at: str, *, is_now: bool) -> tuple[LifeEvent | None, LifeEvent | None]:
    """Return the events before and after the moment shown that can be shown."""
    shown = [one for one in events if one.is_shown]
    before = next((one for one in shown if one.at < at), None)
    after = None if is_now else next((one for one in reversed(shown) if one.at > at), None)
    return before, after
