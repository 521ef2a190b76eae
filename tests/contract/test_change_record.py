"""`GET /v1/changes` over both databases: when what runs changed, what came with it, and pages that lose nothing."""

from __future__ import annotations

import csv
import io
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from fakes import four_eyes
from fakes.in_process import ROOT, InProcess
from fakes.known_caller import called_by
from fakes.machine import DIGEST, Machine
from fakes.ranges import KnownRanges
from fakes.signing_authority import SigningAuthority
from fakes.versions import NEW, NEWER, OLD, version
from whence_aggregator.applications.applications import TicketSettings
from whence_aggregator.applications.conditions import UNCONDITIONAL
from whence_aggregator.approvals.values import Approval
from whence_aggregator.approvals.versions import ApprovalAsked
from whence_aggregator.callers.caller import Caller
from whence_aggregator.changes.approvals import ApprovedBy
from whence_aggregator.changes.arrivals import Arrivals
from whence_aggregator.changes.collected import CollectedRanges
from whence_aggregator.changes.counted import ApprovalCounts
from whence_aggregator.changes.newest import NewestRecord
from whence_aggregator.changes.ranges import CommitRange, CommitRanges, RangeCommit
from whence_aggregator.changes.record import ChangeRecord, WantedChanges
from whence_aggregator.changes.tracked import TrackedCommits
from whence_aggregator.collect.collectors import Collector
from whence_aggregator.collect.ranges import Ranges
from whence_aggregator.collect.tracker_collectors import ReviewCollector, TicketCollector
from whence_aggregator.http.changes import ChangeCalls
from whence_aggregator.http.errors import guarded
from whence_aggregator.ports import Database, NotFound
from whence_aggregator.trackers.places import KnownTracker, KnownTrackers
from whence_aggregator.trackers.readers import ReviewFinding
from whence_aggregator.trackers.review import Review, Vote
from whence_aggregator.whence.change_formats import csv_head, csv_of, markdown_of, text_of
from whence_common.statement import ApplicationFacts

ONE, TWO, THREE = (f"i-{number:017x}" for number in range(1, 4))
LAUNCH = "2026-11-22T11:59:59.000Z"


def commit(message: str) -> bytes:
    return (
        b"tree 4b825dc642cb6eb9a060e54bf8d69288fbee4904\nauthor Ada <ada@example.org> 1763800000 +0100\n"
        b"committer Ada <ada@example.org> 1763800000 +0100\n\n" + message.encode()
    )


def arrivals_of(house: InProcess, ranges: CommitRanges | None = None) -> Arrivals:
    return Arrivals(
        database=house.database, ranges=ranges or CollectedRanges(Ranges(database=house.database, now=house.clock)),
        tracked=TrackedCommits(database=house.database, trackers=house.tracer.trackers, now=house.clock),
        counts=ApprovalCounts(database=house.database, reader=house.tracer.commits, policy=house.tracer.policy),
    )  # fmt: skip


@asynccontextmanager
async def served(house: InProcess, ranges: CommitRanges | None = None) -> AsyncIterator[Any]:
    """Return what `/v1/changes` answers, as status and document."""
    record = ChangeRecord(database=house.database, arrivals=arrivals_of(house, ranges))
    calls = ChangeCalls(
        record=record, newest=NewestRecord(database=house.database, record=record), moments=house.tracer.moments
    )
    application = web.Application(middlewares=[called_by(ROOT)])
    application.add_routes(web.route(one.method, one.path, guarded(one.handler, None)) for one in calls.routes())
    async with TestClient(TestServer(application)) as client:

        async def asked(**query: str) -> tuple[int, Any]:
            async with client.get("/v1/changes", params=query) as answer:
                return answer.status, await answer.json(content_type=None)

        yield asked


async def rollout(house: InProcess) -> Machine:
    """ONE and TWO run 1.0; an hour later THREE runs 1.1, and then EC2 terminates the others. Return THREE."""
    house.sources.commits[NEW] = commit("PAY-8: greet louder (#4)\n")
    await house.register("greeter", team_id="hello")
    tickets = TicketSettings(patterns=["PAY-{number}"], url="https://t.example.org/{ticket}")
    await house.applications.write_tickets("greeter", tickets, ROOT)
    for name in (ONE, TWO):
        await house.say(await house.machine(name), **version("1.0", DIGEST, OLD))
    house.ec2.listed = {ONE: ("running", LAUNCH), TWO: ("running", LAUNCH)}
    await house.inventory.collect("123456789012/eu-central-1")
    house.clock.advance(3600)
    three = await house.machine(THREE, pendingTime="2026-11-22T12:59:00Z")
    await house.say(three, observed_at="2026-11-22T13:00:00.000Z", **version("1.1", NEWER, NEW))
    await house.work()
    house.clock.advance(600)
    house.ec2.listed = {THREE: ("running", "2026-11-22T12:59:00.000Z")}
    await house.inventory.collect("123456789012/eu-central-1")
    house.clock.advance(600)
    return three


def shown(found: Any) -> list[tuple[str, str, list[str], list[str]]]:
    return [
        (one["instance_id"], one["cause"], [d["version"] for d in one["before"]], [d["version"] for d in one["after"]])
        for one in found["changes"]
    ]


ROLLOUT = [
    (ONE, "boot", [], ["1.0"]), (THREE, "boot", ["1.0"], ["1.0", "1.1"]), (TWO, "terminated", ["1.0", "1.1"], ["1.1"]),
]  # fmt: skip


@pytest.mark.parametrize(
    "query", [{"application": "greeter"}, {"team": "hello"}, {"account": "123456789012"},
              {"application": "greeter", "team": "hello", "account": "123456789012"}],
)  # fmt: skip
async def test_a_rollout_is_recorded_when_it_begins_and_when_the_old_version_has_gone(
    house: InProcess, query: dict[str, str]
) -> None:
    await rollout(house)
    async with served(house) as ask:
        status, found = await ask(**query)
        assert (status, shown(found), found["next"]) == (200, ROLLOUT, None)


async def test_the_newest_changes_come_first_and_need_no_filter(house: InProcess) -> None:
    await rollout(house)
    await house.register("farewell", team_id="other")
    async with served(house) as ask:
        status, found = await ask(newest="true")
        assert (status, shown(found), found["next"], found["left_out"]) == (200, ROLLOUT[::-1], None, [])
        assert shown((await ask(newest="true", limit="1"))[1]) == ROLLOUT[:1:-1]
        assert shown((await ask(newest="true", team="hello", limit="2"))[1]) == ROLLOUT[:0:-1]
        assert shown((await ask(newest="true", team="other"))[1]) == []
        for other in ("account", "from", "cursor", "application"):
            status, found = await ask(newest="true", **{other: "123456789012" if other == "account" else "1"})
            assert (status, found["code"]) == (400, "parameter-malformed")


@pytest.mark.parametrize(
    "query", [{"application": "farewell"}, {"team": "other"}, {"application": "greeter", "team": "other"},
              {"application": "farewell", "account": "123456789012"}],
)  # fmt: skip
async def test_what_is_of_others_is_not_in_the_record(house: InProcess, query: dict[str, str]) -> None:
    await rollout(house)
    await house.register("farewell", team_id="other")
    async with served(house) as ask:
        assert (await ask(**query))[1] == {"changes": [], "next": None}


@pytest.mark.parametrize(
    ("query", "code"),
    [({"application": "greter"}, "application-unknown"), ({"team": "helo"}, "team-unknown"),
     ({"account": "210987654321"}, "account-unknown"), ({"application": "greeter", "team": "helo"}, "team-unknown")],
)  # fmt: skip
async def test_a_name_that_nobody_knows_is_not_found(house: InProcess, query: dict[str, str], code: str) -> None:
    await rollout(house)
    async with served(house) as ask:
        status, found = await ask(**query)
        assert (status, found["code"]) == (404, code)
        assert "is not known" in found["detail"]


async def test_a_caller_of_one_team_does_not_learn_whether_others_have_an_application(house: InProcess) -> None:
    await rollout(house)
    await house.register("farewell", team_id="other")
    record = ChangeRecord(database=house.database, arrivals=arrivals_of(house))
    for name in ("farewell", "greter"):
        wanted = WantedChanges(application=name, team="hello", team_as_written=True)
        with pytest.raises(NotFound, match=f"application {name} is not one of team hello"):
            await record.page(wanted, after="", limit=10)


async def test_a_period_keeps_what_was_recorded_in_it_and_knows_what_ran_before(house: InProcess) -> None:
    await rollout(house)
    async with served(house) as ask:
        for period, found in (
            ({"from": "2026-11-22T12:30:00Z"}, ROLLOUT[1:]),
            ({"to": "2026-11-22T12:30:00Z"}, ROLLOUT[:1]),
            ({"from": "2026-11-22T12:30:00Z", "to": "2026-11-22T13:05:00Z"}, ROLLOUT[1:2]),
            ({"from": "2026-11-22T13:15:00Z"}, []),
        ):
            assert shown((await ask(application="greeter", **period))[1]) == found


async def test_pages_are_the_record_in_parts(house: InProcess) -> None:
    await rollout(house)
    async with served(house) as ask:
        _, whole = await ask(application="greeter")
        changes, cursor = [], "0"
        for _ in range(3):
            _, page = await ask(application="greeter", limit="1", cursor=cursor)
            changes += page["changes"]
            cursor = page["next"] or ""
        assert changes == whole["changes"]
        assert cursor == "" or (await ask(application="greeter", cursor=cursor))[1]["changes"] == []


async def test_what_started_names_its_commit_its_tickets_and_what_it_replaced(house: InProcess) -> None:
    await rollout(house)
    async with served(house) as ask:
        first, second, _ = (await ask(application="greeter"))[1]["changes"]
        (started,) = second["started"]
        assert started["replaced"] == {"version": "1.0", "image": DIGEST, "user_data": "sha256:" + "0" * 64}
        assert started["commit"] == {
            "state": "asserted", "reason": None, "repository": "git.example.org/demo/greeter", "commit": NEW,
            "author": "Ada <ada@example.org>", "subject": "PAY-8: greet louder (#4)",
        }  # fmt: skip
        assert [(one["id"], one["url"], one["state"]) for one in started["tickets"]] == [
            ("PAY-8", "https://t.example.org/PAY-8", "asserted")
        ]
        assert started["reviews"] == ["#4"]
        assert started["commits"]["reason"] == "not collected yet; next attempt at 2026-11-22T13:20:00.000Z"
        assert started["approvals"] == {
            "state": "missing",
            "reason": "no approval of this image as this version is recorded",
            "by": [],
        }
        (before,) = first["started"]
        assert (before["commit"]["state"], before["commits"]["reason"]) == ("unknown", "nothing ran here before")


async def test_tickets_of_all_commits_in_between_come_with_a_change(house: InProcess) -> None:
    await rollout(house)
    between = CommitRange(
        state="found",
        only_b=(
            RangeCommit(commit_id=NEW, message="PAY-8: a"),
            RangeCommit(commit_id="1" * 40, message="PAY-7: b (#3)"),
        ),
    )
    async with served(house, KnownRanges({(OLD, NEW): between})) as ask:
        (started,) = (await ask(application="greeter"))[1]["changes"][1]["started"]
        assert [one["id"] for one in started["tickets"]] == ["PAY-8", "PAY-7"]
        assert [one["commit"] for one in started["commits"]["only_b"]] == [NEW, "1" * 40]
        assert started["reviews"] == ["#3"]


async def test_with_a_version_that_goes_back_no_ticket_comes(house: InProcess) -> None:
    await rollout(house)
    back = CommitRange(state="found", only_a=(RangeCommit(commit_id=OLD, message="PAY-9: whisper"),))
    async with served(house, KnownRanges({(OLD, NEW): back})) as ask:
        (started,) = (await ask(application="greeter"))[1]["changes"][1]["started"]
        assert ([one["commit"] for one in started["commits"]["only_a"]], started["commits"]["only_b"]) == ([OLD], [])
        assert (started["tickets"], started["reviews"]) == ([], [])


async def test_a_page_ends_with_the_change_that_brings_its_last_commits(house: InProcess) -> None:
    await house.register("greeter", team_id="hello")
    machine = await house.machine(ONE)
    for number, (digest, at) in enumerate([(DIGEST, OLD), (NEWER, NEW)] * 2):
        await house.say(machine, cause="change", observed_at=f"2026-11-22T12:0{number}:00.000Z",
                        **version(f"1.{number}", digest, at))  # fmt: skip
        house.clock.advance(60)
    thousand = CommitRange(
        state="found", only_b=tuple(RangeCommit(commit_id=f"{number:040x}") for number in range(1_000))
    )
    pages: list[list[list[int]]] = []
    cursor = "0"
    async with served(house, KnownRanges({(OLD, NEW): thousand})) as ask:
        while cursor and len(pages) < 5:
            _, page = await ask(application="greeter", cursor=cursor)
            pages.append([
                [len(one["started"][0]["commits"][side]) for side in ("only_a", "only_b")] for one in page["changes"]
            ])  # fmt: skip
            cursor = page["next"] or ""
    assert pages == [[[0, 0], [0, 1_000], [1_000, 0]], [[0, 1_000]]]


async def test_who_approved_the_image_that_started_is_in_the_record(house: InProcess) -> None:
    await rollout(house)
    by = Caller(name="ada", teams=frozenset({"hello"}), realm="people", subject=("https://idp.example.org", "ada"))
    await house.versions.approve("greeter", "1.1", ApprovalAsked(type="DEPLOY", digest=NEWER), by)
    async with served(house) as ask:
        first, second, _ = (await ask(application="greeter"))[1]["changes"]
        approvals = second["started"][0]["approvals"]
        assert (approvals["state"], approvals["reason"]) == ("found", None)
        assert [(one["person"], one["type"], one["counts"]) for one in approvals["by"]] == [("ada", "DEPLOY", None)]
        assert first["started"][0]["approvals"]["state"] == "missing"


class OneReview:
    """A code host that has one review of every commit."""

    def __init__(self, *votes: Vote) -> None:
        self._review = Review(
            number=4, url="https://git.example.org/pull/4", title="Greet", text="", branch="b", base="main",
            head="1" * 40, author="ada", author_bot=False, merged_at=LAUNCH, merged_by="bob", merge_commit=NEW,
            how="squash", votes=votes,
        )  # fmt: skip

    async def reviews(self, path: str, commit_id: str) -> ReviewFinding:
        return ReviewFinding(reviews=(self._review,))


@pytest.mark.parametrize(
    ("vote", "people"),
    [
        (Vote(by="bob", state="approved", commit="1" * 40, official=True), ["bob"]),
        (Vote(by="bob", state="approved", commit="2" * 40, official=True), []),
        (Vote(by="ada", state="approved", commit="1" * 40, official=True), []),
    ],
    ids=["good", "stale", "by the author"],
)
async def test_the_review_of_the_commit_that_started_is_in_the_record(
    vote: Vote, people: list[str], database: Database, authority: SigningAuthority
) -> None:
    known = KnownTrackers(
        by_host={"git.example.org": KnownTracker(shared=True, host="git.example.org", type="github", reviews=True)}
    )
    collectors: dict[str, Collector] = {
        "review": ReviewCollector({"git.example.org": OneReview(vote)}), "ticket": TicketCollector({}),
    }  # fmt: skip
    async with InProcess(database, authority, trackers=known, tracker_collectors=collectors).running() as house:
        await rollout(house)
        await house.work()
        async with served(house) as ask:
            first, second, _ = (await ask(application="greeter"))[1]["changes"]
    review = second["started"][0]["review"]
    assert review["reviews"] == [
        {"number": 4, "url": "https://git.example.org/pull/4", "author": "ada", "approved_by": people}
    ]
    assert first["started"][0]["review"]["state"] == "unknown"


async def test_texts_of_a_repository_that_the_application_does_not_state_are_withheld(
    database: Database, authority: SigningAuthority
) -> None:
    tracker = KnownTracker(shared=True, host="git.example.org", type="github", reviews=True)
    known = KnownTrackers(by_host={"git.example.org": tracker}, shared_git_hosts=frozenset())
    vote = Vote(by="bob", state="approved", commit="1" * 40, official=True)
    collectors: dict[str, Collector] = {
        "review": ReviewCollector({"git.example.org": OneReview(vote)}), "ticket": TicketCollector({}),
    }  # fmt: skip
    async with InProcess(database, authority, trackers=known, tracker_collectors=collectors).running() as house:
        await rollout(house)
        await house.applications.patch("greeter", {"repositories": []}, ROOT, conditions=UNCONDITIONAL)
        await house.work()
        async with served(house) as ask:
            withheld = (await ask(application="greeter"))[1]["changes"][1]["started"][0]
            repository = ["https://git.example.org/demo/greeter"]
            await house.applications.patch("greeter", {"repositories": repository}, ROOT, conditions=UNCONDITIONAL)
            shown = (await ask(application="greeter"))[1]["changes"][1]["started"][0]
    why = "withheld: the application does not state git.example.org/demo/greeter as its own"
    assert (withheld["commit"]["commit"], withheld["commit"]["author"], withheld["commit"]["subject"]) == (
        NEW,
        None,
        None,
    )
    assert withheld["commit"]["reason"].startswith(why)
    assert (withheld["review"]["state"], withheld["review"]["reviews"], withheld["tickets"]) == ("unknown", [], [])
    assert all(not (one["author"] or one["subject"] or one["tickets"]) for one in withheld["commits"]["only_b"])
    assert shown["commit"]["author"]
    assert shown["commit"]["reason"] is None


async def test_an_approval_of_the_code_by_its_author_is_marked_and_the_reason_given(
    database: Database, authority: SigningAuthority
) -> None:
    async with InProcess(database, authority, approvals=four_eyes.POLICY).running() as house:
        await four_eyes.rollout(house)
        await four_eyes.approve(house, "ada", "CODE_CHANGE", "DEPLOY")
        await four_eyes.approve(house, "carl", "CODE_CHANGE")
        await four_eyes.approve(house, "bob", "CODE_CHANGE")
        async with served(house) as ask:
            change = (await ask(application="greeter"))[1]["changes"][-1]
        (started,) = change["started"]
        why = "an author of a commit of the version does not count"
        assert [(one["person"], one["type"], one["counts"], one["why"]) for one in started["approvals"]["by"]] == [
            ("ada", "CODE_CHANGE", "no", why), ("ada", "DEPLOY", "yes", None), ("carl", "CODE_CHANGE", "no", why),
            ("bob", "CODE_CHANGE", "yes", None),
        ]  # fmt: skip
        refused = f"CODE_CHANGE does not count: {why}"
        assert f"     approved by: ada ({refused}), carl ({refused}), bob" in list(text_of(change))
        assert f"- approved by: `ada` (`CODE_CHANGE` does not count: `{why}`), `carl` (`CODE_CHANGE`" in "\n".join(
            markdown_of(change)
        )
        (row,) = csv.DictReader(io.StringIO(csv_head() + csv_of(change)))
        assert row["approved_by"] == "ada bob"
        assert row["not_counted"] == f"ada {refused}; carl {refused}"


async def test_where_the_authors_are_not_known_an_approval_of_the_code_may_not_count(
    database: Database, authority: SigningAuthority
) -> None:
    async with InProcess(database, authority, approvals=four_eyes.POLICY).running() as house:
        await house.register("greeter", team_id="hello")
        await four_eyes.runs(house, four_eyes.NEWER_ONE, "1.1")
        await four_eyes.approve(house, "bob", "CODE_CHANGE")
        async with served(house) as ask:
            (change,) = (await ask(application="greeter"))[1]["changes"]
        (by,) = change["started"][0]["approvals"]["by"]
        assert (by["counts"], by["why"]) == ("unknown", "it is not known who wrote the code: the commit was not read")


def test_approvals_of_other_images_of_a_version_are_counted_and_do_not_count() -> None:
    one = Approval(
        digest=DIGEST, type="DEPLOY", person="p", user_id="ada", emails=(), notes=None, approved_at="t", ledger_index=1
    )
    assert ApprovedBy.of([one], DIGEST).by[0]["person"] == "ada"
    assert ApprovedBy.of([one], NEWER).reason == (
        "no approval of this image as this version is recorded; other images of this version were approved"
    )


async def test_an_image_with_two_stated_commits_is_contradicted_and_none_is_chosen(house: InProcess) -> None:
    three = await rollout(house)
    await house.say(three, cause="change", sequence=2, observed_at="2026-11-22T13:20:00.000Z",
                    **version("1.2", NEWER, "9" * 40))  # fmt: skip
    house.clock.advance(10)
    async with served(house) as ask:
        (started,) = (await ask(application="greeter"))[1]["changes"][-1]["started"]
        assert (started["commit"]["state"], started["commit"]["commit"], started["tickets"]) == (
            "contradicted",
            None,
            [],
        )
        assert started["commit"]["reason"] == "2 different commits were stated for the image"


async def test_an_instance_that_turns_to_another_application_ends_in_the_first(house: InProcess) -> None:
    three = await rollout(house)
    await house.say(
        three, cause="change", sequence=2, observed_at="2026-11-22T13:20:00.000Z",
        **{**version("1.1", NEWER, NEW), "application": ApplicationFacts(id="farewell", version="7")},
    )  # fmt: skip
    house.clock.advance(10)
    async with served(house) as ask:
        assert shown((await ask(application="greeter"))[1])[-1] == (THREE, "change", ["1.1"], [])
        assert shown((await ask(application="farewell"))[1]) == [(THREE, "change", [], ["7"])]


@pytest.mark.parametrize(
    "query",
    [{}, {"application": "G"}, {"account": "me"}, {"application": "greeter", "from": "noon"},
     {"application": "greeter", "from": "2026-11-22T13:00:00Z", "to": "2026-11-22T12:00:00Z"},
     {"application": "greeter", "cursor": "x"}, {"application": "greeter", "cursor": "\u0661"},
     {"application": "greeter", "limit": "0"}, {"application": "greeter", "since": "2026-11-22T12:00:00Z"}],
)  # fmt: skip
async def test_what_is_malformed_is_refused(house: InProcess, query: dict[str, str]) -> None:
    async with served(house) as ask:
        assert (await ask(**query))[0] == 400
