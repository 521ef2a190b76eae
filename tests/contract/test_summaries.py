"""Summaries: counts that move with the verdicts, daily snapshots in the log, trends, and how far sources were read."""

from __future__ import annotations

import itertools
import random
from datetime import timedelta
from pathlib import Path

import pytest

from fakes.auditor import checked, dumped
from fakes.coverage import coverage_of
from fakes.in_process import InProcess
from fakes.machine import COMMIT, DIGEST, FAILED, scm
from whence_aggregator.audit.rebuild import rebuild
from whence_aggregator.collect.presence_total import PresenceTotal
from whence_aggregator.ports import NotFound, SourceUnavailable
from whence_aggregator.queries.compliance import TALLIES
from whence_aggregator.reports.counted import NONE, Counts
from whence_aggregator.reports.coverage_reading import CoverageReader
from whence_aggregator.reports.snapshots import Snapshots
from whence_aggregator.reports.summary import GROUPS, Summaries, Summary, WantedSummary
from whence_aggregator.trace.moment import Moments
from whence_common.clock import to_instant
from whence_common.statement import ApplicationFacts

ACCOUNT = "123456789012"
PLACE = f"{ACCOUNT}/eu-central-1"
MESSAGE = b"tree x\nauthor A <a@b> 1 +0000\ncommitter A <a@b> 1 +0000\n\n"


async def summary(house: InProcess, wanted: WantedSummary | None = None, at: str | None = None) -> Summary:
    summaries = Summaries(database=house.database, listening=house.listening)
    moments = Moments(database=house.database, now=house.clock)
    return await summaries.of(wanted or WantedSummary(), await moments.of(at))


async def verdicts(house: InProcess, rule: str) -> Counts:
    return (await summary(house, WantedSummary(rules=[rule]))).everything.verdicts


def shown(found: Summary) -> dict[str | None, object]:
    """Return the groups of a summary and their total as they are shown, without what was never heard."""
    return {**{name: one.to_wire() for name, one in found.groups.items()}, "total": found.everything.to_wire()}


def snapshots(house: InProcess) -> Snapshots:
    return Snapshots(database=house.database, ledger=house.ledger, now=house.clock)


async def test_presence_is_summed_over_all_regions(house: InProcess) -> None:
    """Two run by the listing, of which one was never heard; one that no listing shows is of unknown life."""
    heard, unlisted, unheard = (f"i-{number:017x}" for number in (1, 2, 3))
    for one in (heard, unlisted):
        await house.say(await house.machine(one))
    launched = "2026-11-22T09:00:00.000Z"
    house.ec2.listed = {heard: ("running", launched), unheard: ("running", launched)}
    total = PresenceTotal(database=house.database, listening=house.listening, now=house.clock)
    counted = {"counted_at": "2026-11-22T12:00:00.000Z", "listed": 0, "silent": 0, "never": 0, "awaited": 0}
    assert await total.read() == {
        **counted, "speaking": 0, "unknown": {"speaking": 2, "silent": 0, "never": 0}, "oldest_listed_at": None
    }  # fmt: skip
    await house.inventory.collect(PLACE)
    house.clock.advance(10)
    assert await total.read() == {
        **counted, "counted_at": "2026-11-22T12:00:10.000Z", "listed": 2, "speaking": 1, "never": 1,
        "unknown": {"speaking": 1, "silent": 0, "never": 0}, "oldest_listed_at": "2026-11-22T12:00:00.000Z",
    }  # fmt: skip


async def test_an_empty_aggregator_has_judged_nothing(house: InProcess) -> None:
    found = await summary(house)
    assert (found.groups, found.everything.verdicts, found.everything.subjects) == ({}, NONE, {})
    assert await snapshots(house).take() is False, "there is nothing to state"


async def test_counts_move_with_the_verdicts_and_have_their_denominator(house: InProcess) -> None:
    house.sources.images[DIGEST] = None
    other = await house.machine("i-00000000000000002")
    await house.say(await house.machine())
    await house.say(other)
    await house.work()
    assert await verdicts(house, "source-dirty") == Counts(passed=2)
    await house.say(other, scm_source=scm(status="M x"))
    await house.work()
    assert await verdicts(house, "source-dirty") == Counts(passed=1, failed=1)
    of_instances = (await summary(house, WantedSummary(kind="instance"))).everything
    assert of_instances.verdicts.total == 2 * len(house.rules.of_kind("instance"))
    assert of_instances.subjects["instance"].total == 2


async def test_the_counts_of_a_random_history_are_those_of_its_verdicts(house: InProcess, tmp_path: Path) -> None:
    dice = random.Random(22)
    house.sources.images[DIGEST] = None
    house.sources.commits[COMMIT] = MESSAGE + b"DEMO-1: greet"
    machines = [await house.machine(f"i-{n:017x}") for n in range(4)]
    for _ in range(25):
        changes = dice.choice(
            [
                {},
                FAILED,
                {"scm_source": scm(status="M x")},
                {"application": ApplicationFacts(id=dice.choice(["greeter", "other"]), version="1.0")},
            ]
        )
        await house.say(dice.choice(machines), **changes)
        if dice.random() < 0.2:
            await house.register()
        await house.work()
    tallies = {(row["account_id"], row["subject"]): row["n"] for row in await house.database.fetch(TALLIES.bind({}))}
    found = await summary(house, WantedSummary(by="rule", kind="instance", account=ACCOUNT))
    for rule, group in found.groups.items():
        assert group.verdicts.passed == tallies.get((ACCOUNT, f"{rule}/pass"), 0), rule
        broken = group.verdicts.failed + group.verdicts.unknown + group.verdicts.folded
        assert broken == tallies.get((ACCOUNT, f"{rule}/fail"), 0) + tallies.get((ACCOUNT, f"{rule}/unknown"), 0), rule
    for by, rules in itertools.product(GROUPS, (None, ["source-dirty", "drift"], ["image-mutable"])):
        every, of_account = [
            shown(await summary(house, WantedSummary(by=by, kind="instance", account=account, rules=rules)))
            for account in (None, ACCOUNT)
        ]
        assert every == of_account, "the sums that are kept are those of the counts"
        assert every["total"], (by, rules)
    before = await dumped(house.database)
    house.clock.advance(60.0)
    assert (await checked(house, tmp_path)).findings == []
    await rebuild(house.database, house.reader)
    assert await dumped(house.database) == before


async def test_an_instance_that_becomes_another_application_is_counted_there(house: InProcess) -> None:
    machine = await house.machine()
    await house.register()
    await house.say(machine)
    await house.work()
    by_team = WantedSummary(by="team", kind="instance")
    assert (await summary(house, by_team)).groups["hello"].subjects["instance"].total == 1
    await house.say(machine, application=ApplicationFacts(id="nobodys", version="1.0"))
    await house.work()
    groups = (await summary(house, by_team)).groups
    assert set(groups) == {None}
    assert groups[None].subjects["instance"].total == 1


async def test_an_instance_of_no_application_is_in_the_total_and_in_no_team(house: InProcess) -> None:
    await house.register()
    await house.say(await house.machine())
    await house.say(await house.machine("i-00000000000000002"), application=ApplicationFacts(id="other", version="1"))
    await house.say(await house.machine("i-00000000000000003"), **FAILED, user_data=None, application=None)
    await house.work()
    for rules in (None, ["image-mutable"]):
        found = await summary(house, WantedSummary(by="team", kind="instance", rules=rules))
        every = len(house.rules.of_kind("instance")) if rules is None else 1
        assert {name: one.verdicts.total for name, one in found.groups.items()} == {"hello": every, None: every}
        assert found.everything.verdicts.total == 3 * every


async def test_a_team_is_counted_by_its_applications(house: InProcess) -> None:
    await house.register()
    await house.say(await house.machine())
    await house.say(await house.machine("i-00000000000000002"), application=ApplicationFacts(id="other", version="1"))
    await house.work()
    found = await summary(house, WantedSummary(by="account", team="hello"))
    assert found.groups[ACCOUNT].subjects["instance"].total == 1
    assert found.unheard is None, "instances without a statement have no application"
    nobody = await summary(house, WantedSummary(team="nobody"))
    assert nobody.everything.verdicts == NONE


async def test_an_instance_that_never_spoke_is_counted_as_unheard(house: InProcess) -> None:
    house.ec2.listed = {"i-0000000000000000f": ("running", "2026-11-22T11:00:00.000Z")}
    await house.inventory.collect(PLACE)
    found = await summary(house, WantedSummary(by="account"))
    assert found.unheard == {ACCOUNT: 1}


async def test_what_is_gone_is_no_longer_counted(house: InProcess) -> None:
    machine = await house.machine()
    house.ec2.listed = {machine.instance_id: ("running", "2026-11-22T11:59:59.000Z")}
    await house.say(machine)
    await house.inventory.collect(PLACE)
    await house.work()
    house.clock.advance(600.0)
    house.ec2.listed = {machine.instance_id: ("terminated", "2026-11-22T11:59:59.000Z")}
    await house.inventory.collect(PLACE)
    await house.work()
    left = (await summary(house, WantedSummary(kind="instance"))).everything
    assert left.subjects.get("instance", NONE).failed == 0
    assert left.verdicts.failed == left.verdicts.unknown == 0


async def test_a_snapshot_is_taken_once_a_day_and_answers_for_its_time(house: InProcess) -> None:
    house.sources.images[DIGEST] = None
    machine = await house.machine()
    await house.say(machine, scm_source=scm(status="M x"))
    await house.work()
    with pytest.raises(NotFound, match="no snapshot of the summary was taken by 2026-11-22T11:00:00"):
        await summary(house, at="2026-11-22T11:00:00.000Z")
    taken_at = house.clock()
    assert await snapshots(house).take() is True
    assert await snapshots(house).take() is False
    house.clock.advance(86_400.0)
    await house.say(machine)
    await house.work()
    assert await verdicts(house, "source-dirty") == Counts(passed=1)
    assert await snapshots(house).take() is True
    wanted = WantedSummary(rules=["source-dirty"])
    then = await summary(house, wanted, at=to_instant(taken_at + timedelta(hours=1)))
    assert then.everything.verdicts == Counts(failed=1)
    assert then.snapshot is not None
    assert then.snapshot.day == "2026-11-22"
    assert then.to_wire()["age_seconds"] == 3600.0
    assert (await summary(house, wanted)).to_wire()["age_seconds"] == 0.0
    asked_at = to_instant(house.clock())
    house.clock.advance(60.0)
    now = await summary(house, wanted, at=asked_at)
    assert now.everything.verdicts == Counts(passed=1)


async def test_a_trend_states_days_without_a_snapshot_as_such(house: InProcess) -> None:
    house.sources.images[DIGEST] = None
    machine = await house.machine()
    await house.say(machine, scm_source=scm(status="M x"))
    await house.work()
    await snapshots(house).take()
    house.clock.advance(2 * 86_400.0)
    await house.say(machine)
    await house.work()
    await snapshots(house).take()
    house.clock.advance(86_400.0)
    await snapshots(house).take()
    summaries = Summaries(database=house.database, listening=house.listening)
    moment = await Moments(database=house.database, now=house.clock).of()
    days = await summaries.trend(
        WantedSummary(rules=["source-dirty"], kind="instance"), moment, since="2026-11-21", until="2026-11-25"
    )
    assert [(one.day, one.counts) for one in days] == [
        ("2026-11-21", None), ("2026-11-22", Counts(failed=1)), ("2026-11-23", None),
        ("2026-11-24", Counts(passed=1)), ("2026-11-25", Counts(passed=1)),
    ]  # fmt: skip


async def test_snapshots_are_rebuilt_from_the_log(house: InProcess, tmp_path: Path) -> None:
    await house.say(await house.machine())
    await house.work()
    await snapshots(house).take()
    house.clock.advance(86_400.0)
    await snapshots(house).take()
    before = await dumped(house.database)
    assert [row["day"] for row in before["summary_day"]] == ["2026-11-22", "2026-11-23"]
    await rebuild(house.database, house.reader)
    assert await dumped(house.database) == before
    assert (await checked(house, tmp_path)).findings == []


async def test_the_sums_of_snapshots_are_those_of_their_counts(house: InProcess, tmp_path: Path) -> None:
    """Of every day, by a random history: what is kept for everything, and what is summed up for one account."""
    dice = random.Random(60)
    house.sources.images[DIGEST] = None
    machines = [await house.machine(f"i-{n:017x}") for n in range(4)]
    await house.register()
    await house.say(machines[0], application=ApplicationFacts(id="other", version="1.0"))
    moments = list[str]()
    for _ in range(6):
        for _ in range(3):
            application = ApplicationFacts(id=dice.choice(["greeter", "other"]), version="1.0")
            changes = dice.choice([{}, FAILED, {"scm_source": scm(status="M x")}, {"application": application}])
            await house.say(dice.choice(machines[1:]), **changes)
        await house.work()
        await snapshots(house).take()
        moments.append(to_instant(house.clock() + timedelta(hours=1)))
        house.clock.advance(86_400.0)
    for at, by, rules in itertools.product(moments, GROUPS, (None, ["source-dirty", "image-mutable"])):
        every, of_account = [
            shown(await summary(house, WantedSummary(by=by, kind="instance", account=account, rules=rules), at))
            for account in (None, ACCOUNT)
        ]
        assert every == of_account, (at, by, rules)
    summaries, moment = Summaries(database=house.database, listening=house.listening), await house.tracer.moments.of()
    for rules in (None, ["source-dirty"]):
        every_day, of_account_then, of_team, of_applications = [
            await summaries.trend(
                WantedSummary(kind="instance", rules=rules, account=account, team=team),
                moment,
                since="2026-11-20",
                until="2026-11-28",
            )
            for team, account in itertools.product((None, "hello"), (None, ACCOUNT))
        ]
        assert every_day == of_account_then
        assert of_team == of_applications
        assert of_team != every_day
        at_days = [(await summary(house, WantedSummary(kind="instance", rules=rules), at)).everything for at in moments]
        assert [one.counts for one in every_day if one.counts is not None] == [one.verdicts for one in at_days]
    before = await dumped(house.database)
    await rebuild(house.database, house.reader)
    assert await dumped(house.database) == before
    house.clock.advance(60.0)
    assert (await checked(house, tmp_path)).findings == []


def coverage(house: InProcess, *, trail: bool = False) -> CoverageReader:
    return coverage_of(house, accounts=[ACCOUNT], regions=["eu-central-1"], trail=trail, organisation=["aws"])


async def test_what_was_never_read_makes_an_answer_incomplete(house: InProcess) -> None:
    covered = await coverage(house, trail=True).read()
    assert [(one.source, one.state) for one in covered.sources] == [
        ("inventory", "never"), ("trail", "never"), ("organisation", "never"),
    ]  # fmt: skip
    shown = covered.shown()
    assert (shown["complete"], shown["incomplete_total"]) == (False, 3)
    assert covered.shown(named=False)["incomplete"] == []


async def test_a_listing_counts_until_it_is_late_or_fails(house: InProcess) -> None:
    await house.inventory.collect(PLACE)
    (listing, _) = (await coverage(house).read()).sources
    assert (listing.state, listing.permission) == ("read", "")
    house.clock.advance(901.0)
    assert (await coverage(house).read()).sources[0].state == "late"
    house.ec2.away = True
    with pytest.raises(SourceUnavailable):
        await house.inventory.collect(PLACE)
    (listing, _) = (await coverage(house).read()).sources
    assert (listing.state, listing.reason, listing.permission) == ("failed", "EC2 is away", "")
    assert listing.read_at == "2026-11-22T12:00:00.000Z", "the last success is kept"
