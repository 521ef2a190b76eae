"""Reviews and tickets from the question to the link: asked after an evaluation, recorded in the log, dated, and rebuilt."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from fakes.auditor import checked, dumped
from fakes.facts import AT, answer, facts, link
from fakes.in_process import ROOT, InProcess
from fakes.machine import COMMIT, DIGEST, scm
from fakes.signing_authority import SigningAuthority
from whence_aggregator.applications.applications import TicketSettings
from whence_aggregator.applications.conditions import UNCONDITIONAL
from whence_aggregator.audit.rebuild import rebuild
from whence_aggregator.collect.collectors import Collector
from whence_aggregator.collect.known_repositories import FirstId, RecordedRepositories
from whence_aggregator.collect.tracker_collectors import ReviewCollector, TicketCollector
from whence_aggregator.ports import BranchAnswer, Database, SourceUnavailable
from whence_aggregator.settings.server import Settings
from whence_aggregator.settings.trackers import TrackerPlaceSettings
from whence_aggregator.trace.lineage import Link, LinkName
from whence_aggregator.trace.review_evidence import review_evidence
from whence_aggregator.trace.tracer import TraceSubject
from whence_aggregator.trackers.github import GithubReader
from whence_aggregator.trackers.places import KnownTracker, KnownTrackers
from whence_aggregator.trackers.readers import ReviewFinding, TicketFinding
from whence_aggregator.trackers.review import Review, Vote
from whence_aggregator.trackers.source import Answered
from whence_aggregator.trackers.ticket import Ticket
from whence_aggregator.wiring.trackers import note_trackers
from whence_aggregator.wiring.work import kinds_of
from whence_aggregator.work.hour_shares import HourShares
from whence_common.clock import to_instant
from whence_common.digest import sha256_digest

GIT, JIRA = "git.example.org", "jira.example.org"
HEAD = "1" * 40
SCM = (
    b'{"url": "https://git.example.org/demo/greeter", "revision": "'
    + COMMIT.encode()
    + b'", "author": "a", "status": ""}'
)
OBJECT = b"tree x\nauthor A <a@b> 1795348800 +0000\ncommitter A <a@b> 1795348800 +0000\n\n"
"""Committed at 2026-11-22T12:00:00Z."""
KNOWN = KnownTrackers(by_host={
    GIT: KnownTracker(shared=True, host=GIT, type="github", reviews=True),
    JIRA: KnownTracker(shared=True, host=JIRA, type="jira", approved_states=("Ready",)),
})  # fmt: skip
REVIEW = Review(
    number=12, url=f"https://{GIT}/demo/greeter/pull/12", title="Pay", text="", branch="pay", base="main", head=HEAD,
    author="ada", author_bot=False, merged_at="2026-11-22T11:00:00.000Z", merged_by="bob", merge_commit=COMMIT,
    how="merge_commit", votes=(Vote(by="bob", state="approved", commit=HEAD, official=True),),
)  # fmt: skip
SETTINGS = Settings(
    audience="https://whence.example.org", accounts=["123456789012"],
    trackers={GIT: TrackerPlaceSettings(type="github"), JIRA: TrackerPlaceSettings(type="jira")},
)  # fmt: skip
TICKET = Ticket(id="DEMO-7", project="DEMO", title="Greet", status="Ready", closed=False, url=f"https://{JIRA}/x")


@dataclass
class Vendors:
    """A code host and a tracker that answer what a test says; an exception is raised."""

    found: ReviewFinding | SourceUnavailable = field(default_factory=lambda: ReviewFinding(reviews=(REVIEW,)))
    tickets: dict[str, TicketFinding | SourceUnavailable] = field(
        default_factory=lambda: {"DEMO-7": TicketFinding(ticket=TICKET)}
    )
    asked: list[str] = field(default_factory=list)

    async def reviews(self, path: str, commit_id: str) -> ReviewFinding:
        self.asked.append(f"{path}@{commit_id[:4]}")
        if isinstance(self.found, SourceUnavailable):
            raise self.found
        return self.found

    async def ticket(self, ticket_id: str) -> TicketFinding:
        self.asked.append(ticket_id)
        answer = self.tickets.get(ticket_id, TicketFinding(problem="missing", reason=f"no {ticket_id}"))
        if isinstance(answer, SourceUnavailable):
            raise answer
        return answer


@dataclass
class Place:
    house: InProcess
    vendors: Vendors

    async def link(self, name: LinkName, **moment: Any) -> Link:
        return (await self.house.lineage(**moment)).link(name)

    async def spoken(self, message: str = "DEMO-7: greet", *, trackers: list[dict[str, Any]] | None = None) -> None:
        """Report an instance whose image is built from a commit with this message, and do all work."""
        house = self.house
        house.sources.images[DIGEST] = SCM
        house.sources.commits[COMMIT] = OBJECT + message.encode()
        await house.register(specification_url="https://plans.example.org")
        if trackers is not None:
            await house.applications.patch("greeter", {"trackers": trackers}, ROOT, conditions=UNCONDITIONAL)
        machine = await house.machine()
        await house.say(machine, scm_source=scm(digest=sha256_digest(SCM)))
        await house.work()

    async def later(self, days: float) -> None:
        self.house.clock.advance(days * 86_400)
        await self.house.work()


@asynccontextmanager
async def opened(database: Database, authority: SigningAuthority, known: KnownTrackers) -> AsyncIterator[Place]:
    vendors = Vendors()
    collectors: dict[str, Collector] = {
        "review": ReviewCollector({GIT: vendors}), "ticket": TicketCollector({GIT: vendors, JIRA: vendors}),
    }  # fmt: skip
    async with InProcess(database, authority, trackers=known, tracker_collectors=collectors).running() as house:
        yield Place(house, vendors)


@pytest.fixture
async def place(database: Database, authority: SigningAuthority) -> AsyncIterator[Place]:
    async with opened(database, authority, KNOWN) as place:
        yield place


async def test_the_review_is_confirmed_and_the_ticket_says_through_which_review_it_came(place: Place) -> None:
    await place.spoken()
    review, ticket = await place.link("review"), await place.link("ticket")
    assert (review.state, review.reason, [one.source for one in review.evidence]) == ("confirmed", None, ["review"])
    assert review.value is not None
    (shown,) = review.value["reviews"]
    assert (shown["number"], shown["how"], shown["approvals"][0]["by"], shown["approvals"][0]["counts"]) == (
        12, "merge_commit", "bob", True,
    )  # fmt: skip
    assert (ticket.state, ticket.reason) == ("confirmed", None)
    assert ticket.value is not None
    assert ticket.value["tickets"] == [{
        "id": "DEMO-7", "pattern": "{project}-{number} at the subject's start", "place": "subject", "line": 1,
        "url": f"https://{JIRA}/x", "host": JIRA, "review": 12, "title": "Greet", "status": "Ready",
        "closed": False, "assignee": "", "type": "", "parent": "", "closed_at": "", "outcome": "", "approved": True,
        "moved_to": None, "problem": None, "state": "confirmed",
        "read": "the ticket may change; read at 2026-11-22T12:00:00.000Z; next attempt at 2026-11-22T13:00:00.000Z",
    }]  # fmt: skip
    assert {one.source for one in ticket.evidence} == {"git", "tracker"}
    assert sorted(place.vendors.asked) == ["DEMO-7", "demo/greeter@cccc"]


@pytest.mark.parametrize(
    ("changes", "reached_by", "state", "reason"),
    [
        ({"base": "mallory/own"}, ("heads/main",), "asserted",
         "#12 was merged into mallory/own, which is not a protected branch"),
        ({"base": "release/1"}, ("heads/main", "heads/release/1"), "confirmed", None),
        ({"base": "v1"}, ("heads/main", "tags/v1"), "asserted",
         "#12 was merged into v1, which is not a protected branch"),
        ({"unproved": "its content is another"}, ("heads/main",), "asserted",
         "it is not proved that the merge commit of #12 has only what was approved: its content is another; merge in the"
         " pages of the code host"),
        ({"how": "in_branch"}, ("heads/main",), "asserted",
         "#12 contains the commit, and its approvals are of 111111111111, a later one"),
        ({"how": "in_branch", "head": COMMIT,
          "votes": (Vote(by="bob", state="approved", commit=COMMIT, official=True),)},
         ("heads/main",), "confirmed", None),
    ],
)  # fmt: skip
async def test_an_approval_confirms_only_what_it_was_given_for_on_a_protected_branch(
    changes: dict[str, Any], reached_by: tuple[str, ...], state: str, reason: str | None, place: Place
) -> None:
    place.vendors.found = ReviewFinding(reviews=(replace(REVIEW, **changes),), default_branch="main")
    place.house.sources.branches[COMMIT] = BranchAnswer(
        branch="main", commit_id="f" * 40, reachable=True, reached_by=reached_by
    )
    await place.spoken()
    link = await place.link("review")
    assert (link.state, link.reason, link.lacking) == (state, reason, state == "asserted")


async def test_a_review_of_another_repository_that_took_the_name_contradicts(
    database: Database, authority: SigningAuthority
) -> None:
    vendors = Vendors(found=ReviewFinding(reviews=(REVIEW,), default_branch="main", repository_id="41"))
    ids = RecordedRepositories(database)
    collectors: dict[str, Collector] = {
        "review": ReviewCollector({GIT: vendors}, ids), "ticket": TicketCollector({JIRA: vendors}),
    }  # fmt: skip
    async with InProcess(database, authority, trackers=KNOWN, tracker_collectors=collectors).running() as house:
        place = Place(house, vendors)
        await place.spoken()
        assert (await place.link("review")).state == "confirmed"
        assert await ids.first(f"{GIT}/demo/greeter") == FirstId(
            repository_id="41", recorded_at="2026-11-22T12:00:00.000Z"
        )
        vendors.found = ReviewFinding(reviews=(REVIEW,), default_branch="main", repository_id="99")
        await place.later(1)
        link = await place.link("review")
        assert (link.state, link.reason) == (
            "contradicted", f"{GIT}/demo/greeter has the id 99 on its host, and had 41 at 2026-11-22T12:00:00.000Z: another"
            " repository has its name; if it is the right one, state both ids in `repositories` of the tracker",
        )  # fmt: skip


@pytest.mark.parametrize(
    ("stated", "state"), [({}, "contradicted"), ({"demo/Greeter": ("41", "99")}, "confirmed"),
                          ({"demo/greeter": ("41",)}, "contradicted")],
)  # fmt: skip
def test_an_operator_states_the_ids_of_a_repository(stated: dict[str, tuple[str, ...]], state: str) -> None:
    host = KnownTracker(host=GIT, type="github", reviews=True, repositories=stated)
    found = answer("found", reviews=[REVIEW.to_wire()], repository_id="99", default_branch="main",
                   first_repository={"repository_id": "41", "recorded_at": AT})  # fmt: skip
    known = replace(facts(review=found), trackers=KnownTrackers(by_host={GIT: host}))
    assert link("review", known).state == state
    assert bool(review_evidence(known)) is (state == "confirmed")


async def test_the_confirmed_ticket_is_the_specification(place: Place) -> None:
    await place.spoken()
    specification = await place.link("specification")
    assert (specification.state, specification.value) == (
        "confirmed",
        {
            "id": "DEMO-7",
            "title": "Greet",
            "url": f"https://{JIRA}/x",
            "status": "Ready",
            "approved": True,
            "ticket": True,
        },
    )
    assert (await place.house.lineage()).not_checked == ()


@pytest.mark.parametrize(("states", "approved"), [(["Ready"], True), (["Released", "Done"], False), ([], True)])
async def test_an_application_states_which_states_of_its_tickets_are_approved(
    states: list[str], approved: bool, place: Place
) -> None:
    """The settings' states hold where it names none."""
    await place.spoken()
    tracker = {"pattern": "{project}-{number}", "project": "DEMO", "type": "jira", "approved_states": states}
    await place.house.applications.patch("greeter", {"trackers": [tracker]}, ROOT, conditions=UNCONDITIONAL)
    await place.house.work()
    link = await place.link("ticket")
    (shown,) = (link.value or {})["tickets"]
    assert (link.state, shown["approved"], shown["tracker"], shown["host"]) == ("confirmed", approved, "jira", JIRA)


async def test_an_application_without_tickets_has_its_specification_url(place: Place) -> None:
    await place.spoken("greet")
    assert (await place.link("ticket")).state == "missing"
    assert (await place.link("specification")).value == {"url": "https://plans.example.org"}


async def test_an_application_that_uses_tickets_has_no_specification_without_a_confirmed_one(place: Place) -> None:
    await place.spoken("DEMO-8: greet")
    settings = TicketSettings(patterns=["DEMO-{number}"], url=f"https://{JIRA}/browse/{{ticket}}")
    await place.house.applications.write_tickets("greeter", settings, ROOT)
    await place.house.work()
    specification = await place.link("specification")
    assert (specification.state, specification.reason) == (
        "missing", "the application uses tickets, and none is confirmed: no DEMO-8",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("finding", "state", "problem"),
    [
        (TicketFinding(problem="missing", reason="no such"), "missing", "missing"),
        (TicketFinding(problem="forbidden", reason="hidden"), "unknown", "forbidden"),
        (TicketFinding(problem="review", reason="a pull request"), "missing", "review"),
        (TicketFinding(ticket=replace(TICKET, closed_at="2026-11-01T00:00:00.000Z", closed=True)), "contradicted",
         "closed-before-commit"),
        (TicketFinding(ticket=replace(TICKET, created_at="2026-12-01T00:00:00.000Z")), "asserted",
         "created-after-merge"),
        (TicketFinding(ticket=replace(TICKET, id="DEMO-99")), "confirmed", "moved"),
        (SourceUnavailable("outside-unreachable", "the tracker is away"), "unknown", "unknown"),
    ],
    ids=["missing", "forbidden", "review", "closed", "created", "moved", "away"],
)  # fmt: skip
async def test_tickets_that_do_not_stand_behind_the_commit_are_told_apart(
    finding: Any, state: str, problem: str, place: Place
) -> None:
    place.vendors.tickets["DEMO-7"] = finding
    await place.spoken()
    link = await place.link("ticket")
    assert link.value is not None
    assert (link.state, link.value["tickets"][0]["problem"]) == (state, problem)


async def test_a_ticket_that_moved_to_another_project_contradicts_the_application(place: Place) -> None:
    place.vendors.tickets["DEMO-7"] = TicketFinding(ticket=replace(TICKET, id="SHOP-1", project="SHOP"))
    await place.spoken()
    settings = TicketSettings(patterns=["DEMO-{number}"], url=f"https://{JIRA}/browse/{{ticket}}")
    await place.house.applications.write_tickets("greeter", settings, ROOT)
    await place.house.work()
    link = await place.link("ticket")
    assert (link.state, link.reason) == (
        "contradicted", "DEMO-7 is now SHOP-1, of the project SHOP, not of DEMO",
    )  # fmt: skip


async def with_project(place: Place, message: str) -> Link:
    """Return the link of an application whose pattern is of the project DEMO."""
    await place.spoken(message, trackers=[{"pattern": "{project}-{number}", "project": "DEMO", "type": "jira"}])
    return await place.link("ticket")


SHOP = TicketFinding(ticket=Ticket(id="SHOP-9", project="SHOP", title="Sell", status="Open", closed=False))


async def test_a_ticket_of_another_project_that_the_tracker_has_contradicts_the_application(place: Place) -> None:
    place.vendors.tickets["SHOP-9"] = SHOP
    link = await with_project(place, "SHOP-9: sell")
    assert (link.state, link.reason) == ("contradicted", "SHOP-9 is of the project SHOP, not of DEMO")
    assert link.value is not None
    assert [(one["id"], one["problem"], one["state"]) for one in link.value["tickets"]] == [
        ("SHOP-9", "other-project", "contradicted")
    ]
    assert (await place.link("specification")).state == "missing"


async def test_a_ticket_of_another_project_beside_one_of_its_own_is_named_and_harms_nothing(place: Place) -> None:
    place.vendors.tickets["SHOP-9"] = SHOP
    link = await with_project(place, "DEMO-7: greet, see SHOP-9")
    assert link.value is not None
    assert (link.state, [one["id"] for one in link.value["tickets"]]) == ("confirmed", ["DEMO-7", "SHOP-9"])


async def test_a_ticket_that_moved_into_the_project_is_asserted_and_not_confirmed(place: Place) -> None:
    place.vendors.tickets["SHOP-9"] = TicketFinding(ticket=replace(TICKET, id="DEMO-8"))
    link = await with_project(place, "SHOP-9: sell")
    assert (link.state, link.reason) == ("asserted", "SHOP-9 was moved to DEMO-8")


async def test_texts_that_only_look_like_tickets_of_others_are_no_tickets(place: Place) -> None:
    place.vendors.tickets |= dict.fromkeys(("UTF-8", "SHA-256", "ISO-8601"), SHOP)
    link = await with_project(place, "Read UTF-8, SHA-256 and ISO-8601 as of BOARD-12\n\nA-1 B-2 X9-3")
    assert (link.state, link.reason) == (
        "missing",
        "the commit message and its review name no ticket like DEMO-{number}",
    )
    assert not {"UTF-8", "SHA-256", "ISO-8601"} & set(place.vendors.asked)
    assert "BOARD-12" in place.vendors.asked


async def test_few_tickets_of_other_projects_are_asked_for(place: Place) -> None:
    await with_project(place, "\n".join(f"SHOP-{number}" for number in range(1, 40)))
    assert sorted(one for one in place.vendors.asked if one.startswith("SHOP-")) == [f"SHOP-{n}" for n in range(1, 6)]


async def test_a_source_that_is_away_is_unknown_with_the_next_attempt_and_is_asked_again(place: Place) -> None:
    place.vendors.found = SourceUnavailable("outside-limited", "it limits requests", retry_after_seconds=120)
    await place.spoken()
    link = await place.link("review")
    assert (link.state, link.reason) == (
        "unknown", "it limits requests; next attempt at 2026-11-22T12:00:40.000Z",
    )  # fmt: skip
    place.vendors.found = ReviewFinding(reviews=(REVIEW,))
    await place.later(1)
    assert (await place.link("review")).state == "confirmed"


async def test_a_commit_that_was_pushed_directly_has_no_review_until_it_has_one(place: Place) -> None:
    place.vendors.found = ReviewFinding(none="no-review", unmerged=(13,))
    await place.spoken()
    link = await place.link("review")
    assert (link.state, link.reason) == (
        "missing",
        f"no merged review brought {COMMIT} into demo/greeter: it was pushed directly; #13 has it, and is not merged",
    )
    place.vendors.found = ReviewFinding(reviews=(REVIEW,))
    await place.later(1)
    assert (await place.link("review")).state == "confirmed"


async def test_a_host_that_does_not_have_the_commit_does_not_know_its_review(place: Place) -> None:
    """Git has it: the host reads a mirror that is behind, or another repository."""
    place.vendors.found = ReviewFinding(none="commit-unknown")
    await place.spoken()
    link = await place.link("review")
    assert (link.state, link.reason) == ("unknown", f"{GIT} has no commit {COMMIT}")
    place.vendors.found = ReviewFinding(reviews=(REVIEW,))
    await place.later(1)
    assert (await place.link("review")).state == "confirmed"


async def test_a_review_without_an_approval_that_counts_is_merged_and_not_reviewed(place: Place) -> None:
    place.vendors.found = ReviewFinding(
        reviews=(replace(REVIEW, votes=(Vote(by="ada", state="approved", commit=HEAD),)),)
    )
    await place.spoken()
    lineage = await place.house.lineage()
    assert (lineage.link("review").state, lineage.link("review").reason) == (
        "asserted", "#12 was merged without an approval that counts (ada: it is by the author)",
    )  # fmt: skip
    assert lineage.link("review").lacking


async def test_a_ticket_that_only_the_review_names_is_asked_for_and_found_again_by_a_search(place: Place) -> None:
    text = f"See https://{JIRA}/browse/DEMO-7"
    place.vendors.found = ReviewFinding(reviews=(replace(REVIEW, text=text, branch="feature/DEMO-9-x"),))
    await place.spoken("greet")
    link = await place.link("ticket")
    assert link.value is not None
    assert [(one["id"], one["place"], one["review"], one["state"]) for one in link.value["tickets"]] == [
        ("DEMO-9", "branch", 12, "missing"), ("DEMO-7", "review-link", 12, "confirmed"),
    ]  # fmt: skip
    moment = await place.house.tracer.moments.of()
    found, _ = await place.house.tracer.matching(
        TraceSubject(kind="ticket", value="DEMO-7"), moment=moment, after="", limit=10
    )
    assert [one.instance_id for one in found] == ["i-0123456789abcdef0"]


@pytest.mark.parametrize(
    ("name", "found"),
    [("12", True), ("#12", True), ("demo/greeter#12", True), (f"https://{GIT}/demo/greeter/pull/12", True),
     ("13", False), ("demo/farewell#12", False), (f"https://{GIT}/demo/farewell/pull/12", False)],
)  # fmt: skip
async def test_a_review_that_no_message_names_is_found_as_its_code_host_states_it(
    name: str, found: bool, place: Place
) -> None:
    await place.spoken("greet")
    moment = await place.house.tracer.moments.of()
    lineages, _ = await place.house.tracer.matching(
        TraceSubject(kind="review", value=name), moment=moment, after="", limit=10
    )
    assert bool(lineages) is found


async def test_reviews_and_tickets_are_dated_and_a_past_answer_stays_as_it_was(place: Place) -> None:
    await place.spoken()
    then = to_instant(place.house.clock())
    place.vendors.tickets["DEMO-7"] = TicketFinding(ticket=replace(TICKET, status="Rejected"))
    place.vendors.found = ReviewFinding(
        reviews=(replace(REVIEW, votes=(replace(REVIEW.votes[0], state="dismissed"),)),)
    )
    await place.later(40)
    now, before = await place.house.lineage(), await place.house.lineage(at=then)
    for lineage, status, approved, state in (
        (now, "Rejected", False, "asserted"),
        (before, "Ready", True, "confirmed"),
    ):
        assert lineage.link("ticket").value is not None
        shown = (lineage.link("ticket").value or {})["tickets"][0]
        assert (shown["status"], shown["approved"], lineage.link("review").state) == (status, approved, state)


async def test_a_thousand_tickets_in_a_message_are_asked_for_within_a_bound(place: Place) -> None:
    await place.spoken("pay\n\n" + "\n".join(f"Closes DEMO-{number}" for number in range(1, 1_001)))
    assert len(place.vendors.asked) == 1 + 20
    link = await place.link("ticket")
    assert link.value is not None
    assert len(link.value["tickets"]) == 50
    assert link.value["tickets"][49]["problem"] == "not looked up: the commit names more than 20 tickets"


async def test_recorded_reviews_and_tickets_are_derived_again_byte_for_byte(place: Place, tmp_path: Path) -> None:
    await place.spoken()
    before, lineage = await dumped(place.house.database), (await place.house.lineage()).to_wire()
    assert {row["kind"] for row in before["fact"]} >= {"review", "ticket"}
    await rebuild(place.house.database, place.house.reader)
    assert await dumped(place.house.database) == before
    assert {**(await place.house.lineage()).to_wire(), "checkpoint": ""} == {**lineage, "checkpoint": ""}
    assert (await checked(place.house, tmp_path)).findings == []


async def test_without_configuration_nothing_is_asked_and_the_review_is_not_configured(
    database: Database, authority: SigningAuthority
) -> None:
    async with opened(database, authority, KnownTrackers()) as place:
        await place.spoken()
        lineage = await place.house.lineage()
        assert (lineage.link("review").state, lineage.link("review").reason) == (
            "unknown", "not configured: reviews of git.example.org are not read",
        )  # fmt: skip
        assert (lineage.link("ticket").state, [one.link for one in lineage.not_checked]) == (
            "asserted", ["review", "ticket"],
        )  # fmt: skip
        assert place.vendors.asked == []


async def test_a_tracker_that_is_configured_later_is_asked_about_what_runs(
    database: Database, authority: SigningAuthority
) -> None:
    async with opened(database, authority, KnownTrackers()) as place:
        await place.spoken()
    async with opened(database, authority, KNOWN) as place:
        await place.house.work()
        assert place.vendors.asked == []
        await note_trackers(SETTINGS, database)
        await place.house.work()
        assert sorted(place.vendors.asked) == ["DEMO-7", "demo/greeter@cccc"]
        place.vendors.asked.clear()
        await note_trackers(SETTINGS, database)
        await place.house.work()
        assert place.vendors.asked == []


async def test_an_old_answer_shows_when_it_was_read_and_that_its_source_is_away(place: Place) -> None:
    await place.spoken()
    read = "the review may change; read at 2026-11-22T12:00:00.000Z; next attempt at 2026-11-22T13:00:00.000Z"
    review = await place.link("review")
    assert (review.value or {})["read"] == read
    place.vendors.found = SourceUnavailable("outside-unreachable", "it does not answer")
    await place.later(0.5)
    review = await place.link("review")
    assert (review.state, (review.value or {})["read"]) == (
        "confirmed", "it does not answer; next attempt at 2026-11-23T00:00:10.000Z",
    )  # fmt: skip


async def test_an_id_that_the_tracker_cannot_have_is_missing_and_not_asked_for_ever() -> None:
    class Silent:
        async def get(self, path: str) -> Answered:
            raise AssertionError(f"{path} was asked for")

    collector = TicketCollector({GIT: GithubReader(Silent(), host=GIT)})
    finding = await collector.collect(f"{GIT}/no-number")
    assert (finding.outcome, finding.value, finding.awaited) == ("missing", {"problem": "missing"}, "")


async def test_what_exceeds_a_teams_share_of_the_hour_waits_and_its_link_states_until_when(place: Place) -> None:
    house = place.house
    shares = HourShares({JIRA: 2}, house.clock)
    kinds = kinds_of(house.ledger, house.collectors, house.inventory, shares=shares, now=house.clock)
    house.worker = house.worker_of(kinds)
    house.clock.advance(60)
    place.vendors.tickets["DEMO-8"] = TicketFinding(ticket=replace(TICKET, id="DEMO-8"))
    await place.spoken("DEMO-7, DEMO-8: greet")
    link = await place.link("ticket")
    assert link.value is not None
    read, waits = sorted(link.value["tickets"], key=lambda one: str(one["state"]))
    assert (read["state"], waits["state"]) == ("confirmed", "unknown")
    assert link.reason == (
        f"{waits['id']}: waits: team hello asked jira.example.org 1 times, its share of this hour;"
        " next attempt at 2026-11-22T13:00:00.000Z"
    )
    assert "; 0 of 1 questions left this hour; next attempt at" in read["read"]
    house.clock.advance(3_601)
    await house.work()
    states = [one["state"] for one in ((await place.link("ticket")).value or {})["tickets"]]
    assert "confirmed" in states
    assert place.vendors.asked.count(waits["id"]) == 1
