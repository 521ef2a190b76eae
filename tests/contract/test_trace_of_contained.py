"""Traces back to images that contain a commit, or one that names a ticket or review, by the ranges that were collected."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from fakes.auditor import checked, dumped
from fakes.four_eyes import MIDDLE, NEWER_ONE, OLDER_ONE, commit, runs
from fakes.in_process import InProcess
from fakes.signing_authority import SigningAuthority
from fakes.vendors import KNOWN, CommitVendors, review
from fakes.versions import NEW, OLD, version
from whence_aggregator.audit.rebuild import rebuild
from whence_aggregator.changes.collected import CollectedRanges
from whence_aggregator.changes.ranges import SourceCommit
from whence_aggregator.collect.ranges import Ranges
from whence_aggregator.ports import Database
from whence_aggregator.ports_commits import CommitObject, RangeAnswer, RangeSide
from whence_aggregator.projections.indexing import index_ranges
from whence_aggregator.queries.audit import CLEAR_RANGE_COMMIT
from whence_aggregator.trace.tracer import SubjectKind, TraceSubject
from whence_common.clock import to_instant

NEWEST_ONE, NEWEST, NEWEST_IMAGE = "i-00000000000000003", "9" * 40, "sha256:" + "9" * 64
PLACE = "git.example.org/demo/greeter"


def since(base: str, *commits: str, **messages: str) -> RangeAnswer:
    objects = {
        one: CommitObject(content=commit("ada", text)) for one, text in zip(commits, messages.values(), strict=True)
    }
    return RangeAnswer(
        merge_base=base, behind=RangeSide(count=0, commits=()), objects=objects,
        ahead=RangeSide(count=len(commits), commits=commits),
    )  # fmt: skip


async def collected(house: InProcess, base: str, head: str) -> None:
    ranges = CollectedRanges(Ranges(database=house.database, now=house.clock))
    older, newer = (SourceCommit(repository=PLACE, commit_id=one) for one in (base, head))
    await ranges.between(older, newer, commits_max=10)
    await house.work()


@pytest.fixture
async def house(database: Database, authority: SigningAuthority) -> AsyncIterator[InProcess]:
    """1.0, 1.1 and 1.2 run; a commit before that of 1.1 names PAY-4 and came in by review 12."""
    vendors = CommitVendors(reviewed={MIDDLE: review(12)})
    async with InProcess(database, authority, trackers=KNOWN, tracker_collectors=vendors.collectors).running() as house:
        await house.register("greeter", team_id="hello")
        house.sources.commits |= {one: commit("ada", "PAY-9: greet") for one in (OLD, NEW, NEWEST)}
        house.sources.ranges[OLD, NEW] = since(OLD, NEW, MIDDLE, own="PAY-9: greet", other="PAY-4: tidy, not PAY-40")
        house.sources.ranges[NEW, NEWEST] = since(NEW, NEWEST, own="PAY-9: greet")
        await runs(house, OLDER_ONE, "1.0")
        await runs(house, NEWER_ONE, "1.1")
        await house.say(await house.machine(NEWEST_ONE), **version("1.2", NEWEST_IMAGE, NEWEST))
        await house.work()
        yield house


async def found(
    house: InProcess, kind: SubjectKind, value: str, known_at: str | None = None
) -> dict[str, tuple[str, ...]]:
    """Return the instances, each with the contained commits that led to it."""
    subject = TraceSubject(kind=kind, value=value)
    lineages, _ = await house.tracer.matching(
        subject, moment=await house.tracer.moments.of(None, known_at), after="", limit=10
    )
    return {one.instance_id: one.contains for one in lineages}


async def test_a_commit_of_a_collected_range_leads_to_what_contains_it(house: InProcess) -> None:
    assert await found(house, "commit", MIDDLE) == {}
    await collected(house, OLD, NEW)
    for kind, value in (("commit", MIDDLE), ("commit", MIDDLE[:7]), ("ticket", "PAY-4"), ("review", "#12")):
        assert await found(house, kind, value) == {NEWER_ONE: (MIDDLE,)}, value  # type: ignore[arg-type]  # of the tuple


async def test_what_is_built_from_a_commit_is_told_from_what_contains_it(house: InProcess) -> None:
    await collected(house, OLD, NEW)
    await collected(house, NEW, NEWEST)
    assert await found(house, "commit", NEW) == {NEWER_ONE: (), NEWEST_ONE: (NEW,)}
    assert await found(house, "ticket", "PAY-9") == {OLDER_ONE: (), NEWER_ONE: (), NEWEST_ONE: ()}


async def test_later_versions_contain_what_an_earlier_one_contains(house: InProcess) -> None:
    await collected(house, OLD, NEW)
    await collected(house, NEW, NEWEST)
    assert await found(house, "ticket", "PAY-4") == {NEWER_ONE: (MIDDLE,), NEWEST_ONE: (MIDDLE,)}
    assert await found(house, "commit", OLD) == {OLDER_ONE: (), NEWER_ONE: (OLD,), NEWEST_ONE: (OLD,)}


async def test_the_side_of_the_base_is_contained_by_the_base_alone(house: InProcess) -> None:
    fork, only = "7" * 40, "8" * 40
    house.sources.ranges[OLD, NEW] = RangeAnswer(
        merge_base=fork, ahead=RangeSide(count=1, commits=(NEW,)), behind=RangeSide(count=2, commits=(OLD, only))
    )
    await collected(house, OLD, NEW)
    assert await found(house, "commit", only) == {OLDER_ONE: (only,)}
    assert await found(house, "commit", fork) == {OLDER_ONE: (fork,), NEWER_ONE: (fork,)}


async def test_a_word_that_is_no_ticket_of_the_commit_leads_nowhere(house: InProcess) -> None:
    await collected(house, OLD, NEW)
    assert await found(house, "ticket", "PAY-40") == {}


async def test_nothing_is_found_by_ranges_that_were_collected_later(house: InProcess) -> None:
    before = to_instant(house.clock())
    house.clock.advance(60)
    await collected(house, OLD, NEW)
    house.clock.advance(60)
    assert await found(house, "ticket", "PAY-4", before) == {}
    assert await found(house, "ticket", "PAY-4", to_instant(house.clock())) == {NEWER_ONE: (MIDDLE,)}


async def test_ranges_that_wait_are_counted_for_subjects_of_commits_alone(house: InProcess) -> None:
    ranges = Ranges(database=house.database, now=house.clock)
    older, newer = (SourceCommit(repository=PLACE, commit_id=one) for one in (OLD, NEW))
    await CollectedRanges(ranges).between(older, newer, commits_max=10)
    assert await house.tracer.ranges_waiting(TraceSubject(kind="ticket", value="PAY-4")) == 1
    assert await house.tracer.ranges_waiting(TraceSubject(kind="account", value="123456789012")) is None


async def test_ranges_are_indexed_from_the_log_and_those_of_earlier_versions_at_the_start(
    house: InProcess, tmp_path: Path
) -> None:
    await collected(house, OLD, NEW)
    before = await dumped(house.database)
    assert [(row["commit_id"], row["tip"]) for row in before["range_commit"]] == [(OLD, NEW), (MIDDLE, NEW)]
    assert (await checked(house, tmp_path)).findings == []
    await house.database.write(CLEAR_RANGE_COMMIT.bind([{}]))
    assert (await index_ranges(house.database), await index_ranges(house.database)) == (2, 0)
    assert await dumped(house.database) == before
    await rebuild(house.database, house.reader)
    assert await dumped(house.database) == before
