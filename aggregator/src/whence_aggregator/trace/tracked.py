"""The reviews and tickets of commits, from storage: one round trip for each, and none where nothing is configured."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from whence_aggregator.ports import Database
from whence_aggregator.queries.query import together
from whence_aggregator.trace.facts import REVIEW_KIND, TICKET_KIND, Answer, Facts
from whence_aggregator.trace.moment import Moment
from whence_aggregator.trace.named_tickets import review_wanted, stated_by, wanted_tickets
from whence_aggregator.trace.rows import merged, questions
from whence_aggregator.trackers.places import KnownTrackers
from whence_aggregator.trackers.stated import withheld_repository


def with_withheld(gathered: dict[str, Facts], trackers: KnownTrackers) -> dict[str, Facts]:
    """Return the facts with why texts of a commit are not shown: its repository may be another team's."""
    return {
        name: replace(facts, withheld=withheld_repository(
            str(facts.commit.value["repository"]), stated_by(facts.application), trackers
        ))
        if facts.commit.outcome == "found"
        else facts
        for name, facts in gathered.items()
    }  # fmt: skip


async def with_tracked(
    gathered: dict[str, Facts], database: Database, moment: Moment, trackers: KnownTrackers
) -> dict[str, Facts]:
    """Return the facts with the reviews of their commits, and with the tickets that commits and reviews name."""
    if not trackers.some:
        return gathered
    gathered = {name: replace(facts, trackers=trackers) for name, facts in gathered.items()}
    subjects = {name: subject for name, facts in gathered.items() if (subject := review_wanted(facts)) is not None}
    answers = await _answers(database, REVIEW_KIND, subjects.values(), moment)
    for name, subject in subjects.items():
        gathered[name] = replace(gathered[name], review=answers[subject])
    if not trackers.reads_tickets:
        return gathered
    wanted = {name: wanted_tickets(facts) if not facts.withheld else [] for name, facts in gathered.items()}
    answers = await _answers(database, TICKET_KIND, (one for some in wanted.values() for one in some), moment)
    return {
        name: replace(facts, tickets={one: answers[one] for one in wanted[name]}) for name, facts in gathered.items()
    }


async def _answers(database: Database, kind: str, subjects: Iterable[str], moment: Moment) -> dict[str, Answer]:
    """Return the answers about subjects of a kind."""
    wanted = sorted(set(subjects))
    if not wanted:
        return {}
    found, waiting = await database.fetch_all(together(*questions(kind, wanted, moment)))
    return merged(wanted, found, waiting, moment)
