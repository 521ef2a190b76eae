"""Reviews and tickets of the commits between two versions: asked once, after everything else, and shown with states."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from fakes.four_eyes import MIDDLE, NEWER_ONE, OLDER_ONE, ahead, commit, runs
from fakes.in_process import InProcess
from fakes.signing_authority import SigningAuthority
from fakes.vendors import AWAY, KNOWN, CommitVendors, review, ticket
from fakes.versions import NEW, OLD, version
from whence_aggregator.changes.arrivals import Arrivals
from whence_aggregator.changes.collected import CollectedRanges
from whence_aggregator.changes.counted import ApprovalCounts
from whence_aggregator.changes.differ import Differ
from whence_aggregator.changes.record import ChangeRecord, WantedChanges
from whence_aggregator.changes.subject import Compared
from whence_aggregator.changes.tracked import TrackedCommits
from whence_aggregator.collect.ranges import Ranges
from whence_aggregator.ports import Database
from whence_aggregator.ports_commits import CommitObject, RangeAnswer, RangeSide
from whence_aggregator.queries.work import TASKS_OF_KIND
from whence_aggregator.whence.change_formats import csv_of, markdown_of, text_of
from whence_aggregator.whence.diff import lines_of

MESSAGE = "PAY-9: tidy"
LAUNCH = "2026-11-22T12:00:00Z"


@pytest.fixture
def vendors() -> CommitVendors:
    return CommitVendors(
        reviewed={NEW: review(12, approved_by="bob")}, known={"PAY-7": ticket("PAY-7", title="Let people pay")}
    )


@pytest.fixture
async def house(database: Database, authority: SigningAuthority, vendors: CommitVendors) -> AsyncIterator[InProcess]:
    async with InProcess(database, authority, trackers=KNOWN, tracker_collectors=vendors.collectors).running() as house:
        yield house


def between_two(message: str = MESSAGE) -> RangeAnswer:
    """Return the range of two commits: the newer version's own, and one before it."""
    return ahead(
        NEW, MIDDLE, own=CommitObject(content=commit("ada")), other=CommitObject(content=commit("bob", message))
    )


async def rolled_out(house: InProcess, found: RangeAnswer | None = None) -> None:
    """1.0 runs, and then 1.1; their range is asked for as a diff does, and all work is done."""
    await house.register("greeter", team_id="hello")
    house.sources.commits |= {OLD: commit("ada"), NEW: commit("ada")}
    house.sources.ranges[OLD, NEW] = found or between_two()
    await runs(house, OLDER_ONE, "1.0")
    house.clock.advance(60)
    await runs(house, NEWER_ONE, "1.1", pendingTime=LAUNCH)
    await diff(house)
    await house.work()


async def diff(house: InProcess) -> dict[str, Any]:
    ranges = CollectedRanges(Ranges(database=house.database, now=house.clock))
    differ = Differ(database=house.database, tracer=house.tracer, ranges=ranges, tracked=tracked(house))
    a, b = Compared(kind="instance", value=OLDER_ONE), Compared(kind="instance", value=NEWER_ONE)
    return (await differ.difference(a, b, known_at=None, read_by=lambda lineage: lineage)).to_wire()


async def changed(house: InProcess) -> dict[str, Any]:
    ranges = CollectedRanges(Ranges(database=house.database, now=house.clock))
    counts = ApprovalCounts(database=house.database, reader=house.tracer.commits, policy=house.tracer.policy)
    arrivals = Arrivals(database=house.database, ranges=ranges, tracked=tracked(house), counts=counts)
    found, _ = await ChangeRecord(database=house.database, arrivals=arrivals).page(
        WantedChanges(application="greeter"), after="", limit=10
    )
    return found[-1]


def tracked(house: InProcess) -> TrackedCommits:
    return TrackedCommits(database=house.database, trackers=house.tracer.trackers, now=house.clock)


async def test_each_commit_in_between_is_shown_with_its_review_and_each_ticket_with_its_state(house: InProcess) -> None:
    await rolled_out(house)
    found = (await diff(house))["commits"]
    own, other = found["only_b"]
    assert (own["review"]["state"], own["review"]["number"], own["review"]["author"]) == ("confirmed", 12, "ada")
    assert (own["review"]["approved_by"], bool(own["review"]["observed_at"])) == (["bob"], True)
    assert (other["review"]["state"], other["review"]["number"]) == ("missing", None)
    assert "it was pushed directly" in other["review"]["reason"]
    assert [(one["id"], one["state"], one["title"], one["status"]) for one in found["tickets"]] == [
        ("PAY-7", "confirmed", "Let people pay", "Open"), ("PAY-9", "missing", None, None),
    ]  # fmt: skip
    lines = list(lines_of(await diff(house)))
    assert "  + bbbbbbbbbbbb PAY-7: pay [PAY-7]; review #12 by ada, approved by bob" in lines
    assert "  ticket PAY-7: confirmed Let people pay, Open" in lines
    assert "  ticket PAY-9: missing there is no PAY-9" in lines


async def test_the_change_record_has_the_reviews_and_tickets_of_what_came_with_a_change(house: InProcess) -> None:
    await rolled_out(house)
    found = await changed(house)
    (started,) = found["started"]
    assert started["review"]["reviews"][0]["approved_by"] == ["bob"]
    assert [(one["id"], one["state"]) for one in started["tickets"]] == [("PAY-7", "confirmed"), ("PAY-9", "missing")]
    text = list(text_of(found))
    assert "       bbbbbbbbbbbb PAY-7: pay, review #12 by ada, approved by bob" in text
    assert "     tickets: PAY-7 (confirmed Let people pay, Open), PAY-9 (missing there is no PAY-9)" in text
    note = list(markdown_of(found))
    assert "  - `bbbbbbbbbbbb` `PAY-7: pay`, review `#12` by `ada`, approved by `bob`" in note
    assert any(line.startswith("  - `dddddddddddd` `PAY-9: tidy`, no review: `") for line in note)
    assert "- tickets: `PAY-7` confirmed `Let people pay`, `Open`, `PAY-9` missing `there is no PAY-9`" in note
    assert '"PAY-7 confirmed; PAY-9 missing"' in csv_of(found)


async def test_what_a_source_did_not_answer_is_unknown_and_not_none(house: InProcess, vendors: CommitVendors) -> None:
    vendors.reviewed[MIDDLE] = vendors.known["PAY-9"] = AWAY
    await rolled_out(house)
    found = (await diff(house))["commits"]
    assert found["only_b"][1]["review"]["state"] == "unknown"
    assert found["only_b"][1]["review"]["reason"].startswith("the host is away; next attempt at ")
    assert [one["state"] for one in found["tickets"]] == ["confirmed", "unknown"]
    assert any("the review of 1 commit is unknown: the host is away" in one for one in lines_of(await diff(house)))


async def test_a_ticket_that_only_a_review_names_is_asked_for_too(house: InProcess, vendors: CommitVendors) -> None:
    vendors.reviewed[MIDDLE] = review(13, title="PAY-8: tidy")
    vendors.known["PAY-8"] = ticket("PAY-8")
    await rolled_out(house, between_two("tidy"))
    house.clock.advance(120)
    await house.work()
    found = (await diff(house))["commits"]
    assert [(one["id"], one["state"]) for one in found["tickets"]] == [("PAY-7", "confirmed"), ("PAY-8", "confirmed")]
    assert found["only_b"][1]["tickets"] == ["PAY-8"]


async def test_commits_that_no_instance_runs_are_asked_about_once(house: InProcess, vendors: CommitVendors) -> None:
    vendors.reviewed[MIDDLE] = review(13)
    await rolled_out(house)
    house.clock.advance(90 * 86_400)
    await house.work()
    assert (vendors.asked.count(MIDDLE), vendors.asked.count(NEW) > 1) == (1, True)


async def test_what_was_read_once_is_read_again_when_an_instance_runs_it(
    house: InProcess, vendors: CommitVendors
) -> None:
    vendors.reviewed[MIDDLE] = review(13)
    await rolled_out(house)
    machine = await house.machine("i-00000000000000007", pendingTime=LAUNCH)
    await house.say(machine, **version("1.2", "sha256:" + "7" * 64, MIDDLE))
    await house.work()
    house.clock.advance(86_400)
    await house.work()
    assert vendors.asked.count(MIDDLE) > 1


async def test_of_a_long_range_the_newest_commits_are_asked_about_and_the_others_state_it(
    house: InProcess, vendors: CommitVendors
) -> None:
    names = [f"{number:040x}" for number in range(1, 251)]
    content = CommitObject(content=commit("bob", MESSAGE))
    await rolled_out(house, RangeAnswer(
        merge_base=OLD, ahead=RangeSide(count=250, commits=tuple(names)), behind=RangeSide(count=0, commits=()),
        objects=dict.fromkeys(names, content),
    ))  # fmt: skip
    commits = (await diff(house))["commits"]["only_b"]
    assert [one["review"]["state"] for one in commits] == ["missing"] * 200 + ["unknown"] * 50
    assert commits[-1]["review"]["reason"] == "not asked: only the newest 200 commits of a range are"
    assert set(vendors.asked) == {*names[:200], NEW, OLD, "PAY-7", "PAY-9"}
    house.clock.advance(120)
    await house.work()
    assert await house.database.fetch(TASKS_OF_KIND.bind({"kind": "range-tracking"})) == []
