"""The tickets that a commit and its review name, and where each is looked up. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

from whence_aggregator.trace.facts import AboutCommit, Facts, Registered
from whence_aggregator.trace.ticket_forms import Mention, is_project
from whence_aggregator.trace.tickets import PATTERNS_MAX, named_in, named_in_review
from whence_aggregator.trackers.places import OwnTracker, Whereabouts, whereabouts
from whence_aggregator.trackers.review import Review
from whence_aggregator.trackers.stated import OwnPlaces, within_stated

_PROJECT = re.compile(r"[A-Z][A-Z0-9]{0,15}")
OTHERS_MAX = 5
"""Tickets of other projects in one commit that are looked up: a text that only looks like one costs a question."""
ASKED_MAX = 20
"""Tickets of one commit that are looked up; a message with a thousand is no reason to ask a thousand times."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedTicket:
    """A ticket that a commit names: where it was found, through which review, and where it is looked up."""

    mention: Mention
    review: int | None
    """Number of the review that names it; None when the commit message does."""
    at: Whereabouts
    url: str | None
    kind: str
    """The type of the application's tracker, as it is registered; empty if it is not."""
    of_others: bool = False
    """Whether its pattern matches with another project than the application's: a ticket only if the tracker has it."""


def own_trackers(facts: AboutCommit) -> tuple[OwnTracker, ...]:
    """Return the application's trackers."""
    return _trackers(facts.application) if facts.application is not None else ()


def _trackers(application: Registered) -> tuple[OwnTracker, ...]:
    return tuple(
        OwnTracker(
            pattern=one.effective, type=one.type or "", project=one.project or "", url=one.url or "",
            approved_states=one.approved_states,
        )
        for one in application.trackers[:PATTERNS_MAX]
    )  # fmt: skip


def stated_by(application: Registered | None) -> OwnPlaces:
    """Return what an application states to be its own."""
    if application is None:
        return OwnPlaces()
    return OwnPlaces(trackers=_trackers(application), repositories=application.repositories)


def reviews_of(facts: AboutCommit) -> list[Review]:
    """Return the reviews that the commit came in by."""
    found = facts.review.value.get("reviews", [])
    return [one if isinstance(one, Review) else Review.from_wire(one) for one in found]


def another_repository(facts: AboutCommit) -> str | None:
    """Return why reviews are of another repository than the one that had the name; None if they are not.

    Who gives a name up, or loses it, leaves it to strangers, with reviews of their own.
    """
    repository, value = str(facts.commit.value.get("repository", "")), facts.review.value
    now, first = str(value.get("repository_id") or ""), value.get("first_repository")
    stated = facts.trackers.ids_of(repository)
    if not now or now in stated:
        return None
    if stated:
        return f"{repository} has the id {now} on its host, and the settings state {', '.join(stated)}"
    if not first:
        return None
    return (
        f"{repository} has the id {now} on its host, and had {first['repository_id']} at {first['recorded_at']}: "
        "another repository has its name; if it is the right one, state both ids in `repositories` of the tracker"
    )


def named_tickets(facts: AboutCommit) -> list[NamedTicket]:
    """Return the tickets that the commit's message and its reviews name: the message's first, each once."""
    if facts.commit.outcome != "found":
        return []
    own = {one.pattern: one for one in own_trackers(facts)}
    mentions: dict[str, tuple[Mention, int | None]] = {}
    for one in named_in(str(facts.commit.value["message"]), tuple(own)).tickets:
        mentions.setdefault(one.id, (one, None))
    for review in reviews_of(facts):
        for one in named_in_review(review.title, review.text, review.branch, tuple(own)):
            if one.id not in (f"#{review.number}", f"!{review.number}"):
                mentions.setdefault(one.id, (one, review.number))
    found = _located(facts, mentions, own)
    return [*found, *_of_others(facts, mentions, ASKED_MAX - len(found))]


def _located(
    facts: AboutCommit, mentions: Mapping[str, tuple[Mention, int | None]], own: Mapping[str, OwnTracker]
) -> list[NamedTicket]:
    """Return mentions, with where each is looked up. `own` are the application's trackers by pattern."""
    host, _, path = str(facts.commit.value["repository"]).partition("/")
    found = []
    for place, (mention, number) in enumerate(mentions.values()):
        tracker = own.get(mention.pattern)
        at = whereabouts(
            mention.id, named_host=mention.host, repository=(host, path), own=tracker, known=facts.trackers
        )
        at = within_stated(at, repository=(host, path), stated=stated_by(facts.application), known=facts.trackers)
        if place >= ASKED_MAX:
            at = Whereabouts(reason=f"not looked up: the commit names more than {ASKED_MAX} tickets")
        shown = tracker.url.replace("{ticket}", mention.id) if tracker is not None and tracker.url else None
        kind = tracker.type if tracker is not None else ""
        found.append(NamedTicket(mention=mention, review=number, at=at, url=shown, kind=kind))
    return found


def _of_others(facts: AboutCommit, taken: Mapping[str, tuple[Mention, int | None]], most: int) -> list[NamedTicket]:
    """Return what the application's patterns match with other projects than its own, where a tracker is asked."""
    stated = facts.application.trackers[:PATTERNS_MAX] if facts.application is not None else ()
    any_project = {
        one.pattern: own
        for one, own in zip(stated, own_trackers(facts), strict=True)
        if one.project and "{project}" in one.pattern
    }
    if not any_project or not facts.trackers.reads_tickets:
        return []
    patterns = tuple(any_project)
    mentions: dict[str, tuple[Mention, int | None]] = {}
    for one in named_in(str(facts.commit.value["message"]), patterns).tickets:
        mentions.setdefault(one.id, (one, None))
    for review in reviews_of(facts):
        for one in named_in_review(review.title, review.text, review.branch, patterns):
            mentions.setdefault(one.id, (one, review.number))
    others = {
        name: found
        for name, found in mentions.items()
        if name not in taken and is_project(_project_in(name, found[0].pattern))
    }
    located = [one for one in _located(facts, others, any_project) if one.at.subject is not None]
    return [replace(one, of_others=True) for one in located[: max(0, min(OTHERS_MAX, most))]]


def _project_in(name: str, pattern: str) -> str:
    """Return the project in what a pattern matched."""
    match = _PROJECT.match(name, pattern.index("{project}"))
    return match[0] if match is not None else ""


def wanted_tickets(facts: AboutCommit) -> list[str]:
    """Return the subjects of the facts about these tickets."""
    return list(dict.fromkeys(one.at.subject for one in named_tickets(facts) if one.at.subject is not None))


def review_wanted(facts: Facts) -> str | None:
    """Return the subject of the fact about the commit's review; None when its host is not asked."""
    if facts.commit.outcome != "found" or facts.source is None or facts.source.commit_id is None:
        return None
    repository = str(facts.commit.value["repository"])
    known = facts.trackers.reads_reviews(repository.partition("/")[0]) and not facts.withheld
    return f"{repository}@{facts.source.commit_id}" if known else None
