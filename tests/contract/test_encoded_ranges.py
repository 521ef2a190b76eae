"""Ranges are kept encoded when they are asked about again, and never shown once what they rest on has changed."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from fakes.four_eyes import MIDDLE, NEWER_ONE, OLDER_ONE, ahead, commit, runs
from fakes.in_process import InProcess
from fakes.signing_authority import SigningAuthority
from fakes.vendors import AWAY, KNOWN, CommitVendors, review, ticket
from fakes.versions import NEW, OLD
from whence_aggregator.audit.forgetting import Forgetting
from whence_aggregator.audit.naming import Persons
from whence_aggregator.changes.collected import CollectedRanges
from whence_aggregator.changes.encoded import EncodedRange, EncodedRanges, WantedRange
from whence_aggregator.changes.ranges import SourceCommit
from whence_aggregator.changes.tracked import TrackedCommits
from whence_aggregator.collect.ranges import Ranges
from whence_aggregator.ports import Database
from whence_aggregator.ports_commits import CommitObject

REPOSITORY = "git.example.org/demo/greeter"


@pytest.fixture
def vendors() -> CommitVendors:
    return CommitVendors(reviewed={NEW: review(12, approved_by="bob")}, known={"PAY-7": ticket("PAY-7")})


@pytest.fixture
async def house(database: Database, authority: SigningAuthority, vendors: CommitVendors) -> AsyncIterator[InProcess]:
    """1.0 ran, and 1.1 runs; the two commits between them are collected with their reviews and tickets."""
    async with InProcess(database, authority, trackers=KNOWN, tracker_collectors=vendors.collectors).running() as house:
        await house.register("greeter", team_id="hello")
        house.sources.commits |= {OLD: commit("ada"), NEW: commit("ada")}
        house.sources.ranges[OLD, NEW] = ahead(
            NEW, MIDDLE, own=CommitObject(content=commit("ada")),
            other=CommitObject(content=commit("bob", "PAY-9: tidy")),
        )  # fmt: skip
        await runs(house, OLDER_ONE, "1.0")
        house.clock.advance(60)
        await runs(house, NEWER_ONE, "1.1", pendingTime="2026-11-22T12:00:00Z")
        yield house


def ranges_of(house: InProcess, **bounds: int) -> EncodedRanges:
    tracked = TrackedCommits(database=house.database, trackers=house.tracer.trackers, now=house.clock)
    collected = CollectedRanges(Ranges(database=house.database, now=house.clock))
    return EncodedRanges(database=house.database, ranges=collected, tracked=tracked, **bounds)


def wanted(**changed: Any) -> WantedRange:
    a, b = (SourceCommit(repository=REPOSITORY, commit_id=one) for one in (OLD, NEW))
    return WantedRange(**{"a": a, "b": b, "application": None, "patterns": (), **changed})


async def shown(ranges: EncodedRanges, one: WantedRange | None = None) -> tuple[bool, dict[str, Any]]:
    """Return whether a range is encoded, and its document."""
    asked = one or wanted()
    found = await ranges.between(asked)
    if isinstance(found, EncodedRange):
        return True, json.loads(found.content)
    return False, found.to_wire(asked.patterns)


async def kept(house: InProcess) -> EncodedRanges:
    """Return ranges that keep the one that is asked for."""
    await ranges_of(house).between(wanted())
    await house.work()
    ranges = ranges_of(house)
    assert [(await shown(ranges))[0] for _ in range(3)] == [False, True, True]
    return ranges


async def test_a_range_is_encoded_when_it_is_asked_about_again_and_is_the_same(house: InProcess) -> None:
    ranges = await kept(house)
    encoded, document = await shown(ranges)
    assert encoded
    assert document == (await shown(ranges_of(house)))[1]
    assert [one["subject"] for one in document["only_b"]] == ["PAY-7: pay", "PAY-9: tidy"]
    assert [(one["id"], one["state"]) for one in document["tickets"]] == [("PAY-7", "confirmed"), ("PAY-9", "missing")]


async def test_an_encoded_range_seen_from_the_other_end_has_its_sides_swapped(house: InProcess) -> None:
    found = await (await kept(house)).between(wanted())
    assert isinstance(found, EncodedRange)
    one, other = json.loads(found.content), json.loads(found.mirrored().content)
    assert (other["only_a"], other["only_b"]) == (one["only_b"], one["only_a"])


async def test_a_range_that_is_not_collected_is_not_kept(house: InProcess) -> None:
    ranges = ranges_of(house)
    for _ in range(3):
        encoded, document = await shown(ranges)
        assert (encoded, document["state"]) == (False, "unknown")
    assert ranges.kept == (0, 0)


async def test_a_forgotten_commit_is_shown_no_more(house: InProcess) -> None:
    ranges = await kept(house)
    forgetting = Forgetting(database=house.database, ledger=house.ledger, archive=None, now=house.clock)
    found = await forgetting.find(Persons(["bob@example.org"]))
    assert await forgetting.remove(found, reason="request 7") == 1
    for _ in range(3):
        _, document = await shown(ranges)
        assert [one["subject"] for one in document["only_b"]] == ["PAY-7: pay", ""]


async def test_a_forgotten_answer_that_there_is_no_review_is_shown_no_more(house: InProcess) -> None:
    ranges = await kept(house)
    assert (await shown(ranges))[1]["only_b"][1]["review"]["state"] == "missing"
    forgetting = Forgetting(database=house.database, ledger=house.ledger, archive=None, now=house.clock)
    reviews = [one.ledger_index for one in await house.entries() if b'"kind":"review"' in (one.content or b"")]
    await forgetting.remove(await forgetting.find(Persons([]), reviews), reason="request 7")
    assert (await shown(ranges))[1] == (await shown(ranges_of(house)))[1]
    assert (await shown(ranges))[1]["only_b"][1]["review"]["state"] == "unknown"


async def test_a_new_answer_about_a_review_is_shown_at_once(house: InProcess, vendors: CommitVendors) -> None:
    ranges = await kept(house)
    vendors.reviewed[NEW] = review(13, approved_by="bob")
    house.clock.advance(86_400)
    await house.work()
    _, document = await shown(ranges)
    assert document["only_b"][0]["review"]["number"] == 13
    assert document == (await shown(ranges_of(house)))[1]


async def test_a_new_answer_about_a_ticket_is_shown_at_once(house: InProcess, vendors: CommitVendors) -> None:
    ranges = await kept(house)
    vendors.known["PAY-7"] = ticket("PAY-7", title="Let people pay twice")
    house.clock.advance(86_400)
    await house.work()
    _, document = await shown(ranges)
    assert document["tickets"][0]["title"] == "Let people pay twice"


async def test_a_source_that_is_away_is_shown_at_once_as_nothing_is_recorded(
    house: InProcess, vendors: CommitVendors
) -> None:
    ranges = await kept(house)
    vendors.reviewed[NEW] = AWAY
    house.clock.advance(86_400)
    await house.work()
    _, document = await shown(ranges)
    assert document["only_b"][0]["review"]["read"].startswith("the host is away; next attempt at ")
    assert document == (await shown(ranges_of(house)))[1]


async def test_other_patterns_are_another_range(house: InProcess) -> None:
    ranges = await kept(house)
    encoded, document = await shown(ranges, wanted(patterns=("tidy-{number}",)))
    assert (encoded, [one["tickets"] for one in document["only_b"]]) == (False, [["PAY-7"], ["PAY-9"]])
    assert ranges.kept[0] == 2


async def test_ranges_are_kept_up_to_so_many_bytes(house: InProcess) -> None:
    size = (await kept(house)).kept[1]
    ranges = ranges_of(house, bytes_max=size)
    await shown(ranges)
    await shown(ranges)
    assert ranges.kept == (1, size)
    await shown(ranges, wanted(patterns=("tidy-{number}",)))
    assert ranges.kept[0] == 1
    small = ranges_of(house, bytes_max=size - 1)
    for _ in range(4):
        assert (await shown(small))[1]["state"] == "found"
        assert small.kept[1] < size
