"""Each commit of a seeded history, from Git to its pull request and its tickets: what is found is what was made."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fakes.facts import facts, link
from fakes.machine import scm
from landscape.endurance import repeated
from landscape.history_sources import APP, KNOWN, Sources, sources
from landscape.hosted_history import AWAY, moved
from landscape.made_history import Fate, MadeCommit, MadePull
from whence_aggregator.collect.commit_object import commit_value
from whence_aggregator.ports import CollectedFact
from whence_aggregator.trace.facts import Answer, Facts
from whence_aggregator.trace.named_tickets import wanted_tickets

STATES: dict[Fate, tuple[str, str | None]] = {
    "open": ("confirmed", None), "missing": ("missing", "missing"), "moved": ("confirmed", "moved"),
    "closed-early": ("contradicted", "closed-before-commit"), "moved-away": ("contradicted", "other-project"),
}  # fmt: skip
"""The state of a ticket, and what is wrong with it, by what happened to it."""


def answer(found: CollectedFact) -> Answer:
    assert found.outcome in ("found", "missing")
    return Answer(
        outcome=found.outcome, value=found.value, reason=found.reason, observed_at="2026-11-22T12:00:00.000Z",
        ledger_index=5,
    )  # fmt: skip


async def resolved(made: Sources, commit: str, value: dict[str, Any]) -> Facts:
    """Return the facts about an instance that runs a commit: its review and its tickets, as collectors read them."""
    read = Answer(outcome="found", value={"repository": str(APP), "commit": commit, **value},
                  observed_at="2026-11-22T12:00:00.000Z", ledger_index=4)  # fmt: skip
    known = facts(stated={"scm_source": scm(url=f"https://{APP}", revision=commit)}, commit=read, trackers=())
    known = replace(known, trackers=KNOWN, review=answer(await made.collectors["review"].collect(f"{APP}@{commit}")))
    tickets = {one: answer(await made.collectors["ticket"].collect(one)) for one in wanted_tickets(known)}
    return replace(known, tickets=tickets)


def expected_review(commit: str, pulls: list[MadePull]) -> str:
    """Return the state of a commit's review: approvals are of a head that was merged into main, or of its merge."""
    if any(one.base == "main" and commit in (one.merge, one.head) for one in pulls):
        return "confirmed"
    return "asserted" if pulls else "missing"


def expected_tickets(
    one: MadeCommit, pulls: list[MadePull], fates: dict[str, Fate]
) -> dict[str, tuple[str, str, str | None, str | None, int | None]]:
    """Return place, state, problem, new name, and review of each ticket: the message's count before the pull request's."""
    named = dict(one.tickets)
    through = dict.fromkeys(named, pulls[0].number if pulls else None)
    for pull in sorted(pulls, key=lambda pull: pull.number):
        for name, place in pull.tickets:
            if name not in named:
                named[name] = place
                through[name] = pulls[0].number
    return {
        name: (place, *STATES[fates[name]], _new_name(name, fates[name]), through[name])
        for name, place in named.items()
    }


def _new_name(ticket: str, fate: Fate) -> str | None:
    return moved(ticket) if fate == "moved" else AWAY if fate == "moved-away" else None


def shown_tickets(known: Facts) -> dict[str, tuple[str, str, str | None, str | None, int | None]]:
    found = link("ticket", known)
    assert found.value is not None
    return {
        one["id"]: (one["place"], one["state"], one.get("problem"), one.get("moved_to"), one.get("review"))
        for one in found.value["tickets"]
    }


@pytest.mark.endurance
async def test_every_commit_leads_to_the_pull_requests_and_tickets_it_was_made_with(tmp_path: Path) -> None:
    async with sources(tmp_path, commits=repeated(sample=250, whole=10_000), seed=21) as made:
        history = made.history
        pulls = history.pulls_by_commit()
        root = next(iter(history.commits))
        whole = await made.git.between(APP, root, made.bare.git("rev-parse", "main"))
        read = {name: commit_value(content) for name, content in whole.objects.items()}
        assert set(read) == history.reached(made.bare.git("rev-parse", "main")) - {root}
        for name in history.commits.keys() - read.keys():  # those of the releases' own lines
            content = await made.git.commit(APP, name)
            assert content is not None
            read[name] = commit_value(content)
        at_once = asyncio.Semaphore(8)

        async def checked(name: str) -> None:
            async with at_once:
                one, came_by = history.commits[name], pulls.get(name, [])
                value = read[name]
                assert (value["parents"], value["message"]) == (list(one.parents), one.message)
                assert one.reverted in value["message"]
                known = await resolved(made, name, value)
                reviews = {review["number"]: review for review in known.review.value["reviews"]}
                assert set(reviews) == {pull.number for pull in came_by}, one
                for pull in came_by:
                    how = "merge_commit" if name == pull.merge else "in_branch"
                    found = reviews[pull.number]
                    assert (found["how"], found["head"], found["base"]) == (how, pull.head, pull.base), one
                assert link("review", known).state == expected_review(name, came_by), one
                assert shown_tickets(known) == expected_tickets(one, came_by, history.fates), one

        names = list(read)
        for start in range(0, len(names), 500):
            await asyncio.gather(*map(checked, names[start : start + 500]))
            print(f"{min(start + 500, len(names))} of {len(names)} commits resolved", flush=True)
