"""Whether a ticket stands behind a commit, in which tracker it is looked up, and where it was found."""

from __future__ import annotations

from typing import Any

import pytest

from whence_aggregator.trace.tickets import TICKETS_MAX, named_in, named_in_review
from whence_aggregator.trackers.places import KnownTracker, KnownTrackers, OwnTracker, whereabouts
from whence_aggregator.trackers.ticket import CommitTimes, Ticket, standing

COMMITTED = "2026-11-22T12:00:00.000Z"
JIRA = KnownTracker(shared=True, host="jira.example.org", type="jira")
GITHUB = KnownTracker(shared=True, host="github.com", type="github", reviews=True)
BOTH = KnownTrackers(by_host={"jira.example.org": JIRA, "github.com": GITHUB})
REPOSITORY = ("github.com", "acme/greeter")


def ticket(**changes: Any) -> Ticket:
    return Ticket(**{"id": "PAY-7", "project": "PAY", "title": "Pay", "status": "Done", **changes})


def judged(one: Ticket, *projects: str, asked: str = "PAY-7", states: tuple[str, ...] = ()) -> tuple[object, ...]:
    times = CommitTimes(committed_at=COMMITTED)
    found = standing(one, asked=asked, projects=projects, times=times, approved_states=states)
    return found.problem, found.reason, found.moved_to, found.approved


def test_a_ticket_of_the_project_that_was_open_at_the_commit_stands_behind_it() -> None:
    assert judged(ticket(), "PAY") == (None, "", "", None)
    assert judged(ticket(closed_at="2026-11-22T12:00:00.000Z"), "pay") == (None, "", "", None)


def test_a_ticket_that_was_closed_before_the_commit_does_not() -> None:
    assert judged(ticket(closed_at="2026-11-20T12:00:00.000Z")) == (
        "closed-before-commit",
        "PAY-7 was closed at 2026-11-20T12:00:00.000Z, before the commit at 2026-11-22T12:00:00.000Z", "", None,
    )  # fmt: skip


BACKDATED = "2026-11-01T12:00:00.000Z"


@pytest.mark.parametrize(
    ("times", "reason"),
    [
        (CommitTimes(committed_at=BACKDATED), ""),
        (CommitTimes(committed_at=BACKDATED, parents_at="2026-11-12T12:00:00.000Z"),
         "PAY-7 was closed at 2026-11-10T12:00:00.000Z, before the newest parent of the commit at"
         " 2026-11-12T12:00:00.000Z"),
        (CommitTimes(committed_at=BACKDATED, merged_at=COMMITTED, by_merge=True),
         "PAY-7 was closed at 2026-11-10T12:00:00.000Z, before the merge at 2026-11-22T12:00:00.000Z"),
        (CommitTimes(committed_at=BACKDATED, merged_at=COMMITTED), ""),
    ],
)  # fmt: skip
def test_a_committer_who_backdates_a_commit_does_not_go_back_beyond_its_parents_and_merge(
    times: CommitTimes, reason: str
) -> None:
    one = ticket(closed_at="2026-11-10T12:00:00.000Z")
    found = standing(one, asked="PAY-7", projects=(), times=times, approved_states=())
    assert (found.problem, found.reason) == ("closed-before-commit" if reason else None, reason)


def test_a_ticket_that_was_created_after_the_merge_did_not_ask_for_it() -> None:
    late = ticket(created_at="2026-11-23T12:00:00.000Z")
    assert judged(late)[:2] == (
        "created-after-merge", "PAY-7 was created at 2026-11-23T12:00:00.000Z, after the commit at 2026-11-22T12:00:00.000Z",
    )  # fmt: skip
    merged = CommitTimes(committed_at=COMMITTED, merged_at="2026-11-24T12:00:00.000Z")
    assert standing(late, asked="PAY-7", projects=(), times=merged, approved_states=()).problem is None
    assert judged(ticket(id="PAY-99", created_at="2026-11-23T12:00:00.000Z"))[0] is None
    assert judged(ticket(created_at="2026-11-22T12:04:00.000Z"))[0] is None


def test_clocks_that_differ_by_minutes_close_no_ticket_before_its_commit() -> None:
    assert judged(ticket(closed_at="2026-11-22T11:56:00.000Z"))[0] is None


@pytest.mark.parametrize("closed_at", ["", "yesterday", "2026-13-45", "9999-12-31T23:59:59.999-14:00"])
def test_a_closing_time_that_is_no_time_is_not_guessed(closed_at: str) -> None:
    assert judged(ticket(closed_at=closed_at))[0] is None


def test_a_ticket_of_another_project_does_not() -> None:
    assert judged(ticket(), "SHOP") == ("other-project", "PAY-7 is of the project PAY, not of SHOP", "", None)


def test_a_moved_ticket_is_told_apart_from_one_that_left_the_project() -> None:
    assert judged(ticket(id="PAY-99")) == (None, "PAY-7 was moved to PAY-99", "PAY-99", None)
    moved = ticket(id="SHOP-3", project="SHOP")
    assert judged(moved, "PAY") == (
        "other-project", "PAY-7 is now SHOP-3, of the project SHOP, not of PAY", "SHOP-3", None,
    )  # fmt: skip


def test_a_key_in_another_case_is_not_a_move() -> None:
    assert judged(ticket(), asked="pay-7")[2] == ""


@pytest.mark.parametrize(("states", "approved"), [((), None), (("done", "Closed"), True), (("Ready",), False)])
def test_the_states_that_count_as_approved_are_configured(states: tuple[str, ...], approved: bool | None) -> None:
    assert judged(ticket(), states=states)[3] is approved


# --- in which tracker


def where(name: str, own: OwnTracker | None = None, known: KnownTrackers = BOTH, host: str = "") -> str:
    """Return the subject of the question, or why there is none."""
    found = whereabouts(name, named_host=host, repository=REPOSITORY, own=own, known=known)
    return found.subject or found.reason


@pytest.mark.parametrize(
    ("name", "own", "host", "expected"),
    [
        ("PAY-7", None, "", "jira.example.org/PAY-7"),
        ("#7", None, "", "github.com/acme/greeter#7"),
        ("GH-7", OwnTracker(pattern="GH-{number}", type="github"), "", "github.com/acme/greeter#7"),
        ("acme/plans#7", None, "", "github.com/acme/plans#7"),
        ("acme/plans#7", None, "github.com", "github.com/acme/plans#7"),
        ("#7", OwnTracker(pattern="#{number}", project="acme/plans"), "", "github.com/acme/plans#7"),
        ("PAY-7", OwnTracker(pattern="PAY-{number}", url="https://jira.example.org/browse/{ticket}"), "",
         "jira.example.org/PAY-7"),
        ("PAY-7", OwnTracker(pattern="PAY-{number}", type="jira"), "", "jira.example.org/PAY-7"),
        ("PAY-7", None, "other.example.org", "not configured: other.example.org is not among the trackers in the"
         " settings"),
        ("PAY-7", OwnTracker(pattern="PAY-{number}", url="https://else.example.org/{ticket}"), "",
         "not configured: else.example.org is not among the trackers in the settings"),
        ("AB#7", None, "", "AB#7 is not the form of a ticket of github.com"),
        ("PAY-7", OwnTracker(pattern="PAY-{number}", type="linear"), "",
         "not configured: no single tracker of the type linear is in the settings"),
    ],
)  # fmt: skip
def test_a_ticket_is_looked_up_where_the_application_or_its_repository_says(
    name: str, own: OwnTracker | None, host: str, expected: str
) -> None:
    assert where(name, own, host=host) == expected


def test_a_number_of_a_repository_on_another_host_is_not_looked_up() -> None:
    only = KnownTrackers(by_host={"jira.example.org": JIRA})
    assert where("#7", known=only) == "not configured: github.com is not among the trackers in the settings"


def test_of_two_jiras_none_is_guessed() -> None:
    two = KnownTrackers(
        by_host={one: KnownTracker(shared=True, host=one, type="jira") for one in ("a.example.org", "b.example.org")}
    )
    assert where("PAY-7", known=two) == "not configured: no tracker in the settings has such tickets"


def test_words_that_look_like_tickets_of_no_configured_project_are_not_asked_for() -> None:
    jira = KnownTracker(shared=True, host="jira.example.org", type="jira", projects=("PAY",))
    known = KnownTrackers(by_host={"jira.example.org": jira})
    assert where("PAY-7", known=known) == "jira.example.org/PAY-7"
    assert where("IA-2", known=known) == "IA is not among the projects of jira.example.org in the settings"


# --- where it was found


def places(title: str = "", text: str = "", branch: str = "", patterns: tuple[str, ...] = ()) -> list[tuple[str, str]]:
    return [(one.id, one.place) for one in named_in_review(title, text, branch, patterns)]


def test_each_ticket_of_a_review_is_named_with_the_place_where_it_was_found() -> None:
    text = (
        "What it does.\n\nCloses #8\nSee the plan: https://jira.example.org/browse/PAY-9 and more.\n\nTicket: PAY-10\n"
    )
    assert places("PAY-7: pay", text, "feature/PAY-6-pay") == [
        ("PAY-7", "review-title"), ("PAY-6", "branch"), ("#8", "review-text"), ("PAY-10", "review-text"),
        ("PAY-9", "review-link"),
    ]  # fmt: skip


def test_an_applications_own_patterns_are_found_in_all_places_of_a_review() -> None:
    assert places("pay issue42", "for issue43", "fix-issue44", ("issue{number}",)) == [
        ("issue42", "review-title"), ("issue44", "branch"), ("issue43", "review-text"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("branch", "tickets"),
    [("feature/PAY-7-pay", ["PAY-7"]), ("PAY-7_pay", ["PAY-7"]), ("PAY-7-PAY-8-x", ["PAY-7", "PAY-8"]),
     ("PAY-7-2", []), ("PAY-7x", []), ("XPAY-7-x", []), ("main", []), ("x" * 2_000 + "-PAY-7-x", [])],
)  # fmt: skip
def test_words_after_a_ticket_of_a_pattern_may_follow_in_a_branch(branch: str, tickets: list[str]) -> None:
    assert places(branch=branch, patterns=("PAY-{number}",)) == [(one, "branch") for one in tickets]


@pytest.mark.parametrize(
    "branch", ["main", "release/1.2", "dependabot/npm/UTF-8", "x" * 5_000, "PAY-", "feature/PAY-7x", "\x00PAY-7\n"]
)
def test_branches_that_name_no_ticket_name_none(branch: str) -> None:
    assert [one for one in places(branch=branch) if one[0] != "PAY-7"] == []


def test_a_thousand_tickets_in_one_message_are_bounded() -> None:
    message = "pay\n\n" + "\n".join(f"Closes #{number}" for number in range(1, 1_001))
    assert len(named_in(message).tickets) == TICKETS_MAX
    assert len(places(text=message)) == TICKETS_MAX


def test_a_text_of_ten_megabytes_is_read_within_its_bound() -> None:
    assert places(text="PAY-7 " * 2_000_000) == []
    assert places(text="a" * 10_000_000 + "\nTicket: PAY-7") == []


def test_html_in_a_text_is_text() -> None:
    assert places(text='<a href="https://jira.example.org/browse/PAY-9">x</a><script>PAY-8</script>') == [
        ("PAY-9", "review-link")
    ]
