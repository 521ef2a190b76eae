"""Which commits, reviews and tickets an application may show: what it states as its own, and what is shared."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fakes.facts import AT, FOUND, facts, link
from whence_aggregator.trace.facts import Answer, Facts
from whence_aggregator.trace.named_tickets import review_wanted, stated_by, wanted_tickets
from whence_aggregator.trace.registered import Tracker
from whence_aggregator.trace.tracked import with_withheld
from whence_aggregator.trackers.places import KnownTracker, KnownTrackers
from whence_aggregator.trackers.stated import withheld_repository

GIT, JIRA, BUGS = "git.example.org", "jira.example.org", "bugs.example.org"
KNOWN = KnownTrackers(
    by_host={
        GIT: KnownTracker(host=GIT, type="gitea", reviews=True), JIRA: KnownTracker(host=JIRA, type="jira"),
        BUGS: KnownTracker(host=BUGS, type="template"),
    },
    shared_git_hosts=frozenset(),
)  # fmt: skip
OWN = ("https://git.example.org/demo/greeter",)
SECRET = {"id": "SEC-1", "project": "SEC", "title": "The breach", "status": "Open", "assignee": "Eve", "closed": False}


def _of(message: str, *trackers: Tracker, known: KnownTrackers = KNOWN, repositories: tuple[str, ...] = OWN) -> Facts:
    commit = Answer(outcome="found", value={**FOUND.value, "message": message}, observed_at=AT, ledger_index=4)
    found = {"one": facts(commit=commit, repositories=repositories, trackers=trackers)}
    one = with_withheld(found, known)["one"]
    return replace(one, trackers=known)


def test_tickets_of_projects_that_the_application_does_not_state_are_not_asked_for() -> None:
    message = "pay\n\nCloses SEC-1, SEC-2\nFixes: other/private#1\n"
    known = _of(message)
    assert wanted_tickets(known) == []
    shown = link("ticket", known)
    assert shown.state == "asserted"
    assert "withheld: the application does not state the project SEC of jira.example.org as its own" in (
        shown.reason or ""
    )
    assert "set `project` in the application's `trackers`, or trackers.git.example.org.shared" in (shown.reason or "")
    assert all("title" not in one for one in (shown.value or {})["tickets"])


@pytest.mark.parametrize(
    ("message", "tracker", "subject"),
    [
        ("PAY-7: pay", Tracker(pattern="{project}-{number}", type="jira", project="PAY"), "jira.example.org/PAY-7"),
        ("PAY-7: pay", Tracker(pattern="PAY-{number}", type="jira"), "jira.example.org/PAY-7"),
        ("PAY-7: pay", Tracker(pattern="PAY-{number}", url="https://jira.example.org/browse/{ticket}"),
         "jira.example.org/PAY-7"),
        ("PAY-7: pay", Tracker(pattern="PAY-{number}"), "jira.example.org/PAY-7"),
        ("pay, see team/other#7", Tracker(pattern="team/other#{number}", type="gitea"), "git.example.org/team/other#7"),
        ("pay for bug7", Tracker(pattern="bug{number}", type="template"), "bugs.example.org/bug7"),
    ],
)  # fmt: skip
def test_a_project_counts_as_stated_by_name_or_in_a_pattern(message: str, tracker: Tracker, subject: str) -> None:
    assert wanted_tickets(_of(message, tracker)) == [subject]


@pytest.mark.parametrize(
    ("message", "tracker"),
    [
        ("SEC-7: pay", Tracker(pattern="{project}-{number}", type="jira")),
        ("SEC-7: pay", Tracker(pattern="SEC-{number}", url="https://elsewhere.example.org/{ticket}")),
        ("pay, see other/private#7", Tracker(pattern="other/private#{number}", type="jira")),
    ],
)
def test_a_pattern_for_any_project_and_one_of_another_tracker_state_nothing(message: str, tracker: Tracker) -> None:
    assert wanted_tickets(_of(message, tracker)) == []


def test_issues_of_the_applications_own_repositories_are_stated() -> None:
    assert wanted_tickets(_of("pay\n\nFixes: #7\n")) == ["git.example.org/demo/greeter#7"]


def test_a_shared_tracker_shows_the_tickets_of_all_projects() -> None:
    shared = KnownTrackers(
        by_host={JIRA: KnownTracker(host=JIRA, type="jira", shared=True)}, shared_git_hosts=frozenset()
    )
    known = _of("SEC-1: pay", known=shared)
    assert wanted_tickets(known) == ["jira.example.org/SEC-1"]
    answered = replace(known, tickets={"jira.example.org/SEC-1": _answer(**SECRET)})
    (shown,) = (link("ticket", answered).value or {})["tickets"]
    assert (shown["title"], shown["state"]) == ("The breach", "confirmed")


@pytest.mark.parametrize("tracker", [
    Tracker(pattern="PAY-{number}", type="jira"), Tracker(pattern="{project}-{number}", type="jira", project="PAY"),
])  # fmt: skip
def test_a_ticket_that_was_moved_to_another_teams_project_shows_no_texts(tracker: Tracker) -> None:
    known = replace(_of("PAY-7: pay", tracker), tickets={"jira.example.org/PAY-7": _answer(**SECRET)})
    found = link("ticket", known)
    (shown,) = (found.value or {})["tickets"]
    assert (found.state, shown["problem"], "title" in shown, "assignee" in shown) == (
        "contradicted", "other-project", False, False,
    )  # fmt: skip


def test_a_commit_of_another_teams_repository_shows_its_id_and_the_reason() -> None:
    known = _of("The breach", repositories=())
    why = (
        "withheld: the application does not state git.example.org/demo/greeter as its own: add it to the application's"
        " `repositories`, or set git_servers.git.example.org.shared"
    )
    found = link("commit", known)
    assert set(found.value or {}) == {"commit", "url", "repository"}
    assert (found.reason or "").endswith(why)
    assert review_wanted(known) is None
    for name in ("review", "ticket"):
        other = link(name, known)
        assert (other.state, other.reason, other.value) == ("unknown", why, None)


def test_a_shared_git_server_and_a_stated_repository_withhold_nothing() -> None:
    shared = KnownTrackers(shared_git_hosts=frozenset((GIT,)))
    assert withheld_repository("git.example.org/demo/greeter", stated_by(None), shared) == ""
    assert _of("pay").withheld == ""


def test_commits_without_a_registered_application_are_withheld() -> None:
    assert withheld_repository("git.example.org/demo/greeter", stated_by(None), KNOWN).startswith("withheld: ")


def _answer(**value: object) -> Answer:
    return Answer(outcome="found", value=value, observed_at=AT, ledger_index=9)
