"""The readings that the documented evidence lists: each source of the facts is one, so that no condition forgets it."""

from __future__ import annotations

import types
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, get_args, get_origin, get_type_hints

import pytest

from fakes.facts import AT, FOUND, OURS, answer, document, facts
from whence_aggregator.compliance.evidence import ReadOfSource
from whence_aggregator.compliance.own.documented import document_of
from whence_aggregator.compliance.readings import readings_of
from whence_aggregator.compliance.resting import unlogged_of
from whence_aggregator.compliance.views import views_of
from whence_aggregator.replays.gathered import with_unlogged
from whence_aggregator.trace.facts import NOT_ASKED, Answer, Facts, InventoryFacts
from whence_aggregator.trackers.places import KnownTracker, KnownTrackers
from whence_common.statement import InstanceFacts

AWAY = Answer(outcome="unknown", reason="HTTP 503")
HOST = "git.example.org"
TRACKERS = KnownTrackers(by_host={HOST: KnownTracker(host=HOST, type="github", reviews=True, shared=True)})
SIGNED = replace(FOUND, value={**FOUND.value, "signature_form": "gpg"})
LISTED = InventoryFacts(listed_at=AT, state="running", asked_at=AT, launched_at=AT, user_data_digest=OURS)
SOURCES = {
    "image_source": "the registry",
    "commit": "the Git server",
    "branch": "the default branch",
    "signature": "the commit's signature",
    "review": "the review",
    "tickets": "the ticket tracker.example.org/DEMO-1",
    "commit_reviews": "the reviews of the version's other commits",
    "ami": "the AMI",
}
"""By the member of the facts that a collector answers."""
LISTINGS = {"unread": "the EC2 API", "user_data_unread": "the user data in the EC2 API"}
"""By the member of the facts about the listing that states why it is not known."""


def complete(**changes: Any) -> Facts:
    """Return facts for which every source was read."""
    values: dict[str, Any] = {
        "commit": SIGNED, "signature": answer("found", state="good"), "review": answer("missing", "no review has it"),
        "ami": answer("found", name="base"), "trackers": TRACKERS, "listed": LISTED,
        "tickets": {"tracker.example.org/DEMO-1": answer("found")},
        "commit_reviews": {f"{HOST}/demo/greeter@{'e' * 40}": answer("missing", "no review has it")}, **changes,
    }  # fmt: skip
    return replace(facts(), **values)


def reads(known: Facts) -> dict[str, ReadOfSource]:
    return {one.source: one for one in document(known).reads or ()}


def answered(type_: Any) -> bool:
    """Return whether a member of the facts is an answer, or answers by their subjects."""
    if get_origin(type_) in (types.UnionType, Mapping) or type_ is Answer:
        return type_ is Answer or Answer in get_args(type_)
    return False


def test_every_answer_of_the_facts_is_a_reading_of_the_evidence() -> None:
    assert {name for name, one in get_type_hints(Facts).items() if answered(one)} == set(SOURCES)
    assert {one for one in get_type_hints(InventoryFacts) if one.endswith("unread")} == set(LISTINGS)
    assert set(reads(complete())) == {*SOURCES.values(), *LISTINGS.values()}
    assert {one.outcome for one in reads(complete()).values()} == {"read"}


@pytest.mark.parametrize("name", sorted(SOURCES))
def test_a_source_that_is_not_read_is_a_reading_that_failed(name: str) -> None:
    whole = complete()
    away: Any = dict.fromkeys(getattr(whole, name), AWAY) if name in ("tickets", "commit_reviews") else AWAY
    found = reads(replace(whole, **{name: away}))[SOURCES[name]]
    assert (found.outcome, found.reason) == ("failed", "HTTP 503")


@pytest.mark.parametrize("name", sorted(LISTINGS))
def test_a_listing_that_failed_is_a_reading_that_failed(name: str) -> None:
    changed: Any = {name: "AccessDenied", **({"user_data_digest": ""} if name == "user_data_unread" else {})}
    found = reads(complete(listed=replace(LISTED, **changed)))[LISTINGS[name]]
    assert (found.outcome, found.reason) == ("failed", "AccessDenied")


def test_what_was_never_asked_waits() -> None:
    found = reads(complete(ami=NOT_ASKED, signature=NOT_ASKED, listed=InventoryFacts()))
    assert {name for name, one in found.items() if one.outcome == "waiting"} == {
        "the AMI", "the commit's signature", "the EC2 API",
    }  # fmt: skip
    unread = replace(LISTED, user_data_digest="", user_data_unread="it was not read yet")
    assert reads(complete(listed=unread))["the user data in the EC2 API"].outcome == "waiting"


def test_nothing_is_read_of_an_unsigned_commit_and_of_an_instance_without_an_ami() -> None:
    unsigned = replace(FOUND, value={**FOUND.value, "signature_form": "none"})
    known = replace(complete(commit=unsigned), binding=facts(identity={"image_id": ""}).binding)
    assert set(SOURCES.values()) - set(reads(known)) == {"the commit's signature", "the AMI"}


def test_an_image_that_no_instance_runs_needs_no_reading_of_a_machine() -> None:
    imagined = InstanceFacts(account_id="", region="", instance_id="i-0")
    known = complete(statement=facts(stated={"instance": imagined}).statement, ami=NOT_ASKED, listed=InventoryFacts())
    assert set(reads(known)) == set(SOURCES.values()) - {"the AMI"}


def test_one_unread_review_of_many_is_the_reading_of_all_of_them() -> None:
    subjects = [f"{HOST}/demo/greeter@{one * 40}" for one in "abc"]
    due = {one: replace(answer("found"), due_at=f"2026-11-2{n}T00:00:00.000Z") for n, one in enumerate(subjects, 3)}
    name = SOURCES["commit_reviews"]
    assert reads(complete(commit_reviews=due))[name].due_at == "2026-11-23T00:00:00.000Z"
    waits = {**due, subjects[0]: NOT_ASKED}
    assert reads(complete(commit_reviews=waits))[name].outcome == "waiting"
    assert reads(complete(commit_reviews={**waits, subjects[2]: AWAY}))[name].outcome == "failed"


@pytest.mark.parametrize("other", [answer("found"), NOT_ASKED, AWAY])
def test_a_replay_has_the_same_readings(other: Answer) -> None:
    subject = f"{HOST}/demo/greeter@{'e' * 40}"
    known = complete(
        commit_reviews={subject: other}, ami=other, signature=other, tickets={"tracker.example.org/A-1": other}
    )
    logged = replace(known, commit_reviews={}, ami=NOT_ASKED, signature=NOT_ASKED)
    if other.outcome == "found":
        logged = replace(logged, ami=other, signature=other)
    assert readings_of(with_unlogged(logged, unlogged_of(known, document(known)))) == readings_of(known)


def test_a_version_has_the_readings_of_its_image_and_not_those_of_a_machine() -> None:
    found = views_of(document(complete()), "ami-1")["version", "greeter@1.0"]
    alone = {"the AMI", "the EC2 API", "the user data in the EC2 API"}
    assert {one["source"] for one in document_of(found)["reads"]} == {*SOURCES.values(), *LISTINGS.values()} - alone
